"""The folder of a run: a new one, or one to resume with the same configuration, data and parts."""

import contextlib
import dataclasses
import datetime
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_seq2seq.data.corpora import NOTEBOOK, Pair
from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras_major
from keras_seq2seq.model.saving import LAST_FILE, load
from keras_seq2seq.model.seq2seq import Seq2Seq
from keras_seq2seq.training.configuration import Configuration, files_of, flag_of

SAVED = ("cell", "attention")  # parts of one's own that are saved with the model
# What may change without changing what the run computes. More epochs only make it longer.
FREE = ("epochs", "inspect", "logs", "run", "resume", "data", "valid", "columns", "tensorboard", "profile")


def new_run_folder(config: Configuration, pairs: Sequence[Pair]) -> Path:
    """Makes a folder of its own for this run, named after the corpus where `config.run` gives no name.

    Args:
        config: of the run.
        pairs: what it learns; given from Python, they need not be those that `config` names.

    Raises:
        InputError: `config.run` is taken or no plain name, or the folder cannot be made.
    """
    logs = Path(config.logs)
    if config.run is not None and (Path(config.run).name != config.run or config.run in ("", "..")):
        raise InputError(f"--run {config.run!r} is not a plain folder name; choose where runs go with --logs")
    corpus = "as-published" if config.as_published else config.corpus
    if config.data:
        corpus = Path(files_of("data", config.data)[0]).stem
    if corpus == "notebook" and list(pairs) != NOTEBOOK:
        corpus = "pairs"
    stem = config.run if config.run is not None else f"{corpus}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    for number in itertools.count(1):
        run = logs / (stem if number == 1 else f"{stem}-{number}")
        try:
            run.mkdir(parents=True)
            break
        except FileExistsError:
            if not logs.is_dir():
                raise InputError(f"{logs}: is not a folder; choose another with --logs") from None
            if config.run:
                raise InputError(f"{run}: there is a run of this name; choose another --run") from None
        except OSError as error:
            raise InputError(f"{run}: cannot be made ({error.strerror}); choose another --logs") from None
    if not os.access(run, os.W_OK):
        raise InputError(f"{run}: cannot be written; choose another --logs")
    return run


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keeps other processes from training in a run's folder, and clears away what a killed one has left half-written.

    The operating system holds the lock, on the folder itself, and takes it back from a process that is killed. Windows
    has no such lock: nothing is kept out there.

    Raises:
        InputError: another process is training there.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder = os.open(run, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # of a file system without locks
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{run}: another process is training there; wait until it ends, or stop it") from None
        for left in run.glob(".*.unfinished*"):
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(folder)


def fingerprint(train_pairs: list[Pair], valid_pairs: list[Pair]) -> dict[str, list]:
    """Returns for each set of pairs how many there are, and a digest of them."""
    return {
        name: [len(pairs), hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]]
        for name, pairs in (("training", train_pairs), ("validation", valid_pairs))
    }


def what_counts(config: Configuration) -> dict[str, Any]:
    """Returns of a configuration what decides the numbers of a run, to be saved with its model."""
    return {name: value for name, value in config.to_dict().items() if name not in FREE or name == "epochs"}


def names_of(**parts: Any) -> dict[str, list[str]]:
    """Returns the names of the functions, classes, metrics and callbacks that a user handed to `train`."""
    given = {role: part if isinstance(part, Sequence) else [part] for role, part in parts.items() if part is not None}
    return {
        role: [getattr(part, "__name__", None) or getattr(part, "name", None) or type(part).__name__ for part in given]
        for role, given in given.items()
    }


def load_stopped(run: Path, config: Configuration, data: dict[str, list], own: dict[str, list[str]]) -> Seq2Seq:
    """Loads the last finished epoch of a run, with its optimizer and counters.

    Args:
        run: the run's folder.
        config: of the command that resumes.
        data: its `fingerprint`.
        own: the `names_of` its own parts: loss, metrics and callbacks are not saved with the model.

    Raises:
        InputError: there is nothing to resume, or configuration, data, own parts or Keras differ; the message says how.
    """
    if not (run / LAST_FILE).exists():
        instead = "remove it, or choose another --run," if run.exists() else "start it"
        raise InputError(f"{run}: has no finished epoch to resume; {instead} without --resume")
    model = load(run / LAST_FILE)
    if getattr(model, "optimizer", None) is None:
        raise InputError(
            f"{run}: was trained on the other Keras, whose optimizer's state cannot be taken over; "
            f"use --keras {5 - keras_major()}"
        )
    try:
        differences = _differences(model, config, data, own)
    except (LookupError, TypeError, ValueError):
        raise InputError(f"{run}: {LAST_FILE} does not say how far its training came; it cannot be resumed") from None
    if differences:
        raise InputError(f"{run}: cannot be resumed: " + "; ".join(differences))
    return model


def _differences(model: Seq2Seq, config: Configuration, data: dict[str, list], own: dict[str, list[str]]) -> list[str]:
    differences = []
    saved = Configuration.from_dict(model.progress["configuration"], start=Configuration())
    for field in dataclasses.fields(Configuration):
        before, now = getattr(saved, field.name), getattr(config, field.name)
        # A cosine falls to 0 at the last epoch, and splices are left out of the last third: there the number of epochs
        # is part of what is computed.
        fixed = field.name == "epochs" and (config.learning_rate_schedule == "cosine" or config.splices)
        if before != now and (field.name not in FREE or fixed):
            differences.append(f"{flag_of(field.name)} was {before}, is {now}")
    for name, now in data.items():
        count, digest = model.progress["data"][name]
        if [count, digest] != now:
            changed = f"{count} pairs, now {now[0]}" if count != now[0] else f"other {count} pairs"
            differences.append(f"{name} data was {changed}")
    before = model.progress["own"]
    for role in sorted({*before, *own}):
        was, now = before.get(role, []), own.get(role, [])
        # Cell and attention are saved with the model, and need not be given again.
        if was != now and (now or role not in SAVED):
            names = [", ".join(names) or "none" for names in (was, now)]
            differences.append("{} of `train` was {}, is {}".format(role, *names))
    return differences


def has_stopped(model: Seq2Seq, config: Configuration) -> bool:
    """Says whether early stopping had ended the run that is to be resumed."""
    waited = model.progress.get("EarlyStopping", {}).get("wait", 0)
    return bool(config.early_stopping) and waited >= config.stopping_rule()[1]
