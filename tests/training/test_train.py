"""The command `train.py` as its users run it: what it prints, writes and leaves alone, and how it fails."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Configuration, batches, keras, keras_version, load, read_pairs
from keras_seq2seq.cli.main import choose, run_command, train
from keras_seq2seq.data.corpora import NOTEBOOK
from keras_seq2seq.training.loop import new_run_folder

TRAIN = toys.ROOT / "train.py"
MAJOR = keras_version.keras_major()
PRINTED = ["loss, shape (", "mask:", "masked loss:", "batch loss: ", "predicted ids:", "predicted sentences:"]


def start(*arguments, cwd, **options):
    """Starts the command in a process of its own, as from a shell that has never heard of our variables."""
    variables = toys.environment(keras_major=None)
    for name in ("TF_CPP_MIN_LOG_LEVEL", "PYTHONPATH"):
        variables.pop(name)
    # Keras 2 is the default; Keras 3 is asked for by option.
    keras_option = [] if MAJOR == 2 else ["--keras", "3"]
    return subprocess.Popen(
        [sys.executable, str(TRAIN), *keras_option, *map(str, arguments)],
        cwd=cwd,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run_here(*arguments):
    """Runs the command in this process, which has TensorFlow already; returns the exit code."""
    return run_command(train, [str(argument) for argument in arguments], program="train.py")


def matrix(text):
    """Reads a printed matrix."""
    rows = re.findall(r"\[([^\[\]]+)\]", text)
    return np.array([[float(number) for number in row.split()] for row in rows])


def inspected(output):
    """Returns by update what was printed under each heading: {update: {heading: text}}."""
    _, *blocks = re.split(r"^--- update (\d+) -+\n", output.split("\nAnswers, by")[0], flags=re.M)
    updates = {}
    for number, block in zip(map(int, blocks[::2]), blocks[1::2], strict=True):
        parts = re.split("^(" + "|".join(map(re.escape, PRINTED)) + ")", block, flags=re.M)
        assert parts[0] == "" and parts[1::2] == PRINTED, parts  # all headings, in this order
        updates[number] = dict(zip(parts[1::2], parts[2::2], strict=True))
    return updates


def answers_in(output):
    return re.findall(r"^  answer: +(.*)$", output, flags=re.M)


def everything_under(folder):
    """Returns all files with what is in them."""
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


# The default run


@pytest.fixture(scope="module")
def default_run(tmp_path_factory):
    """Runs `python train.py`; returns the folder it ran in and what it printed."""
    folder = tmp_path_factory.mktemp("default")
    process = start(cwd=folder)
    output, errors = process.communicate(timeout=toys.PATIENCE)
    assert (process.returncode, errors) == (0, "")  # nothing on stderr, not even from TensorFlow
    return folder, output


def test_the_first_line_names_tensorflow_keras_and_devices(default_run):
    first = default_run[1].splitlines()[0]
    package = "tf_keras" if MAJOR == 2 else "keras"
    assert first.startswith(f"TensorFlow {tf.__version__}, Keras {MAJOR} ({package} {keras.__version__}), CPU:0")


def test_it_learns_both_answers(default_run):
    assert answers_in(default_run[1]) == [target for _, target in NOTEBOOK]


def test_it_prints_the_notebooks_tensors_every_ten_updates(default_run):
    updates = inspected(default_run[1])
    assert list(updates) == list(range(0, 100, 10))
    # "yellow most of the time <end>" and "hydrogen and oxygen <end>"
    mask = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    means = []
    for printed in updates.values():
        shape, loss = printed["loss, shape ("].split("):\n")
        assert shape == "2, 6"
        loss, masked, ids = matrix(loss), matrix(printed["masked loss:"]), matrix(printed["predicted ids:"])
        np.testing.assert_array_equal(matrix(printed["mask:"]), mask)
        np.testing.assert_array_equal(masked, loss * mask)
        assert loss.shape == ids.shape == (2, 6)
        means.append(float(printed["batch loss: "]))
        assert means[-1] == pytest.approx(masked.sum() / 10, abs=1e-4)  # ten labels
    assert means[0] == pytest.approx(np.log(21), abs=0.5)  # the untrained model guesses among 21 tokens
    assert means == sorted(means, reverse=True) and means[-1] < 1


def test_the_predicted_sentences_are_the_predicted_ids(default_run):
    folder, output = default_run
    tokens = load(next(folder.glob("logs/*"))).target_vocabulary.tokens
    for printed in inspected(output).values():
        ids = matrix(printed["predicted ids:"]).astype(int)
        sentences = [line.strip() for line in printed["predicted sentences:"].strip("\n").split("\n")]
        assert sentences == [" ".join(tokens[i] for i in row[:count]) for row, count in zip(ids, (6, 4), strict=True)]


def test_no_printed_line_is_longer_than_a_terminal(default_run):
    arrays, _ = default_run[1].split("\nAnswers, by")  # behind that come paths, as long as they are
    assert max(map(len, arrays.splitlines())) <= 80


def test_it_leaves_a_model_and_events_in_a_folder_of_its_own(default_run):
    folder, output = default_run
    [run] = (folder / "logs").iterdir()
    assert re.search(f"^Run: +{re.escape(str(run.relative_to(folder)))}$", output, flags=re.M)
    assert list((run / "train").glob("events.out.tfevents.*"))
    model = load(run)
    assert model.generate([source for source, _ in NOTEBOOK]) == [target for _, target in NOTEBOOK]
    assert [path.name for path in folder.iterdir()] == ["logs"]  # and nothing elsewhere
    assert not list(folder.rglob("*unfinished*"))


def test_the_same_seed_gives_the_same_numbers(default_run, tmp_path, capfd):
    # The other process had ten epochs to go; what it printed in the first three must not depend on that.
    assert run_here("--logs", tmp_path / "logs", "--seed", 0, "--epochs", 3, "--tensorboard", "off") == 0
    first, second = inspected(default_run[1]), inspected(capfd.readouterr().out)
    assert list(second) == [0, 10, 20]
    assert all(first[update] == second[update] for update in (0, 10))
    # The last block of a run has an empty line less behind it.
    assert {name: text.strip() for name, text in first[20].items()} == {
        name: text.strip() for name, text in second[20].items()
    }


def test_a_terminal_that_lacks_letters_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "pairs.tsv").write_text("a\tɒ\n", encoding="utf-8")
    screen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, encoding="cp1252"))
    quick = ["--epochs", 1, "--inspect", 1, "--units", 4, "--tensorboard", "off", "--logs", tmp_path / "logs"]
    assert run_here("--data", tmp_path / "pairs.tsv", *quick) == 0
    assert b"expected: \\u0252" in screen.getvalue()


def test_a_run_never_overwrites_another(default_run, capfd):
    folder, _ = default_run
    [run] = (folder / "logs").iterdir()
    before = everything_under(folder)
    assert run_here("--logs", folder / "logs", "--run", run.name, "--seed", 1) == 2
    assert capfd.readouterr().err.strip() == f"error: {run}: there is a run of this name; choose another --run"
    assert everything_under(folder) == before


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path):
    config = Configuration(logs=str(tmp_path))
    folders = {new_run_folder(config, NOTEBOOK) for _ in range(5)}
    assert len(folders) == 5 and all(folder.is_dir() and folder.parent == tmp_path for folder in folders)


@pytest.mark.parametrize(
    ("options", "pairs", "name"),
    [
        ({}, NOTEBOOK, "notebook"),
        ({}, [("a", "b")], "pairs"),
        ({"corpus": "chatterbot"}, [("a", "b")], "chatterbot"),
        ({"data": "some/words.tsv"}, [("a", "b")], "words"),
        ({"data": ["some/words.de", "some/words.en"]}, [("a", "b")], "words"),
        ({"as_published": True}, NOTEBOOK, "as-published"),
    ],
)
def test_a_run_without_a_name_is_filed_under_what_it_learns(tmp_path, options, pairs, name):
    folder = new_run_folder(Configuration(logs=str(tmp_path), **options), pairs)
    assert re.fullmatch(name + r"-\d{8}-\d{6}", folder.name)


# The notebook's run


def test_as_published_it_is_the_notebook(tmp_path, capfd):
    assert run_here("--as-published", "--logs", tmp_path / "logs", "--tensorboard", "off") == 0
    updates = inspected(capfd.readouterr().out)
    assert list(updates) == list(range(0, 100, 10))
    # At padding the decoder's output is zero and the untrained projection has no bias: a guess among 19 tokens.
    loss = updates[0]["loss, shape ("].split("):\n")[1]
    assert re.findall(r"\d\.\d+", loss)[-2:] == ["2.9444", "2.9444"]
    np.testing.assert_array_equal(matrix(updates[0]["mask:"]), [[1] * 6, [1] * 4 + [0] * 2])
    sentences = [line.strip() for line in updates[90]["predicted sentences:"].strip("\n").split("\n")]
    assert sentences == ["<a> yellow most of the time", "<a> hydrogen and oxygen"]


# One's own data


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    """Trains on pairs from a file; returns the folder. What it prints is in `printed.txt`."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "pairs.tsv").write_text("".join(f"{a} {b}\t{b} {a}\n" for a in "abcd" for b in "abcd"), encoding="utf-8")
    # Of other lengths than each other, so that there are batches of different numbers of labels.
    (folder / "valid.tsv").write_text("a b\tb a\na\ta\nb c d\td c b\na b c d\td c b a\nd\td\n", encoding="utf-8")
    sizes = ["--units", 16, "--embedding-dim", 8, "--batch-size", 2, "--epochs", 2, "--updates-per-epoch", 10]
    with open(folder / "printed.txt", "w") as file, contextlib.redirect_stdout(file):
        code = run_here(
            *[
                "--data",
                folder / "pairs.tsv",
                "--valid",
                folder / "valid.tsv",
                "--logs",
                folder / "logs",
                "--run",
                "mine",
            ],
            *["--inspect", 0, *sizes],
        )
    assert code == 0
    return folder


def test_without_inspecting_no_matrices_are_printed(own_run):
    printed = (own_run / "printed.txt").read_text()
    assert "--- update" not in printed and not any(heading in printed for heading in PRINTED)
    assert "Training pairs: 16\nValidation pairs: 5\n" in printed
    assert len(answers_in(printed)) == 5


def test_validation_is_reported_and_is_the_saved_models(own_run):
    printed = (own_run / "printed.txt").read_text()
    model = load(own_run / "logs" / "mine")
    model.compile(run_eagerly=True)
    valid = batches(read_pairs(own_run / "valid.tsv"), model.source_vocabulary, model.target_vocabulary)
    measured = model.evaluate(valid, verbose=0, return_dict=True)
    names, *epochs = (line.split() for line in re.findall(r"^ *epoch .*|^ *\d/2 .*", printed, re.MULTILINE))
    assert len(epochs) == 2
    reported = dict(zip(names, epochs[-1], strict=True))
    for name in ("loss", "exact_match"):
        assert float(reported[f"val_{name}"]) == pytest.approx(measured[name], abs=1e-4), name


def test_validation_has_events_of_its_own(own_run):
    for part in ("train", "validation"):
        assert list((own_run / "logs" / "mine" / part).glob("events.out.tfevents.*"))


def test_two_files_from_training_to_evaluation(tmp_path, monkeypatch, capfd):
    words = "eins one zwei two drei three vier four fünf five sechs six".split()
    for name, lines in {
        "train.de": words[::2],
        "train.en": words[1::2],
        "val.de": words[:4:2],
        "val.en": words[1:4:2],
    }.items():
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    files = ["--data", "train.de", "train.en", "--valid", "val.de", "val.en"]
    process = start(*files, "--epochs", 1, "--units", 8, "--embedding-dim", 4, "--no-shared-vocabulary", cwd=tmp_path)
    output, errors = process.communicate(timeout=toys.PATIENCE)
    assert (process.returncode, errors) == (0, "")
    assert "Training pairs: 6\nValidation pairs: 2\n" in output
    assert re.findall(r"^  expected: +(.*)$", output, flags=re.M) == ["one", "two"]
    [run] = tmp_path.glob("logs/train-*")  # after the first file
    given = json.loads((run / "config.json").read_text())
    assert (given["data"], given["valid"]) == (["train.de", "train.en"], ["val.de", "val.en"])

    monkeypatch.chdir(tmp_path)
    repeat = ["--config", run / "config.json", "--run"]
    assert run_here(*repeat, "again") == 0
    assert json.loads((tmp_path / "logs/again/config.json").read_text()) == given
    assert run_here(*repeat, "again", "--epochs", 2, "--resume") == 0
    assert "Resuming logs/again after epoch 1" in capfd.readouterr().out
    # The same pairs from one file, whatever stands beside them.
    rows = zip(words[::2], words[1::2], strict=True)
    (tmp_path / "table.tsv").write_text("".join(f"{en}\t{number}\t{de}\n" for number, (de, en) in enumerate(rows)))
    columns = [*repeat, "again", "--epochs", 3, "--resume", "--columns", "3,1", "--data", "table.tsv"]
    (tmp_path / "valid.tsv").write_text("one\t\teins\ntwo\t\tzwei\n")
    assert run_here(*columns, "--valid", "valid.tsv") == 0
    assert "Resuming logs/again after epoch 2" in capfd.readouterr().out
    (tmp_path / "val.de").write_text("zwei\neins\n")
    assert run_here(*repeat, "again", "--epochs", 4, "--resume") == 2
    assert capfd.readouterr().err == "error: logs/again: cannot be resumed: validation data was other 2 pairs\n"

    assert run_command(choose, ["evaluate", "logs/again", "--data", "train.de", "train.en"]) == 0
    assert re.match(r"sources +6\nreferences +6\n", capfd.readouterr().out)


# Ctrl-C and SIGTERM


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_a_signal_keeps_the_last_epoch(tmp_path, number, code, name):
    process = start(
        *["--epochs", 1_000_000, "--updates-per-epoch", 5, "--inspect", 0, "--run", "long", "--tensorboard", "off"],
        cwd=tmp_path,
        start_new_session=True,  # as from a terminal: the signal goes to the whole group
    )
    model = tmp_path / "logs" / "long" / "model.keras"
    try:
        give_up = time.monotonic() + toys.PATIENCE
        while not model.exists() and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.05)
        if process.poll() is None:
            os.killpg(process.pid, number)
        output, errors = process.communicate(timeout=toys.PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (code, f"error: stopped by {name}\n")
    told = r"^Interrupted: epoch (\d+) is saved in logs/long; to go on: --run long --resume$"
    epoch = int(re.search(told, output, flags=re.M)[1])
    assert epoch >= 1
    assert int(load(tmp_path / "logs" / "long").optimizer.iterations) == 5 * epoch
    assert not list(tmp_path.rglob("*unfinished*"))


# Bad input

FILES = {
    "good.tsv": b"a b\tc d\ne f\tg h\n",
    "no-tab.tsv": b"a\tb\nno tab here\n",
    "tabs.tsv": b"a\tb\tc\n",
    "empty-side.tsv": b"a\tb\n\tc\n",
    "latin.tsv": b"a\tb\n\xfcber\tb\n",
    "empty.tsv": b"",
    "blank.tsv": b"\n\n",
    "punctuation.tsv": b"?!\t...\n",
    "one.de": b"eins\n",
    "two.en": b"one\ntwo\n",
    "taken": b"a file where a folder is wanted\n",
}
LINE_2 = ", line 2: "
BAD = {
    "missing file": (["--data", "missing.tsv"], "missing.tsv: cannot be read (No such file or directory)"),
    "no name": (["--data", ""], ""),
    "no tab": (["--data", "no-tab.tsv"], f"no-tab.tsv{LINE_2}1 column ('no tab here'); expected source, tab, target"),
    "too many tabs": (
        ["--data", "tabs.tsv"],
        "tabs.tsv, line 1: 3 columns ('a', 'b', 'c'); expected source, tab, target",
    ),
    "empty side": (["--data", "empty-side.tsv"], f"empty-side.tsv{LINE_2}the source is empty"),
    "not UTF-8": (["--data", "latin.tsv"], f"latin.tsv{LINE_2}not UTF-8 (byte 1: 0xfc)"),
    "empty file": (["--data", "empty.tsv"], "empty.tsv: is empty"),
    "blank file": (["--data", "blank.tsv"], "blank.tsv: is empty"),
    "directory": (["--data", "."], ".: cannot be read (Is a directory)"),
    "bad validation": (
        ["--data", "good.tsv", "--valid", "tabs.tsv"],
        "tabs.tsv, line 1: 3 columns ('a', 'b', 'c'); expected source, tab, target",
    ),
    "two files of other lengths": (["--data", "one.de", "two.en"], "one.de has 1 line, two.en has 2; line n of the"),
    "two files of pairs": (
        ["--data", "good.tsv", "tabs.tsv"],
        "good.tsv, line 1: has a tab; of two parallel files each",
    ),
    "three files": (["--data", "a", "b", "c"], "--data is ['a', 'b', 'c']; give one file of pairs, or a list of two"),
    "no such column": (
        ["--data", "tabs.tsv", "--columns", "1,4"],
        "tabs.tsv, line 1: 3 columns ('a', 'b', 'c'); expected 4",
    ),
    "one column": (
        ["--data", "tabs.tsv", "--columns", "2"],
        "--columns is '2'; give the source's and the target's column",
    ),
    "columns of two files": (
        ["--valid", "one.de", "one.de", "--columns", "1,2"],
        "leave it out with two parallel files",
    ),
    "all too long": (
        ["--data", "good.tsv", "--max-length", "1"],
        "none of the 2 training pairs can be used: a side has",
    ),
    "no words": (["--data", "punctuation.tsv"], "none of the 1 training pairs can be used: a side has no token"),
    "valid too long": (["--valid", "good.tsv", "--max-length", "1"], "none of the 2"),
    "unknown option": (["--unit", "8"], "unknown option --unit; did you mean --units? the valid ones are: "),
    "unknown positional": (["pairs.tsv"], "'pairs.tsv' is one argument too many"),
    "unknown corpus": (["--corpus", "cornell"], "--corpus is 'cornell'; choose one of: notebook, chatterbot, scan"),
    "unknown tokens": (["--source-tokens", "bpe"], "--source-tokens is 'bpe'; choose one of: word, char, space"),
    "unknown Keras": (["--keras", "4"], "argument --keras: invalid choice: 4 (choose from 2, 3)"),
    "no number": (["--units", "many"], "argument --units: invalid int value: 'many'"),
    "missing value": (["--units"], "argument --units: expected one argument"),
    "zero units": (["--units", "0"], "--units is 0; it must be a finite number, 1 or more"),
    "zero batch": (["--batch-size", "0"], "--batch-size is 0; it must be"),
    "zero epochs": (["--epochs", "0"], "--epochs is 0; it must be"),
    "negative units": (["--units", "-3"], "--units is -3; it must be"),
    "negative batch": (["--batch-size", "-1"], "--batch-size is -1; it must be"),
    "negative seed": (["--seed", "-1"], "--seed is -1; it must be"),
    "huge seed": (["--seed", "99999999999"], "--seed is 99999999999"),
    "NaN rate": (["--learning-rate", "nan"], "--learning-rate is nan; it must be a finite number"),
    "infinite rate": (["--learning-rate", "inf"], "--learning-rate is inf; it must be a finite number"),
    "zero rate": (["--learning-rate", "0"], "--learning-rate is 0; it must be greater than 0"),
    "all held out": (["--data", "good.tsv", "--valid-share", "1"], "--valid-share is 1.0; it must be below 1"),
    "one side empty": (["--data", "good.tsv", "--valid-share", "1e-9"], "leaves one side empty"),
    "published data": (["--as-published", "--data", "good.tsv"], "leave out --data and --corpus"),
    "two ways to cut": (["--source-tokens", "char"], "--shared-vocabulary needs the same"),
    "logs is a file": (["--logs", "taken"], "choose another --logs"),
    "logs below a file": (["--logs", "taken/logs"], "choose another --logs"),
    "run elsewhere": (["--run", "../elsewhere"], "--run '../elsewhere' is not a plain folder name"),
    "run without name": (["--run", ""], "--run ''"),
    "run is a dot": (["--run", ".."], "--run '..' is not a plain folder name"),
}


@pytest.mark.parametrize(("arguments", "reason"), BAD.values(), ids=BAD)
def test_bad_input_is_answered_in_one_line_and_nothing_is_written(arguments, reason, tmp_path, monkeypatch, capfd):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, content in FILES.items():
        Path(name).write_bytes(content)
    assert run_here(*arguments) == 2
    errors = capfd.readouterr().err
    assert errors.startswith("error: ") and errors.endswith("\n") and errors.count("\n") == 1
    assert reason in errors
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert set(folder.iterdir()) - {folder / name for name in FILES} <= {folder / "logs"}
    assert not list(folder.glob("logs/*"))
