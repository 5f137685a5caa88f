"""The encoder: reads the source and sums it up in a state."""

from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import keras
from keras_seq2seq.layers.contract import State
from keras_seq2seq.layers.embedding import RecurrentHalf, layer_name
from keras_seq2seq.layers.recurrence import Embedded
from keras_seq2seq.layers.recurrent import run_over_time


def bridge_name(number: int, part: int) -> str:
    """Returns the attribute that holds the bridge of one part of a layer's state: `bridge_1_1`, `bridge_1_2`, ..."""
    return f"bridge_{number + 1}_{part + 1}"


@keras.utils.register_keras_serializable("keras_seq2seq")
class Encoder(RecurrentHalf):
    """Embeds source ids and runs recurrent layers over them; padding changes neither outputs nor state.

    A bidirectional encoder reads each layer from both ends. Its decoder starts, layer by layer, from
    `tanh(W [forward; backward] + b)`: the bridge, a dense layer for each part of the state (Bahdanau et al., 2015).

    Args:
        vocabulary_size: number of source ids.
        bidirectional: whether to read from both ends.
        arguments: see `RecurrentHalf`.

    Call arguments:
        source: `(batch, source_time)` int32 ids, padded with 0 on the right.

    Returns:
        outputs `(batch, source_time, units)`, twice as wide if bidirectional, and the state for the decoder, a flat
        list of `(batch, units)`.

    Example:
        >>> outputs, state = Encoder(19, units=32)(source)
    """

    side = "encoder"

    def __init__(self, vocabulary_size: int, *, bidirectional: bool = False, **arguments: Any) -> None:
        super().__init__(vocabulary_size, **arguments)
        self.arguments.bidirectional = bidirectional
        self.embedding = self.own_embedding()
        for number in range(self.arguments.num_layers):
            rnn = self.own_rnn("rnn", number)
            if bidirectional:
                self.own_rnn("backward", number)
                for part, size in enumerate(tf.nest.flatten(rnn.cell.state_size)):
                    setattr(self, bridge_name(number, part), keras.layers.Dense(size, activation="tanh"))

    def call(self, source: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, State]:
        own = self.arguments
        lengths = tf.math.count_nonzero(source, axis=1, dtype=tf.int32)

        def reverse(rows: Any) -> Any:
            """Turns each row around, its padding left where it is."""
            if isinstance(rows, Embedded):
                return rows._replace(ids=reverse(rows.ids))
            return tf.reverse_sequence(rows, lengths, seq_axis=1)

        mask = self.embedding.compute_mask(source)
        inputs, state = self.embed(source, training), []
        for number in range(own.num_layers):
            rnn = getattr(self, layer_name("rnn", number))
            outputs, layer_state = run_over_time(rnn, inputs, mask, None, training)
            if own.bidirectional:
                rnn = getattr(self, layer_name("backward", number))
                backward_outputs, backward_state = run_over_time(rnn, reverse(inputs), mask, None, training)
                outputs = tf.concat([outputs, reverse(backward_outputs)], axis=-1)
                layer_state = [
                    getattr(self, bridge_name(number, part))(tf.concat(both, axis=-1))
                    for part, both in enumerate(zip(layer_state, backward_state, strict=True))
                ]
            state += layer_state
            if own.residual and number:
                outputs += inputs
            inputs = self.drop_out(layer_name("dropout", number), outputs, training)
        return inputs, state
