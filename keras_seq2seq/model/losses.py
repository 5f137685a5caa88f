"""The loss: cross-entropy of the right token at every position, padding masked out."""

from collections.abc import Callable
from typing import Any, NoReturn

import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras, require_same_keras

TokenLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # of labels and logits: a number for each token


def token_crossentropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns the cross-entropy of each label: `-log softmax(logits)[label]`, in nats.

    Args:
        labels: `(batch, time)` integer ids.
        logits: `(batch, time, vocabulary)` float32.

    Returns:
        `(batch, time)` float32, padding not yet masked.
    """
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


@keras.utils.register_keras_serializable("keras_seq2seq")
class SmoothedCrossentropy(keras.losses.Loss):
    """The cross-entropy of labels that leave a share to all tokens alike (Szegedy et al., 2016), for `compile`.

    The same as Keras's `CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)` of one-hot labels.

    Args:
        label_smoothing: that share, from 0 to 1.
    """

    def __init__(self, label_smoothing: float, name: str = "smoothed_crossentropy", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.label_smoothing = label_smoothing

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        evenly = -tf.reduce_mean(tf.nn.log_softmax(y_pred), axis=-1)
        return (1.0 - self.label_smoothing) * token_crossentropy(y_true, y_pred) + self.label_smoothing * evenly

    def get_config(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing}


class UnknownLoss:
    """In place of a loaded model's loss that is not known here: the model can answer, but not be trained.

    Args:
        reason: why it is not known.
    """

    def __init__(self, reason: str) -> None:
        self.message = f"the model was trained with a loss of its own ({reason}): compile it with that loss again"

    def __call__(self, labels: tf.Tensor, logits: tf.Tensor) -> NoReturn:
        raise InputError(self.message)


def token_loss(loss: Any) -> TokenLoss:
    """Returns the function of labels `(batch, time)` and logits `(batch, time, vocabulary)` that `compile` was given.

    Args:
        loss: a function, an object or a name of Keras's; None for the cross-entropy.

    Raises:
        TypeError: it belongs to the other Keras.
        ValueError: it takes the logits for probabilities, or wants a vector for each label, or is not one.
    """
    if loss is None or loss == "sparse_categorical_crossentropy":
        return token_crossentropy
    require_same_keras(loss, "loss")
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if not callable(loss):
        raise ValueError(f"the loss is {loss!r:.60}; the model has one output: give one loss")
    function = getattr(loss, "fn", loss)  # of an object of Keras's own
    if function is keras.losses.sparse_categorical_crossentropy:
        if loss is function or not loss.get_config().get("from_logits"):
            raise ValueError("the model puts out logits: write SparseCategoricalCrossentropy(from_logits=True)")
    elif str(getattr(function, "__module__", "")).startswith(("keras.", "tf_keras.")):
        raise ValueError(
            f"the labels are ids, but {function.__name__} wants a vector for each: give SparseCategoricalCrossentropy, "
            "or a loss of your own of labels (batch, time) and logits (batch, time, vocabulary)"
        )
    return loss.call if isinstance(loss, keras.losses.Loss) else loss


def label_mask(labels: tf.Tensor) -> tf.Tensor:
    """Returns `(batch, time)` float32: 1 at a label that counts, 0 at padding."""
    return tf.cast(labels != 0, tf.float32)


def masked_mean(values: tf.Tensor, mask: tf.Tensor, count: tf.Tensor | None = None) -> tf.Tensor:
    """Returns the sum of the unmasked `values` over `count`: the number of unmasked positions if not given.

    Dividing by the number of labels, not of positions, keeps a sentence's loss the same however much
    padding its batch has. Given the count of the *global* batch, the results of all replicas add up to its mean.

    Args:
        values: `(batch, time)` float32.
        mask: `(batch, time)` float32 of 0 and 1.
        count: what to divide by; scalar float32.
    """
    count = tf.reduce_sum(mask) if count is None else count
    return tf.math.divide_no_nan(tf.reduce_sum(values * mask), count)
