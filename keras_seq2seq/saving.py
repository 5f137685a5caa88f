"""One artefact: configuration, vocabularies and weights in one `.keras` file, for Keras 2 and Keras 3 alike."""

import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_seq2seq.config import InputError
from keras_seq2seq.framework import keras, keras_major
from keras_seq2seq.model import FORMAT, Seq2Seq

MODEL_FILE = "model.keras"  # the model to ask: the best epoch where there are validation pairs, else the last
LAST_FILE = "last.keras"  # the last finished epoch: where a run is resumed


def save(model: Seq2Seq, path: str | os.PathLike) -> None:
    """Saves the model, with its optimizer, to `path`.

    The file is written under another name in the same folder and then renamed: whoever looks, and whatever
    stops us half-way, there is either the old file or the new one.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.unfinished.keras")
    try:
        # Keras 2 knows by itself what the name stands for, but not in a thread of its own.
        model.save(unfinished, **({"save_format": "keras_v3"} if keras_major() == 2 else {}))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | os.PathLike) -> Seq2Seq:
    """Loads a model from a `.keras` file or from the run's folder that holds it.

    A file of the same Keras comes back with its optimizer, ready to be trained further. From a file of the
    other Keras come configuration, vocabularies and weights: the same answers, but to be compiled anew.

    Raises:
        InputError: there is no such file, or it is not a whole file of ours.
    """
    path = Path(path)
    if path.is_dir():
        path = path / MODEL_FILE
    try:
        with zipfile.ZipFile(path) as archive:
            description = json.loads(archive.read("config.json"))
            version = json.loads(archive.read("metadata.json"))["keras_version"]
            weights = archive.read("model.weights.h5")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; give a run's folder or a .keras file") from None
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, KeyError, ValueError):
        raise InputError(f"{path}: is not a whole .keras file; it may be cut short or of another kind") from None
    if description.get("registered_name") != "keras_seq2seq>Seq2Seq":
        raise InputError(f"{path}: holds another kind of model ({description.get('class_name')}), not ours")
    made_for = description["config"].get("format", FORMAT)
    if made_for > FORMAT:
        raise InputError(f"{path}: was saved by a newer keras_seq2seq (format {made_for}, not {FORMAT}); upgrade")
    if version.startswith("2.") == (keras_major() == 2):
        return _or_refuse(lambda: keras.models.load_model(path), path)
    model = Seq2Seq.from_config(description["config"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.weights.h5")
        file.write_bytes(weights)
        _or_refuse(lambda: model.load_weights(file), path)
    return model


def _or_refuse(read: Callable[[], Any], path: Path) -> Any:
    try:
        return read()
    except OSError:
        raise InputError(f"{path}: is not a whole .keras file; its weights cannot be read") from None
