"""Dropout by itself: what it drops, and which draws differ."""

import json

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq.layers.dropout import Dropout

ONES = tf.ones([100, 50])


def drawn(dropout, inputs=ONES):
    """Returns what one more call of training makes of `inputs`."""
    return dropout(inputs, training=True).numpy()


def test_a_share_is_dropped_and_the_others_are_scaled_up():
    found = drawn(Dropout(0.2, seed=0, stream="a"))
    assert np.unique(found).tolist() == [0, pytest.approx(1 / 0.8)]
    assert np.mean(found == 0) == pytest.approx(0.2, abs=0.02)  # a standard deviation is 0.006


def test_out_of_training_nothing_is_dropped_and_nothing_counted():
    dropout = Dropout(0.2, seed=0, stream="a")
    assert dropout(ONES) is ONES
    assert int(dropout.draws) == 0


def test_each_call_seed_and_stream_draws_others_and_the_same_ones_draw_the_same():
    first, again, seed, stream = (Dropout(0.5, *of) for of in ((0, "a"), (0, "a"), (1, "a"), (0, "b")))
    one, next_one = drawn(first), drawn(first)
    for other in (next_one, drawn(seed), drawn(stream)):
        assert np.mean(one == other) == pytest.approx(0.5, abs=0.03)
    again.draws.assign(1)
    np.testing.assert_array_equal(drawn(again), next_one)


def test_its_count_is_saved_but_not_learnt_and_masks_pass_through():
    dropout = Dropout(0.5, seed=0, stream="a")
    assert len(dropout.weights) == 1 and not dropout.trainable_weights
    mask = tf.constant([[True, False]])
    assert dropout.compute_mask(tf.ones([1, 2, 3]), mask) is mask


DRAW_TWICE = """
from keras_seq2seq.layers.dropout import Dropout
with strategy.scope():
    dropout = Dropout(0.5, seed=0, stream="a")
call = tf.function(lambda: dropout(tf.ones([400]), training=True))
drawn = [strategy.experimental_local_results(strategy.run(call)) for update in range(2)]
print(json.dumps([part.numpy().tolist() for parts in drawn for part in parts]))
"""


def test_no_replica_draws_what_another_one_does_now_or_later():
    draws = [np.array(draw) for draw in json.loads(toys.output_of(toys.TWO_REPLICAS + DRAW_TWICE).splitlines()[-1])]
    assert len(draws) == 4
    for number, draw in enumerate(draws):
        for other in draws[:number]:
            assert np.mean(draw == other) == pytest.approx(0.5, abs=0.1)
