"""docs/examples: each file runs as it stands, learns its toy, decodes by beam, is saved, loaded and exported."""

import ast
import contextlib
import functools
import io
import json
import os
import re
import runpy
import sys
import types

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
import toys

import keras_seq2seq
from keras_seq2seq import NOTEBOOK, Beam, export, load

FOLDER = toys.ROOT / "docs" / "examples"
FILES = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}
BEAM = Beam(5)
WHITE = "white most of the time"
# What a model is asked and has to answer, greedily and by beam search; None: what the file held out.
RIGHT = {
    "convolutional_encoder": None,
    "copy_decoder": None,
    "further_training": {"0+0": "0", "2+3": "5", "3+0": "3", "3+4": "7"},
    "own_attention": dict(NOTEBOOK),
    "own_callback": dict(NOTEBOOK),
    "own_cell": dict(NOTEBOOK),
    "own_corpus": {"France": "Paris", "Hungary": "Budapest", "Iceland": "Reykjavik"},
    "own_decoding": {"what is the color of snow": WHITE, "what is the color of banana": "<unk> most of the time"},
    "own_loss": dict(NOTEBOOK),
    "own_metric": dict(NOTEBOOK),
    "transformer": None,
}
EXPORTED = ("convolutional_encoder", "copy_decoder", "own_attention", "own_cell", "own_decoding", "transformer")
OWN_HALVES = ("convolutional_encoder", "copy_decoder", "transformer")

SEED_ONCE = True  # see conftest.py


@contextlib.contextmanager
def eagerly():
    """Runs what would be a graph step by step: quicker than tracing it for a handful of texts."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns a function that runs a file in an empty folder, once, and returns what it left behind."""

    @functools.cache
    def run(name):
        folder, before, printed = tmp_path_factory.mktemp(name), os.getcwd(), io.StringIO()
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(printed):
                names = runpy.run_path(str(FILES[name]), run_name="__main__")
        finally:
            os.chdir(before)
        right = RIGHT[name]
        if right is None:
            held_out = names["held_out"]
            right = {word: word[::-1] for word in held_out} if name == "transformer" else dict(held_out)
        return types.SimpleNamespace(printed=printed.getvalue(), right=right, saved=folder / f"{name}.keras", **names)

    return run


def test_each_is_tested_and_none_is_long():
    assert list(RIGHT) == list(FILES)
    for path in FILES.values():
        assert len(path.read_text(encoding="utf-8").splitlines()) < 120, path.name


@pytest.mark.parametrize("name", FILES)
def test_it_imports_what_is_public_and_edits_nothing_of_the_package(name):
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module not in sys.stdlib_module_names:
            assert node.module == "keras_seq2seq"
            assert {alias.name for alias in node.names} <= set(keras_seq2seq.__all__)
        elif isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= {"tensorflow", *sys.stdlib_module_names}
        elif isinstance(node, ast.Assign):  # of its own objects' attributes alone
            targets = [part for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Attribute)]
            assert all(isinstance(target.value, ast.Name) and target.value.id == "self" for target in targets)


@pytest.mark.parametrize("name", FILES)
def test_it_learns_its_toy_and_shows_the_answers(run, name):
    done = run(name)
    questions, answers = list(done.right), list(done.right.values())
    with eagerly():
        assert done.model.generate(questions) == answers
    assert done.model.generate(questions, BEAM) == answers
    assert all(answer in done.printed for answer in answers)


LOADING = """
import importlib, json, sys

from keras_seq2seq import Beam, load
import tensorflow as tf

tf.config.run_functions_eagerly(True)
sys.path.insert(0, sys.argv[1])
found = {}
for name, (file, questions) in json.load(open(sys.argv[2])).items():
    importlib.import_module(name)
    model = load(file)
    found[name] = [model.generate(questions), model.generate(questions, Beam(5))]
print(json.dumps(found))
"""


@pytest.mark.parametrize("keras_major", [2, 3])
def test_a_fresh_process_that_imports_the_file_loads_the_model_and_says_the_same(run, tmp_path, keras_major):
    done = {name: run(name) for name in FILES}
    asked = {name: [str(of.saved), list(of.right)[:4]] for name, of in done.items()}
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    # Nothing else is printed: an import trains nothing.
    found = json.loads(toys.output_of(LOADING, FOLDER, tmp_path / "asked.json", keras_major=keras_major, cwd=tmp_path))
    assert found == {name: [list(of.right.values())[:4]] * 2 for name, of in done.items()}


SERVING = """
import json, sys

for package in ("keras", "tf_keras", "keras_seq2seq"):
    sys.modules[package] = None  # import raises ImportError
import tensorflow as tf

found = {}
for name, questions in json.load(open(sys.argv[2])).items():
    signatures = tf.saved_model.load(f"{sys.argv[1]}/{name}").signatures
    greedy, best = (signatures[key](tf.constant(questions))["answers"].numpy() for key in ("serving_default", "beam"))
    found[name] = [[answer.decode() for answer in answers] for answers in (greedy, best[:, 0])]
print(json.dumps(found))
"""


def test_the_exported_graph_says_the_same_without_keras_and_without_this_package(run, tmp_path):
    done = {name: run(name) for name in EXPORTED}
    for name, of in done.items():
        # A strategy of one's own is exported as the beam is.
        export(of.model, tmp_path / name, of.KnownTokens() if name == "own_decoding" else BEAM)
    (tmp_path / "asked.json").write_text(json.dumps({name: list(of.right) for name, of in done.items()}))
    found = json.loads(toys.output_of(SERVING, tmp_path, tmp_path / "asked.json"))
    expected = {name: [list(of.right.values())] * 2 for name, of in done.items()}
    expected["own_decoding"] = [list(RIGHT["own_decoding"].values()), [WHITE, WHITE]]
    assert found == expected


# Encoders and decoders of one's own keep to the contract.

IDS = st.lists(st.integers(5, 10), min_size=1, max_size=5)
PAIRS = st.lists(st.tuples(IDS, IDS), min_size=2, max_size=3)


@pytest.mark.parametrize("name", OWN_HALVES)
@hypothesis.given(pairs=PAIRS, extra=st.integers(0, 3))
@hypothesis.settings(max_examples=8)
def test_padding_and_other_rows_change_nothing(run, name, pairs, extra):
    model = run(name).model
    sources, targets = ([[begin, *pair[side]] for pair in pairs] for side, begin in ((0, 2), (1, 3)))
    together = model((toys.padded(sources, extra), toys.padded(targets, extra))).numpy()
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        alone = model((toys.padded([source]), toys.padded([target]))).numpy()
        np.testing.assert_allclose(together[row, : len(target)], alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OWN_HALVES)
@hypothesis.given(pairs=PAIRS)
@hypothesis.settings(max_examples=5)
def test_a_step_gives_what_the_call_gives_at_that_position(run, name, pairs):
    model = run(name).model
    sources, targets = (toys.padded([pair[side] for pair in pairs]) for side in (0, 1))
    state, prepared = model.encode(sources)
    logits = model.decoder(targets, state, prepared).numpy()
    for time in range(targets.shape[1]):
        shapes = [part.shape for part in state]
        one, state = model.decoder.step(targets[:, time], state, prepared)
        assert [part.shape for part in state] == shapes
        there = targets.numpy()[:, time] != 0
        np.testing.assert_allclose(one.numpy()[there], logits[there, time], rtol=1e-4, atol=1e-4)


# What each file is about.


def test_the_copy_decoder_says_names_that_no_training_target_holds(run):
    done = run("copy_decoder")
    learnt = {word for _, answer in done.learnt for word in answer.split()}
    names = {answer.split()[-1] for answer in done.right.values()}
    assert len(names) == 8 and not names & learnt


def test_held_out_words_are_not_learnt(run):
    for name in ("convolutional_encoder", "transformer"):
        done = run(name)
        assert len(done.right) >= 20 and not {source for source, _ in done.learnt} & set(done.right)


def test_the_sounds_of_the_convolutional_toy_hang_on_the_next_letter(run):
    sounds = run("convolutional_encoder").sounds
    assert [sounds(word) for word in ("cige", "cag", "gc")] == ["S I J E", "K A G", "G K"]


def test_a_cell(run):
    model = load(run("own_cell").saved)
    assert type(model.encoder.rnn.cell).__name__ == type(model.decoder.rnn.cell).__name__ == "MinimalGatedCell"


def test_an_attention_whose_weight_is_there_before_the_model_is_compiled(run):
    done = run("own_attention")
    model = load(done.saved)
    assert type(model.decoder.attention).__name__ == "CosineAttention"
    sharpness = toys.array(done.model.decoder.attention.sharpness)
    assert sharpness == toys.array(model.decoder.attention.sharpness) != 1  # it was learnt, and saved


def test_a_decoding_strategy(run):
    done = run("own_decoding")
    questions = ["what is the color of banana", "what is the color of water"]
    with eagerly():
        assert done.model.generate(questions[:1]) == ["<unk> most of the time"]
        assert not any("<unk>" in answer for answer in done.model.generate(questions, done.KnownTokens()))
    assert f"{done.KnownTokens()} {[WHITE] * 3}" in done.printed


def test_a_corpus_reader(run, tmp_path):
    (tmp_path / "more.csv").write_text('a,b,c\n1,"2, or more",3\nx,y,\u00e9\n', encoding="utf-8")
    assert run("own_corpus").read_columns(tmp_path / "more.csv", "c", "b") == [("3", "2, or more"), ("\u00e9", "y")]


def test_metrics(run):
    done = run("own_metric")
    for name in ("top_3", "confidence"):
        shown = [float(value) for value in re.findall(rf"{name}: ([\d.e+-]+)", done.printed)]
        assert len(shown) == 6 and shown[0] < shown[-1]
        assert shown[-1] == 1.0 if name == "top_3" else shown[-1] > 0.95
    # Two tokens: softmax([0, log 3]) is [1/4, 3/4].
    logits = tf.math.log([[1.0, 3.0], [1.0, 3.0]])
    np.testing.assert_allclose(done.confidence(tf.constant([0, 1]), logits), [0.25, 0.75], rtol=1e-6)


def test_a_callback(run):
    lines = re.findall(r"^(\d+) (.*)$", run("own_callback").printed, re.MULTILINE)
    assert [number for number, _ in lines] == [str(number) for number in range(1, 7)]
    assert lines[-1][1] == "hydrogen and oxygen"


def test_a_loss(run):
    done = run("own_loss")
    # Probability 3/4: (1 - 3/4)^2 * -log(3/4).
    loss = done.focal_loss(tf.constant([[1]]), tf.math.log([[[1.0, 3.0]]]))
    np.testing.assert_allclose(loss, [[-np.log(0.75) / 16]], rtol=1e-5)
    assert load(done.saved).get_compile_config()["loss"] == {"registered_name": "Custom>focal_loss"}


def test_further_training(run):
    done = run("further_training")
    known, more = [
        ["0", "1", "2", "3", "4", "1", "2", "3", "4", "5", "2", "3", "4", "5", "6"],
        ["3", "4", "5", "6", "7"],
    ]
    before = ast.literal_eval(done.printed.split("before: ")[1].splitlines()[0])
    assert before[:15] == known and before[15:] != more
    assert f"after: {known + more}" in done.printed
    # 20 batches an epoch, 8 epochs: the first training's updates do not count.
    assert int(load(done.saved).optimizer.iterations) == 160
    first, second = ([row for (source, _), _ in done.data for row in source.numpy().tolist()] for _ in range(2))
    assert first != second and sorted(first) == sorted(second)
