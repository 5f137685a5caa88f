"""Mixed precision: layers that compute in 16 bits; weights, logits and loss stay float32 (Micikevicius et al., 2018).

bfloat16 has the range of float32 and needs nothing more. float16 needs the loss scaled up, and the gradients down
again, lest small ones become zero.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from keras_seq2seq.framework import keras, keras_major


@contextlib.contextmanager
def layers_of_precision(precision: str) -> Iterator[None]:
    """Lets the layers made within compute in `precision`: `float32`, `bfloat16` or `float16`."""
    before = keras.mixed_precision.global_policy() if keras_major() == 2 else keras.config.dtype_policy()
    if precision != "float32":
        keras.mixed_precision.set_global_policy(f"mixed_{precision}")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def optimizer_for(precision: str, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Wraps the optimizer in Keras's dynamic loss scaling, where `precision` is float16."""
    return keras.mixed_precision.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer


def loss_scale(optimizer: Any) -> tf.Tensor | float:
    """Returns the number by which the loss has to be multiplied: 1 without loss scaling."""
    if not isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        return 1.0
    return optimizer.loss_scale if keras_major() == 2 else tf.convert_to_tensor(optimizer.dynamic_scale)


def apply_gradients(optimizer: Any, gradients: list[tf.Tensor], variables: list[Any]) -> None:
    """Makes an update from gradients whose scale has been taken out; none where one is not finite.

    The same on both Keras: only Keras 3's optimizer takes the scale out itself.
    """
    scale = loss_scale(optimizer) if keras_major() == 3 else 1.0
    optimizer.apply_gradients(zip([gradient * scale for gradient in gradients], variables, strict=True))
