"""Properties of everything that reads what people give it: it is taken, or refused by the package's own error.

`python -m pytest tests/robustness/test_fuzzing.py --hypothesis-profile thorough` tries 15,000 inputs for each property.
"""

import dataclasses
import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as some

from keras_seq2seq import Configuration, InputError, Vocabulary, read_pairs, read_references
from keras_seq2seq.cli.main import run_command, train
from keras_seq2seq.data.embedding_files import read_embeddings
from keras_seq2seq.data.vocabulary import PAD, SPECIAL, UNKNOWN
from keras_seq2seq.training import loop
from keras_seq2seq.training.configuration import flag_of
from keras_seq2seq.training.configuration_files import read_configuration

NUMBERS = [field for field in dataclasses.fields(Configuration) if field.metadata["least"] is not None]
FIELDS = [field.name for field in dataclasses.fields(Configuration)]
# What a line, a word or a number may be made of where somebody was careless, and what is rarer than that.
PARTS = some.sampled_from(
    ["a", "b c", "\t", "\n", "\r\n", " ", "\ufeff", "\u200b", "\u2028", "\0", "é", "e\u0301", "각", "1", "-2.5"]
)
TEXTS = some.lists(PARTS | some.text(max_size=4), max_size=8).map("".join)
BYTES = TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")) | some.binary(max_size=40)
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | TEXTS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzing") / "file"


def refused(call, *arguments):
    """Calls what reads something, and returns what it returns; None where it refuses that as it should."""
    try:
        return call(*arguments)
    except InputError as error:
        assert str(error)
        return None


@hypothesis.given(content=BYTES, columns=some.none() | some.tuples(some.integers(-1, 4), some.integers(-1, 4)))
def test_a_file_of_pairs(path, content, columns):
    path.write_bytes(content)
    pairs = refused(read_pairs, path, None, columns)
    assert pairs is None or pairs
    for side in (side for pair in pairs or [] for side in pair):
        assert side.strip() and "\t" not in side and "\n" not in side


@hypothesis.given(source=BYTES, target=BYTES)
def test_two_parallel_files(path, source, target):
    path.write_bytes(source)
    path.with_name("other").write_bytes(target)
    pairs = refused(read_pairs, path, path.with_name("other"))
    assert pairs is None or len(pairs) <= source.count(b"\n") + 1


@hypothesis.given(content=BYTES, further=some.booleans())
def test_a_file_of_references(path, content, further):
    path.write_bytes(content)
    for references in (refused(read_references, path, None, None, further) or {}).values():
        assert references and len(set(references)) == len(references)


@hypothesis.given(texts=some.lists(TEXTS, max_size=5), unit=some.sampled_from(["word", "char", "space"]), asked=TEXTS)
def test_a_vocabulary(texts, unit, asked):
    vocabulary = refused(Vocabulary.build, texts, unit)
    if vocabulary is None:
        return
    assert vocabulary.tokens[: len(SPECIAL)] == list(SPECIAL)
    # What it was made from is known to it, and put together again the tokens are the same ones.
    for text, tokens in zip(texts, vocabulary.tokens_of(texts), strict=True):
        assert UNKNOWN not in tokens and set(tokens) <= set(vocabulary.tokens), text
        ids = vocabulary.encode(tf.constant([text]))
        assert [vocabulary.tokens[one] for one in ids.to_list()[0]] == tokens
        joined = vocabulary.decode(ids.to_tensor()).numpy()[0].decode()
        assert vocabulary.tokens_of([joined]) == [tokens]
    ids = refused(vocabulary.tokens_of, [asked])
    assert ids is None or PAD not in ids[0]


@hypothesis.given(tokens=some.lists(TEXTS | some.sampled_from(SPECIAL), max_size=8), unit=TEXTS | some.just("word"))
def test_the_tokens_of_a_vocabulary(tokens, unit):
    vocabulary = refused(Vocabulary, tokens, unit)
    if vocabulary:
        again = Vocabulary.from_config(json.loads(json.dumps(vocabulary.get_config())))
        assert (again.tokens, again.unit) == (tokens, unit)


@hypothesis.given(values=some.dictionaries(some.sampled_from(FIELDS) | TEXTS, VALUES, max_size=4))
def test_the_values_of_a_configuration(values):
    config = refused(Configuration.from_dict, values, Configuration())
    if config:
        assert Configuration.from_dict(config.to_dict(), Configuration()) == config


@hypothesis.given(
    content=BYTES | some.dictionaries(some.sampled_from(FIELDS), VALUES, max_size=3).map(json.dumps).map(str.encode)
)
def test_a_file_of_a_configuration(path, content):
    path.write_bytes(content)
    refused(read_configuration, str(path))


@hypothesis.given(
    lines=some.lists(some.tuples(TEXTS | some.just("b"), some.lists(some.floats().map(str) | TEXTS, max_size=4))),
    dim=some.integers(1, 3),
)
def test_a_file_of_embeddings(path, lines, dim):
    path.write_bytes(
        "\n".join(" ".join([token, *numbers]) for token, numbers in lines).encode("utf-8", "surrogatepass")
    )
    vocabulary = Vocabulary([*SPECIAL, "b", "é"], "word")
    found = refused(read_embeddings, str(path), vocabulary, dim)
    if found:
        matrix, rows = found
        assert matrix.shape == (len(vocabulary), dim) and np.isfinite(matrix).all() and rows.any() and not rows[0]


@hypothesis.given(
    arguments=some.lists(
        some.sampled_from(FIELDS).map(flag_of) | some.sampled_from(["--config", "--", "-x"]) | TEXTS, max_size=6
    )
)
def test_a_command_line(arguments):
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()), redirect_stderr(errors):
        patch.setattr(loop, "train", lambda *_: None)
        code = run_command(train, arguments)
    assert (code == 0 and not errors.getvalue()) or (code == 2 and re.fullmatch(r"error: [^\n]+\n", errors.getvalue()))


@pytest.mark.slow  # a quarter of an hour
@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_an_option_at_its_ends(field, tmp_path):
    least, most = field.metadata["least"], field.metadata["most"]
    if field.name in ("epochs", "updates_per_epoch"):
        most = 3  # of work there is no end
    for number, value in enumerate([least, most, most + 1, *([1e-300] if isinstance(field.default, float) else [])]):
        errors = io.StringIO()
        tiny = ["--epochs", "1", "--updates-per-epoch", "2", "--inspect", "0", "--tensorboard", "off"]
        place = ["--logs", str(tmp_path), "--run", str(number)]
        with redirect_stdout(io.StringIO()), redirect_stderr(errors):
            code = run_command(train, [*tiny, *place, flag_of(field.name), str(value)])
        assert (code, errors.getvalue()) == (0, "") or (
            code == 2 and re.fullmatch(r"error: [^\n]+\n", errors.getvalue())
        )
