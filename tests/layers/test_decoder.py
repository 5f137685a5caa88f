"""The decoder against a SimpleRNN written out in NumPy; one step at a time gives what the whole call gives."""

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Decoder, Encoder, InputError, keras
from keras_seq2seq.layers.attention import AdditiveAttention, DotAttention


@pytest.fixture(scope="module")
def decoder():
    keras.utils.set_random_seed(1)
    decoder = Decoder(7, embedding_dim=3, units=4, cell="simple_rnn", embedding_stddev=0.5)
    decoder(tf.ones([1, 1], tf.int32), [tf.zeros([1, 4])])
    # A bias of zero, as it starts, would hide a missing bias.
    decoder.projection.bias.assign([0.7, -0.6, 0.5, -0.4, 0.3, -0.2, 0.1])
    return decoder


STATE = np.array([[0.3, -0.8, 0.5, 0.1], [-0.2, 0.4, 0.9, -0.6]], np.float32)


def projected(decoder, outputs):
    return outputs @ toys.array(decoder.projection.kernel) + toys.array(decoder.projection.bias)


def test_it_is_a_simple_rnn_from_the_given_state_and_a_projection(decoder):
    rows = [[3, 5, 1, 6], [3, 2, 2, 4]]
    logits = decoder(tf.constant(rows), [tf.constant(STATE)])
    seen = decoder.inspect(tf.constant(rows), [tf.constant(STATE)])
    assert logits.shape == (2, 4, 7) and set(seen) == {"logits", "hidden_states"}
    np.testing.assert_array_equal(seen["logits"], logits)
    for row, start, of_row, hidden in zip(rows, STATE, logits, seen["hidden_states"], strict=True):
        outputs = toys.numpy_rnn(decoder, row, start)
        np.testing.assert_allclose(of_row, projected(decoder, outputs), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(hidden, outputs, rtol=1e-5, atol=1e-6)


def test_at_padding_the_logits_are_the_bias(decoder):
    logits = decoder(tf.constant([[3, 5, 6, 0, 0], [3, 2, 2, 4, 1]]), [tf.constant(STATE)])
    bias = toys.array(decoder.projection.bias)
    np.testing.assert_array_equal(logits[0, 3:], [bias, bias])
    without_padding = projected(decoder, toys.numpy_rnn(decoder, [3, 5, 6], STATE[0]))
    np.testing.assert_allclose(logits[0, :3], without_padding, rtol=1e-5, atol=1e-6)
    # The other row goes on to its end.
    np.testing.assert_allclose(
        logits[1], projected(decoder, toys.numpy_rnn(decoder, [3, 2, 2, 4, 1], STATE[1])), rtol=1e-5, atol=1e-6
    )


def test_one_step_at_a_time_gives_the_same(decoder):
    rows = tf.constant([[3, 5, 1, 6], [3, 2, 2, 4]])
    seen = decoder.inspect(rows, [tf.constant(STATE)])
    together, hidden = seen["logits"], seen["hidden_states"]
    state = [tf.constant(STATE)]
    for time in range(4):
        logits, state = decoder.step(rows[:, time], state)
        np.testing.assert_allclose(logits, together[:, time], rtol=1e-5, atol=1e-6)
        assert [part.shape for part in state] == [(2, 4)]
        np.testing.assert_allclose(state[0], hidden[:, time], rtol=1e-5, atol=1e-6)


def test_tied_it_projects_by_the_embedding():
    decoder = Decoder(7, embedding_dim=3, units=4, cell="simple_rnn", tie_embeddings=True)
    rows, state = tf.constant([[3, 5, 1]]), [tf.constant(STATE[:1])]
    hidden = decoder.inspect(rows, state)["hidden_states"]
    decoder.projection.bias.assign([0.7, -0.6, 0.5, -0.4, 0.3, -0.2, 0.1])
    decoder.projection.resize.bias.assign([0.2, -0.3, 0.4])
    resized = hidden[0] @ toys.array(decoder.projection.resize.kernel) + [0.2, -0.3, 0.4]
    by_hand = resized @ toys.array(decoder.embedding.embeddings).T + toys.array(decoder.projection.bias)
    np.testing.assert_allclose(decoder(rows, state)[0], by_hand, rtol=1e-5, atol=1e-6)


def test_dropout_is_for_training_alone():
    decoder = Decoder(7, embedding_dim=3, units=4, dropout=0.5)
    rows, state = tf.constant([[3, 5, 1, 6]]), [tf.constant(STATE[:1])]
    logits = decoder(rows, state, training=False)
    for out_of_training in (decoder(rows, state), decoder.inspect(rows, state)["logits"]):
        np.testing.assert_allclose(out_of_training, logits, rtol=1e-5, atol=1e-6)
    assert np.abs(decoder(rows, state, training=True) - logits).max() > 1e-3
    for time in range(4):
        one, state = decoder.step(rows[:, time], state)
        np.testing.assert_allclose(one, logits[:, time], rtol=1e-5, atol=1e-6)


def test_a_shared_embedding_is_one_and_the_same():
    encoder = Encoder(7, embedding_dim=3, units=4)
    decoder = Decoder(7, embedding_dim=3, units=4, embedding=encoder.embedding)
    _, state = encoder(tf.constant([[2, 5]]))
    before = decoder(tf.constant([[3]]), state)
    encoder.embedding.embeddings.assign(toys.array(encoder.embedding.embeddings) + 1)
    after = decoder(tf.constant([[3]]), state)
    assert np.abs(after - before).max() > 1e-3


def test_an_unknown_attention_is_refused():
    with pytest.raises(InputError, match="the attention is 'bahdanau'; choose one of: additive, dot"):
        Decoder(7, attention="bahdanau")


def test_logits_are_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        decoder = Decoder(7, embedding_dim=3, units=4)
        logits = decoder(tf.constant([[3, 5]]), [tf.zeros([1, 4], tf.bfloat16)])
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert logits.dtype == tf.float32


def test_it_comes_back_from_its_configuration(decoder):
    copy = Decoder.from_config(decoder.get_config())
    state, token = [tf.constant(STATE)], tf.constant([[3, 5], [3, 0]])
    copy(token, state)
    copy.set_weights(decoder.get_weights())
    np.testing.assert_array_equal(copy(token, state), decoder(token, state))
    assert copy.get_config() == decoder.get_config()


@pytest.mark.parametrize("attention", [AdditiveAttention, DotAttention])
def test_an_attention_may_be_given_as_a_layer(attention):
    decoder = Decoder(7, embedding_dim=3, units=4, cell=keras.layers.GRUCell(4), attention=attention(4))
    copy = Decoder.from_config(decoder.get_config())
    assert type(copy.attention) is attention and copy.attention.units == 4
    assert type(copy.rnn.cell) is keras.layers.GRUCell
