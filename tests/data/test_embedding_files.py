"""Pretrained embeddings: what is found in a file, where it goes, and that it stays there when frozen."""

from pathlib import Path

import numpy as np
import pytest
import toys

from keras_seq2seq import Configuration, InputError, Vocabulary, keras, load, save
from keras_seq2seq.cli.main import run_command, train
from keras_seq2seq.data.embedding_files import read_embeddings
from keras_seq2seq.training.build import build_model, use_embeddings

# <pad> 0, <unk> 1, <q> 2, <a> 3, <end> 4, b 5, c 6, d 7, e 8, f 9
WORDS = toys.WORDS
# Of two lines with `b` the first counts; `z` is nobody's token.
TEXT = "b 1 2\nz 3 4\ne -5 6e-1\nb 7 8\n<pad> 9 9\n"


def read(content, dim=2, vocabulary=WORDS):
    """Returns what is found in a file with this content: {token: its numbers}."""
    Path("f.txt").write_bytes(content.encode() if isinstance(content, str) else content)
    matrix, found = read_embeddings("f.txt", vocabulary, dim)
    assert (matrix.shape, matrix.dtype) == ((len(vocabulary), dim), np.float32)
    assert (found.shape, found.dtype) == ((len(vocabulary),), bool)
    assert not matrix[~found].any()
    return {vocabulary.tokens[row]: matrix[row].tolist() for row in np.flatnonzero(found)}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# Reading


@pytest.mark.parametrize("header", ["", "5 2\n"])
@pytest.mark.parametrize("blank", [" ", "\t"])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n", "\n\n"])
def test_the_vocabularys_tokens_are_found(header, blank, end):
    content = (header + TEXT).replace(" ", blank).replace("\n", end)
    assert read(content) == {"b": [1, 2], "e": [-5, np.float32(0.6)]}


def test_a_token_may_contain_blanks_or_be_one():
    vocabulary = Vocabulary([*WORDS.tokens[:5], " ", "\u00a0", ". .", "5"], "char")
    assert read(". . 1 2\n  3 4\n\u00a0 5 6\n5 7 8\n", vocabulary=vocabulary) == {
        ". .": [1, 2],
        " ": [3, 4],
        "\u00a0": [5, 6],
        "5": [7, 8],
    }


def test_two_whole_numbers_on_the_first_line_are_a_header():
    # Only with a dimension of 1 could they be a token and its number.
    assert read("1 1\nb 2\n", dim=1) == {"b": [2]}
    assert read("b 2\n1 1\n", dim=1) == {"b": [2]}


def test_the_numbers_of_other_tokens_are_not_looked_at():
    assert read("b 1 2\nz x nan\n") == {"b": [1, 2]}


def test_special_tokens_may_have_embeddings_too_but_padding():
    assert read("<unk> 1 2\n<end> 3 4\n<pad> 5 6\n") == {"<unk>": [1, 2], "<end>": [3, 4]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "f.txt: is empty; expected a token and its numbers on each line"),
        ("\n \n", "f.txt: is empty"),
        ("b\nc\n", "f.txt, line 1: no numbers; expected a token and its numbers"),
        ("b c d\ne 1\n", None),  # as many fields as there should be: the numbers are looked at
        ("b 1 2 3\n", "f.txt: has embeddings of 3 numbers, not 2; set --embedding-dim 3"),
        ("1 2 3 4\n", "f.txt: has embeddings of 3 numbers, not 2; set --embedding-dim 3"),
        ("7 300\nb 1 2\n", "f.txt: has embeddings of 300 numbers, not 2; set --embedding-dim 300"),
        ("b 1 2\nc 1\n", "f.txt, line 2: 2 fields; expected a token and 2 numbers"),
        ("b 1 2\n\nc\n", "f.txt, line 3: 1 fields; expected a token and 2 numbers"),
        ("2 2\nb 1 2\nc 1 2 3\n", "f.txt, line 3: 4 fields; expected a token and 2 numbers"),
        ("z 1 2\nc 1 x\n", "f.txt, line 2: 'x' is not a finite number"),
        ("b 1 nan\n", "f.txt, line 1: 'nan' is not a finite number"),
        ("b -inf 1\n", "f.txt, line 1: '-inf' is not a finite number"),
        ("b 1 1e39\n", "f.txt, line 1: '1e39' is not a finite number"),  # in float32
        ("b 1  2\n", "f.txt"),
        (b"b 1 2\n\xfc 1 2\n", "f.txt, line 2: not UTF-8 (byte 1: 0xfc); save it as UTF-8"),
        ("z 1 2\n<pad> 1 2\n", "f.txt: holds none of the vocabulary's 10 tokens"),
        ("7 2\n", "f.txt: holds none of the vocabulary's 10 tokens"),
    ],
)
def test_a_wrong_line_is_named(content, expected):
    with pytest.raises(InputError) as caught:
        read(content)
    assert str(caught.value).startswith(expected or "f.txt, line 1: 'c' is not a finite number")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("path", "reason"), [("no.txt", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(path, reason):
    with pytest.raises(InputError) as caught:
        read_embeddings(path, WORDS, 2)
    assert str(caught.value) == f"{path}: cannot be read ({reason})"


# Using


def make_model(**options):
    """Returns a model and its configuration, the files that it names written."""
    Path("source.txt").write_text(TEXT)
    Path("target.txt").write_text("c 10 20\n")
    options = {"embedding_dim": 2, **options}
    return toys.make_model(**options), toys.make_config(**options)


def rows(layer):
    return toys.array(layer.embeddings)


def test_what_is_found_is_copied_and_the_rest_keeps_its_start(capsys):
    files = {"source_embeddings": "source.txt", "target_embeddings": "target.txt"}
    model, config = make_model(shared_vocabulary=False, **files)
    source, target = rows(model.encoder.embedding), rows(model.decoder.embedding)
    use_embeddings(model, config)
    assert capsys.readouterr().out.splitlines() == [
        "Source embeddings: 2 of 10 tokens found in source.txt",
        "Target embeddings: 1 of 10 tokens found in target.txt",
    ]
    source[5], source[8], target[6] = (1, 2), (-5, 0.6), (10, 20)
    np.testing.assert_array_equal(rows(model.encoder.embedding), source)
    np.testing.assert_array_equal(rows(model.decoder.embedding), target)


def test_a_shared_embedding_serves_both_sides():
    model, config = make_model(source_embeddings="source.txt")
    use_embeddings(model, config)
    assert rows(model.decoder.embedding)[5].tolist() == [1, 2]


def changed(model):
    """Makes an update; returns which weights it has changed, by the part of the model that they belong to."""
    parts = {
        "source": model.encoder.embedding,
        "target": model.decoder.embedding,
        "encoder": model.encoder.rnn,
        "decoder": model.decoder.rnn,
    }
    before = {name: [toys.array(weight) for weight in part.weights] for name, part in parts.items()}
    results = model.train_step(toys.BATCHES[0])
    assert np.isfinite(float(results["loss"]))
    return {
        name
        for name, part in parts.items()
        if any((toys.array(weight) != old).any() for weight, old in zip(part.weights, before[name], strict=True))
    }


@pytest.mark.parametrize(
    ("options", "frozen"),
    [
        ({"source_embeddings": "source.txt"}, set()),
        ({"source_embeddings": "source.txt", "freeze_embeddings": True}, {"source", "target"}),
        ({"source_embeddings": "source.txt", "freeze_embeddings": True, "shared_vocabulary": False}, {"source"}),
        ({"target_embeddings": "target.txt", "freeze_embeddings": True, "shared_vocabulary": False}, {"target"}),
    ],
)
def test_frozen_ones_stay_as_they_are_and_do_so_when_loaded(options, frozen):
    model, config = make_model(**options)
    use_embeddings(model, config)
    model.compile(keras.optimizers.Adam(0.1))
    trained = {"source", "target", "encoder", "decoder"} - frozen
    assert changed(model) == trained
    save(model, "model.keras")
    for path in Path().glob("*.txt"):
        path.unlink()  # a saved model holds its embeddings
    loaded = load("model.keras")
    np.testing.assert_array_equal(rows(loaded.encoder.embedding), rows(model.encoder.embedding))
    assert int(loaded.optimizer.iterations) == 1
    assert changed(loaded) == trained
    # Both make the same second update, so the optimizer's state belongs to the same weights.
    assert changed(model) == trained
    for one, other in zip(model.trainable_variables, loaded.trainable_variables, strict=True):
        np.testing.assert_array_equal(toys.array(one), toys.array(other))


def test_a_frozen_model_is_made_of_its_configuration_alone():
    config = Configuration(embedding_dim=2, source_embeddings="no.txt", freeze_embeddings=True)
    model = build_model(config, WORDS, WORDS, 8)  # no file is read for it
    # Left are the kernel, recurrent kernel and bias of both halves, and the projection's kernel and bias.
    assert [2, 32] in (shapes := [list(weight.shape) for weight in model.trainable_variables])
    assert len(shapes) == 8 and [len(WORDS), 2] not in shapes


# The command


def command(*arguments):
    return run_command(train, ["--tensorboard", "off", "--inspect", "0", *arguments])


def test_a_run_is_repeated_by_the_configuration_it_wrote(capfd):
    Path("colours.txt").write_text("1 5\nyellow 1 2 3 4 5\n")
    options = ["--source-embeddings", "colours.txt", "--freeze-embeddings", "--epochs", "1", "--units", "4"]
    assert command(*options, "--run", "one") == 0
    assert "Source embeddings: 1 of 21 tokens found in colours.txt\n" in capfd.readouterr().out
    assert command("--config", "logs/one/config.json", "--run", "two") == 0
    one, two = (load(f"logs/{run}") for run in ("one", "two"))
    assert Path("logs/one/config.json").read_text() == Path("logs/two/config.json").read_text()
    for weight, other in zip(one.trainable_variables, two.trainable_variables, strict=True):
        np.testing.assert_allclose(toys.array(weight), toys.array(other), atol=1e-6)
    yellow = one.source_vocabulary.tokens.index("yellow")
    assert rows(one.encoder.embedding)[yellow].tolist() == [1, 2, 3, 4, 5]

    # Resumed by the same file; the embeddings are the model's by now.
    Path("colours.txt").unlink()
    resume = ["--config", "logs/one/config.json", "--run", "one", "--resume"]
    assert command(*resume, "--epochs", "2") == 0
    assert '"epochs": 2,' in Path("logs/one/config.json").read_text()
    np.testing.assert_array_equal(rows(load("logs/one").encoder.embedding), rows(one.encoder.embedding))
    capfd.readouterr()
    assert command(*resume, "--epochs", "3", "--source-embeddings", "other.txt") == 2
    assert "--source-embeddings was colours.txt, is other.txt" in capfd.readouterr().err
    assert '"epochs": 2,' in Path("logs/one/config.json").read_text()


def test_a_run_that_cannot_have_its_embeddings_leaves_nothing_behind(capfd):
    Path("colours.txt").write_text("yellow 1 2 3\n")
    assert command("--source-embeddings", "colours.txt") == 2
    assert capfd.readouterr().err.endswith(
        "error: colours.txt: has embeddings of 3 numbers, not 5; set --embedding-dim 3\n"
    )
    assert [path.name for path in Path().iterdir()] == ["colours.txt"]
