"""Kills trainings at random moments, again and again, and compares how they end with the same ones left alone.

    python tests/robustness/kills.py [--kills 50] [--signals KILL KILL KILL TERM INT] [--seed 0] [--folder FOLDER]

Each run has dropout, a plateau schedule and early stopping, is `--deterministic`, and goes on by `--resume` after every
signal; from its start, where no epoch was saved. Whatever the moment: both files of a run's folder have all their
numbers, a signal that can be heard ends the process with its one line, nothing half-written stays behind once the run
has gone on, and the end is that of the run left alone, bit for bit, with each point of each chart there once.
"""

import argparse
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from keras_seq2seq import keras_version

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))  # for the helpers of the tests

import toys  # noqa: E402
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator  # noqa: E402

EPOCHS = 20
STOPPED = {  # how a process ends that hears a signal
    "TERM": (143, "error: stopped by SIGTERM"),
    "INT": (130, "error: stopped by Ctrl-C"),
}


def start(folder: Path, run: str) -> subprocess.Popen:
    """Starts the training of a run, or goes on with it."""
    place, name = folder / "logs", folder / "logs" / run
    if name.exists() and not (name / "last.keras").exists():
        shutil.rmtree(name)  # as the message says: no epoch was finished
    data = ["--data", str(folder / "train.tsv"), "--valid", str(folder / "valid.tsv"), "--logs", str(place)]
    options = ["--run", run, "--epochs", str(EPOCHS), *toys.RESUMED.split()]
    more = ["--resume"] if name.exists() else []
    environment = {**toys.environment(), "PYTHONFAULTHANDLER": "1"}  # which shows where a crash was
    del environment["TF_CPP_MIN_LOG_LEVEL"]  # the command silences TensorFlow by itself
    return subprocess.Popen(
        [sys.executable, str(toys.ROOT / "train.py"), *data, *options, *more],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_and_resume(folder: Path, run: str, draw: random.Random, signals: list[str], seconds: float) -> list[str]:
    """Trains a run to its end, with a signal from time to time; returns what it saw that should not be.

    Args:
        folder: of the data and the runs.
        run: its name.
        draw: what is random.
        signals: those to send, one for each start. The last start is left alone.
        seconds: within which a signal is sent after the start.
    """
    wrong = []
    for name in signals:
        process = start(folder, run)
        time.sleep(draw.uniform(0, seconds))
        heard = process.poll() is None
        process.send_signal(getattr(signal, f"SIG{name}"))
        _, errors = process.communicate()
        if heard and name != "KILL":
            # Before Python has come to our code it ends as any program does.
            early = (-getattr(signal, f"SIG{name}"), "")
            ended = (process.returncode, errors.strip())
            if ended not in (STOPPED[name], early, (0, "")) and not re.search("KeyboardInterrupt", errors):
                wrong.append(f"{name}: ended with {ended}")
        for file in ("last.keras", "model.keras"):
            path = folder / "logs" / run / file
            if path.exists():
                toys.contents(path)
    _, errors = (process := start(folder, run)).communicate()
    if process.returncode:
        wrong.append(f"could not go on: {errors.strip()}")
    return wrong


def differences(one: Path, other: Path) -> list[str]:
    """Returns what differs between the folders of two runs that have ended."""
    wrong = [f"left behind: {path.name}" for path in one.glob(".*")]
    for file in ("last.keras", "model.keras"):
        wrong += [f"{file}: {difference} differs" for difference in toys.differences(one / file, other / file)]
    for split in ("train", "validation"):
        shown, right = (points(run / split) for run in (one, other))
        wrong += [f"{split}: {tag} stands at {shown.get(tag)}" for tag in right if shown.get(tag) != right[tag]]
    return wrong


def points(folder: Path) -> dict[str, list[int]]:
    """Returns the steps of each chart of numbers."""
    events = EventAccumulator(str(folder), tensor_size_guidance={"tensors": 0}).Reload()
    tags = [tag for tag in events.Tags()["tensors"] if tag.startswith(("epoch/", "update/"))]
    return {tag: [point.step for point in events.Tensors(tag)] for tag in tags}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="signals in all")
    parser.add_argument("--signals", nargs="+", default=["KILL"] * 3 + ["TERM", "INT"], help="drawn from these")
    parser.add_argument("--each", type=int, default=5, help="signals for a run, until it is left alone")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, count, wrong = random.Random(options.seed), Counter(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        toys.write_words_to_reverse(folder)
        began = time.monotonic()
        _, errors = (process := start(folder, "alone")).communicate()
        if process.returncode:
            sys.exit(f"the run left alone ended with {process.returncode}: {errors}")
        seconds = time.monotonic() - began
        print(f"Keras {keras_version.keras_major()}; left alone: {seconds:.0f} s", flush=True)
        while sum(count.values()) < options.kills:
            signals = [
                draw.choice(options.signals) for _ in range(min(options.each, options.kills - sum(count.values())))
            ]
            run = f"run-{sum(count.values())}"
            found = kill_and_resume(folder, run, draw, signals, seconds)
            found += differences(folder / "logs" / run, folder / "logs" / "alone")
            print(f"{run}: {' '.join(signals)}: {'; '.join(found) or 'ended as the one left alone'}", flush=True)
            count.update(signals)
            wrong += found
    print(", ".join(f"{number} SIG{name}" for name, number in sorted(count.items())), f"and {len(wrong)} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
