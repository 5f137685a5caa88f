"""keras_seq2seq: a sequence-to-sequence starter for Keras 2 and Keras 3 on TensorFlow."""

import importlib
from typing import Any

from keras_seq2seq import framework

_HOMES = {
    "GREEDY": "decoding",
    "Beam": "decoding",
    "Configuration": "config",
    "Greedy": "decoding",
    "Hypothesis": "inference",
    "InputError": "config",
    "Decoder": "decoder",
    "Encoder": "encoder",
    "Inspect": "callbacks",
    "Sampling": "decoding",
    "Seq2Seq": "model",
    "Vocabulary": "vocabulary",
    "batches": "batching",
    "encode_pairs": "batching",
    "evaluate": "metrics",
    "export": "serving",
    "keras": "framework",
    "load": "saving",
    "read_configuration": "options",
    "read_pairs": "corpora",
    "save": "saving",
    "train": "training",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


# Importing the package registers its classes with Keras, so that `keras.models.load_model` knows them.
# Our own commands wait with it, for TensorFlow takes seconds to import: `--help` and typing errors answer at once.
if not framework.started_by_our_command():
    for _home in set(_HOMES.values()):
        importlib.import_module(f"{__name__}.{_home}")
