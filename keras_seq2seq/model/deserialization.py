"""What a saved file says of its model: data, checked against what is known here before anything is built or read.

Nothing in a file decides which class, function or module is taken. Keras 2's own `load_model` imports whatever module a
description names, and runs the functions that it finds there; here a description only chooses from a list of names.
"""

import io
import math
from collections.abc import Mapping
from typing import Any

import h5py

from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras, registered_part
from keras_seq2seq.model import schedules  # noqa: F401 - registers the class that a file may name

OPTIMIZERS = (
    *("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Muon", "Nadam"),
    *("RMSprop", "SGD", "ScheduleFreeAdamW"),
)
SCHEDULES = (
    *("CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay"),
    *("PiecewiseConstantDecay", "PolynomialDecay"),
)
NESTED = ("learning_rate", "inner_optimizer")  # options of an optimizer that may be described as an object
PLAIN = (str, int, float, bool, type(None))
DEEPEST, MOST = 32, 100_000  # groups within groups, and groups and datasets, in a file of weights


def compile_options(described: Any) -> dict[str, Any]:
    """Returns the arguments of `compile` that a file describes, its optimizer built.

    Raises:
        InputError: they hold something else than Keras's optimizers and schedules, those that the user's program has
            registered, and plain values.
    """
    if not isinstance(described, Mapping):
        raise InputError("its training is not described by names and values")
    options = {name: described.get(name) for name in ("jit_compile", "run_eagerly", "steps_per_execution")}
    for name, value in options.items():
        if not isinstance(value, bool | int | None):
            raise InputError(f"its {name} is {value!r}; expected yes, no or a number")
    optimizer = _built(described.get("optimizer"))
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise InputError("its optimizer is a learning rate schedule")
    return {"optimizer": optimizer, **options}


def _built(described: Any) -> Any:
    """Builds the optimizer or learning rate schedule that is described as Keras does it, or an optimizer by name."""
    if isinstance(described, str):
        names = {name.lower(): name for name in OPTIMIZERS}
        return _class_of(names.get(described.lower(), described), None)()
    if not isinstance(described, Mapping) or not isinstance(described.get("config"), Mapping):
        raise InputError("its optimizer is not described as Keras does it")
    found = _class_of(described.get("class_name"), described.get("registered_name"))
    options = {}
    for name, value in described["config"].items():
        if name in NESTED and isinstance(value, Mapping):
            value = _built(value)
        elif not all(isinstance(part, PLAIN) for part in (value if isinstance(value, list) else [value])):
            raise InputError(f"its optimizer's {name} is described as an object; expected numbers or texts")
        options[name] = value
    try:
        return found(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"its optimizer {found.__name__} cannot be made ({_first_line(error)})") from None


def _class_of(name: Any, registered: Any) -> type:
    if name in ("LossScaleOptimizer", "LossScaleOptimizerV3") and registered in (None, name):
        return keras.mixed_precision.LossScaleOptimizer
    if registered is None:
        homes = ((OPTIMIZERS, keras.optimizers), (SCHEDULES, keras.optimizers.schedules))
        found = next((getattr(home, name, None) for names, home in homes if name in names), None)
    else:
        found = registered_part(registered)
    kinds = (keras.optimizers.Optimizer, keras.optimizers.schedules.LearningRateSchedule)
    if not isinstance(found, type) or not issubclass(found, kinds):
        raise InputError(f"its optimizer or learning rate schedule {name!r} is not known here")
    return found


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
    if not isinstance(config, Mapping) or not isinstance(config.get("config"), Mapping):
        raise InputError("its model is not described by names and values")
    sizes = [config["config"].get(name, 1) for name in ("units", "embedding_dim", "layers")]
    if not all(isinstance(size, int) for size in sizes):
        return  # what is wrong there is said where the model is built
    units, embedding_dim, layers = sizes
    tokens = 0
    for side in ("source_vocabulary", "target_vocabulary"):
        vocabulary = config.get(side)
        if isinstance(vocabulary, Mapping) and isinstance(vocabulary.get("tokens"), list):
            tokens = max(tokens, len(vocabulary["tokens"]))
    # A cell of one's own need not have a matrix from state to state.
    recurrent = units if config.get("own_parts") else units**2
    if max(recurrent, embedding_dim * tokens) > sum(map(math.prod, shapes.values())) or layers > len(shapes):
        raise InputError("its weights are fewer than those of the model that it describes")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
