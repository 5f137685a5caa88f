"""One artefact: configuration, vocabularies and weights in one `.keras` file, for Keras 2 and Keras 3 alike."""

import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import tensorflow as tf

from keras_seq2seq import files
from keras_seq2seq.errors import InputError, reason_of
from keras_seq2seq.keras_version import keras_major, registered_part
from keras_seq2seq.model.deserialization import check_optimizer, check_sizes, check_weights
from keras_seq2seq.model.seq2seq import Seq2Seq

MODEL_FILE = "model.keras"  # the model to ask: the best epoch where there are validation pairs, else the last
LAST_FILE = "last.keras"  # the last finished epoch: where a run is resumed
LARGEST_RATIO = 64  # what a file may unpack to, by its own size; ours is not packed at all
# What ZIP, JSON, HDF5 and Keras make of damaged bytes. What is too large for the memory is none of these.
BROKEN = (
    *(OSError, EOFError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError),
    *(zipfile.BadZipFile, zlib.error, tf.errors.InvalidArgumentError),
)


def save(model: Seq2Seq, path: str | os.PathLike) -> None:
    """Saves the model, with its optimizer, to `path`, a `.keras` file: whole or not at all.

    Raises:
        InputError: the name does not end so.
    """
    if Path(path).suffix != ".keras":
        raise InputError(f"{path}: give a name that ends in .keras")
    with files.replaced(path) as unfinished:
        # Keras 2 knows by itself what the name stands for, but not in a thread of its own.
        model.save(unfinished, **({"save_format": "keras_v3"} if keras_major() == 2 else {}))


def load(path: str | os.PathLike) -> Seq2Seq:
    """Loads a model from a `.keras` file or from the run's folder that holds it.

    A file is only data: it is checked against what is known here before anything is built, and can name no other class
    or function than ours, Keras's optimizers and schedules, and what the program has registered with Keras.

    A file of the same Keras comes back with its optimizer, ready to be trained further. From a file of the
    other Keras come configuration, vocabularies and weights: the same answers, but to be compiled anew.

    Raises:
        InputError: there is no such file, or it is not a whole file of ours.
    """
    path = Path(path)
    if path.is_dir():
        path = path / MODEL_FILE
    try:
        return _read(path)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; give a run's folder or a .keras file") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except BROKEN as error:
        broken = f"is not a whole .keras file; it may be cut short or of another kind ({reason_of(error)})"
        raise InputError(f"{path}: {broken}") from error


def _read(path: Path) -> Seq2Seq:
    """Builds the model that a file describes, with its optimizer if it comes from the same Keras; reads its weights."""
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > LARGEST_RATIO * path.stat().st_size:
            raise InputError(f"unpacks to more than {LARGEST_RATIO} times its size; it is none of ours")
        description = json.loads(archive.read("config.json"))
        version = json.loads(archive.read("metadata.json"))["keras_version"]
        weights = archive.read("model.weights.h5")
    registered = description.get("registered_name")
    model_class = registered_part(registered) if isinstance(registered, str) and ">" in registered else None
    if not isinstance(model_class, type) or not issubclass(model_class, Seq2Seq):
        raise InputError(f"holds another kind of model ({description.get('class_name')}), not ours")
    config, training = description.get("config", {}), description.get("compile_config")
    shapes = check_weights(weights)
    check_sizes(config, shapes)
    model = model_class.from_config(config)
    if training and version.startswith("2.") == (keras_major() == 2):
        model.compile_from_config(training)
        check_optimizer(len(model.optimizer.variables), shapes)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.weights.h5")
        file.write_bytes(weights)
        model.load_weights(file)
    return model
