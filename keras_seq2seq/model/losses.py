"""The loss: cross-entropy of the right token at every position, padding masked out."""

import tensorflow as tf


def token_crossentropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns how surprised the model is by each label: `-log softmax(logits)[label]`, in nats.

    Args:
        labels: `(batch, time)` integer ids.
        logits: `(batch, time, vocabulary)` float32.

    Returns:
        `(batch, time)` float32, padding not yet masked.
    """
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def smoothed_crossentropy(labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Returns the cross-entropy with labels that leave `smoothing` to all tokens alike (Szegedy et al., 2016).

    The same as Keras's `CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)` of one-hot labels.

    Args:
        labels: `(batch, time)` integer ids.
        logits: `(batch, time, vocabulary)` float32.
        smoothing: from 0 to 1.

    Returns:
        `(batch, time)` float32, padding not yet masked.
    """
    evenly = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
    return (1.0 - smoothing) * token_crossentropy(labels, logits) + smoothing * evenly


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
