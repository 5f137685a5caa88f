"""The encoder against a SimpleRNN written out in NumPy; padding stops the clock."""

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Encoder, InputError, keras
from keras_seq2seq.errors import LARGEST


@pytest.fixture(scope="module")
def encoder():
    keras.utils.set_random_seed(1)
    encoder = Encoder(7, embedding_dim=3, units=4, cell="simple_rnn", embedding_stddev=0.5)
    encoder(tf.ones([1, 1], tf.int32))
    return encoder


def test_it_is_a_simple_rnn_over_embeddings(encoder):
    source = [2, 5, 1, 6]
    outputs, [state] = encoder(tf.constant([source]))
    expected = toys.numpy_rnn(encoder, source, np.zeros(4))
    np.testing.assert_allclose(outputs[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state[0], expected[-1], rtol=1e-5, atol=1e-6)


def test_shapes(encoder):
    outputs, state = encoder(tf.constant([[2, 5, 1], [3, 0, 0]]))
    assert outputs.shape == (2, 3, 4)
    assert [part.shape for part in state] == [(2, 4)]


def test_padding_freezes_the_state(encoder):
    _, [alone] = encoder(tf.constant([[2, 5]]))
    _, [padded] = encoder(tf.constant([[2, 5, 0, 0, 0]]))
    np.testing.assert_allclose(padded, alone, rtol=1e-6)
    # ... and does so inside a batch: each row stops where it ends.
    _, [together] = encoder(tf.constant([[2, 5, 0, 0], [4, 0, 0, 0], [2, 5, 1, 6]]))
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(together[1], toys.numpy_rnn(encoder, [4], np.zeros(4))[-1], rtol=1e-5, atol=1e-6)
    # The longest row was not stopped too early.
    np.testing.assert_allclose(
        together[2], toys.numpy_rnn(encoder, [2, 5, 1, 6], np.zeros(4))[-1], rtol=1e-5, atol=1e-6
    )


def test_the_embedding_of_padding_is_never_read(encoder):
    source = tf.constant([[2, 5, 0]])
    before, _ = encoder(source)
    kept = toys.array(encoder.embedding.embeddings)
    try:
        encoder.embedding.embeddings.assign(np.concatenate([np.full([1, 3], 1e3), kept[1:]]))
        after, _ = encoder(source)
    finally:
        encoder.embedding.embeddings.assign(kept)
    np.testing.assert_array_equal(after[:, :2], before[:, :2])


@pytest.mark.parametrize(("stddev", "low", "high"), [(0.0, 0.0, 0.13), (2.0, 1.8, 2.2)])
def test_embeddings_start_as_wide_as_asked_for(stddev, low, high):
    # Glorot-uniform over (200, 150) stays within sqrt(6 / 350) = 0.131; 30,000 normal values are within 10 %.
    encoder = Encoder(200, embedding_dim=150, units=2, embedding_stddev=stddev)
    encoder(tf.ones([1, 1], tf.int32))
    values = toys.array(encoder.embedding.embeddings)
    if stddev:
        assert low < values.std() < high
    else:
        assert 0.9 * 0.131 < np.abs(values).max() <= 0.131


@pytest.mark.parametrize(("initializer", "orthogonal"), [("orthogonal", True), ("glorot_uniform", False)])
def test_the_recurrent_kernel_starts_as_asked_for(initializer, orthogonal):
    encoder = Encoder(7, embedding_dim=3, units=16, cell="simple_rnn", recurrent_initializer=initializer)
    encoder(tf.ones([1, 1], tf.int32))
    kernel = toys.array(encoder.rnn.cell.recurrent_kernel)
    assert np.allclose(kernel @ kernel.T, np.eye(16), atol=1e-5) == orthogonal


def test_it_comes_back_from_its_configuration(encoder):
    copy = Encoder.from_config(encoder.get_config())
    copy(tf.ones([1, 1], tf.int32))
    copy.set_weights(encoder.get_weights())
    source = tf.constant([[2, 5, 0]])
    np.testing.assert_array_equal(copy(source)[0], encoder(source)[0])
    assert copy.get_config() == encoder.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary_size": 0}, f"vocabulary_size is 0; it must be a whole number from 1 to {LARGEST}"),
        ({"embedding_dim": 2.0}, f"embedding_dim is 2.0; it must be a whole number from 1 to {LARGEST}"),
        ({"units": LARGEST + 1}, f"units is {LARGEST + 1}; it must be a whole number from 1 to {LARGEST}"),
        ({"num_layers": "two"}, f"num_layers is 'two'; it must be a whole number from 1 to {LARGEST}"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be a number from 0 to below 1"),
        ({"dropout": -0.1}, "dropout is -0.1; it must be a number from 0 to below 1"),
        ({"cell": "rnn"}, "the cell is 'rnn'; choose one of: simple_rnn, gru, lstm, or give a cell"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError) as caught:
        Encoder(**{"vocabulary_size": 7, **arguments})
    assert str(caught.value) == message
