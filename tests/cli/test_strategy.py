"""Training on several replicas from the shell: the numbers of one process, written once."""

import re
import signal
import subprocess
import sys

import pytest
import toys

from keras_seq2seq import keras_version

KERAS_3 = keras_version.keras_major() == 3
PAIRS = "".join(f"{a} {b}\t{b.upper()} {a.upper()}\n" for a in "vwxyz" for b in "vwxyz")
OPTIONS = "--data pairs.tsv --valid pairs.tsv --units 8 --embedding-dim 4 --batch-size 6 --tensorboard off".split()


@pytest.fixture
def start(tmp_path):
    """Returns a function that starts the command in a folder with the pairs, as the worker of `task` or alone."""
    (tmp_path / "pairs.tsv").write_text(PAIRS, encoding="utf-8")
    started = []

    def start(*options, task=None):
        started.append(
            subprocess.Popen(
                [sys.executable, str(toys.ROOT / "train.py"), *OPTIONS, *options],
                cwd=tmp_path,
                env=toys.environment(**({"TF_CONFIG": task} if task else {})),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def workers(start, *options):
    return [start("--strategy", "multi-worker", *options, task=task) for task in toys.worker_configurations(2)]


def printed(process):
    output, errors = process.communicate(timeout=toys.PATIENCE)
    assert process.returncode == 0, errors
    return output


def measures(output):
    """Returns what was printed of each epoch, without the times."""
    return [line.split()[:5] for line in output.splitlines() if re.match(r" *\d+/\d+ ", line)]


@pytest.mark.skipif(KERAS_3, reason="Keras 3 cannot train on several workers; see below")
def test_two_workers_print_the_numbers_of_one_and_one_of_them_writes(start, tmp_path):
    alone = measures(printed(start("--epochs", "3", "--logs", "alone", "--run", "run")))
    first, second = (printed(worker) for worker in workers(start, "--epochs", "2", "--run", "run"))
    assert measures(first) == [[f"{number}/2", *rest] for number, (_, *rest) in enumerate(alone[:2], start=1)]
    assert measures(second) == []
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["run"]
    resumed, _ = (printed(worker) for worker in workers(start, "--epochs", "3", "--run", "run", "--resume"))
    assert measures(resumed) == alone[2:]


@pytest.mark.skipif(KERAS_3, reason="Keras 3 cannot train on several workers; see below")
@pytest.mark.slow
def test_where_a_worker_is_gone_the_other_ends_in_one_line_and_the_run_can_be_resumed(start, tmp_path):
    chief, worker = workers(start, "--epochs", "200", "--run", "run")
    while not chief.stdout.readline().startswith("  3/200"):
        assert chief.poll() is None
    worker.send_signal(signal.SIGKILL)
    _, errors = chief.communicate(timeout=toys.PATIENCE)
    assert chief.returncode == 2
    assert errors.splitlines()[-1] == "error: a worker is gone: start all of them again, with --run and --resume"
    resumed, _ = (printed(worker) for worker in workers(start, "--epochs", "200", "--run", "run", "--resume"))
    assert measures(resumed)[-1][0] == "200/200"


@pytest.mark.slow
def test_mirrored_takes_the_devices_that_are_there(start):
    alone = measures(printed(start("--epochs", "1", "--run", "alone")))
    assert measures(printed(start("--epochs", "1", "--run", "mirrored", "--strategy", "mirrored"))) == alone


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "--strategy multi-worker needs the environment variable TF_CONFIG: see the training guide"),
        ("no JSON", "TF_CONFIG cannot be used: "),
    ],
)
def test_what_is_no_cluster_is_refused_in_one_line(tmp_path, config, message):
    (tmp_path / "pairs.tsv").write_text(PAIRS, encoding="utf-8")
    if KERAS_3:
        message = "--strategy multi-worker needs Keras 2: Keras 3 cannot train on several workers"
    done = subprocess.run(
        [sys.executable, str(toys.ROOT / "train.py"), *OPTIONS, "--strategy", "multi-worker"],
        cwd=tmp_path,
        env=toys.environment(**({"TF_CONFIG": config} if config else {})),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith(f"error: {message}")
    assert not (tmp_path / "logs").exists()
