"""The user's metrics, as Keras takes them: names, functions or objects; over the tokens that are not padding."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import keras, require_same_keras


def resolve(metrics: Iterable[Any] | Any | None) -> list[keras.metrics.Metric]:
    """Returns what `compile(metrics=...)` was given as objects: a list, or one alone.

    A name is Keras's own; `accuracy` is the share of labels that are the likeliest token.

    Raises:
        TypeError: one belongs to the other Keras.
        ValueError: Keras does not know a name.
    """
    return [_resolve(metric) for metric in tf.nest.flatten(metrics if metrics is not None else [])]


def _resolve(metric: Any) -> keras.metrics.Metric:
    require_same_keras(metric, "metric")
    if metric in ("accuracy", "acc"):
        return keras.metrics.SparseCategoricalAccuracy(name=metric)
    if metric in ("crossentropy", "ce"):
        return keras.metrics.SparseCategoricalCrossentropy(name=metric, from_logits=True)
    found = keras.metrics.get(metric) if isinstance(metric, str) else metric
    if isinstance(found, keras.metrics.Metric):
        return found
    if isinstance(found, str):  # Keras 2 hands back a name that it does not know
        raise ValueError(f"the metric is {metric!r}, which Keras does not know")
    return keras.metrics.MeanMetricWrapper(found, name=metric if isinstance(metric, str) else found.__name__)


def update(metrics: list[keras.metrics.Metric], labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor) -> None:
    """Updates metrics with all tokens of a batch in one row.

    Keras 3 takes the mean of a row's weights, which depends on how far it was padded; in one row every label counts
    alike.

    Args:
        metrics: each is given labels and weights `(batch * time,)` and logits `(batch * time, vocabulary)`.
        labels: `(batch, time)`.
        logits: `(batch, time, vocabulary)`.
        weights: `(batch, time)`, 0 at padding.
    """
    tokens = (tf.reshape(labels, [-1]), tf.reshape(logits, [-1, logits.shape[-1]]))
    for metric in metrics:
        metric.update_state(*tokens, sample_weight=tf.reshape(weights, [-1]))
