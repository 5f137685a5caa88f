"""The decoder: says the target, one token after the other, from the state the encoder left it."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import keras, require_same_keras
from keras_seq2seq.layers.attention import ATTENTIONS, MakeAttention
from keras_seq2seq.layers.embedding import Half, embedding_layer, level_name
from keras_seq2seq.layers.recurrent import MakeCell, State, forget_dropout_masks, make_rnn, run_over_time, structured
from keras_seq2seq.training.configuration import Configuration

Memory = tuple[tf.Tensor, tf.Tensor]
Run = Callable[[keras.layers.RNN, tf.Tensor, State], tuple[tf.Tensor, State]]


@keras.utils.register_keras_serializable("keras_seq2seq")
class TiedProjection(keras.layers.Layer):
    """Projects to the vocabulary by the embedding's own matrix (Press and Wolf, 2017).

    Args:
        vocabulary_size: number of target ids.
        embedding_dim: size of an embedding.
    """

    def __init__(self, vocabulary_size: int, embedding_dim: int, **options: Any) -> None:
        super().__init__(**options)
        self.resize = keras.layers.Dense(embedding_dim, dtype="float32")
        self.vocabulary_size = vocabulary_size

    def build(self, _input_shape: Any) -> None:
        self.bias = self.add_weight(name="bias", shape=(self.vocabulary_size,), initializer="zeros", dtype="float32")
        self.built = True

    def call(self, hidden: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        return tf.einsum("bte,ve->btv", self.resize(hidden), embeddings) + self.bias


@keras.utils.register_keras_serializable("keras_seq2seq")
class Decoder(Half):
    """Embeds target tokens, runs recurrent layers over them, attends to the source and projects to the vocabulary.

    Training calls the decoder on whole targets; decoding calls `step` for one token at a time. Both use the
    same layers, so they compute the same. With attention, the recurrent layers' output `h` and the context `c`
    become `tanh(W [h; c])` (Luong et al., 2015).

    Args:
        vocabulary_size: number of target ids.
        config: for sizes, cell, levels, attention and dropout.
        embedding: the layer to share, where source and target have one vocabulary; None for its own.
        make_cell: see `recurrent.make_rnn`.
        make_attention: maps the units and the memory's size to an attention of your own: see `attention`.

    Call arguments:
        decoder_input: `(batch, target_time)` int32 ids, padded with 0 on the right.
        state: flat list of `(batch, units)`, as the encoder returns it.
        memory: the encoder's outputs `(batch, source_time, size)` and their mask `(batch, source_time)`.

    Returns:
        logits `(batch, target_time, vocabulary_size)` float32, the final state, and the attention's weights
        `(batch, target_time, source_time)` or None. At padding the recurrent output is zero, as in TensorFlow 1's
        `dynamic_rnn`, so without attention and tied embeddings the logits there are the projection's bias.
    """

    def __init__(
        self,
        vocabulary_size: int,
        config: Configuration,
        embedding: keras.layers.Layer | None = None,
        make_cell: MakeCell | None = None,
        make_attention: MakeAttention | None = None,
        **options: Any,
    ) -> None:
        super().__init__(vocabulary_size, config, "decoder", **options)
        require_same_keras(embedding, "layer")
        self.embedding = embedding or embedding_layer(vocabulary_size, config)
        if embedding:  # saved by the one who shares it
            self.hidden_when_saving = (*self.hidden_when_saving, "embedding")
        for level in range(config.layers):
            setattr(self, level_name("rnn", level), make_rnn(config, level_name("decoder/rnn", level), make_cell))
        make_attention = make_attention or ATTENTIONS.get(config.attention)
        self.attention = None
        if make_attention:
            self.attention = make_attention(config.units, config.units * (2 if config.bidirectional else 1))
            require_same_keras(self.attention, "attention")
            self.combine = keras.layers.Dense(config.units, activation="tanh", use_bias=False)
        # Logits stay float32 whatever the policy: a softmax over a vocabulary needs the range.
        if config.tie_embeddings:
            self.projection = TiedProjection(vocabulary_size, config.embedding_dim, dtype="float32")
        else:
            self.projection = keras.layers.Dense(vocabulary_size, dtype="float32")

    def call(
        self, decoder_input: tf.Tensor, state: State, memory: Memory | None = None, training: bool = False
    ) -> tuple[tf.Tensor, State, tf.Tensor | None]:
        mask = self.embedding.compute_mask(decoder_input)

        def over_time(rnn: keras.layers.RNN, inputs: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            return run_over_time(rnn, inputs, mask, state, training)

        return self._say(decoder_input, state, memory, over_time, training)

    def step(self, token: tf.Tensor, state: State, memory: Memory | None = None) -> tuple[tf.Tensor, State]:
        """Says what comes after one token.

        Args:
            token: `(batch,)` int32 ids of the previous tokens.
            state: flat list of `(batch, units)`.
            memory: as in `call`.

        Returns:
            logits `(batch, vocabulary_size)` and the next state.
        """

        def once(rnn: keras.layers.RNN, inputs: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            forget_dropout_masks(rnn.cell)
            output, state = rnn.cell(inputs[:, 0], structured(state, rnn.cell), training=False)
            return output[:, None], list(tf.nest.flatten(state))

        logits, state, _ = self._say(token[:, None], state, memory, once, training=False)
        return logits[:, 0], state

    def _say(
        self, tokens: tf.Tensor, state: State, memory: Memory | None, run: Run, training: bool
    ) -> tuple[tf.Tensor, State, tf.Tensor | None]:
        inputs = self.drop_out("embedding_dropout", self.embedding(tokens), training)
        final_state, weights = [], None
        parts = len(state) // self.config.layers
        for level in range(self.config.layers):
            if level:  # the dropout of the last level comes behind the attention
                inputs = self.drop_out(level_name("dropout", level - 1), inputs, training)
            rnn = getattr(self, level_name("rnn", level))
            outputs, level_state = run(rnn, inputs, state[level * parts : (level + 1) * parts])
            final_state += level_state
            inputs = outputs + inputs if self.config.residual and level else outputs
        if self.attention:
            context, weights = self.attention(inputs, *memory)
            inputs = self.combine(tf.concat([inputs, tf.cast(context, inputs.dtype)], axis=-1))
        inputs = self.drop_out(level_name("dropout", self.config.layers - 1), inputs, training)
        tied = [tf.convert_to_tensor(self.embedding.embeddings)] if self.config.tie_embeddings else []
        return self.projection(inputs, *tied), final_state, weights
