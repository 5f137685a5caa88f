"""The encoder: reads the source and sums it up in a state."""

from typing import Any

import tensorflow as tf

from keras_seq2seq.config import Configuration
from keras_seq2seq.framework import SameOnBothKeras, keras
from keras_seq2seq.recurrent import Dropout, MakeCell, make_rnn, run_over_time


def embedding_layer(vocabulary_size: int, config: Configuration) -> keras.layers.Layer:
    """Makes a `mask_zero` embedding of `config.embedding_dim`.

    Keras's own start, uniform within 0.05, is so small that a tanh network learns from it only slowly: it starts from
    a normal distribution, `config.embedding_stddev` wide, or where that is 0 Glorot-uniform, as in the notebook.

    Args:
        vocabulary_size: number of ids, `<pad>` (0) included.
        config: of the run.
    """
    stddev = config.embedding_stddev
    start = keras.initializers.RandomNormal(stddev=stddev) if stddev else "glorot_uniform"
    return keras.layers.Embedding(vocabulary_size, config.embedding_dim, embeddings_initializer=start, mask_zero=True)


def level_name(part: str, level: int) -> str:
    """Returns the attribute that holds a part of a level: `rnn`, `rnn_2`, `rnn_3`, ...

    Lists of layers are saved differently from one Keras version to the next; plain attributes are not.
    """
    return part if level == 0 else f"{part}_{level + 1}"


def bridge_name(level: int, part: int) -> str:
    """Returns the attribute that holds the bridge of one part of a level's state: `bridge_1_1`, `bridge_1_2`, ..."""
    return f"bridge_{level + 1}_{part + 1}"


class Half(SameOnBothKeras, keras.Model):
    """What encoder and decoder have in common: what they are made from, and their dropouts.

    Args:
        vocabulary_size: number of ids.
        config: of the run.
        side: `encoder` or `decoder`: each draws dropouts of its own.
    """

    def __init__(self, vocabulary_size: int, config: Configuration, side: str, **options: Any) -> None:
        super().__init__(**options)
        self.vocabulary_size = vocabulary_size
        self.config = config
        if config.dropout:
            self.embedding_dropout = Dropout(config.dropout, config.seed, f"{side}/embedding")
            for level in range(config.layers):
                dropout = Dropout(config.dropout, config.seed, level_name(f"{side}/outputs", level))
                setattr(self, level_name("dropout", level), dropout)

    def drop_out(self, part: str, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Runs the dropout of that name in training, where `config.dropout` asks for it."""
        return getattr(self, part)(inputs, training=training) if self.config.dropout else inputs

    def get_config(self) -> dict[str, Any]:
        own = {"vocabulary_size": self.vocabulary_size, "config": self.config.to_dict()}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Half":
        return cls(**{**config, "config": Configuration.from_dict(config["config"])})


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
