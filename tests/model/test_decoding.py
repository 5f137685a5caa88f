"""Greedy decoding over a table of transitions: one can read off what has to be said."""

import math

import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.model.decoding import GREEDY, Task

START, END = 3, 4

# What follows a token: 3 -> 1 -> 2 -> 5 -> 4 (end), and 6 goes round for ever. Logits are 2.0 there, else 0.5.
FOLLOWS = {0: 5, 1: 2, 2: 5, 3: 1, 4: 4, 5: 4, 6: 6}
TABLE = np.array([[2.0 if FOLLOWS[token] == after else 0.5 for after in range(7)] for token in range(7)], np.float32)


class TableStep:
    """A step through the table. A row's state, one number, is added to logit 6: 0 leaves the table as it is."""

    def __init__(self):
        self.calls = 0

    def __call__(self, token, state):
        def look_up(token, state):
            self.calls += 1
            logits = TABLE[token.numpy()]
            logits[:, 6] += state.numpy()[:, 0]
            return logits

        logits = tf.py_function(look_up, [token, state[0]], tf.float32)
        return tf.ensure_shape(logits, [None, 7]), state


def greedy(step, state, end=END, max_length=10):
    """Returns the ids `(batch, max_length)` and their log-probabilities `(batch,)`."""
    rows = tf.range(tf.shape(state[0])[0])
    ids, log_probabilities = GREEDY(Task(step, state, start=START, end=end, max_length=max_length, rows=rows))
    return ids[:, 0], log_probabilities[:, 0]


def say(extras, end=END, max_length=10, step=None):
    """Returns the ids said by rows whose states are `extras`."""
    state = [tf.constant(extras, tf.float32)[:, None]]
    return greedy(step or TableStep(), state, end, max_length)[0].numpy().tolist()


def test_it_takes_the_likeliest_token_until_the_end_and_pads_behind_it():
    assert say([0]) == [[1, 2, 5, 4, 0, 0, 0, 0, 0, 0]]
    # The second row says 6 for ever.
    assert say([0, 9], max_length=6) == [[1, 2, 5, 4, 0, 0], [6] * 6]


@pytest.mark.parametrize(
    ("extras", "max_length", "calls"), [([0], 10, 4), ([0, 0], 100, 4), ([0, 9], 7, 7), ([0], 2, 2)]
)
def test_it_asks_no_further_than_it_must(extras, max_length, calls):
    # As soon as every row has ended, however long it might go on.
    step = TableStep()
    say(extras, max_length=max_length, step=step)
    assert step.calls == calls


@pytest.mark.parametrize("max_length", [1, 2, 3])
def test_it_says_no_more_than_it_may(max_length):
    assert say([0], max_length=max_length) == [[1, 2, 5][:max_length]]


def test_the_limit_may_be_a_tensor():
    assert say([0], max_length=tf.constant(2)) == [[1, 2]]


def test_without_an_end_every_row_runs_to_the_limit():
    assert say([0, 9], end=None, max_length=6) == [[1, 2, 5, 4, 4, 4], [6] * 6]


def test_the_first_of_two_equally_likely_tokens_is_taken():
    assert say([1.5], max_length=1) == [[1]]  # 1 and 6 are both at 2.0


def test_padding_is_never_said_though_it_be_the_likeliest():
    def step(token, state):
        return tf.constant([[5.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0]]), state

    assert greedy(step, [tf.zeros([1, 1])], max_length=3)[0].numpy().tolist() == [[2, 2, 2]]


@pytest.mark.parametrize("extra", [0.0, 1.0, 9.0])
@pytest.mark.parametrize("company", [[0.0], [9.0], [9.0, 0.0, 1.0]])
def test_a_row_says_the_same_in_any_batch(extra, company):
    assert say([*company, extra])[-1] == say([extra])[0]


def test_the_log_probability_of_an_answer_by_hand():
    # Each of the four tokens has a logit of 2 against six of 0.5. Padding is never said, but keeps its share: the
    # probabilities are the model's. What stands behind the end costs nothing.
    _, log_probabilities = greedy(TableStep(), [tf.constant([[0.0]])], max_length=9)
    one = 2 - math.log(math.exp(2) + 6 * math.exp(0.5))
    assert log_probabilities.numpy().tolist() == pytest.approx([4 * one], rel=1e-5)


def test_each_state_goes_to_its_next_step():
    # Says what the state counts: it grows by one in each step.
    def step(token, state):
        return tf.one_hot(tf.cast(state[0][:, 0], tf.int32), 7), [state[0] + 1]

    ids, _ = greedy(step, [tf.constant([[1.0], [3.0]])], max_length=5)
    assert ids.numpy().tolist() == [[1, 2, 3, 4, 0], [3, 4, 0, 0, 0]]


def test_all_parts_of_a_state_are_carried():
    # Fibonacci's numbers need the last two.
    def step(token, state):
        old, new = state
        return tf.one_hot(tf.cast(new[:, 0], tf.int32), 14), [new, old + new]

    ids, _ = greedy(step, [tf.zeros([1, 1]), tf.ones([1, 1])], end=None, max_length=7)
    assert ids.numpy().tolist() == [[1, 1, 2, 3, 5, 8, 13]]


def test_it_works_inside_a_graph_for_any_batch():
    def step(token, state):
        return tf.gather(tf.constant(TABLE), token), state

    @tf.function(input_signature=[tf.TensorSpec([None, 1]), tf.TensorSpec([], tf.int32)])
    def decode(state, max_length):
        return greedy(step, [state], max_length=max_length)[0]

    assert decode(tf.zeros([2, 1]), 5).numpy().tolist() == [[1, 2, 5, 4, 0]] * 2
    assert decode(tf.zeros([1, 1]), 3).numpy().tolist() == [[1, 2, 5]]
    # A replica's share of the last batch may be empty.
    assert decode(tf.zeros([0, 1]), 3).shape == (0, 3)


def test_ids_are_int32():
    assert greedy(TableStep(), [tf.zeros([1, 1])])[0].dtype == tf.int32
