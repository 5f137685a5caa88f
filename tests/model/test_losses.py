"""The masked loss, worked out by hand: padding adds nothing, and labels are what it is divided by."""

import math

import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq import keras
from keras_seq2seq.model.losses import (
    SmoothedCrossentropy,
    label_mask,
    masked_mean,
    token_crossentropy,
    token_loss,
)


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary():
    labels = tf.constant([[0, 3, 6], [1, 2, 4]])
    losses = token_crossentropy(labels, tf.zeros([2, 3, 7])).numpy()
    np.testing.assert_allclose(losses, np.full([2, 3], math.log(7)), rtol=1e-6)
    # The same number added to all logits changes no probability.
    np.testing.assert_allclose(token_crossentropy(labels, tf.fill([2, 3, 7], 5.0)), losses, rtol=1e-6)


def test_two_tokens_by_hand():
    # softmax([ln 3, ln 1]) is [3/4, 1/4].
    logits = tf.constant([[[math.log(3), 0.0], [math.log(3), 0.0]]])
    losses = token_crossentropy(tf.constant([[0, 1]]), logits)
    np.testing.assert_allclose(losses, [[math.log(4 / 3), math.log(4)]], rtol=1e-6)


def test_huge_logits_stay_finite():
    losses = token_crossentropy(tf.constant([[0, 1]]), tf.constant([[[1e4, -1e4], [1e4, -1e4]]]))
    np.testing.assert_allclose(losses, [[0.0, 2e4]])


def test_the_mask_is_one_at_labels_and_zero_at_padding():
    mask = label_mask(tf.constant([[5, 1, 0], [4, 0, 0]]))
    assert mask.dtype == tf.float32
    assert mask.numpy().tolist() == [[1, 1, 0], [1, 0, 0]]


def test_the_mean_is_over_labels_not_over_positions():
    values = tf.constant([[1.0, 2.0, 100.0], [6.0, 100.0, 100.0]])
    mask = tf.constant([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert float(masked_mean(values, mask)) == 3.0  # (1 + 2 + 6) / 3


def test_more_padding_changes_nothing():
    values, mask = tf.constant([[1.0, 2.0]]), tf.constant([[1.0, 1.0]])
    wider = [tf.pad(tensor, [[0, 1], [0, 5]]) for tensor in (values, mask)]
    assert float(masked_mean(*wider)) == float(masked_mean(values, mask)) == 1.5


def test_an_explicit_count_makes_parts_add_up_to_the_whole():
    values, mask = tf.constant([[1.0, 2.0], [6.0, 100.0]]), tf.constant([[1.0, 1.0], [1.0, 0.0]])
    parts = [float(masked_mean(values[row], mask[row], tf.constant(3.0))) for row in (0, 1)]
    assert parts == [1.0, 2.0]  # (1 + 2) / 3 and 6 / 3
    assert sum(parts) == float(masked_mean(values, mask))


def test_a_batch_of_padding_alone_costs_nothing():
    values, mask = tf.constant([[1.0, 2.0]]), tf.zeros([1, 2])
    assert float(masked_mean(values, mask)) == 0.0  # not 0 / 0
    assert float(masked_mean(values, mask, tf.constant(0.0))) == 0.0


def test_a_batch_of_padding_alone_has_no_gradient():
    logits = tf.Variable([[[1.0, 2.0, 3.0]]])
    labels = tf.constant([[0]])
    with tf.GradientTape() as tape:
        loss = masked_mean(token_crossentropy(labels, logits), label_mask(labels))
    assert tape.gradient(loss, logits).numpy().tolist() == [[[0.0, 0.0, 0.0]]]


@pytest.mark.parametrize("lengths", [(4, 1), (2, 2), (3, 0)])
def test_it_is_keras_own_loss_that_ignores_class_0(lengths):
    # With `ignore_class` and the default reduction both Keras divide the sum by the labels that are left, over
    # the whole batch: not by all positions, and not first by the labels of each row.
    random = np.random.default_rng(0)
    labels = np.zeros([2, 4], np.int32)
    for row, length in enumerate(lengths):
        labels[row, :length] = random.integers(1, 6, length)
    logits = tf.constant(random.normal(size=[2, 4, 6]), tf.float32)
    ours = masked_mean(token_crossentropy(tf.constant(labels), logits), label_mask(labels))
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)(labels, logits)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_smoothed_labels_by_hand():
    # softmax([ln 3, ln 1]) is [3/4, 1/4]; a fifth of the label spread over two tokens leaves [0.9, 0.1] of it.
    logits = tf.constant([[[math.log(3), 0.0], [math.log(3), 0.0]]])
    losses = SmoothedCrossentropy(0.2).call(tf.constant([[0, 1]]), logits)
    right, wrong = -math.log(3 / 4), -math.log(1 / 4)
    np.testing.assert_allclose(losses, [[0.9 * right + 0.1 * wrong, 0.1 * right + 0.9 * wrong]], rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_smoothed_labels_are_keras_own(smoothing):
    random = np.random.default_rng(0)
    labels, logits = random.integers(0, 6, [2, 4]), tf.constant(random.normal(size=[2, 4, 6]), tf.float32)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction="none")
    ours = SmoothedCrossentropy(smoothing).call(tf.constant(labels), logits)
    np.testing.assert_allclose(ours, theirs(tf.one_hot(labels, 6), logits), rtol=1e-5)


LABELS = tf.constant([[1, 4, 0], [2, 0, 0]])
LOGITS = tf.constant(np.random.default_rng(0).normal(size=[2, 3, 6]), tf.float32)


def test_smoothing_as_a_loss_of_keras_and_back_from_its_description():
    loss = SmoothedCrossentropy(0.2)
    copy = SmoothedCrossentropy(**loss.get_config())
    assert copy.label_smoothing == 0.2
    np.testing.assert_array_equal(copy.call(LABELS, LOGITS), loss.call(LABELS, LOGITS))


@pytest.mark.parametrize(
    "loss",
    [
        None,
        "sparse_categorical_crossentropy",
        token_crossentropy,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ],
    ids=["none", "name", "function", "object"],
)
def test_what_compile_is_given_as_the_cross_entropy_is_ours_for_each_token(loss):
    np.testing.assert_allclose(token_loss(loss)(LABELS, LOGITS), token_crossentropy(LABELS, LOGITS), rtol=1e-5)


def test_a_name_that_keras_does_not_know_is_refused():
    with pytest.raises(ValueError, match="nonsense"):
        token_loss("nonsense")


def test_a_loss_that_takes_logits_for_probabilities_is_refused():
    with pytest.raises(ValueError, match=r"puts out logits: write SparseCategoricalCrossentropy\(from_logits=True\)"):
        token_loss(keras.losses.SparseCategoricalCrossentropy())
