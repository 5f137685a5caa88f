"""Attention: what the decoder looks at in the source while it says a token. Padding is never looked at.

An attention is a layer that is called with what the decoder has in mind, `query (batch, target_time, units)`, and
what the encoder said, `memory (batch, source_time, memory_size)` with its mask `(batch, source_time)`, true at tokens.
It returns the context `(batch, target_time, memory_size)` and the weights `(batch, target_time, source_time)`.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import keras

MakeAttention = Callable[[int, int], keras.layers.Layer]


def attend(scores: tf.Tensor, memory: tf.Tensor, memory_mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Turns scores `(batch, target_time, source_time)` into weights that sum to 1 over the tokens, and the context."""
    scores = tf.cast(scores, tf.float32)  # a softmax needs the range, whatever the precision of the rest
    weights = tf.nn.softmax(tf.where(memory_mask[:, None], scores, scores.dtype.min))
    return tf.matmul(tf.cast(weights, memory.dtype), memory), weights


class DotAttention(keras.layers.Layer):
    """Scores by the dot product with a projected query (Luong et al., 2015, "general"), scaled by the root of its size.

    Args:
        units: size of the query.
        memory_size: of the encoder's outputs.
    """

    def __init__(self, units: int, memory_size: int, **options: Any) -> None:
        super().__init__(**options)
        self.query = keras.layers.Dense(memory_size, use_bias=False)
        self.scale = memory_size**-0.5

    def call(self, query: tf.Tensor, memory: tf.Tensor, memory_mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return attend(self.scale * tf.matmul(self.query(query), memory, transpose_b=True), memory, memory_mask)


class AdditiveAttention(keras.layers.Layer):
    """Scores by a small network with one hidden layer (Bahdanau et al., 2015).

    Args:
        units: size of the query and of the hidden layer.
        memory_size: of the encoder's outputs.
    """

    def __init__(self, units: int, memory_size: int, **options: Any) -> None:
        super().__init__(**options)
        self.query = keras.layers.Dense(units)
        self.memory = keras.layers.Dense(units, use_bias=False)
        self.score = keras.layers.Dense(1, use_bias=False)

    def call(self, query: tf.Tensor, memory: tf.Tensor, memory_mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        hidden = tf.tanh(self.query(query)[:, :, None] + self.memory(memory)[:, None])
        return attend(tf.squeeze(self.score(hidden), -1), memory, memory_mask)


ATTENTIONS: dict[str, MakeAttention] = {"additive": AdditiveAttention, "dot": DotAttention}
