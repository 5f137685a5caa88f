"""The recurrence of Keras's own cells in a loop of ours: the same weights and numbers as `keras.layers.RNN`, faster.

Three things that the general loop cannot do are done here: the product with the input kernel is taken for all steps at
once (of the embedding table, where it is small), no step looks at the mask, and where the number of steps is known when
the graph is made there is no loop left in it. Padding is on the right: outputs there are zeroed afterwards, and the
final state is the one at each row's last token.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from keras_seq2seq.keras_version import keras

UNROLLED = 64  # steps; a graph of more, without a loop, would take longer to make than it gains
SMALL_TABLE = 1024  # ids; the product of a larger table would cost more than that of a batch's tokens


class Embedded(NamedTuple):
    """Embeddings that have not been looked up yet.

    Attributes:
        table: `(ids, size)`.
        ids: `(batch, time)` int32.
    """

    table: tf.Tensor
    ids: tf.Tensor

    def looked_up(self) -> tf.Tensor:
        """Returns `(batch, time, size)`."""
        return tf.gather(self.table, self.ids)


def simple_rnn_step(cell: Any, inputs: tf.Tensor, product: tf.Tensor, state: list[tf.Tensor]) -> list[tf.Tensor]:
    """`h' = tanh(x W + b + h U)` (Elman, 1990)."""
    return [cell.activation(inputs + product)]


def gru_step(cell: Any, inputs: tf.Tensor, product: tf.Tensor, state: list[tf.Tensor]) -> list[tf.Tensor]:
    """Cho et al., 2014, in the form of cuDNN: the reset gate acts on the product with the recurrent kernel."""
    sizes = [2 * cell.units, cell.units]
    (gates, new), (state_gates, state_new) = (tf.split(part, sizes, axis=1) for part in (inputs, product))
    update, reset = tf.split(cell.recurrent_activation(gates + state_gates), 2, axis=1)
    if cell.use_bias:  # the gates' part of it is in the inputs already
        state_new += tf.cast(tf.convert_to_tensor(cell.bias)[1, 2 * cell.units :], product.dtype)
    new = cell.activation(new + reset * state_new)
    return [new + update * (state[0] - new)]


def lstm_step(cell: Any, inputs: tf.Tensor, product: tf.Tensor, state: list[tf.Tensor]) -> list[tf.Tensor]:
    """Hochreiter and Schmidhuber, 1997, with a forget gate: Gers et al., 2000."""
    write, forget, new, read = tf.split(inputs + product, 4, axis=1)
    write, forget, read = (cell.recurrent_activation(gate) for gate in (write, forget, read))
    carry = forget * state[1] + write * cell.activation(new)
    return [read * cell.activation(carry), carry]


STEPS: dict[type, Callable] = {
    keras.layers.SimpleRNNCell: simple_rnn_step,
    keras.layers.GRUCell: gru_step,
    keras.layers.LSTMCell: lstm_step,
}


def is_stock(cell: Any) -> bool:
    """Says whether this file can run the cell: one of Keras's own, which drops out nothing by itself."""
    return (
        type(cell) in STEPS
        and getattr(cell, "reset_after", True)
        and not (cell.dropout or cell.recurrent_dropout)
        and cell.built
    )


def run(
    cell: Any, inputs: tf.Tensor | Embedded, mask: tf.Tensor, state: list[tf.Tensor] | None
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Runs a cell over time.

    Args:
        cell: one that `is_stock`.
        inputs: `(batch, time, size)`.
        mask: `(batch, time)` bool: true at tokens, all of them on the left.
        state: a flat list of `(batch, units)`; None for zeros.

    Returns:
        outputs `(batch, time, units)`, zero at padding, and the final state.
    """
    projected = project(cell, inputs)  # (time, batch, gates * units)
    batch, dtype = tf.shape(projected)[1], projected.dtype
    if state is None:
        state = [tf.zeros([batch, size], dtype) for size in tf.nest.flatten(cell.state_size)]
    state = [tf.cast(part, dtype) for part in state]
    history = _over_time(_step_of(cell, dtype), projected, state)
    lengths = tf.math.count_nonzero(mask, axis=1, dtype=tf.int32)
    last = tf.stack([lengths, tf.range(batch)], axis=1)  # 0 is the state before the first step
    final = [
        tf.ensure_shape(tf.gather_nd(tf.concat([before[None], after], axis=0), last), before.shape)
        for before, after in zip(state, history, strict=True)
    ]
    outputs = tf.transpose(history[0], [1, 0, 2])
    return outputs * tf.cast(mask[..., None], dtype), final


def run_once(cell: Any, inputs: tf.Tensor | Embedded, state: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Runs one step, as in decoding: inputs `(batch, 1, size)`; returns the output `(batch, units)`, and the state."""
    projected = project(cell, inputs)[0]
    state = _step_of(cell, projected.dtype)(projected, [tf.cast(part, projected.dtype) for part in state])
    return state[0], state


def project(cell: Any, inputs: tf.Tensor | Embedded) -> tf.Tensor:
    """Returns the product of the inputs of all steps with the input kernel, and the bias: `(time, batch, size)`."""

    def product(rows: tf.Tensor) -> tf.Tensor:
        rows = tf.cast(rows, cell.compute_dtype)
        result = tf.tensordot(rows, tf.cast(tf.convert_to_tensor(cell.kernel), rows.dtype), 1)
        if not cell.use_bias:
            return result
        bias = tf.convert_to_tensor(cell.bias)
        if type(cell) is keras.layers.GRUCell:  # a second one for the state, of which the gates only see the sum
            bias = bias[0] + tf.concat([bias[1, : 2 * cell.units], tf.zeros_like(bias[1, 2 * cell.units :])], axis=0)
        return result + tf.cast(bias, rows.dtype)

    if isinstance(inputs, Embedded):
        return tf.gather(product(inputs.table), tf.transpose(inputs.ids))
    return product(tf.transpose(inputs, [1, 0, 2]))


def _step_of(cell: Any, dtype: tf.DType) -> Callable[[tf.Tensor, list[tf.Tensor]], list[tf.Tensor]]:
    """Returns the function of a step's projected inputs and the state before it to the state after it."""
    step, kernel = STEPS[type(cell)], tf.cast(tf.convert_to_tensor(cell.recurrent_kernel), dtype)
    return lambda inputs, state: step(cell, inputs, tf.matmul(state[0], kernel), state)


def _over_time(step: Callable, inputs: tf.Tensor, state: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the states after each step, `(time, batch, units)` each."""
    if inputs.shape[0] is not None and inputs.shape[0] <= UNROLLED:
        history = []
        for one in tf.unstack(inputs):
            state = step(one, state)
            history.append(state)
        return [tf.stack(part) for part in zip(*history, strict=True)]
    times = tf.shape(inputs)[0]
    rows = tf.TensorArray(inputs.dtype, size=times).unstack(inputs)
    arrays = [tf.TensorArray(inputs.dtype, size=times, element_shape=part.shape) for part in state]

    def body(time: tf.Tensor, state: list[tf.Tensor], arrays: list[tf.TensorArray]) -> tuple:
        state = step(rows.read(time), state)
        return time + 1, state, [array.write(time, part) for array, part in zip(arrays, state, strict=True)]

    loop = (tf.constant(0), state, arrays)
    *_, arrays = tf.while_loop(lambda time, *_: time < times, body, loop, maximum_iterations=times)
    return [array.stack() for array in arrays]
