"""The description of a model in a saved file: checked against what is known here before anything is built or read.

How parts are built out of a description is in `serialization`.
"""

import io
import math
from collections.abc import Mapping
from typing import Any

import h5py

from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras
from keras_seq2seq.layers import decoder, encoder  # noqa: F401 - registers the classes that a file may name
from keras_seq2seq.model.losses import UnknownLoss
from keras_seq2seq.serialization import build, known_name

DEEPEST, MOST = 32, 100_000  # groups within groups, and groups and datasets, in a file of weights


def compile_options(described: Any) -> dict[str, Any]:
    """Returns the arguments of `compile` that a file describes, optimizer and loss built.

    Raises:
        InputError: they hold something else than Keras's optimizers, schedules and losses, those that the user's
            program has registered, and plain values.
    """
    if not isinstance(described, Mapping):
        raise InputError("its training is not described by names and values")
    options = {name: described.get(name) for name in ("jit_compile", "run_eagerly", "steps_per_execution")}
    for name, value in options.items():
        if not isinstance(value, bool | int | None):
            raise InputError(f"its {name} is {value!r}; expected yes, no or a number")
    optimizer = described.get("optimizer")
    if isinstance(optimizer, str):
        optimizer = {"class_name": known_name(optimizer, "optimizers"), "config": {}}
    # On Keras 2 the latter makes an optimizer, but is none.
    kinds = (keras.optimizers.Optimizer, keras.mixed_precision.LossScaleOptimizer)
    optimizer = build(optimizer, *kinds, role="optimizer")
    return {"optimizer": optimizer, "loss": _loss(described.get("loss")), **options}


def _loss(described: Any) -> Any:
    if described is None or isinstance(described, str):
        return described
    try:
        loss = build(described, role="loss")
    except InputError as error:
        return UnknownLoss(str(error))
    return loss if callable(loss) else UnknownLoss(f"its loss {type(loss).__name__} is none")


def check_weights(content: bytes) -> dict[str, tuple[int, ...]]:
    """Looks through a file of weights without reading them.

    HDF5 could lead to other files, to itself, or claim more numbers than it holds. Keras writes none of that.

    Args:
        content: of an HDF5 file.

    Returns:
        the shape of each array of numbers, by its path.

    Raises:
        InputError: it holds something else than numbers.
        OSError, RuntimeError: it is no HDF5 file.
    """
    shapes, size, seen = {}, 0, 0
    with h5py.File(io.BytesIO(content), "r") as file:
        waiting = [(file, 0)]
        while waiting:
            group, depth = waiting.pop()
            for name in group:
                seen += 1
                if not isinstance(group.get(name, getlink=True), h5py.HardLink) or depth > DEEPEST or seen > MOST:
                    raise InputError("its weights lead to other places")
                part = group[name]
                if isinstance(part, h5py.Group):
                    waiting.append((part, depth + 1))
                    continue
                if not isinstance(part, h5py.Dataset) or part.dtype.kind not in "biuf":
                    raise InputError(f"its weights hold {name!r}, which is not numbers")
                if part.is_virtual or part.external:
                    raise InputError("its weights lead to other places")
                shapes[part.name.strip("/")], size = part.shape, size + part.nbytes
    if size > len(content):
        raise InputError("its weights claim to be more than there are")
    return shapes


def check_optimizer(count: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuses weights that are not those of the optimizer; Keras would leave it as it is, with a warning at most.

    Args:
        count: of the optimizer's variables.
        shapes: of all weights.

    Raises:
        InputError: they are not.
    """
    stored = [shape for path, shape in shapes.items() if path.startswith("optimizer/vars/")]
    never_used = stored and not any(stored)  # scalars alone: it had not met the model's weights when it was saved
    if len(stored) != count and not never_used:
        raise InputError("its weights are not those of the optimizer that it describes")


def check_sizes(config: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuses a model that is larger than the weights beside it, before memory is asked for.

    Raises:
        InputError: it is.
    """
    for role in ("encoder", "decoder"):
        half = config.get(role) if isinstance(config, Mapping) else None
        if not isinstance(half, Mapping) or not isinstance(half.get("config"), Mapping):
            raise InputError("its model is not described by names and values")
        half = half["config"]
        sizes = [half.get(name, 1) for name in ("vocabulary_size", "embedding_dim", "units", "num_layers")]
        if not all(isinstance(size, int) for size in sizes):
            continue  # what is wrong there is reported where the model is built
        vocabulary_size, embedding_dim, units, num_layers = sizes
        # A cell of one's own need not have a matrix from state to state.
        recurrent = units**2 if isinstance(half.get("cell"), str) else units
        largest = max(recurrent, embedding_dim * vocabulary_size)
        if largest > sum(map(math.prod, shapes.values())) or num_layers > len(shapes):
            raise InputError("its weights are fewer than those of the model that it describes")
