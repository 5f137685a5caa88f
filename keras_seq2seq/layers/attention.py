"""Attention: at each step the decoder weighs the source's tokens again; padding weighs nothing.

An attention of your own derives from `Attention` and computes how well a query fits a key: see `score`.
"""

from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import keras


def attend(scores: tf.Tensor, memory: tf.Tensor, memory_mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Turns scores `(batch, target_time, source_time)` into weights that sum to 1 over the tokens, and the context."""
    scores = tf.cast(scores, tf.float32)  # a softmax needs the range, whatever the precision of the rest
    weights = tf.nn.softmax(tf.where(memory_mask[:, None], scores, scores.dtype.min))
    return tf.matmul(tf.cast(weights, memory.dtype), memory), weights


class Attention(keras.layers.Layer):
    """Weighs the memory by how well its keys fit a query.

    Call arguments:
        query: `(batch, target_time, units)`, the decoder's outputs.
        keys: what `keys` made of the memory.
        memory: `(batch, source_time, size)`, the encoder's outputs.
        memory_mask: `(batch, source_time)` bool, true at tokens.

    Returns:
        the context `(batch, target_time, size)` and the weights `(batch, target_time, source_time)` float32.
    """

    def keys(self, memory: tf.Tensor) -> tf.Tensor:
        """Returns what queries are compared with: computed once for each source. By default the memory itself."""
        return memory

    def score(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Returns `(batch, target_time, source_time)`: the higher, the better they fit."""
        raise NotImplementedError

    def call(
        self, query: tf.Tensor, keys: tf.Tensor, memory: tf.Tensor, memory_mask: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return attend(self.score(query, keys), memory, memory_mask)


@keras.utils.register_keras_serializable("keras_seq2seq")
class DotAttention(Attention):
    """Scores by the dot product with a projected memory (Luong et al., 2015, "general"), scaled by its size's root.

    Args:
        units: size of the query.
    """

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.key = keras.layers.Dense(units, use_bias=False)

    def keys(self, memory: tf.Tensor) -> tf.Tensor:
        return self.key(memory) * memory.shape[-1] ** -0.5

    def score(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return tf.matmul(query, keys, transpose_b=True)

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units}


@keras.utils.register_keras_serializable("keras_seq2seq")
class AdditiveAttention(Attention):
    """Scores by a small network with one hidden layer (Bahdanau et al., 2015).

    Args:
        units: size of the hidden layer.
    """

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.query = keras.layers.Dense(units)
        self.memory = keras.layers.Dense(units, use_bias=False)
        self.energy = keras.layers.Dense(1, use_bias=False)

    def keys(self, memory: tf.Tensor) -> tf.Tensor:
        return self.memory(memory)

    def score(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return tf.squeeze(self.energy(tf.tanh(self.query(query)[:, :, None] + keys[:, None])), -1)

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units}


ATTENTIONS = {"additive": AdditiveAttention, "dot": DotAttention}
