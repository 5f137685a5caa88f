"""Dropout whose random numbers continue where a stopped run left off."""

import zlib
from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import keras, keras_major


class Dropout(keras.layers.Layer):
    """Dropout (Srivastava et al., 2014) whose masks follow from the seed, its name and the count of its draws.

    The count is a weight and is saved with the model, so that a resumed run draws what it would have drawn.
    Keras's own generators are not saved on Keras 2.

    Args:
        rate: share of the values set to zero in training; the others are scaled up.
        seed: of the run.
        stream: a name that no other dropout of the model has.

    Call arguments:
        inputs: floats of any shape.
    """

    def __init__(self, rate: float, seed: int, stream: str, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate
        self.seed = seed ^ zlib.crc32(stream.encode()) % 2**31
        self.supports_masking = True
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA if keras_major() == 2 else "only_first_replica"
        self.draws = self.add_weight(
            name="draws", shape=(), dtype="int64", initializer="zeros", trainable=False, aggregation=first
        )
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        self.draws.assign_add(1)
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group if context else 0, tf.int64)  # each draws other numbers
        count = tf.cast(tf.convert_to_tensor(self.draws), tf.int64) * 4096 + replica
        drawn = tf.random.stateless_uniform(tf.shape(inputs), tf.stack([tf.constant(self.seed, tf.int64), count]))
        kept = tf.cast(drawn >= self.rate, inputs.dtype)
        return inputs * (kept / tf.cast(1.0 - self.rate, inputs.dtype))
