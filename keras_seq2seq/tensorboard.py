"""TensorBoard, fed by a callback of our own: the same names on both Keras, and every point at its update.

Keras's own callback counts batches anew in each process, and on Keras 3 draws no graph and finds no embedding.
What grows, grows slowly: see `interval`.
"""

import importlib.util
import itertools
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq import drawings
from keras_seq2seq.batching import Examples
from keras_seq2seq.config import Configuration, InputError
from keras_seq2seq.framework import keras, keras_major
from keras_seq2seq.losses import label_mask, masked_mean, token_crossentropy
from keras_seq2seq.vocabulary import END, Vocabulary

SHOWN, SAMPLE = 5, 128  # pairs that are shown; training pairs whose exact match is measured
UPDATES, HISTOGRAMS, IMAGES = 1000, 8, 2  # points while their count doubles: see `interval`
LEAST = 10  # updates between two points, at least


def interval(count: int, points: int) -> int:
    """Returns how far apart points are at `count`: a power of two, and while `count` doubles come `points` of them.

    So a run of any length keeps its early days, and its files grow with the logarithm of its length.
    """
    return 2 ** max(0, (count // points).bit_length() - 1)


def profiled_updates(text: str | None) -> tuple[int, int] | None:
    """Reads `--profile`: "10,20" is (10, 20), from update 10 to update 20.

    Raises:
        InputError: these are no two rising numbers, or TensorBoard's profile plug-in is not installed.
    """
    if text is None:
        return None
    first, comma, last = text.partition(",")
    if not (comma and first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise InputError(f"--profile is {text!r}; give its first and its last update, as in 10,20")
    if not importlib.util.find_spec("tensorboard_plugin_profile"):
        raise InputError("--profile needs a plug-in of TensorBoard: pip install tensorboard-plugin-profile")
    return int(first), int(last)


def named_weights(model: keras.Model) -> dict[str, Any]:
    """Returns the trainable weights by path, such as `encoder/rnn/cell/kernel`: attribute by attribute.

    The names that Keras gives them differ between the two Keras, and between two models of one process.
    """
    wanted = {id(weight) for weight in model.trainable_weights}
    found, seen = {}, set()

    def visit(thing: Any, path: tuple[str, ...]) -> None:
        if id(thing) in seen:
            return
        if id(thing) in wanted:
            found["/".join(path)] = thing
        elif isinstance(thing, keras.layers.Layer):
            # Keras 3 keeps a `kernel` as `_kernel`. Lists with such a name are its own books.
            for name, part in vars(thing).items():
                if not (name.startswith("_") and isinstance(part, list | tuple | dict)):
                    visit(part, (*path, name.strip("_")))
        elif isinstance(thing, list | tuple):
            for number, part in enumerate(thing):
                visit(part, (*path, str(number)))
        else:
            return
        seen.add(id(thing))

    visit(model, ())
    return found


class TensorBoard(keras.callbacks.Callback):
    """Writes what TensorBoard shows: `run/train` and `run/validation`, and for the HParams tab and the projector `run`.

    Every view works by itself: one that fails says so in one line, and is left out from then on.

    Args:
        run: the run's folder.
        config: of the run.
        examples: the training pairs.
        valid: the validation pairs; their first ones are shown, or else the first training pairs.
        profile: first and last update to profile: see `profiled_updates`.
    """

    def __init__(
        self,
        run: Path,
        config: Configuration,
        examples: Examples,
        valid: Examples | None = None,
        profile: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.run, self.config, self.examples, self.valid, self.profile = Path(run), config, examples, valid, profile
        self.broken: set[str] = set()
        self.profiling = False

    @property
    def update(self) -> int:
        """The model's own count of its updates: the horizontal axis of everything."""
        return int(self.model.optimizer.iterations)
