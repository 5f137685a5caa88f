"""Which Keras: the one place that decides between Keras 2 (`tf_keras`) and Keras 3 (`keras`).

Every other module writes `from keras_seq2seq.keras_version import keras`. The rule, in this order:

1. The process has already imported TensorFlow: follow the Keras it settled on.
2. `TF_USE_LEGACY_KERAS` is set: follow it (TensorFlow's own switch: `1` is Keras 2, `0` is Keras 3).
3. Otherwise Keras 2.

Importing this module only settles the rule. TensorFlow itself is imported when `keras` is first asked for.
"""

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError

SWITCH = "TF_USE_LEGACY_KERAS"
TRUE = ("1", "true", "True")  # the values that TensorFlow takes for yes


def started_by_our_command() -> bool:
    """Says whether the program is our `train.py`, `python -m keras_seq2seq` or `keras-seq2seq`."""
    if sys.argv[:1] == ["-m"]:  # until Python has found the module; its name may follow other letters, as in `-um`
        return re.sub(r"^-\w*?m", "", sys.orig_argv[-len(sys.argv)]) == "keras_seq2seq"
    program = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path()
    train = Path(__file__).resolve().parent.parent / "train.py"
    return program.stem == "keras-seq2seq" or program.resolve() == train


def _settle() -> None:
    """Makes `from tensorflow import keras` mean, everywhere in the process, the Keras we use."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(SWITCH, "1")
        return
    # TensorFlow puts its choice on its import path the moment it is imported, so a switch that is set
    # later changes nothing for it. Without a switch, `import tf_keras` by name is a choice too, unless
    # `tf.keras` has been used, as Keras 3, before.
    if SWITCH in os.environ:
        wanted = os.environ[SWITCH] in TRUE
    else:
        wanted = "tensorflow.keras" not in sys.modules and "Model" not in vars(sys.modules["tensorflow"].keras)
    legacy = wanted and "tf_keras" in sys.modules
    os.environ[SWITCH] = "1" if legacy else "0"
    if legacy:
        import tf_keras.api._v2.keras as legacy_keras

        sys.modules["tensorflow.keras"] = legacy_keras


def use_keras(major: int) -> None:
    """Chooses Keras 2 or 3 for this process, before TensorFlow is imported.

    Args:
        major: 2 or 3.

    Raises:
        RuntimeError: TensorFlow has been imported already.
    """
    if "tensorflow" in sys.modules:
        raise RuntimeError("Choose the Keras version before TensorFlow is imported.")
    os.environ[SWITCH] = "1" if major == 2 else "0"


def keras_major() -> int:
    """Returns 2 or 3: the Keras this process uses."""
    return 2 if os.environ[SWITCH] in TRUE else 3


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Keeps TensorFlow's start-up messages off the terminal; shows them if the start fails.

    They are written by C++ code straight to file descriptor 2, before any logging level applies.
    Setting `TF_CPP_MIN_LOG_LEVEL` oneself switches this off.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    # Errors too: they reach Python as exceptions, and what is logged as one (no AVX-512, for example) needs no action.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except Exception:
            messages.seek(0)
            os.write(terminal, messages.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
    # Advice on slow callbacks and retracing is for the program's author, not for its user.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def versions() -> str:
    """Returns one line that names the versions of TensorFlow and Keras, and the devices."""
    import tensorflow as tf

    devices = ", ".join(device.name.split("physical_device:")[-1] for device in tf.config.list_physical_devices())
    package = "tf_keras" if keras_major() == 2 else "keras"
    return f"TensorFlow {tf.__version__}, Keras {keras_major()} ({package} {_import_keras().__version__}), {devices}"


def require_same_keras(thing: Any, role: str) -> None:
    """Refuses an object of the Keras that is not in use.

    Args:
        thing: A layer, optimizer, callback, ... or anything else.
        role: What it was handed in as, for the message.

    Raises:
        TypeError: `thing` belongs to the other Keras.
    """
    ours, other = ("tf_keras", "keras") if keras_major() == 2 else ("keras", "tf_keras")
    homes = {base.__module__.split(".")[0] for base in type(thing).__mro__}
    if other in homes and ours not in homes:
        raise TypeError(
            f"The {role} {type(thing).__name__} belongs to Keras {5 - keras_major()} ({other}), but keras_seq2seq "
            f"runs on Keras {keras_major()} ({ours}) here: take it from `keras_seq2seq.keras`, or choose the other "
            f"Keras with {SWITCH}={int(keras_major() == 3)} before the first import of TensorFlow."
        )


def registered_name(part: Any) -> str:
    """Returns the name under which a class or function is registered with Keras.

    Raises:
        ValueError: it is not, so that no saved model could find it again.
    """
    saving, plain_name = _import_keras().saving, getattr(part, "__name__", repr(part))
    name = saving.get_registered_name(part) if hasattr(part, "__name__") else plain_name
    if saving.get_registered_object(name) is not part:
        raise ValueError(
            f"{plain_name} is not registered: write @keras.utils.register_keras_serializable() above it, "
            "so that a saved model finds it again"
        )
    return name


def registered_part(name: Any) -> Any:
    """Returns what is registered under `name`.

    Raises:
        InputError: nothing is.
    """
    part = _import_keras().saving.get_registered_object(name) if isinstance(name, str) else None
    if part is None:
        raise InputError(f"the model needs {str(name).split('>')[-1]!r}: import the file that defines it, then load")
    return part


class SameOnBothKeras:
    """Mix-in for models: both Keras make their weights in the first call, and save them under the same paths.

    Keras walks `dir(model)`, Keras 2 backwards and Keras 3 forwards, and files a layer under the first name it
    meets. Without `layers` and `metrics`, which list what has a name already, the paths come out the same.
    """

    hidden_when_saving: tuple[str, ...] = ("layers", "metrics")

    def __dir__(self) -> list[str]:
        return sorted(set(super().__dir__()) - set(self.hidden_when_saving))

    def build(self, _input_shape: Any) -> None:
        """Does nothing, since the call does; without it Keras 3 would trace a graph of the call first, for seconds."""
        self.built = True


class OtherBackend(InputError, ImportError):
    """Keras does not run on TensorFlow here."""


def _import_keras() -> Any:
    if keras_major() == 2:
        import tf_keras

        return tf_keras
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow":  # the import fails by itself where another one is not installed
        import keras

        backend = keras.backend.backend()
    if backend != "tensorflow":
        raise OtherBackend(
            f"keras_seq2seq needs Keras on TensorFlow, but Keras runs on {backend} here: unset KERAS_BACKEND "
            "or set it to tensorflow"
        )
    return keras


def _spare_autograph() -> None:
    """Tells AutoGraph to leave this package's functions as they are, as it leaves those of Keras.

    They have no Python `if` or `while` over tensors, and rewriting them takes two of the three seconds of a first
    answer. A layer of the user's own is still rewritten where Keras 2 does so. TensorFlow has no public way to say this
    of a whole package; where the private one is gone, everything works as before, and takes longer.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from tensorflow.python.autograph.core import config

        config.CONVERSION_RULES = (config.DoNotConvert(__package__), *config.CONVERSION_RULES)


def __getattr__(name: str) -> Any:
    if name == "keras":
        globals()["keras"] = _import_keras()
        _spare_autograph()
        return globals()["keras"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_settle()
