"""Recurrent layers: which cell they are made of, and how they run over time."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras, require_same_keras
from keras_seq2seq.layers import recurrence
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


def describe_cell(cell: CellChoice) -> Any:
    """Returns plain data for `make_cell`.

    Raises:
        TypeError: the cell belongs to the other Keras.
        ValueError: it is not registered with Keras, or is a class of Keras itself, which is not either, or is a layer.
    """
    if isinstance(cell, dict):  # out of a saved model
        return cell
    require_same_keras(cell, "cell")
    for name, of_keras in CELLS.items():
        if cell is getattr(keras.layers, of_keras):
            raise ValueError(f'the cell is a class of Keras: write cell="{name}", or {of_keras}(units)')
    kind = cell if isinstance(cell, type) else type(cell)
    if issubclass(kind, keras.layers.RNN):
        raise ValueError(f'the cell is a layer, {kind.__name__}: give its cell, such as cell="gru" or GRUCell(units)')
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
    """Runs a recurrent layer for one step, as in decoding.

    Args:
        rnn: the layer.
        inputs: `(batch, 1, size)`.
        state: a flat list of `(batch, units)`.

    Returns:
        outputs `(batch, 1, units)` and the next state, a flat list.
    """
    if recurrence.is_stock(rnn.cell):
        output, state = recurrence.run_once(rnn.cell, inputs, state)
    else:
        forget_dropout_masks(rnn.cell)
        inputs = inputs.looked_up() if isinstance(inputs, Embedded) else inputs
        output, state = rnn.cell(inputs[:, 0], structured(state, rnn.cell), training=False)
    return output[:, None], list(tf.nest.flatten(state))


def run_over_time(
    rnn: keras.layers.RNN, inputs: tf.Tensor | Embedded, mask: tf.Tensor, state: list[tf.Tensor] | None, training: bool
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Runs a recurrent layer over `(batch, time, size)`, in its states' own order, whatever the Keras.

    Keras's own cells run in the loop of `recurrence`, any other in that of `keras.layers.RNN`.

    Returns:
        outputs `(batch, time, units)` and the final state, a flat list; padding changes neither.

    Raises:
        ValueError: the cell adds to the loss, in training.
    """
    if recurrence.is_stock(rnn.cell):
        with tf.name_scope(rnn.name):  # where a graph shows it
            return recurrence.run(rnn.cell, inputs, mask, state)
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
