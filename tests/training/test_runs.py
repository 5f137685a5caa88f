"""Resuming: a run that was killed, at any moment and any number of times, ends like the one that was left alone."""

import dataclasses
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from keras_seq2seq import Configuration, InputError, keras, keras_version, load, save, train
from keras_seq2seq.data.corpora import NOTEBOOK
from keras_seq2seq.model.losses import token_crossentropy
from keras_seq2seq.model.saving import LAST_FILE
from keras_seq2seq.training.runs import load_stopped


@keras.utils.register_keras_serializable("own")
def slow_cell(units):
    return keras.layers.SimpleRNNCell(units)


@keras.utils.register_keras_serializable("own")
def slow_cell_2(units):
    return keras.layers.SimpleRNNCell(units)


TRAIN = toys.ROOT / "train.py"
EPOCHS = 9
OPTIONS = [*toys.RESUMED.split(), "--epochs", str(EPOCHS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with pairs to learn: a word, and the word spelt backwards."""
    folder = tmp_path_factory.mktemp("resuming")
    toys.write_words_to_reverse(folder)
    return folder


def command(folder: Path, run: str, *more: str) -> list[str]:
    data = ["--data", str(folder / "train.tsv"), "--valid", str(folder / "valid.tsv"), "--logs", str(folder / "logs")]
    return [sys.executable, str(TRAIN), *data, "--run", run, *OPTIONS, *more]


def finish(folder: Path, run: str, *more: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        command(folder, run, *more), capture_output=True, text=True, timeout=toys.PATIENCE, env=environment
    )


def assert_same_file(one: Path, other: Path) -> None:
    assert toys.differences(one, other) == []


@pytest.fixture(scope="module")
def left_alone(folder):
    result = finish(folder, "alone")
    assert result.returncode == 0, result.stderr
    return folder / "logs" / "alone"


def test_a_killed_run_ends_like_the_one_left_alone(folder, left_alone):
    # The other one shows TensorBoard what it does: looking changes nothing.
    unseen = ["--tensorboard", "off"]
    draw = random.Random(keras_version.keras_major())
    run = folder / "logs" / "killed"
    for kill in range(2):
        arguments = command(folder, "killed", *unseen, *(["--resume"] if kill else []))
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        before = run.joinpath("last.keras").stat().st_mtime_ns if kill else 0
        # Once it has finished an epoch of its own: at any moment of the next ones, saving included.
        while process.poll() is None:
            if run.joinpath("last.keras").exists() and run.joinpath("last.keras").stat().st_mtime_ns > before:
                time.sleep(draw.uniform(0, 0.5))
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.01)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        toys.contents(run / "last.keras")
        toys.contents(run / "model.keras")
    stopped_after = toys.contents(run / "last.keras")[0]["progress"]["epoch"]
    assert stopped_after < EPOCHS  # or else nothing was left to resume

    result = finish(folder, "killed", "--resume", *unseen)
    assert result.returncode == 0, result.stderr
    assert f"after epoch {stopped_after}" in result.stdout
    assert toys.contents(run / "last.keras")[0]["progress"]["epoch"] == EPOCHS
    assert_same_file(run / "last.keras", left_alone / "last.keras")
    assert_same_file(run / "model.keras", left_alone / "model.keras")


@pytest.mark.slow  # compiling takes its time
def test_compiled_by_xla_the_same_command_gives_the_same_bits(folder):
    for run in ("xla-1", "xla-2"):
        result = finish(folder, run, *"--jit-compile on --epochs 2 --tensorboard off --length-buckets 1".split())
        assert result.returncode == 0 and "XLA: compiles" in result.stdout, result.stderr
    assert_same_file(folder / "logs" / "xla-1" / "last.keras", folder / "logs" / "xla-2" / "last.keras")


def test_a_finished_run_has_nothing_left(folder, left_alone):
    before = (left_alone / "last.keras").read_bytes()
    result = finish(folder, "alone", "--resume")
    assert result.returncode == 0 and "nothing is left to train" in result.stdout
    assert (left_alone / "last.keras").read_bytes() == before


def refusal(folder: Path, run: str, *more: str) -> str:
    result = finish(folder, run, "--resume", *more)
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    return line


def test_what_differs_is_named_and_refused(folder, left_alone):
    before = (left_alone / "last.keras").read_bytes()
    shorter = folder / "shorter.tsv"
    shorter.write_text((folder / "valid.tsv").read_text(encoding="utf-8").split("\n", 1)[1], encoding="utf-8")
    line = refusal(folder, "alone", "--units", "25", "--seed", "3", "--valid", str(shorter))
    assert "--units was 24, is 25" in line and "--seed was 0, is 3" in line and "--epochs" not in line
    assert "validation data was 40 pairs, now 39" in line
    assert (left_alone / "last.keras").read_bytes() == before


TRAINING = """
import pathlib, sys, time
from keras_seq2seq.training.runs import locked
with locked(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such lock")
def test_two_processes_do_not_train_one_run_and_a_killed_one_leaves_no_lock(tmp_path):
    options = {"logs": str(tmp_path), "run": "one", "inspect": 0, "tensorboard": "off", "updates_per_epoch": 1}
    train(Configuration(epochs=1, **options), NOTEBOOK)
    before = (tmp_path / "one" / LAST_FILE).read_bytes()
    # What a process leaves behind that is killed while it saves.
    (tmp_path / "one" / ".last.4711.unfinished.keras").write_bytes(b"half")
    longer = Configuration(epochs=2, resume=True, **options)
    other = subprocess.Popen([sys.executable, "-c", TRAINING, tmp_path / "one"], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match="one: another process is training there; wait until it ends, or stop it"):
            train(longer, NOTEBOOK)
        assert (tmp_path / "one" / LAST_FILE).read_bytes() == before
    finally:
        other.kill()
        other.communicate()
    assert train(longer, NOTEBOOK).progress["epoch"] == 2
    assert not list((tmp_path / "one").glob(".*"))


def test_a_run_without_a_finished_epoch_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no finished epoch to resume; start it without --resume"):
        load_stopped(tmp_path / "nobody", Configuration(), {}, {})
    # There it could not be started under its name.
    with pytest.raises(InputError, match="to resume; remove it, or choose another --run, without --resume"):
        load_stopped(tmp_path, Configuration(), {}, {})


def test_a_run_that_was_given_no_name_goes_on_for_longer_than_first_said(tmp_path):
    short = {"logs": str(tmp_path), "inspect": 0, "updates_per_epoch": 2}
    train(Configuration(epochs=1, **short), NOTEBOOK)
    [run] = tmp_path.iterdir()
    model = train(Configuration(epochs=2, run=run.name, resume=True, **short), NOTEBOOK)
    assert (int(model.optimizer.iterations), model.progress["configuration"]["epochs"]) == (4, 2)
    [events] = run.glob("*.hparams")
    content = (
        EventAccumulator(str(events)).Reload().SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    )
    assert metadata.parse_session_start_info_plugin_data(content).hparams["epochs"].number_value == 2


def half_the_loss(labels, logits):
    return 0.5 * token_crossentropy(labels, logits)


class Silent(keras.callbacks.Callback):
    """Does nothing."""


OWN = {
    "loss": half_the_loss,
    "metrics": [keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="top_3")],
    "callbacks": [Silent()],
}


BEFORE = {"own": OWN, "plain": {}, "cell": {"cell": slow_cell}}


def train_own(folder, run, parts, epochs, resume=False):
    options = {"logs": str(folder), "inspect": 0, "updates_per_epoch": 1, "tensorboard": "off"}
    return train(Configuration(run=run, epochs=epochs, resume=resume, **options), NOTEBOOK, **parts)


@pytest.fixture(scope="module")
def own_runs(tmp_path_factory):
    """Returns the folder of three runs that have each finished an epoch."""
    folder = tmp_path_factory.mktemp("own")
    for run, parts in BEFORE.items():
        train_own(folder, run, parts, 1)
    return folder


@pytest.mark.parametrize(
    ("run", "after", "differences"),
    [
        ("own", {**OWN, "loss": None}, "loss of `train` was half_the_loss, is none"),
        ("plain", {"loss": half_the_loss}, "loss of `train` was none, is half_the_loss"),
        ("own", {**OWN, "metrics": []}, "metrics of `train` was top_3, is none"),
        ("own", {**OWN, "callbacks": [Silent(), Silent()]}, "callbacks of `train` was Silent, is Silent, Silent"),
        ("cell", {"cell": slow_cell_2}, "cell of `train` was slow_cell, is slow_cell_2"),
        ("plain", {"cell": slow_cell}, "cell of `train` was none, is slow_cell"),
    ],
)
def test_a_run_does_not_go_on_with_other_parts_than_it_had(own_runs, run, after, differences):
    with pytest.raises(InputError, match=f"{run}: cannot be resumed: {re.escape(differences)}$"):
        train_own(own_runs, run, after, 2, resume=True)


@pytest.mark.parametrize(("run", "after"), [("own", OWN), ("plain", {}), ("cell", {})])
def test_a_run_goes_on_with_the_parts_that_it_had(own_runs, run, after):
    assert train_own(own_runs, run, after, 2, resume=True).progress["epoch"] == 2


def test_an_option_that_came_after_a_run_was_saved_has_the_plain_default(own_runs):
    # What today's `SMALL` recommends is none of its business.
    path = own_runs / "plain" / LAST_FILE
    model = load(path)
    del model.progress["configuration"]["clip_norm"]
    save(model, path)
    now = Configuration.from_dict(model.progress["configuration"], start=Configuration())
    digests = model.progress["data"]
    assert load_stopped(own_runs / "plain", now, digests, model.progress["own"]).progress["epoch"] > 0
    with pytest.raises(InputError, match=r"--clip-norm was 0\.0, is 1\.0$"):
        other = dataclasses.replace(now, clip_norm=1.0)
        load_stopped(own_runs / "plain", other, digests, model.progress["own"])


def test_a_file_that_does_not_say_how_far_it_came(tmp_path):
    (tmp_path / "run").mkdir()
    save(toys.compiled_model(), tmp_path / "run" / "last.keras")
    with pytest.raises(InputError, match=r"last\.keras does not say how far its training came"):
        load_stopped(tmp_path / "run", Configuration(), {"training": [2, "digest"]}, {})
