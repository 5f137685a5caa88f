"""Parts as plain data, and parts out of data that may come from anyone's file.

Nothing in a description decides which class, function or module is taken. Keras's own deserialization imports whatever
module a description names; here a description only chooses from a list of names, or from what the program has
registered with Keras.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from keras_seq2seq.errors import InputError, reason_of
from keras_seq2seq.keras_version import keras, registered_name, registered_part

KNOWN = {
    "optimizers": "Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion Muon Nadam RMSprop SGD "
    "ScheduleFreeAdamW",
    "optimizers.schedules": "CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay "
    "PiecewiseConstantDecay PolynomialDecay",
    "mixed_precision": "LossScaleOptimizer",
    "layers": "SimpleRNNCell GRUCell LSTMCell StackedRNNCells",
    "initializers": "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones "
    "Orthogonal RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros",
    "regularizers": "L1 L2 L1L2 OrthogonalRegularizer",
    "constraints": "MaxNorm MinMaxNorm NonNeg UnitNorm",
    "losses": "SparseCategoricalCrossentropy",
}
POLICIES = ("Policy", "DTypePolicy")  # what Keras 2 and Keras 3 call a policy, which both take by its name too
RENAMED = {"LossScaleOptimizerV3": "LossScaleOptimizer"}  # what Keras 2 calls itself in a file
PLAIN = (str, int, float, bool, type(None))


def describe(part: Any) -> Any:
    """Returns plain data from which `build` makes a part like `part` again.

    Args:
        part: a name, a function or class that is registered with Keras, or an object with `get_config` whose class is
            registered or Keras's own.

    Raises:
        ValueError: it is neither, so that no saved model could find it again.
    """
    if part is None or isinstance(part, str):
        return part
    if callable(part) and hasattr(part, "__name__"):
        return {"registered_name": registered_name(part)}
    if _known(type(part).__name__) is not type(part):
        registered_name(type(part))
    return keras.saving.serialize_keras_object(part)


def build(described: Any, *kinds: type, role: str = "part", **further: Any) -> Any:
    """Makes the part that is described.

    Args:
        described: what `describe` or a file of Keras has: a class's name, its options, and by what name it is
            registered; with no options, what is registered itself.
        kinds: the part has to be of one of these classes, unless there are none.
        role: what the part is, for messages.
        further: more arguments, which are no data.

    Raises:
        InputError: it is not known here, of another kind, or cannot be made with these options.
    """
    described = described if isinstance(described, Mapping) else {}
    name, registered = described.get("class_name"), described.get("registered_name")
    if "config" not in described and registered is not None and not kinds:
        return registered_part(registered)
    if not isinstance(described.get("config"), Mapping):
        raise InputError(f"its {role} is not described as Keras does it")
    known = _known(name) if registered in (None, name) else registered_part(registered)
    if not isinstance(known, type) or (kinds and not issubclass(known, kinds)):
        raise InputError(f"its {role} {name!r} is not known here")
    options = {key: _value(value, f"{role}'s {key}") for key, value in described["config"].items()}
    if registered in (None, name):  # of Keras: what the other one alone has, or Keras 2 only writes
        taken = inspect.signature(known.__init__).parameters  # type: ignore[misc]
        options = {key: it for key, it in options.items() if key in taken or not (it is None or key == "fn")}
    try:
        return known(**options, **further)
    except (TypeError, ValueError) as error:
        raise InputError(f"its {role} {known.__name__} cannot be made ({reason_of(error)})") from None


def _value(value: Any, role: str) -> Any:
    if isinstance(value, Mapping):
        # By its name, which Keras can put in a file again, whatever layer it is given to.
        return _policy_name(value, role) if value.get("class_name") in POLICIES else build(value, role=role)
    for part in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(part, (*PLAIN, Mapping)):
            raise InputError(f"its {role} is described as {type(part).__name__}; expected numbers or texts")
    if isinstance(value, list | tuple):
        return [build(part, role=role) if isinstance(part, Mapping) else part for part in value]
    return value


def _policy_name(described: Mapping[str, Any], role: str) -> str:
    config = described.get("config")
    name = config.get("name") if isinstance(config, Mapping) else None
    if not isinstance(name, str):
        raise InputError(f"its {role} is a policy without a name")
    return name


def known_name(name: str, home: str) -> str:
    """Returns the class's own name for one of `home`, whatever its capitals: `adam` -> `Adam`; else the name itself."""
    return {known.lower(): known for known in KNOWN[home].split()}.get(name.lower(), name)


def _known(name: Any) -> type | None:
    name = RENAMED.get(name, name) if isinstance(name, str) else None
    for home, names in KNOWN.items():
        if name in names.split():
            found: Any = keras
            for step in home.split("."):
                found = getattr(found, step, None)
            return getattr(found, name, None)
    return None
