"""What the programs here share: trainings that go on where they were stopped, each on one core."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> str:
    """Runs Python with these arguments on one core, and returns what it printed; it has to succeed."""
    alone = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env={**os.environ, **alone}, check=True, stdout=subprocess.PIPE, text=True).stdout


def trained(folder: Path, *options: str) -> float:
    """Trains a run, unless it has finished, from where it was stopped; returns the minutes of all its epochs.

    Args:
        folder: of the run. What its training prints is kept beside it, in a file of the same name and `.txt`.
        options: of `train.py`, but for the run's place.
    """
    if folder.exists() and not (folder / "last.keras").exists():
        shutil.rmtree(folder)  # stopped before its first epoch ended
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(folder.name + ".txt")
    place = ["--logs", str(folder.parent), "--run", folder.name, *(["--resume"] if folder.exists() else [])]
    with open(log, "a", encoding="utf-8") as printed:
        printed.write(run(str(ROOT / "train.py"), *options, *place))
    return minutes_of(log.read_text(encoding="utf-8"))


def minutes_of(printed: str) -> float:
    """Returns the sum of the times of all epochs that a run has printed, in minutes."""
    times = [line.split()[-2] for line in printed.splitlines() if re.match(r" *\d+/\d+ ", line)]
    units = {"h": 60.0, "m": 1.0, "s": 1 / 60}
    return sum(int(number) * units[unit] for time in times for number, unit in re.findall(r"(\d+)([hms])", time))


def evaluated(models: list[Path], *options: str) -> dict:
    """Returns what `evaluate --json` says of a model, or of several as an ensemble.

    Args:
        models: the runs' folders.
        options: of `evaluate`.
    """
    asked = [*(["--ensemble"] if len(models) > 1 else []), *map(str, models)]
    return json.loads(run("-m", "keras_seq2seq", "evaluate", *options, "--json", *asked))
