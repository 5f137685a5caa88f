"""Subwords from the shell: a model is trained, loaded in another process, asked, measured, and served as a graph."""

import re

import pytest
import toys

from keras_seq2seq import Configuration, InputError
from keras_seq2seq.cli.main import choose, run_command
from keras_seq2seq.training.build import build_vocabularies

PAIRS = [
    ("What is the color of a caf\u00e9?", "It is yellow, most of the time."),
    ("What makes up water?", "Hydrogen  and Oxygen: do!"),
    ("Don't!", "Why not?"),
]
SEED_ONCE = True  # see conftest.py

CLIENT = """
import sys

for package in ("keras_seq2seq", "sentencepiece"):
    sys.modules[package] = None  # import raises ImportError
import tensorflow as tf, tensorflow_text

answer = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
for text in answer(tf.constant(sys.argv[2:]))["answers"].numpy():
    print(text.decode())
"""
ASK = """
import sys, keras_seq2seq

print(*keras_seq2seq.load(sys.argv[1]).generate(sys.argv[2:]), sep="\\n")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns the folder of a run that knows PAIRS by heart."""
    folder = tmp_path_factory.mktemp("subwords")
    (folder / "pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS), encoding="utf-8")
    options = "--source-tokens subword --target-tokens subword --subwords 50 --shared-vocabulary --normalize NFC"
    options += " --cell gru --units 64 --embedding-dim 16 --learning-rate 0.01 --epochs 1 --updates-per-epoch 150"
    options += " --inspect 0 --tensorboard off --run first --logs"
    data = ["--data", str(folder / "pairs.tsv"), "--valid", str(folder / "pairs.tsv")]
    assert run_command(choose, ["train", *data, *options.split(), str(folder)]) == 0
    return folder / "first"


def test_another_process_answers_to_the_letter(run):
    sources, targets = zip(*PAIRS, strict=True)
    apart = sources[0].replace("\u00e9", "e\u0301")  # the same text, spelled otherwise
    assert toys.output_of(ASK, run, *sources, apart).splitlines() == [*targets, targets[0]]


def test_a_graph_answers_in_a_process_with_tensorflow_and_tensorflow_text_alone(run, tmp_path):
    assert run_command(choose, ["export", str(run), str(tmp_path / "saved")]) == 0
    sources, targets = zip(*PAIRS, strict=True)
    apart = sources[0].replace("\u00e9", "e\u0301")
    printed = toys.output_of(CLIENT, tmp_path / "saved", *sources, apart)
    assert printed.splitlines() == [*targets, targets[0]]


def test_it_is_measured_by_its_own_tokens(run, capsys):
    assert run_command(choose, ["evaluate", str(run), "--data", str(run.parent / "pairs.tsv")]) == 0
    printed = capsys.readouterr().out
    for figure in ("exact_match      1.0000", "token_error_rate 0.0000"):
        assert figure in printed


# Vocabularies of a configuration


def test_one_model_is_learnt_from_both_sides():
    options = {"source_tokens": "subword", "target_tokens": "subword", "subwords": 20}
    source, target = build_vocabularies([("ab", "cd")], Configuration(**options))
    assert source is target and set("abcd") < set(source.tokens)
    source, target = build_vocabularies([("ab", "cd")], Configuration(**options, shared_vocabulary=False))
    assert "c" not in source.tokens and "a" not in target.tokens


def test_subwords_and_words_stand_side_by_side():
    config = Configuration(source_tokens="subword", shared_vocabulary=False, normalize="NFKC")
    source, target = build_vocabularies([("ab", "\uff21b c")], config)
    assert (source.unit, target.unit, source.normalize, target.normalize) == ("subword", "word", "NFKC", "NFKC")
    assert target.tokens[5:] == ["ab", "c"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"source_tokens": "subword", "splices": 5}, "with subword tokens add --splices 0"),
        ({"target_tokens": "subword", "as_published": True}, "--as-published rebuilds the notebook's words"),
        ({"normalize": "NFC", "as_published": True}, "--as-published rebuilds the notebook's words"),
        ({"subwords": 9}, "--subwords is 9; it must be a finite number, 10 or more"),
        ({"normalize": "nfc"}, "--normalize is 'nfc'; choose one of: none, NFC, NFD, NFKC"),
    ],
)
def test_what_does_not_go_together_is_refused(options, reason):
    with pytest.raises(InputError, match=re.escape(reason)):
        Configuration(**options)
