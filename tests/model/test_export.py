"""The exported graph, in a process that knows neither Keras nor this package, says what Python says."""

import base64
import errno
import json
import os
import sys

import pytest
import tensorflow as tf
import toys
from text_toys import ACCENT, CHAR_PAIRS, FAMILY, HEBREW, WORD_PAIRS, ZERO_WIDTH, char_model, word_model

from keras_seq2seq import Beam, InputError, export

MODELS = {"word": word_model, "char": char_model}
BEAMS = {"word": Beam(5, 5), "char": Beam(3, 3)}  # the first is what `export` writes unless told otherwise

BANANA = WORD_PAIRS[0][0]
TEXTS = {
    "word": [
        *(source for source, _ in WORD_PAIRS),
        "What IS the Color, of — «Banana»?!",
        "what\tis the\u3000color\u00a0of\0banana\r\n",
        "ＷＨＡＴ is the color of banana",  # full-width letters have lower case, too, but are others
        "what is the color of bana\u200bna",  # nothing to be seen in between
        "what-is/the color,of 3.14 don't",
        "the of",  # answered like neither question
        "what is the smell of Banané\u0301 👨\u200d👩\u200d👧 שלום",
        BANANA + " water" * 1000,  # more than is read
        "İI ẞß ΑΣ Σ",  # lower-casing beyond ASCII
        "<end> <pad> <unk> <q> <a>",
        "",
        " \t\n",
        "...",
        "\0",
    ],
    "char": [
        *(source for source, _ in CHAR_PAIRS),
        "CAT",
        "é" + ACCENT + "\u0301\u0301",
        "👩" + FAMILY + "👧\u200d",
        HEBREW + "\u200f" + HEBREW[::-1],
        "AＢａ",
        "\ufeffcat\u200b",
        "c\0at",
        "\0",
        "ca\tt\n\r",
        " ",
        "",
        "𝒄𝓪𝓽",  # beyond the 16-bit characters
        "cat" * 500,  # more than is read
    ],
}
# What no Python string can hold, and what is read in its place.
INVALID = {b"ca\xfft": "ca\ufffdt", b"\xc3": "\ufffd", b"cat\xf0\x9f\x98": "cat\ufffd", b"\xff": "\ufffd"}

CLIENT = """
import base64, json, sys

for package in ("keras", "tf_keras", "keras_seq2seq"):
    sys.modules[package] = None  # import raises ImportError
import tensorflow as tf

folder, questions = sys.argv[1], json.load(open(sys.argv[2]))


def readable(value):
    if isinstance(value, list):
        return [readable(part) for part in value]
    return value.decode() if isinstance(value, bytes) else value


found = {}
for name, texts in questions.items():
    signatures = tf.saved_model.load(f"{folder}/{name}").signatures
    texts = [base64.b64decode(text) for text in texts]

    def ask(signature, texts):
        answers = signatures[signature](tf.constant(texts, tf.string))
        return {key: readable(value.numpy().tolist()) for key, value in answers.items()}

    found[name] = {
        "signatures": {key: list(value.structured_input_signature[1]) for key, value in signatures.items()},
        "greedy": ask("serving_default", texts)["answers"],
        "one by one": [ask("serving_default", [text])["answers"][0] for text in texts[:3]],
        "beam": ask("beam", texts),
    }
    try:
        found[name]["none"] = ask("serving_default", [])["answers"]
    except tf.errors.OpError as error:
        found[name]["none"] = str(error)
assert not any(package in sys.modules and sys.modules[package] for package in ("keras", "tf_keras", "keras_seq2seq"))
print(json.dumps(found))
"""

SEED_ONCE = True  # see conftest.py


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Returns a folder with a SavedModel of each toy."""
    folder = tmp_path_factory.mktemp("exporting") / "not yet" / "there"
    export(word_model(), str(folder / "word"))
    export(char_model(), folder / "char", BEAMS["char"])
    assert sorted(os.listdir(folder)) == ["char", "word"]
    return folder


@pytest.fixture(scope="module")
def served(exported, tmp_path_factory):
    """Returns what a process without Keras and without this package got from the graphs."""
    questions = {
        name: [base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode() for text in texts]
        for name, texts in {**TEXTS, "char": [*TEXTS["char"], *INVALID]}.items()
    }
    file = tmp_path_factory.mktemp("questions") / "questions.json"
    file.write_text(json.dumps(questions))
    return json.loads(toys.output_of(CLIENT, exported, file))


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_gives_the_very_strings(served, name):
    expected = MODELS[name]().generate(TEXTS[name])
    assert served[name]["greedy"][: len(expected)] == expected
    assert len(set(expected)) > 3  # there was something to tell apart


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_gives_the_very_best_answers_with_their_log_probabilities_and_scores(served, name):
    expected = MODELS[name]().generate_nbest(TEXTS[name], BEAMS[name])
    beam = served[name]["beam"]
    for number, answers in enumerate(expected):
        texts = beam["answers"][number]
        assert len(texts) == BEAMS[name].nbest
        assert texts[: len(answers)] == [answer.text for answer in answers]
        for key, field in (("log_probabilities", "log_probability"), ("scores", "score")):
            values = beam[key][number]
            assert len(values) == len(texts)
            assert values[: len(answers)] == pytest.approx([getattr(answer, field) for answer in answers], abs=1e-4)
            assert values == sorted(values, reverse=True) or key != "scores"
            # Where there are fewer answers, to an empty text for example, the rest are impossible.
            assert values[len(answers) :] == [-float("inf")] * (len(texts) - len(answers))


def test_what_was_learnt_is_answered(served):
    assert served["word"]["greedy"][:2] == [target for _, target in WORD_PAIRS]
    assert served["char"]["greedy"][: len(CHAR_PAIRS)] == [target for _, target in CHAR_PAIRS]
    assert ZERO_WIDTH in dict(CHAR_PAIRS) and "\u200c B" in served["char"]["greedy"]


def test_invalid_bytes_are_read_as_replacement_characters(served):
    texts = list(INVALID.values())
    assert served["char"]["greedy"][-len(INVALID) :] == char_model().generate(texts)
    expected = char_model().generate_nbest(texts, BEAMS["char"])
    beam = served["char"]["beam"]
    for number, answers in enumerate(expected, start=len(TEXTS["char"])):
        assert beam["answers"][number] == [answer.text for answer in answers]
        assert beam["log_probabilities"][number] == pytest.approx([a.log_probability for a in answers], abs=1e-4)
        # Were such bytes dropped, some texts would be empty, and their empty answer certain.
        assert answers[0].log_probability < 0


@pytest.mark.parametrize("name", MODELS)
def test_any_number_of_texts(served, name):
    assert served[name]["one by one"] == served[name]["greedy"][:3]
    assert served[name]["none"] == []


@pytest.mark.parametrize("name", MODELS)
def test_the_signatures(served, name):
    assert served[name]["signatures"] == {"serving_default": ["texts"], "beam": ["texts"]}
    assert set(served[name]["beam"]) == {"answers", "log_probabilities", "scores"}


# Nothing is overwritten, nothing is left behind.


@pytest.mark.parametrize("kind", ["folder", "full folder", "file"])
def test_what_exists_is_left_alone(tmp_path, kind):
    there = tmp_path / "there"
    if kind == "file":
        there.write_text("mine")
    else:
        there.mkdir()
    if kind == "full folder":
        (there / "mine").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="there: exists already") as caught:
        export(word_model(), there)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), InputError),
        (tf.errors.ResourceExhaustedError(None, None, "No space left on device"), InputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (RuntimeError("a bug"), RuntimeError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value.__name__,
)
def test_nothing_is_left_behind_when_writing_fails_half_way(tmp_path, monkeypatch, error, raised):
    def save(module, folder, **options):
        os.makedirs(f"{folder}/variables")
        with open(f"{folder}/variables/half", "w") as file:
            file.write("half")
        raise error

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(raised):
        export(word_model(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "file/model",  # a file is no folder
        "x" * 250,  # fits, but not with what is put around it while it is being written
        "x" * 300,  # the name is too long
        pytest.param(
            "/proc/model", marks=pytest.mark.skipif(sys.platform != "linux", reason="nobody can write in /proc")
        ),
    ],
    ids=["in a file", "250 characters", "300 characters", "proc"],
)
def test_a_folder_that_cannot_be_made_is_refused(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written") as caught:
        export(word_model(), tmp_path / name)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
