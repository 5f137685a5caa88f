"""The encoder: reads the source and sums it up in a state."""

from typing import Any

import tensorflow as tf

from keras_seq2seq.framework import SameLayout, keras


def embedding_layer(vocabulary_size: int, embedding_dim: int, stddev: float) -> keras.layers.Layer:
    """Makes a `mask_zero` embedding.

    Keras's own start, uniform within 0.05, is so small that a tanh network learns from it only slowly.

    Args:
        vocabulary_size: number of ids, `<pad>` (0) included.
        embedding_dim: size of an embedding.
        stddev: width of the normal distribution it starts from; 0 for Glorot-uniform, as in the notebook.
    """
    start = keras.initializers.RandomNormal(stddev=stddev) if stddev else "glorot_uniform"
    return keras.layers.Embedding(vocabulary_size, embedding_dim, embeddings_initializer=start, mask_zero=True)


@keras.utils.register_keras_serializable("keras_seq2seq")
class Encoder(SameLayout, keras.Model):
    """Embeds source ids and runs a SimpleRNN over them; padding changes neither outputs nor state.

    Args:
        vocabulary_size: number of source ids.
        embedding_dim: size of an embedding.
        units: size of the state.
        embedding_stddev: see `embedding_layer`.
        recurrent_initializer: start of the recurrent kernel.

    Call arguments:
        source: `(batch, source_time)` int32 ids, padded with 0 on the right.

    Returns:
        outputs `(batch, source_time, units)` and the final state, a list of `(batch, units)`.

    Example:
        >>> outputs, state = Encoder(vocabulary_size=19, embedding_dim=5, units=32)(source)
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        units: int,
        embedding_stddev: float = 0.0,
        recurrent_initializer: str = "orthogonal",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.embedding_stddev = embedding_stddev
        self.recurrent_initializer = recurrent_initializer
        self.embedding = embedding_layer(vocabulary_size, embedding_dim, embedding_stddev)
        self.rnn = keras.layers.SimpleRNN(
            units, recurrent_initializer=recurrent_initializer, return_sequences=True, return_state=True
        )

    def call(self, source: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, list[tf.Tensor]]:
        # Passed by hand: the mask that Keras attaches by itself gets lost on the way in some Keras versions.
        mask = self.embedding.compute_mask(source)
        outputs, *state = self.rnn(self.embedding(source), mask=mask, training=training)
        return outputs, state

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "embedding_stddev": self.embedding_stddev,
            "recurrent_initializer": self.recurrent_initializer,
        }
