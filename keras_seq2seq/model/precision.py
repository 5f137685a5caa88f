"""Mixed precision: layers that compute in 16 bits; weights, logits and loss stay float32 (Micikevicius et al., 2018).

bfloat16 has the range of float32 and needs nothing more. float16 needs the loss scaled up, and the gradients down
again, or small ones would become zero. Keras 2 does not save the scale that it found: a resumed float16 run looks for
it anew.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras, keras_major

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16", "float64", "bfloat16", "float16")


def layers_of_precision(precision: str) -> contextlib.AbstractContextManager[None]:
    """Lets the layers made within compute in `precision`: `float32`, `bfloat16` or `float16`."""
    return layers_of_policy(precision if precision == "float32" else f"mixed_{precision}")


@contextlib.contextmanager
def layers_of_policy(policy: str) -> Iterator[None]:
    """Lets the layers made within have a policy of Keras: `float32`, `mixed_bfloat16` or `mixed_float16`, for example.

    Raises:
        InputError: there is no such policy.
    """
    before = keras.mixed_precision.global_policy()
    if policy not in POLICIES:
        raise InputError(f"its policy is {policy!r}; expected one of: {', '.join(POLICIES)}")
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def optimizer_for(precision: str, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Wraps the optimizer in Keras's dynamic loss scaling, where `precision` is float16."""
    return keras.mixed_precision.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer


def scaled_loss(optimizer: Any, loss: tf.Tensor) -> tf.Tensor:
    """Returns the loss to take the gradients of: scaled up, where the optimizer is one of `optimizer_for` float16."""
    if not isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        return loss
    return optimizer.get_scaled_loss(loss) if keras_major() == 2 else optimizer.scale_loss(loss)


def unscaled(optimizer: Any, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Takes the scale of `scaled_loss` out of the gradients."""
    if not isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        return gradients
    if keras_major() == 2:
        return optimizer.get_unscaled_gradients(gradients)
    return [gradient / tf.convert_to_tensor(optimizer.dynamic_scale) for gradient in gradients]


def apply_gradients(optimizer: Any, gradients: list[tf.Tensor], variables: list[Any]) -> None:
    """Makes an update from gradients whose scale has been taken out; none where one is not finite.

    The same on both Keras: only Keras 3's optimizer takes the scale out itself.
    """
    if keras_major() == 3:
        gradients = [scaled_loss(optimizer, gradient) for gradient in gradients]
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
