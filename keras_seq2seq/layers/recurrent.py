"""Recurrent layers: which cell they are made of, and how they run over time."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras, require_same_keras
from keras_seq2seq.layers import recurrence
from keras_seq2seq.layers.dropout import Dropout, DropoutCell
from keras_seq2seq.layers.recurrence import Embedded
from keras_seq2seq.serialization import build, describe

CELLS = {"simple_rnn": "SimpleRNNCell", "gru": "GRUCell", "lstm": "LSTMCell"}
# By name; a cell, which every layer gets a copy of; or what makes one of a number of units: a function or a class.
CellChoice = str | Any | Callable[[int], Any]


def make_cell(described: Any, units: int, recurrent_initializer: str) -> keras.layers.Layer:
    """Makes a fresh cell.

    Args:
        described: of `CELLS` a name, or what `serialization.describe` says of a cell or of what makes one.
        units: size of the state, for cells by name and for what makes one.
        recurrent_initializer: for cells by name.

    Raises:
        InputError: there is no such cell.
        TypeError: the cell belongs to the other Keras.
    """
    if isinstance(described, str):
        if described not in CELLS:
            raise InputError(f"the cell is {described!r}; choose one of: {', '.join(CELLS)}, or give a cell")
        return getattr(keras.layers, CELLS[described])(units, recurrent_initializer=recurrent_initializer)
    cell = build(described, role="cell")
    if "config" not in described:
        cell = cell(units)
    require_same_keras(cell, "cell")
    return cell


def make_rnn(cell: keras.layers.Layer, recurrent_dropout: float, seed: int, stream: str) -> keras.layers.RNN:
    """Makes a recurrent layer; its outputs at padding are zero, as in TensorFlow 1's `dynamic_rnn`.

    Args:
        cell: what it repeats over time.
        recurrent_dropout: share of the state that is dropped out in training, the same at every step.
        seed: of the dropout.
        stream: a name that no other layer of the model has.
    """
    if recurrent_dropout:
        cell = DropoutCell(cell, Dropout(recurrent_dropout, seed, f"{stream}/recurrent"))
    return keras.layers.RNN(cell, return_sequences=True, return_state=True, zero_output_for_mask=True)


def describe_cell(cell: CellChoice) -> Any:
    """Returns plain data for `make_cell`.

    Raises:
        TypeError: the cell belongs to the other Keras.
        ValueError: it is not registered with Keras, or is a class of Keras itself, which is not either.
    """
    if isinstance(cell, dict):  # out of a saved model
        return cell
    require_same_keras(cell, "cell")
    for name, of_keras in CELLS.items():
        if cell is getattr(keras.layers, of_keras):
            raise ValueError(f'the cell is a class of Keras: write cell="{name}", or {of_keras}(units)')
    return describe(cell)


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


def run_once(
    rnn: keras.layers.RNN, inputs: tf.Tensor | Embedded, state: list[tf.Tensor]
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Runs a layer of `make_rnn` for one step, as in decoding.

    Args:
        rnn: the layer.
        inputs: `(batch, 1, size)`.
        state: a flat list of `(batch, units)`.

    Returns:
        outputs `(batch, 1, units)` and the next state, a flat list.
    """
    cell = rnn.cell.cell if isinstance(rnn.cell, DropoutCell) else rnn.cell
    if recurrence.is_stock(cell):
        output, state = recurrence.run_once(cell, inputs, state)
    else:
        forget_dropout_masks(cell)
        inputs = inputs.looked_up() if isinstance(inputs, Embedded) else inputs
        output, state = cell(inputs[:, 0], structured(state, cell), training=False)
    return output[:, None], list(tf.nest.flatten(state))


def run_over_time(
    rnn: keras.layers.RNN, inputs: tf.Tensor | Embedded, mask: tf.Tensor, state: list[tf.Tensor] | None, training: bool
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Runs a layer of `make_rnn` over `(batch, time, size)`, in its states' own order, whatever the Keras.

    Keras's own cells run in the loop of `recurrence`, any other in that of `keras.layers.RNN`.

    Returns:
        outputs `(batch, time, units)` and the final state, a flat list; padding changes neither.

    Raises:
        ValueError: the cell adds to the loss, in training.
    """
    dropout = rnn.cell.dropout if isinstance(rnn.cell, DropoutCell) else None
    if training and dropout:
        dropout.next_draw()
    cell = rnn.cell.cell if dropout else rnn.cell
    if recurrence.is_stock(cell):
        with tf.name_scope(rnn.name):  # where a graph shows it
            shape = tf.stack([tf.shape(mask)[0], cell.units])
            kept = dropout.mask(shape, cell.compute_dtype) if training and dropout else None
            return recurrence.run(cell, inputs, mask, state, kept)
    if isinstance(inputs, Embedded):
        inputs = inputs.looked_up()
    forget_dropout_masks(rnn.cell)
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
