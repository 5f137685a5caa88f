"""The decoder: says the target, one token after the other, from the state the encoder left it."""

from typing import Any

import tensorflow as tf

from keras_seq2seq.encoder import embedding_layer
from keras_seq2seq.framework import SameLayout, keras, require_same_keras


@keras.utils.register_keras_serializable("keras_seq2seq")
class Decoder(SameLayout, keras.Model):
    """Embeds target tokens, runs a SimpleRNN over them and projects its outputs to the vocabulary.

    Training calls the decoder on whole targets; decoding calls `step` for one token at a time. Both use the
    same embedding, the same cell and the same projection, so they compute the same.

    Args:
        vocabulary_size: number of target ids.
        embedding_dim: size of an embedding.
        units: size of the state; the encoder's state must have the same.
        embedding_stddev: see `encoder.embedding_layer`.
        recurrent_initializer: start of the recurrent kernel.
        embedding: the layer to share, where source and target have one vocabulary; None for its own.

    Call arguments:
        decoder_input: `(batch, target_time)` int32 ids, padded with 0 on the right.
        state: list of `(batch, units)`, as the encoder returns it.

    Returns:
        logits `(batch, target_time, vocabulary_size)` and the final state. At padding the RNN's output is
        zero, as in TensorFlow 1's `dynamic_rnn`, so the logits there are the projection's bias.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        units: int,
        embedding_stddev: float = 0.0,
        recurrent_initializer: str = "orthogonal",
        embedding: keras.layers.Layer | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.embedding_stddev = embedding_stddev
        self.recurrent_initializer = recurrent_initializer
        require_same_keras(embedding, "layer")
        self.embedding = embedding or embedding_layer(vocabulary_size, embedding_dim, embedding_stddev)
        if embedding:  # saved by the one who shares it
            self.hidden_when_saving = (*self.hidden_when_saving, "embedding")
        self.rnn = keras.layers.SimpleRNN(
            units,
            recurrent_initializer=recurrent_initializer,
            return_sequences=True,
            return_state=True,
            zero_output_for_mask=True,
        )
        # Logits stay float32 whatever the policy: a softmax over a vocabulary needs the range.
        self.projection = keras.layers.Dense(vocabulary_size, dtype="float32")

    def call(
        self, decoder_input: tf.Tensor, state: list[tf.Tensor], training: bool = False
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        mask = self.embedding.compute_mask(decoder_input)
        embedded = self.embedding(decoder_input)
        outputs, *state = self.rnn(embedded, initial_state=state, mask=mask, training=training)
        return self.projection(outputs), state

    def step(self, token: tf.Tensor, state: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Says what comes after one token.

        Args:
            token: `(batch,)` int32 ids of the previous tokens.
            state: list of `(batch, units)`.

        Returns:
            logits `(batch, vocabulary_size)` and the next state.
        """
        # The identity drops the mask that Keras attached: a cell sees one real token and warns about masks.
        embedded = tf.identity(self.embedding(token))
        output, state = self.rnn.cell(embedded, state, training=False)
        return self.projection(output), list(tf.nest.flatten(state))

    def get_config(self) -> dict[str, Any]:
        """Describes the decoder; a shared embedding is the business of whoever shares it."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "embedding_stddev": self.embedding_stddev,
            "recurrent_initializer": self.recurrent_initializer,
        }
