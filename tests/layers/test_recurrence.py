"""The loop of our own against `keras.layers.RNN`: the same outputs, states and gradients, with padding."""

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Decoder, Encoder, keras
from keras_seq2seq.layers import recurrence
from keras_seq2seq.layers.recurrence import Embedded

CELLS = ("SimpleRNNCell", "GRUCell", "LSTMCell")
IDS = tf.constant([[1, 2, 3, 1], [2, 1, 0, 0], [0, 0, 0, 0]])  # the last row is empty, as in a batch filled up


def made(name, dtype, **options):
    """Returns a layer of Keras with a cell of that name, a table of embeddings and a state, all random."""
    random = np.random.default_rng(0)
    cell = getattr(keras.layers, name)(5, dtype=dtype, **options)
    rnn = keras.layers.RNN(cell, return_sequences=True, return_state=True, zero_output_for_mask=True, dtype=dtype)
    rnn(tf.zeros([1, 1, 3], dtype))
    for weight in rnn.trainable_weights:
        weight.assign(random.normal(size=weight.shape))
    table = tf.constant(random.normal(size=(4, 3)), dtype)
    state = [tf.constant(random.normal(size=(3, 5)), dtype) for _ in tf.nest.flatten(cell.state_size)]
    return rnn, table, state


def results_and_gradients(run, rnn, table, state):
    """Returns outputs, final state, and the gradients of a number that all of them have a part in."""
    weights = [weight.value if not isinstance(weight, tf.Variable) else weight for weight in rnn.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([table, *state])
        outputs, final = run(table, state)
        number = tf.reduce_sum(outputs**2) + sum(tf.reduce_sum(tf.sin(part)) for part in final)
    gradients = tape.gradient(number, [table, *state, *weights])
    return [outputs, *final, *(tf.convert_to_tensor(gradient) for gradient in gradients)]


def by_keras(rnn, table, state):
    def run(table, state):
        outputs, *final = rnn(tf.gather(table, IDS), mask=IDS != 0, initial_state=list(state))
        return outputs, final

    return results_and_gradients(run, rnn, table, state)


def ours(rnn, table, state, ids, embedded):
    def run(table, state):
        inputs = Embedded(table, ids)
        return recurrence.run(rnn.cell, inputs if embedded else inputs.looked_up(), ids != 0, list(state))

    return results_and_gradients(run, rnn, table, state)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 2e-5)])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_numbers_and_gradients_are_those_of_keras(name, use_bias, dtype, tolerance):
    rnn, table, state = made(name, dtype, use_bias=use_bias)
    expected = by_keras(rnn, table, state)
    unknown = [tf.TensorSpec([None, None], tf.int32)]  # a loop in the graph; where the length is known there is none
    for embedded in (False, True):
        function = tf.function(lambda ids, e=embedded: ours(rnn, table, state, ids, e), input_signature=unknown)
        for got in (function(IDS), ours(rnn, table, state, IDS, embedded)):
            for ours_, theirs in zip(got, expected, strict=True):
                np.testing.assert_allclose(ours_, theirs, rtol=tolerance, atol=tolerance)


def test_a_long_text_keeps_the_loop_though_its_length_is_known(monkeypatch):
    rnn, table, state = made("GRUCell", "float64")

    def operations():
        known = tf.function(lambda ids: recurrence.run(rnn.cell, Embedded(table, ids), ids != 0, state))
        graph = known.get_concrete_function(tf.TensorSpec(IDS.shape, tf.int32)).graph
        return [operation.type for operation in graph.get_operations()]

    assert not {"While", "StatelessWhile"} & set(operations())
    monkeypatch.setattr(recurrence, "UNROLLED", 3)  # the texts have four tokens
    assert {"While", "StatelessWhile"} & set(operations())


@pytest.mark.parametrize("name", CELLS)
def test_one_step_is_that_of_the_cell(name):
    rnn, table, state = made(name, "float64")
    ids = tf.constant([[1], [2], [3]])
    output, after = recurrence.run_once(rnn.cell, Embedded(table, ids), state)
    expected, expected_after = rnn.cell(tf.gather(table, ids[:, 0]), state)
    np.testing.assert_allclose(output, expected, rtol=1e-10)
    for ours_, theirs in zip(after, expected_after, strict=True):
        np.testing.assert_allclose(ours_, theirs, rtol=1e-10)


def test_without_a_state_it_starts_from_zeros():
    rnn, table, _ = made("GRUCell", "float64")
    inputs = tf.gather(table, IDS)
    outputs, [final] = recurrence.run(rnn.cell, inputs, IDS != 0, None)
    expected, expected_final = rnn(inputs, mask=IDS != 0)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10)
    np.testing.assert_allclose(final, expected_final, rtol=1e-10)


class TwiceCell(keras.layers.SimpleRNNCell):
    """A cell that derives from Keras's own, and does something else."""

    def call(self, inputs, states, training=False):
        output, states = super().call(inputs, states)
        return 2 * output, [2 * tf.nest.flatten(states)[0]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: TwiceCell(4),
        lambda: keras.layers.GRUCell(4, reset_after=False),
        lambda: keras.layers.LSTMCell(4, dropout=0.5),
        lambda: keras.layers.SimpleRNNCell(4, recurrent_dropout=0.5),
        lambda: keras.layers.StackedRNNCells([keras.layers.GRUCell(4)]),
    ],
)
def test_what_is_not_quite_a_cell_of_keras_stays_with_keras(make):
    cell = make()
    keras.layers.RNN(cell)(tf.zeros([1, 1, 3]))
    assert not recurrence.is_stock(cell)


def test_a_cell_by_name_runs_in_the_loop_of_our_own():
    ids = tf.ones([1, 1], tf.int32)
    for cell in ("simple_rnn", "gru", "lstm"):
        encoder, decoder = (half(7, units=4, cell=cell) for half in (Encoder, Decoder))
        decoder(ids, encoder(ids)[1])
        assert recurrence.is_stock(encoder.rnn.cell) and recurrence.is_stock(decoder.rnn.cell)


@pytest.mark.parametrize("cell", ["simple_rnn", "gru", "lstm"])
def test_a_large_vocabulary_gives_the_same_as_a_small_one(cell, monkeypatch):
    encoder = Encoder(7, units=4, embedding_dim=3, cell=cell, bidirectional=True)
    ids = tf.constant([[2, 5, 1, 6], [2, 3, 0, 0]])
    encoder(ids)
    small = tf.nest.map_structure(toys.array, encoder(ids))
    monkeypatch.setattr("keras_seq2seq.layers.embedding.SMALL_TABLE", 3)  # so seven ids are many
    large = tf.nest.map_structure(toys.array, encoder(ids))
    tf.nest.map_structure(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), small, large)
