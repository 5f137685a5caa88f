"""What the programs here share: trainings that go on where they were stopped, each on one core."""

import argparse
import concurrent.futures
import contextlib
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
PRONUNCIATION = ("--source-tokens", "char", "--target-tokens", "space")  # letters, and phones between blanks


def run(*arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> str:
    """Runs Python with these arguments on one core, and returns what it printed; where it fails, so does the program.

    Args:
        arguments: of Python.
        stdout: a file that gets at once what is printed, which is not returned then.
    """
    alone = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    alone |= {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}  # this clone's package, wherever one stands
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env={**os.environ, **alone}, stdout=stdout, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}")
    return done.stdout


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
        run(str(ROOT / "train.py"), *options, *place, stdout=printed)
    return minutes_of(log.read_text(encoding="utf-8"))


def words(folder: str, language: str) -> dict[str, str]:
    """Returns SIGMORPHON's files of a language by what they are for: `"train"`, `"dev"`, `"test"`."""
    return {split: str(Path(folder, f"{language}_{split}.tsv")) for split in ("train", "dev", "test")}


def write_pairs(path: Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Writes a file to train on: source, tab, target."""
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")


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


@contextlib.contextmanager
def side_by_side(measured: Callable, jobs: Iterable[tuple], options: argparse.Namespace) -> Iterator[dict]:
    """Calls a function for each job, as many at a time as `--jobs` says; gives what returns the result of each."""
    pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
    try:
        futures = {job: pool.submit(measured, *job, options) for job in jobs}
        yield {job: future.result for job, future in futures.items()}
    finally:
        pool.shutdown(cancel_futures=True)  # where one has failed, those that have not begun need not


def parser_of(text: str | None, seeds: list[int], logs: str) -> argparse.ArgumentParser:
    """Returns a parser of the options that every program here has.

    Args:
        text: what the program does.
        seeds: the default of `--seeds`.
        logs: the default of `--logs`.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=seeds, help="a training for each")
    parser.add_argument("--common", default="", help="more options of all trainings")
    parser.add_argument("--logs", default=logs, help=f"folder of the runs (default: {logs})")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at a time, each on one core")
    return parser


def mean_of(values: list[float]) -> str:
    """Returns the mean, and from the lowest to the highest where there are several."""
    spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}" if values else ""


def print_row(*cells: str) -> None:
    """Prints a row of a table in Markdown, at once."""
    print(f"| {' | '.join(cells)} |", flush=True)


def print_head(*cells: str) -> None:
    """Prints the first two lines of a table in Markdown."""
    print_row(*cells)
    print_row(*["---"] * len(cells))
