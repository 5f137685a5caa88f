"""The parts of a model by the attributes that lead to them, and which of them are frozen."""

from collections.abc import Collection, Iterator
from typing import Any

from keras_seq2seq.keras_version import keras


def named_parts(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Yields each layer and each trainable weight of a model once, by its path: `decoder/rnn/cell/kernel`.

    A path goes from attribute to attribute. The names that Keras gives differ between the two Keras, and
    between two models of one process.
    """
    wanted, seen = {id(weight) for weight in model.trainable_weights}, set()

    def visit(thing: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if id(thing) in seen or isinstance(thing, keras.metrics.Metric):  # a layer on Keras 2
            return
        if isinstance(thing, keras.layers.Layer):
            seen.add(id(thing))
            yield "/".join(path), thing
            # Keras 3 keeps a `kernel` as `_kernel`. Lists with such a name are its internal records.
            for name, part in vars(thing).items():
                if not (name.startswith("_") and isinstance(part, list | tuple | dict)):
                    yield from visit(part, (*path, name.strip("_")))
        elif isinstance(thing, list | tuple):
            for number, part in enumerate(thing):
                yield from visit(part, (*path, str(number)))
        elif id(thing) in wanted:
            seen.add(id(thing))
            yield "/".join(path), thing

    yield from visit(model, ())


def named_layers(model: keras.Model) -> list[tuple[str, keras.layers.Layer]]:
    """Returns the layers, the model itself among them, with the paths of `named_parts`, the outer ones first."""
    return [(path, part) for path, part in named_parts(model) if isinstance(part, keras.layers.Layer)]


def named_weights(model: keras.Model) -> dict[str, Any]:
    """Returns the trainable weights by the paths of `named_parts`."""
    return {path: part for path, part in named_parts(model) if not isinstance(part, keras.layers.Layer)}


def frozen_layers(model: keras.Model) -> list[str]:
    """Returns the paths of the layers whose `trainable` is false, the outer ones first."""
    return [path for path, layer in named_layers(model) if not layer.trainable]


def freeze(model: keras.Model, paths: Collection[str]) -> None:
    """Makes `trainable` false for the layers at these paths, and true for all others."""
    # The outer ones first, since they pass theirs on to what is in them, be it in two of them.
    for path, layer in sorted(named_layers(model), key=lambda named: named[0].count("/")):
        layer.trainable = path not in paths
