"""What encoder and decoder begin with: the embedding, its dropout, and the names of their layers."""

from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import SameOnBothKeras, keras
from keras_seq2seq.layers.recurrent import Dropout
from keras_seq2seq.training.configuration import Configuration


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
