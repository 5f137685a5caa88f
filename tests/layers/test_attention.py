"""Attention against weights worked out by hand; padding gets none of it."""

import math

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Decoder
from keras_seq2seq.layers.attention import AdditiveAttention, DotAttention, attend

MEMORY = [[1.0, 0.0], [0.0, 1.0]]


def attended(attention, query, memory, mask):
    """Returns the context and the weights, the keys computed first, as a decoder does it."""
    return attention(query, attention.keys(memory), memory, mask)


def dot():
    """Returns a dot attention that scores ln 3 and 0 for a query of 2, and 0 and 0 for one of 0."""
    attention = DotAttention(1)
    attended(attention, tf.zeros([1, 1, 1]), tf.zeros([1, 1, 2]), tf.ones([1, 1], tf.bool))
    # The first token's score is query * weight * 1 / sqrt(2), the size of the memory being 2.
    attention.key.kernel.assign([[math.log(3) * math.sqrt(2) / 2], [0.0]])
    return attention


def additive():
    """Returns an additive attention whose scores are as far apart."""
    attention = AdditiveAttention(1)
    attended(attention, tf.zeros([1, 1, 1]), tf.zeros([1, 1, 2]), tf.ones([1, 1], tf.bool))
    # The hidden value is tanh(10 query - 20 + (20, -20)): 1 and -1 at a query of 2, -1 and -1 at one of -5.
    attention.query.kernel.assign([[10.0]])
    attention.query.bias.assign([-20.0])
    attention.memory.kernel.assign([[20.0], [-20.0]])
    attention.energy.kernel.assign([[math.log(3) / 2]])
    return attention


@pytest.mark.parametrize(("make", "no_choice"), [(dot, 0.0), (additive, -5.0)])
def test_two_tokens_by_hand(make, no_choice):
    query, mask = tf.constant([[[2.0], [no_choice]]]), tf.constant([[True, True]])
    context, weights = attended(make(), query, tf.constant([MEMORY]), mask)
    np.testing.assert_allclose(weights, [[[0.75, 0.25], [0.5, 0.5]]], rtol=1e-6)
    np.testing.assert_allclose(context, [[[0.75, 0.25], [0.5, 0.5]]], rtol=1e-6)


@pytest.mark.parametrize(("make", "shapes"), [(dot, [(2, 1)]), (additive, [(1, 1), (1,), (2, 1), (1, 1)])])
def test_only_the_query_of_additive_attention_has_a_bias(make, shapes):
    # One at the keys would add nothing to it, and one at the energy the same to every token's score.
    assert [tuple(weight.shape) for weight in make().weights] == shapes


@pytest.mark.parametrize("make", [dot, additive])
def test_padding_gets_nothing_at_all(make):
    # Whatever stands there: here, what would be looked at most.
    memory = tf.constant([[*MEMORY, [1e30, 0.0]], [MEMORY[0], [1e30, 0.0], [1e30, 0.0]]])
    mask = tf.constant([[True, True, False], [True, False, False]])
    context, weights = attended(make(), tf.fill([2, 1, 1], 2.0), memory, mask)
    np.testing.assert_allclose(weights, [[[0.75, 0.25, 0]], [[1, 0, 0]]], rtol=1e-6)
    assert (weights.numpy()[~mask[:, None].numpy()] == 0).all()
    assert weights[1, 0, 0] == 1  # all of it, where there is one token
    np.testing.assert_allclose(context, [[[0.75, 0.25]], [[1, 0]]], rtol=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_weights_sum_to_one_over_the_tokens(size):
    scores = size * np.random.default_rng(0).normal(size=[4, 3, 5]).astype("f") - size
    mask = tf.sequence_mask([5, 3, 2, 1], 5)
    _, weights = attend(tf.constant(scores), tf.zeros([4, 5, 2]), mask)
    np.testing.assert_allclose(tf.reduce_sum(weights, axis=-1), np.ones([4, 3]), rtol=1e-6)
    assert not weights.numpy()[~np.broadcast_to(mask[:, None], [4, 3, 5])].any()


@pytest.mark.parametrize("kind", ["additive", "dot"])
def test_the_decoder_combines_hidden_state_and_context(kind):
    decoder = Decoder(7, embedding_dim=3, units=4, cell="simple_rnn", attention=kind)
    memory = (tf.constant(np.random.default_rng(0).normal(size=[1, 3, 4]), tf.float32), tf.ones([1, 3], tf.bool))
    start = np.array([0.3, -0.8, 0.5, 0.1])
    tokens = tf.constant([[3, 5]])
    state, prepared = decoder.prepare([tf.constant([start], tf.float32)], *memory)
    logits = decoder(tokens, state, prepared)
    hidden = toys.numpy_rnn(decoder, [3, 5], start)
    context, expected = attended(decoder.attention, tf.constant([hidden], tf.float32), *memory)
    np.testing.assert_allclose(decoder.inspect(tokens, state, prepared)["attention"], expected, rtol=1e-5)
    both = np.tanh(np.concatenate([hidden, context[0]], axis=-1) @ toys.array(decoder.combine.kernel))
    assert len(decoder.combine.weights) == 1  # no bias
    by_hand = both @ toys.array(decoder.projection.kernel) + toys.array(decoder.projection.bias)
    np.testing.assert_allclose(logits[0], by_hand, rtol=1e-4, atol=1e-6)


def inspected(model, source, target_input):
    return model.decoder.inspect(target_input, *model.encode(source))


def test_the_decoder_shows_its_weights():
    model = toys.make_model(attention="dot")
    (source, target_input), _ = toys.BATCHES[0]
    seen = inspected(model, source, target_input)
    np.testing.assert_array_equal(seen["logits"], model((source, target_input)))
    weights = seen["attention"]
    assert weights.shape == (2, 6, 4)
    np.testing.assert_allclose(tf.reduce_sum(weights, axis=-1), np.ones([2, 6]), rtol=1e-6)
    assert not weights[1, :, 2:].numpy().any()  # the second source has two tokens
    assert set(inspected(toys.make_model(), source, target_input)) == {"logits", "hidden_states"}
