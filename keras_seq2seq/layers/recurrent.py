"""Recurrent layers: which cell, a cell of your own, and dropout whose random numbers go on where a run stopped."""

import zlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import keras, keras_major, require_same_keras
from keras_seq2seq.training.configuration import Configuration

State = list[tf.Tensor]
MakeCell = Callable[[int], keras.layers.Layer]


@keras.utils.register_keras_serializable("keras_seq2seq")
class Dropout(keras.layers.Layer):
    """Dropout (Srivastava et al., 2014) whose masks follow from the seed, its name and the count of its draws.

    The count is a weight and is saved with the model, so that a resumed run draws what it would have drawn.
    Keras's own generators are not saved on Keras 2.

    Args:
        rate: share of the values set to zero in training; the others are scaled up.
        seed: of the run.
        stream: a name that no other dropout of the model has.

    Call arguments:
        inputs: floats of any shape.
    """

    def __init__(self, rate: float, seed: int, stream: str, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate
        self.seed = seed ^ zlib.crc32(stream.encode()) % 2**31
        self.stream = stream
        self.supports_masking = True
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA if keras_major() == 2 else "only_first_replica"
        self.draws = self.add_weight(
            name="draws", shape=(), dtype="int64", initializer="zeros", trainable=False, aggregation=first
        )
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        self.next_draw()
        return inputs * self.mask(tf.shape(inputs), inputs.dtype)

    def next_draw(self) -> None:
        """Makes `mask` another one from now on."""
        self.draws.assign_add(1)

    def uniform(self, shape: tf.Tensor) -> tf.Tensor:
        """Returns the present draw: float32 numbers from 0 to 1, other ones on each replica."""
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group if context else 0, tf.int64)
        count = tf.cast(tf.convert_to_tensor(self.draws), tf.int64) * 4096 + replica
        return tf.random.stateless_uniform(shape, tf.stack([tf.constant(self.seed, tf.int64), count]))

    def mask(self, shape: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """Returns the present mask: 0 or `1 / (1 - rate)`."""
        return tf.cast(self.uniform(shape) >= self.rate, dtype) / tf.cast(1.0 - self.rate, dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed, "stream": self.stream}


class DropoutCell(keras.layers.Layer):
    """A cell whose hidden state is dropped out on its way to the next step, by one mask for all steps.

    See Gal and Ghahramani, 2016: noise that changes at every step would keep the state from remembering.

    Args:
        cell: any RNN cell; the first part of its state is the hidden one.
        dropout: draws the mask; `dropout.next_draw()` belongs before every sequence.
    """

    def __init__(self, cell: keras.layers.Layer, dropout: Dropout, **options: Any) -> None:
        super().__init__(**options)
        self.cell = cell
        self.dropout = dropout
        self.state_size = cell.state_size
        self.output_size = getattr(cell, "output_size", tf.nest.flatten(cell.state_size)[0])
        if hasattr(cell, "get_initial_state"):
            self.get_initial_state = cell.get_initial_state

    def build(self, input_shape: Any) -> None:
        if not self.cell.built:
            self.cell.build(input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor, states: Any, training: bool = False) -> tuple[tf.Tensor, Any]:
        if training:
            hidden, *rest = tf.nest.flatten(states)
            hidden *= self.dropout.mask(tf.shape(hidden), hidden.dtype)
            states = tf.nest.pack_sequence_as(states, [hidden, *rest])
        return self.cell(inputs, states, training=training)


def make_rnn(config: Configuration, stream: str, make_cell: MakeCell | None = None) -> keras.layers.RNN:
    """Makes one recurrent layer; its outputs at padding are zero, as in TensorFlow 1's `dynamic_rnn`.

    Args:
        config: for cell, units, initialiser and recurrent dropout.
        stream: a name that no other layer of the model has.
        make_cell: maps the units to an RNN cell of your own, in place of `config.cell`.

    Raises:
        TypeError: the cell belongs to the other Keras.
    """
    if make_cell:
        cell = make_cell(config.units)
        require_same_keras(cell, "cell")
    else:
        cells = {
            "simple_rnn": keras.layers.SimpleRNNCell,
            "gru": keras.layers.GRUCell,
            "lstm": keras.layers.LSTMCell,
        }
        cell = cells[config.cell](config.units, recurrent_initializer=config.recurrent_initializer)
    if config.recurrent_dropout:
        cell = DropoutCell(cell, Dropout(config.recurrent_dropout, config.seed, f"{stream}/recurrent"))
    return keras.layers.RNN(cell, return_sequences=True, return_state=True, zero_output_for_mask=True)


def structured(state: list[tf.Tensor], cell: keras.layers.Layer) -> list:
    """Returns a flat state as its cell wants it: in lists within the list, where cells are stacked in one."""
    return tf.nest.pack_sequence_as(cell.state_size, state) if tf.nest.is_nested(cell.state_size) else state


def forget_dropout_masks(cell: keras.layers.Layer) -> None:
    """Lets Keras's own cells, also those within others, draw new masks where they drop out by themselves.

    They keep a mask from one call to the next; only a layer that holds them directly makes them forget it, and in
    Keras 2 the mask of a training step would stay on when the cell is asked for one token.
    """
    for part in cell._flatten_layers():
        if hasattr(part, "reset_dropout_mask"):
            part.reset_dropout_mask()
            part.reset_recurrent_dropout_mask()


def run_over_time(
    rnn: keras.layers.RNN, inputs: tf.Tensor, mask: tf.Tensor, state: list[tf.Tensor] | None, training: bool
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Runs a layer of `make_rnn` over `(batch, time, size)`, in its states' own order, whatever the Keras.

    Returns:
        outputs `(batch, time, units)` and the final state, a flat list; padding changes neither.

    Raises:
        ValueError: the cell adds to the loss, in training.
    """
    forget_dropout_masks(rnn.cell)
    if training and isinstance(rnn.cell, DropoutCell):
        rnn.cell.dropout.next_draw()
    # The mask is passed by hand: the one that Keras attaches by itself gets lost on the way in some Keras versions.
    start = None if state is None else structured(state, rnn.cell)
    losses = len(rnn.losses)
    outputs, *state = rnn(inputs, initial_state=start, mask=mask, training=training)
    if training and len(rnn.losses) > losses:
        # It is called in a loop of the graph, and once more before it.
        raise ValueError(
            f"{type(rnn.cell).__name__} adds to the loss at each time step, where no gradient can be taken of it: "
            "give its weights a regulariser, or call `add_loss` in an attention."
        )
    # Without the mask that Keras 3 hangs on the outputs, and would warn about in every layer that does not use it.
    return tf.identity(outputs), list(tf.nest.flatten(state))
