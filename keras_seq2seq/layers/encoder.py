"""The encoder: reads the source and sums it up in a state."""

from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import keras
from keras_seq2seq.layers.embedding import Half, embedding_layer, level_name
from keras_seq2seq.layers.recurrent import MakeCell, make_rnn, run_over_time
from keras_seq2seq.training.configuration import Configuration


def bridge_name(level: int, part: int) -> str:
    """Returns the attribute that holds the bridge of one part of a level's state: `bridge_1_1`, `bridge_1_2`, ..."""
    return f"bridge_{level + 1}_{part + 1}"


@keras.utils.register_keras_serializable("keras_seq2seq")
class Encoder(Half):
    """Embeds source ids and runs recurrent layers over them; padding changes neither outputs nor state.

    A bidirectional encoder reads each level from both ends. Its decoder starts, level by level, from
    `tanh(W [forward; backward] + b)`: the bridge, a layer for each part of the state.

    Args:
        vocabulary_size: number of source ids.
        config: for sizes, cell, levels, directions and dropout.
        make_cell: see `recurrent.make_rnn`.

    Call arguments:
        source: `(batch, source_time)` int32 ids, padded with 0 on the right.

    Returns:
        outputs `(batch, source_time, units)`, twice as wide if bidirectional, and the state for the decoder, a flat
        list of `(batch, units)`.

    Example:
        >>> outputs, state = Encoder(19, Configuration(units=32))(source)
    """

    def __init__(
        self, vocabulary_size: int, config: Configuration, make_cell: MakeCell | None = None, **options: Any
    ) -> None:
        super().__init__(vocabulary_size, config, "encoder", **options)
        self.embedding = embedding_layer(vocabulary_size, config)
        for level in range(config.layers):
            rnn = make_rnn(config, level_name("encoder/rnn", level), make_cell)
            setattr(self, level_name("rnn", level), rnn)
            if config.bidirectional:
                backward = make_rnn(config, level_name("encoder/backward", level), make_cell)
                setattr(self, level_name("backward", level), backward)
                for part, size in enumerate(tf.nest.flatten(rnn.cell.state_size)):
                    setattr(self, bridge_name(level, part), keras.layers.Dense(size, activation="tanh"))

    def call(self, source: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, list[tf.Tensor]]:
        lengths = tf.math.count_nonzero(source, axis=1, dtype=tf.int32)

        def reverse(rows: tf.Tensor) -> tf.Tensor:
            """Turns each row around, its padding left where it is."""
            return tf.reverse_sequence(rows, lengths, seq_axis=1)

        if self.config.reverse_source:
            source = reverse(source)
        mask = self.embedding.compute_mask(source)
        inputs, state = self.drop_out("embedding_dropout", self.embedding(source), training), []
        for level in range(self.config.layers):
            rnn = getattr(self, level_name("rnn", level))
            outputs, level_state = run_over_time(rnn, inputs, mask, None, training)
            if self.config.bidirectional:
                rnn = getattr(self, level_name("backward", level))
                backward_outputs, backward_state = run_over_time(rnn, reverse(inputs), mask, None, training)
                outputs = tf.concat([outputs, reverse(backward_outputs)], axis=-1)
                level_state = [
                    getattr(self, bridge_name(level, part))(tf.concat(both, axis=-1))
                    for part, both in enumerate(zip(level_state, backward_state, strict=True))
                ]
            state += level_state
            if self.config.residual and level:
                outputs += inputs
            inputs = self.drop_out(level_name("dropout", level), outputs, training)
        return (reverse(inputs) if self.config.reverse_source else inputs), state
