"""Scheduled sampling with a model whose next token is always the last one plus one."""

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import keras
from keras_seq2seq.model.scheduled_sampling import mix_in_own_tokens, probability_at

INPUT = [[3, 7, 5, 0], [3, 8, 8, 8]]
COIN = np.array([[0.0, 0.9, 0.1, 0.1], [0.0, 0.1, 0.9, 0.1]], np.float32)


def plus_one(token, state):
    # Padding would be likelier still; it is never generated.
    return tf.one_hot(token + 1, 12) + 5 * tf.one_hot(tf.zeros_like(token), 12), state


def mixed(probability, step=plus_one, state=()):
    return mix_in_own_tokens(
        tf.constant(INPUT), state, step, tf.constant(probability), lambda _: tf.constant(COIN.T)
    ).numpy()


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (0.0, INPUT),
        (1.0, [[3, 4, 5, 0], [3, 4, 5, 6]]),
        # In the first row the third token, after a 7; in the second one the second, after <a>, and the last, after 8.
        (0.5, [[3, 7, 8, 0], [3, 4, 8, 9]]),
    ],
)
def test_by_hand(probability, expected):
    np.testing.assert_array_equal(mixed(probability), expected)


def test_the_state_goes_along():
    # This one counts: 5 comes first, and one more at each step, whatever it reads.
    def counting(token, state):
        return tf.one_hot(state[0][:, 0], 12), [state[0] + 1]

    ids = mixed(1.0, counting, [tf.fill([2, 1], 5)])
    np.testing.assert_array_equal(ids, [[3, 5, 6, 0], [3, 5, 6, 7]])


def test_a_graph_for_any_size():
    shapes = []

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def mix(ids):
        result = mix_in_own_tokens(ids, [], plus_one, 1.0, lambda shape: tf.zeros(shape))
        shapes.append(result.shape)
        return result

    np.testing.assert_array_equal(mix(tf.constant(INPUT)), [[3, 4, 5, 0], [3, 4, 5, 6]])
    np.testing.assert_array_equal(mix(tf.constant([[3]])), [[3]])
    assert [shape.rank for shape in shapes] == [2]


@pytest.mark.parametrize(
    ("updates", "expected"), [(0, [0.5, 0.5, 0.5, 0.5]), (1, [0, 0.5, 0.5, 0.5]), (10, [0, 0.25, 0.5, 0.5])]
)
def test_the_probability_rises_in_a_straight_line(updates, expected):
    found = [float(probability_at(tf.constant(update, tf.int64), 0.5, updates)) for update in (0, 5, 10, 1000)]
    assert found == pytest.approx(expected)


def test_the_models_own_tokens_are_the_ones_it_would_generate():
    model = toys.make_model(scheduled_sampling=1.0, cell="lstm", attention="dot", layers=2)
    model.compile("sgd")
    (source, target_input), _ = toys.make_batch([[5, 6], [8]], [[9, 8, 7], [6]])
    state, prepared = model.encode(source)
    own = [target_input[:, 0]]
    for time in range(1, 4):
        logits, state = model.decoder.step(own[-1], state, prepared)
        likeliest = tf.argmax(tf.where(np.isin(range(10), [0, 2, 3]), -np.inf, logits), axis=-1, output_type=tf.int32)
        own.append(tf.where(target_input[:, time] == 0, 0, likeliest))
    own = tf.stack(own, axis=1)
    assert (own != target_input).numpy().any()
    np.testing.assert_allclose(model((source, target_input), training=True), model((source, own)), rtol=1e-5, atol=1e-6)
    # Out of training the teacher is followed.
    assert np.abs(model((source, target_input)) - model((source, own))).max() > 1e-3


def losses_with(**options):
    model = toys.make_model(**options)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    data = toys.dataset_of(toys.BATCHES[:1]).repeat(2)
    losses = [model.fit(data.take(1), verbose=0, shuffle=False).history["loss"][0] for _ in range(2)]
    return losses, [toys.array(weight) for weight in model.trainable_weights]


def test_training_with_it_is_another_training():
    losses, weights = losses_with(scheduled_sampling=1.0, sampling_updates=1)
    plain_losses, plain_weights = losses_with()
    assert losses[0] == plain_losses[0]  # at update 0 the probability is 0
    assert losses[1] != plain_losses[1] and np.isfinite(losses[1])
    assert all((ours != theirs).any() for ours, theirs in zip(weights, plain_weights, strict=True))
