"""Cells, levels, directions and dropout, written out by hand in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Decoder, Encoder, keras, load, save
from keras_seq2seq.layers.dropout import Dropout
from keras_seq2seq.layers.recurrent import run_over_time

pytestmark = pytest.mark.filterwarnings("error::UserWarning")  # from a Keras that wonders at what we do
SIZES = {"embedding_dim": 3, "units": 4}
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


# By hand


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple_rnn(cell, x, state):
    kernel, recurrent_kernel, bias = map(toys.array, (cell.kernel, cell.recurrent_kernel, cell.bias))
    return [np.tanh(x @ kernel + state[0] @ recurrent_kernel + bias)]


def gru(cell, x, state):
    """Cho et al., 2014, in the form of cuDNN: the reset gate acts on the product with the recurrent kernel."""
    kernel, recurrent_kernel, (bias, recurrent_bias) = map(toys.array, (cell.kernel, cell.recurrent_kernel, cell.bias))
    [h] = state
    x_update, x_reset, x_new = np.split(x @ kernel + bias, 3)
    h_update, h_reset, h_new = np.split(h @ recurrent_kernel + recurrent_bias, 3)
    update, reset = sigmoid(x_update + h_update), sigmoid(x_reset + h_reset)
    return [update * h + (1 - update) * np.tanh(x_new + reset * h_new)]


def lstm(cell, x, state):
    """Hochreiter and Schmidhuber, 1997, with a forget gate: Gers et al., 2000."""
    kernel, recurrent_kernel, bias = map(toys.array, (cell.kernel, cell.recurrent_kernel, cell.bias))
    h, memory = state
    write, forget, new, read = np.split(x @ kernel + h @ recurrent_kernel + bias, 4)
    memory = sigmoid(forget) * memory + sigmoid(write) * np.tanh(new)
    return [sigmoid(read) * np.tanh(memory), memory]


CELLS = {"simple_rnn": (simple_rnn, 1), "gru": (gru, 1), "lstm": (lstm, 2)}


def over_time(name, rnn, inputs, state=None):
    """Runs one layer by hand over `(time, size)`; returns outputs `(time, units)` and the final state."""
    step, parts = CELLS[name]
    state = state or [np.zeros(4)] * parts
    outputs = []
    for x in inputs:
        state = step(rnn.cell, x, state)
        outputs.append(state[0])
    return np.array(outputs), state


def with_random_weights(model):
    """Gives all weights random values: as they start, biases are zero and a missing one would not be seen."""
    random = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(random.normal(size=weight.shape))
    return model


def make_encoder(**options):
    encoder = Encoder(7, **SIZES, **options)
    encoder(tf.ones([1, 1], tf.int32))
    return with_random_weights(encoder)


def embedded(model, row):
    return toys.array(model.embedding.embeddings)[row]


ROWS = [[2, 5, 1, 6], [2, 3]]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("residual", [False, True])
def test_the_encoder_by_hand(name, residual):
    encoder = make_encoder(cell=name, num_layers=2, residual=residual)
    outputs, state = encoder(toys.padded(ROWS))
    assert len(state) == 2 * CELLS[name][1]
    for number, row in enumerate(ROWS):
        first, left = over_time(name, encoder.rnn, embedded(encoder, row))
        second, left_2 = over_time(name, encoder.rnn_2, first)
        np.testing.assert_allclose(outputs[number, : len(row)], second + residual * first, **CLOSE)
        # At padding the output is zero, and the state stands still.
        for part, expected in zip(state, [*left, *left_2], strict=True):
            np.testing.assert_allclose(part[number], expected, **CLOSE)
    if not residual:
        assert not outputs[1, 2:].numpy().any()


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("residual", [False, True])
def test_the_decoder_by_hand(name, residual):
    parts = CELLS[name][1]
    decoder = Decoder(7, **SIZES, cell=name, num_layers=2, residual=residual)
    start = tf.unstack(np.random.default_rng(1).normal(size=[2 * parts, 2, 4]).astype("f"))
    decoder(tf.ones([2, 1], tf.int32), start)
    with_random_weights(decoder)
    logits, seen = decoder(toys.padded(ROWS), start), decoder.inspect(toys.padded(ROWS), start)
    np.testing.assert_array_equal(seen["logits"], logits)
    states = [start]  # one token at a time
    for time in range(4):
        of_token, state = decoder.step(toys.padded(ROWS)[:, time], states[-1])
        states.append(state)
        for number, row in enumerate(ROWS):
            if time < len(row):
                np.testing.assert_allclose(of_token[number], logits[number, time], **CLOSE)
    for number, row in enumerate(ROWS):
        of_row = [part[number].numpy() for part in start]
        first, left = over_time(name, decoder.rnn, embedded(decoder, row), of_row[:parts])
        second, left_2 = over_time(name, decoder.rnn_2, first, of_row[parts:])
        kernel, bias = toys.array(decoder.projection.kernel), toys.array(decoder.projection.bias)
        by_hand = (second + residual * first) @ kernel + bias
        np.testing.assert_allclose(logits[number, : len(row)], by_hand, **CLOSE)
        np.testing.assert_allclose(seen["hidden_states"][number, : len(row)], second, **CLOSE)
        assert not seen["hidden_states"][number, len(row) :].numpy().any()
        for part, expected in zip(states[len(row)], [*left, *left_2], strict=True):
            np.testing.assert_allclose(part[number], expected, **CLOSE)


@pytest.mark.parametrize("name", CELLS)
def test_padding_leaves_the_state_as_it_is(name):
    decoder = Decoder(7, **SIZES, cell=name)
    start = tf.unstack(np.random.default_rng(1).normal(size=[CELLS[name][1], 1, 4]).astype("f"))
    decoder(tf.ones([1, 1], tf.int32), start)
    with_random_weights(decoder)

    def after(row):
        ids = tf.constant([row])
        return run_over_time(decoder.rnn, decoder.embedding(ids), ids != 0, start, training=False)[1]

    for padded, plain, unmoved in zip(after([2, 5, 0, 0]), after([2, 5]), start, strict=True):
        np.testing.assert_allclose(padded, plain, **CLOSE)
        assert not np.allclose(plain, unmoved)


@pytest.mark.parametrize("name", CELLS)
def test_both_directions_and_the_bridge_by_hand(name):
    encoder = make_encoder(cell=name, num_layers=2, bidirectional=True)
    outputs, state = encoder(toys.padded(ROWS))
    assert outputs.shape == (2, 4, 8)
    parts = CELLS[name][1]
    bridges = [getattr(encoder, f"bridge_{level}_{part + 1}") for level in (1, 2) for part in range(parts)]
    for number, row in enumerate(ROWS):
        inputs, expected = embedded(encoder, row), []
        for rnn, backward in ((encoder.rnn, encoder.backward), (encoder.rnn_2, encoder.backward_2)):
            forth, left = over_time(name, rnn, inputs)
            back, behind = over_time(name, backward, inputs[::-1])
            inputs = np.concatenate([forth, back[::-1]], axis=-1)
            expected += [np.concatenate(both) for both in zip(left, behind, strict=True)]
        np.testing.assert_allclose(outputs[number, : len(row)], inputs, **CLOSE)
        for part, both, bridge in zip(state, expected, bridges, strict=True):
            by_hand = np.tanh(both @ toys.array(bridge.kernel) + toys.array(bridge.bias))
            np.testing.assert_allclose(part[number], by_hand, **CLOSE)


# Dropout

ONES = tf.ones([100, 100])


def test_dropout_drops_its_share_and_scales_up_the_rest():
    values = Dropout(0.25, 0, "a")(ONES, training=True).numpy()
    assert set(np.unique(values)) == {0.0, np.float32(4 / 3)}
    assert 0.22 < (values == 0).mean() < 0.28  # seven standard deviations on either side
    assert 0.95 < values.mean() < 1.05


def test_out_of_training_dropout_does_nothing_and_draws_nothing():
    dropout = Dropout(0.25, 0, "a")
    np.testing.assert_array_equal(dropout(ONES), ONES)
    np.testing.assert_array_equal(dropout(ONES, training=False), ONES)
    assert int(dropout.draws) == 0


def test_the_mask_follows_from_seed_stream_and_count():
    first, same = Dropout(0.25, 0, "a"), Dropout(0.25, 0, "a")
    masks = [first(ONES, training=True).numpy() for _ in range(2)]
    for mask in masks:
        np.testing.assert_array_equal(same(ONES, training=True), mask)
    others = [Dropout(0.25, 1, "a"), Dropout(0.25, 0, "b")]
    masks += [other(ONES, training=True).numpy() for other in others]
    for number, mask in enumerate(masks):
        for other in masks[:number]:
            # As alike as chance makes them: both drop (1/16), or none does (9/16).
            assert 0.58 < (mask == other).mean() < 0.67


def test_every_dropout_of_a_model_draws_by_itself():
    model = toys.make_model(dropout=0.1, layers=2, bidirectional=True)
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, Dropout)]
    # Two embeddings, two layers on either side.
    assert len(layers) == len({layer.seed for layer in layers}) == 2 + 4


def test_the_count_of_draws_is_saved(tmp_path):
    model = toys.make_model(dropout=0.5)
    model.compile("sgd")
    for _ in range(3):
        model(toys.BATCHES[0][0], training=True)
    save(model, tmp_path / "model.keras")
    copy = load(tmp_path / "model.keras")
    assert int(copy.encoder.dropout.draws) == int(copy.decoder.embedding_dropout.draws) == 3
    inputs = toys.BATCHES[0][0]
    there, here = copy(inputs, training=True), model(inputs, training=True)
    np.testing.assert_array_equal(there, here)
    assert np.abs(here - model(inputs, training=True)).max() > 1e-3


# Cells of Keras that drop out by themselves

DROP = {"dropout": 0.5, "recurrent_dropout": 0.5}


DROPPING = {
    "simple_rnn": keras.layers.SimpleRNNCell(4, **DROP),
    "gru": keras.layers.GRUCell(4, **DROP),
    "lstm": keras.layers.LSTMCell(4, **DROP),
    "stacked": keras.layers.StackedRNNCells([keras.layers.GRUCell(4, **DROP), keras.layers.LSTMCell(4, **DROP)]),
}
EAGERLY, IN_A_GRAPH = [(name, False) for name in DROPPING], [("lstm", True), ("stacked", True)]


@pytest.mark.parametrize(("name", "in_graph"), EAGERLY + IN_A_GRAPH)
def test_a_cell_of_keras_drops_out_anew_in_each_training_call_and_never_in_decoding(name, in_graph):
    options = {**SIZES, "cell": DROPPING[name]}
    encoder, decoder = Encoder(7, **options), Decoder(7, **options)

    def at_once(ids, training):
        state = encoder(ids, training=training)[1]
        return decoder(ids, state, training=training)

    def token_by_token(ids):
        state, steps = encoder(ids)[1], []
        for time in range(2):
            logits, state = decoder.step(ids[:, time], state)
            steps.append(logits)
        return tf.stack(steps, axis=1)

    if in_graph:
        ids = tf.TensorSpec([None, None], tf.int32)
        learn = tf.function(lambda ids: at_once(ids, True), input_signature=[ids], autograph=False)
        infer = tf.function(lambda ids: at_once(ids, False), input_signature=[ids], autograph=False)
        step = tf.function(token_by_token, input_signature=[ids], autograph=False)
    else:
        learn, infer, step = lambda ids: at_once(ids, True), lambda ids: at_once(ids, False), token_by_token
    both = toys.padded(ROWS)
    expected = at_once(both, False)
    for ids, rows in ((both, slice(None)), (both[:1], slice(1)), (both, slice(None))):  # another batch, and back
        first, second = learn(ids), learn(ids)
        assert np.abs(first - second).max() > 1e-3 and np.abs(first - expected[rows]).max() > 1e-3
        np.testing.assert_allclose(step(ids), expected[rows, :2], **CLOSE)
        learn(ids)
        np.testing.assert_allclose(infer(ids), expected[rows], **CLOSE)
        learn(both)  # the mask of another batch
        np.testing.assert_allclose(token_by_token(ids), expected[rows, :2], **CLOSE)


def test_a_mask_of_a_cell_of_keras_is_one_for_a_sequence():
    # The cell puts out what it reads, dropped or doubled, and keeps nothing.
    options = {"kernel_initializer": "identity", "recurrent_initializer": "zeros", "use_bias": False, "dropout": 0.5}
    cell = keras.layers.SimpleRNNCell(50, "linear", **options)
    rnn = keras.layers.RNN(cell, return_sequences=True, return_state=True, zero_output_for_mask=True)
    inputs, mask = tf.ones([2, 3, 50]), tf.ones([2, 3], tf.bool)
    first, second = (run_over_time(rnn, inputs, mask, None, training=True)[0].numpy() for _ in range(2))
    assert set(np.unique(first)) == {0.0, 2.0} and (first != second).any()
    np.testing.assert_array_equal(first[:, 1:], np.repeat(first[:, :1], 2, axis=1))
