"""The decoder: from the state that the encoder left to logits of the target, one token after the other."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras, require_same_keras
from keras_seq2seq.layers.attention import ATTENTIONS, Attention
from keras_seq2seq.layers.contract import State
from keras_seq2seq.layers.embedding import RecurrentHalf, layer_name
from keras_seq2seq.layers.recurrent import run_once, run_over_time
from keras_seq2seq.serialization import describe

Memory = tuple[tf.Tensor, ...]  # keys, memory and its mask, where there is an attention
Run = Callable[[keras.layers.RNN, tf.Tensor, State], tuple[tf.Tensor, State]]


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

    def call(self, hidden: tf.Tensor, embedding: keras.layers.Embedding) -> tf.Tensor:
        # Read here: within the decoder, Keras 3 would round the matrix to what a 16-bit policy computes in.
        matrix = tf.convert_to_tensor(embedding.embeddings)
        return tf.einsum("bte,ve->btv", self.resize(hidden), matrix) + self.bias


@keras.utils.register_keras_serializable("keras_seq2seq")
class Decoder(RecurrentHalf):
    """Embeds target tokens, runs recurrent layers over them, attends to the source and projects to the vocabulary.

    Training calls the decoder on whole targets; decoding calls `step` for one token at a time. Both use the
    same layers, so they compute the same. With attention, the recurrent layers' output `h` and the context `c`
    become `tanh(W [h; c])` (Luong et al., 2015). See `contract.DecoderContract`.

    Args:
        vocabulary_size: number of target ids.
        attention: `additive`, `dot`, an `Attention`, or None.
        tie_embeddings: whether to project to the vocabulary by the embedding.
        embedding: the layer to share, where source and target have one vocabulary; None for its own.
        arguments: see `RecurrentHalf`.

    Returns:
        logits `(batch, target_time, vocabulary_size)` float32. At padding the recurrent output is zero, as in
        TensorFlow 1's `dynamic_rnn`, so without attention and tied embeddings the logits there are the projection's
        bias.

    Example:
        >>> state, memory = decoder.prepare(state, outputs, source != 0)
        >>> logits = decoder(target_input, state, memory)
    """

    side = "decoder"

    def __init__(
        self,
        vocabulary_size: int,
        *,
        attention: str | Attention | None = None,
        tie_embeddings: bool = False,
        embedding: keras.layers.Embedding | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(vocabulary_size, **arguments)
        own = self.arguments
        require_same_keras(embedding, "layer")
        require_same_keras(attention, "attention")
        self.embedding = embedding or self.own_embedding()
        if embedding:  # saved by the one who shares it
            self.hidden_when_saving = (*self.hidden_when_saving, "embedding")
        for number in range(own.num_layers):
            rnn = self.own_rnn("rnn", number)
        size = getattr(rnn.cell, "output_size", tf.nest.flatten(rnn.cell.state_size)[0])
        own.tie_embeddings = tie_embeddings
        self.attention: Attention | None
        if isinstance(attention, str):
            if attention not in ATTENTIONS:
                raise InputError(f"the attention is {attention!r}; choose one of: {', '.join(ATTENTIONS)}")
            own.attention, self.attention = attention, ATTENTIONS[attention](size)
        elif attention is not None and not isinstance(attention, Attention):
            raise InputError(f"the attention is {attention!r:.60}; give an object of a class derived from `Attention`")
        else:
            own.attention, self.attention = describe(attention), attention
        if self.attention:
            self.combine = keras.layers.Dense(size, activation="tanh", use_bias=False)
        # Logits stay float32 whatever the policy: a softmax over a vocabulary needs the range.
        if tie_embeddings:
            self.projection = TiedProjection(vocabulary_size, self.embedding.output_dim, dtype="float32")
        else:
            self.projection = keras.layers.Dense(vocabulary_size, dtype="float32")

    def prepare(self, state: State, memory: tf.Tensor, memory_mask: tf.Tensor) -> tuple[State, Memory]:
        if self.attention is None:
            return state, ()
        with tf.name_scope(self.name), tf.name_scope(self.attention.name):  # where a graph shows it
            return state, (self.attention.keys(memory), memory, memory_mask)

    def call(self, target_input: tf.Tensor, state: State, memory: Memory = (), training: bool = False) -> tf.Tensor:
        return self._over_time(target_input, state, memory, training)[0]

    def inspect(self, target_input: tf.Tensor, state: State, memory: Memory = ()) -> dict[str, tf.Tensor]:
        """Returns `logits`, `hidden_states` `(batch, target_time, units)` and, with attention, its weights
        `(batch, target_time, source_time)`: what `call` computes on the way."""
        logits, hidden, weights = self._over_time(target_input, state, memory, False)
        seen = {"logits": logits, "hidden_states": hidden}
        return seen if weights is None else {**seen, "attention": weights}

    def _over_time(self, target_input: tf.Tensor, state: State, memory: Memory, training: bool) -> tuple:
        mask = self.embedding.compute_mask(target_input)

        def over_time(rnn: keras.layers.RNN, inputs: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            return run_over_time(rnn, inputs, mask, state, training)

        logits, _, hidden, weights = self._decode(target_input, state, memory, over_time, training)
        return logits, hidden, weights

    def step(self, token: tf.Tensor, state: State, memory: Memory = ()) -> tuple[tf.Tensor, State]:
        logits, state, *_ = self._decode(token[:, None], state, memory, run_once, training=False)
        return logits[:, 0], state

    def _decode(
        self, tokens: tf.Tensor, state: State, memory: Memory, run: Run, training: bool
    ) -> tuple[tf.Tensor, State, tf.Tensor, tf.Tensor | None]:
        own = self.arguments
        inputs: Any = self.embed(tokens, training)
        final_state, weights = [], None
        parts = len(state) // own.num_layers
        for number in range(own.num_layers):
            if number:  # the dropout of the last layer comes behind the attention
                inputs = self.drop_out(layer_name("dropout", number - 1), inputs, training)
            rnn = getattr(self, layer_name("rnn", number))
            hidden, layer_state = run(rnn, inputs, state[number * parts : (number + 1) * parts])
            final_state += layer_state
            inputs = hidden + inputs if own.residual and number else hidden
        if self.attention:
            context, weights = self.attention(inputs, *memory)
            inputs = self.combine(tf.concat([inputs, tf.cast(context, inputs.dtype)], axis=-1))
        inputs = self.drop_out(layer_name("dropout", own.num_layers - 1), inputs, training)
        tied = {"embedding": self.embedding} if own.tie_embeddings else {}
        return self.projection(inputs, **tied), final_state, hidden, weights
