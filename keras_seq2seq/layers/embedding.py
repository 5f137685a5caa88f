"""What a recurrent encoder and decoder have in common: their arguments, embedding, layers and dropouts."""

import types
from typing import Any

import tensorflow as tf

from keras_seq2seq.errors import InputError, require_size
from keras_seq2seq.keras_version import SameOnBothKeras, keras
from keras_seq2seq.layers.dropout import Dropout
from keras_seq2seq.layers.recurrence import SMALL_TABLE, Embedded
from keras_seq2seq.layers.recurrent import CellChoice, describe_cell, make_cell
from keras_seq2seq.serialization import build

SIZES = ("vocabulary_size", "embedding_dim", "units", "num_layers")


def layer_name(part: str, number: int) -> str:
    """Returns the attribute that holds a part of a recurrent layer: `rnn`, `rnn_2`, `rnn_3`, ...

    Lists of layers are saved differently from one Keras version to the next; plain attributes are not.
    """
    return part if number == 0 else f"{part}_{number + 1}"


class RecurrentHalf(SameOnBothKeras, keras.Model):
    """An embedding with recurrent layers on top of it.

    Args:
        vocabulary_size: number of ids, `<pad>` (0) included.
        embedding_dim: size of an embedding.
        units: size of the state.
        cell: `simple_rnn`, `gru`, `lstm`; a cell, which every layer gets a copy of; or a registered function or class
            that makes one of a number of units.
        num_layers: recurrent layers, one on top of the other.
        residual: add its input to a layer's output, from the second layer up.
        dropout: share of the embeddings and of the layers' outputs that is dropped out in training.
        embedding_stddev: standard deviation of the embeddings at the start; 0: Glorot-uniform, as in the notebook.
        recurrent_initializer: start of the recurrent kernels of cells by name.
        trainable_embedding: whether to train the embedding.
        seed: of the dropouts.

    Raises:
        InputError: a size is no whole number of 1 or more, or dropout is not from 0 to below 1.
        ValueError: a cell of one's own is not registered with Keras.
    """

    side = ""
    embedding: keras.layers.Embedding

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int = 64,
        units: int = 256,
        cell: CellChoice = "gru",
        num_layers: int = 1,
        residual: bool = False,
        dropout: float = 0.0,
        embedding_stddev: float = 0.3,
        recurrent_initializer: str = "orthogonal",
        trainable_embedding: bool = True,
        seed: int = 0,
        **options: Any,
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name not in ("self", "options", "__class__")}
        for name in SIZES:
            require_size(name, arguments[name])
        if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise InputError(f"dropout is {dropout!r}; it must be a number from 0 to below 1")
        super().__init__(**options)
        # In a plain object, where Keras does not look for layers to save.
        self.arguments = types.SimpleNamespace(**{**arguments, "cell": describe_cell(cell)})
        if dropout:
            self.embedding_dropout = Dropout(dropout, seed, f"{self.side}/embedding")
            for number in range(num_layers):
                stream = layer_name(f"{self.side}/outputs", number)
                setattr(self, layer_name("dropout", number), Dropout(dropout, seed, stream))

    @property
    def state_sizes(self) -> list[int]:
        """Sizes of the state that the encoder leaves and the decoder starts from, layer by layer."""
        cells = [getattr(self, layer_name("rnn", number)).cell for number in range(self.arguments.num_layers)]
        return [size for cell in cells for size in tf.nest.flatten(cell.state_size)]

    def own_embedding(self) -> keras.layers.Embedding:
        """Makes the embedding, which masks padding.

        Keras's own start, uniform within 0.05, is so small that a tanh network learns from it only slowly.
        """
        own, stddev = self.arguments, self.arguments.embedding_stddev
        start = keras.initializers.RandomNormal(stddev=stddev) if stddev else "glorot_uniform"
        options = {"embeddings_initializer": start, "mask_zero": True, "trainable": own.trainable_embedding}
        return keras.layers.Embedding(own.vocabulary_size, own.embedding_dim, **options)

    def own_rnn(self, part: str, number: int) -> keras.layers.RNN:
        """Makes a recurrent layer, whose outputs at padding are zero, and keeps it under its `layer_name`."""
        own = self.arguments
        cell = make_cell(own.cell, own.units, own.recurrent_initializer)
        rnn = keras.layers.RNN(cell, return_sequences=True, return_state=True, zero_output_for_mask=True)
        setattr(self, layer_name(part, number), rnn)
        return rnn

    def embed(self, ids: tf.Tensor, training: bool) -> tf.Tensor | Embedded:
        """Returns the embeddings of `(batch, time)` ids, looked up at once only where that is not cheaper later."""
        own, layer = self.arguments, self.embedding
        later = layer.built and type(layer) is keras.layers.Embedding and own.vocabulary_size <= SMALL_TABLE
        if later and not (training and own.dropout):
            with tf.name_scope(layer.name):  # where a graph shows it
                return Embedded(tf.convert_to_tensor(layer.embeddings), ids)
        return self.drop_out("embedding_dropout", layer(ids), training)

    def drop_out(self, part: str, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Runs the dropout of that name in training, where there is one."""
        return getattr(self, part)(inputs, training=training) if self.arguments.dropout else inputs

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self.arguments))

    @classmethod
    def from_config(cls, config: dict[str, Any], **shared: Any) -> "RecurrentHalf":
        """Makes one of what `get_config` returned, with what it shares with the other half."""
        parts = {name: build(it, role=name) if isinstance(it, dict) else it for name, it in config.items()}
        return cls(**parts, **shared)
