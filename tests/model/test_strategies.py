"""Beam search and sampling over tables of probabilities: small enough to work every answer out by hand."""

import functools
import itertools
import math

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as some

from keras_seq2seq.errors import LARGEST, InputError
from keras_seq2seq.model.decoding import GREEDY, Beam, Sampling, Task, TokenByToken

START, END = 0, 4  # 1, 2, 3 and 4 can be generated; <pad>, 0, cannot, so that it may stand for the start as well
VOCABULARY = 5


def answers_of(strategy, step, state, end=END, max_length=3, rows=None, suppressed=(0,)):
    """Returns for each row of `state`, `(batch, ...)`, its answers, best first: (ids, log-probability)."""
    rows = tf.range(len(state)) if rows is None else tf.constant(rows)
    repeated = tf.repeat(tf.constant(state), strategy.width, axis=0)  # for the beam, as a model does it
    ids, log_probabilities = strategy(Task(step, [repeated], START, end, max_length, rows, suppressed))
    return [
        [(tuple(said[said > 0].tolist()), float(p)) for said, p in zip(*row, strict=True)]
        for row in zip(ids.numpy(), log_probabilities.numpy(), strict=True)
    ]


class Trees:
    """Steps through tables of logits, one table a row; what comes next depends on everything said before.

    A row's state is (its table, its answer so far as a number whose digits are the tokens): a state that were handed
    to the wrong beam would go on with another answer's probabilities.
    """

    def __init__(self, logits):
        self.logits = logits.astype(np.float32)  # (tables, VOCABULARY ** 3 answers so far, VOCABULARY)
        self.calls = 0

    @classmethod
    def random(cls, seed, tables=1):
        return cls(np.random.default_rng(seed).normal(0, 2, [tables, VOCABULARY**3, VOCABULARY]))

    @classmethod
    def by_hand(cls, probabilities):
        """Makes one table from `{answer so far: {token: probability}}`; what is left out is next to impossible."""
        logits = np.full([1, VOCABULARY**3, VOCABULARY], -50.0)
        for said, chances in probabilities.items():
            for token, chance in chances.items():
                logits[0, number_of(said), token] = math.log(chance)
        return cls(logits)

    def __call__(self, token, state):
        self.calls += 1
        table, said = tf.unstack(state[0], axis=1)
        said = said * VOCABULARY + token  # the start, 0, leaves it at 0
        # A finished answer may grow beyond the table. What it is given there must not matter.
        known = tf.minimum(said, VOCABULARY**3 - 1)
        return tf.gather_nd(self.logits, tf.stack([table, known], axis=1)), [tf.stack([table, said], axis=1)]

    def all_answers(self, max_length, length_penalty=0, table=0):
        """Returns every answer there is with its log-probability, best first by the formula of Wu et al. (2016)."""
        logits = self.logits[table].astype(np.float64)
        log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        answers = []
        for length in range(1, max_length + 1):
            for said in itertools.product(range(1, VOCABULARY), repeat=length):
                if END in said[:-1] or (said[-1] != END and length < max_length):
                    continue  # goes on behind the end, or stops short of it
                total = sum(log_softmax[number_of(said[:time]), token] for time, token in enumerate(said))
                answers.append((total / ((5 + length) / (5 + 1)) ** length_penalty, said, total))
        return [(said, total) for _, said, total in sorted(answers, reverse=True)]


def number_of(said):
    return sum(token * VOCABULARY**place for place, token in enumerate(reversed(said)))


def rows_of(tables):
    """Returns the states of rows that use these tables and have said nothing."""
    return [[table, 0] for table in tables]


# By hand.


# Greedy says 2, the likelier token, and cannot do better than 0.6 * 0.4 = 0.24; over 3 there is 0.4 * 0.9 = 0.36.
GARDEN_PATH = {
    (): {2: 0.6, 3: 0.4},
    (2,): {2: 0.35, 3: 0.25, END: 0.4},
    (3,): {2: 0.06, 3: 0.04, END: 0.9},
}


def test_greedy_takes_the_garden_path():
    [[(said, log_probability)]] = answers_of(GREEDY, Trees.by_hand(GARDEN_PATH), rows_of([0]))
    assert said == (2, END)
    assert log_probability == pytest.approx(math.log(0.24), abs=1e-5)


@pytest.mark.parametrize("length_penalty", [0, 0.6])
def test_a_beam_of_two_finds_the_better_answer(length_penalty):
    [answers] = answers_of(Beam(2, 2, length_penalty), Trees.by_hand(GARDEN_PATH), rows_of([0]))
    assert [said for said, _ in answers] == [(3, END), (2, END)]
    assert [p for _, p in answers] == pytest.approx([math.log(0.36), math.log(0.24)], abs=1e-5)


def test_a_beam_that_is_too_narrow_loses_the_better_answer():
    # After the first token 0.5 and 0.3 shut out 0.2, which would have won: 0.2 * 1 against 0.5 * 0.25.
    even = dict.fromkeys((1, 2, 3, END), 0.25)
    trees = Trees.by_hand({(): {2: 0.5, 3: 0.3, 1: 0.2}, (2,): even, (3,): even, (1,): {END: 1.0}})
    narrow, wide = (answers_of(Beam(width, 1, 0), trees, rows_of([0]), max_length=2) for width in (2, 3))
    assert narrow[0][0][1] == pytest.approx(math.log(0.125), abs=1e-5)
    assert wide[0][0] == ((1, END), pytest.approx(math.log(0.2), abs=1e-5))


def test_the_score_by_hand():
    # ((5 + 1) / 6) ** 2 is 1, ((5 + 7) / 6) ** 2 is 4.
    np.testing.assert_allclose(
        Beam(length_penalty=2).score(tf.constant([-3.0, -3.0]), tf.constant([1, 7])), [-3, -0.75]
    )


def test_the_length_penalty_favours_the_longer_answer_as_much_as_the_formula_says():
    # One token at 0.3 against three at 0.7, 0.6 and 0.6, together 0.252. The first is likelier, but
    # log 0.3 / (6/6)**0.6 = -1.2040 and log 0.252 / (8/6)**0.6 = -1.3783 / 1.1884 = -1.1598.
    trees = Trees.by_hand({(): {END: 0.3, 2: 0.7}, (2,): {3: 0.6, 2: 0.4}, (2, 3): {END: 0.6, 2: 0.4}})
    best = {
        length_penalty: answers_of(Beam(8, 1, length_penalty), trees, rows_of([0]))[0][0][0]
        for length_penalty in (0, 0.2, 0.6, 1)
    }
    # At 0.2: -1.3783 / 1.0592 = -1.3012, not yet.
    assert best == {0: (END,), 0.2: (END,), 0.6: (2, 3, END), 1: (2, 3, END)}


@pytest.mark.parametrize("strategy", [GREEDY, Beam(2), Beam(4, 4), Sampling(seed=1), Sampling(1e39, top_k=2)], ids=repr)
def test_suppressed_tokens_are_never_generated_and_their_share_goes_to_nobody(strategy):
    chances = {1: 0.5, 2: 0.3, END: 0.2}
    trees = Trees.by_hand(
        dict.fromkeys([(), *itertools.product((1, 2, 3)), *itertools.product((1, 2, 3), repeat=2)], chances)
    )
    [answers] = answers_of(strategy, trees, rows_of([0]), suppressed=(0, 1))
    for said, log_probability in answers:
        assert 1 not in said
        if 3 not in said:
            assert log_probability == pytest.approx(sum(math.log(chances[token]) for token in said), abs=1e-5)


# Any table: what a beam finds is what counting out all answers finds.

# Up to three tokens out of three and an end: 1 + 3 + 9 * 4 = 40 answers.
ALL = {1: 4, 2: 13, 3: 40}
SEEDS = some.integers(0, 2**32 - 1)


def test_there_are_as_many_answers_as_one_counts():
    for max_length, count in ALL.items():
        assert len(Trees.random(0).all_answers(max_length)) == count


@hypothesis.settings(max_examples=8)
@hypothesis.given(seed=SEEDS, max_length=some.sampled_from([1, 2, 3]))
@pytest.mark.parametrize("length_penalty", [0, 0.6, 2.0])
def test_a_beam_that_holds_everything_ranks_everything(seed, max_length, length_penalty):
    trees = Trees.random(seed, tables=2)
    beam = Beam(ALL[max_length], ALL[max_length], length_penalty)
    for table, found in enumerate(answers_of(beam, trees, rows_of([0, 1]), max_length=max_length)):
        expected = trees.all_answers(max_length, length_penalty, table)
        assert [said for said, _ in found] == [said for said, _ in expected]
        assert [p for _, p in found] == pytest.approx([p for _, p in expected], abs=1e-4)


@hypothesis.settings(max_examples=8)
@hypothesis.given(seed=SEEDS, width=some.integers(1, 12))
def test_any_beam_returns_different_answers_in_order_with_their_own_log_probabilities(seed, width):
    trees = Trees.random(seed)
    truth = dict(trees.all_answers(max_length=3))
    [found] = answers_of(Beam(width, width), trees, rows_of([0]))
    assert len({said for said, _ in found}) == width
    assert [p for _, p in found] == pytest.approx([truth[said] for said, _ in found], abs=1e-4)
    normalised = [p / ((5 + len(said)) / 6) ** 0.6 for said, p in found]
    assert normalised == sorted(normalised, reverse=True)


TABLES = range(40)  # as many random rows at once


def test_a_beam_of_one_is_greedy():
    narrow, greedy = (
        answers_of(strategy, Trees.random(5, len(TABLES)), rows_of(TABLES)) for strategy in (Beam(width=1), GREEDY)
    )
    assert [said for [(said, _)] in narrow] == [said for [(said, _)] in greedy]
    assert [p for [(_, p)] in narrow] == pytest.approx([p for [(_, p)] in greedy], abs=1e-5)


def test_where_there_are_fewer_answers_the_rest_are_impossible():
    trees = Trees.random(7)
    [found] = answers_of(Beam(50, 50, 0), trees, rows_of([0]))
    assert [said for said, _ in found[:40]] == [said for said, _ in trees.all_answers(max_length=3)]
    assert [p for _, p in found[40:]] == [-math.inf] * 10


# A row is nobody else's business.

STRATEGIES = [GREEDY, Beam(width=3, nbest=3), Sampling(temperature=1.5, top_k=3, seed=5)]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_a_row_is_answered_alike_in_any_batch(strategy):
    trees = Trees.random(11, tables=6)
    # The row has table 0 and the number 7 wherever it stands.
    [alone] = answers_of(strategy, trees, rows_of([0]), rows=[7])
    _, second = answers_of(strategy, trees, rows_of([1, 0]), rows=[20, 7])
    first, *_ = answers_of(strategy, trees, rows_of([0, 1, 2, 3, 4, 5]), rows=[7, 0, 1, 2, 3, 4])
    for found in (first, second):
        assert [said for said, _ in found] == [said for said, _ in alone]
        assert [p for _, p in found] == pytest.approx([p for _, p in alone], abs=1e-5)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_it_runs_in_a_graph_and_the_batch_may_be_empty(strategy):
    trees = Trees.random(11)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([], tf.int32)], autograph=False)
    def decode(state, max_length):
        rows = tf.range(tf.shape(state)[0])
        return strategy(Task(trees, [tf.repeat(state, strategy.width, axis=0)], START, END, max_length, rows))

    ids, _ = decode(rows_of([0, 0]), 3)
    eager = answers_of(strategy, trees, rows_of([0, 0]))
    assert [[tuple(said[said > 0]) for said in row] for row in ids.numpy()] == [[a for a, _ in row] for row in eager]
    ids, log_probabilities = decode(tf.zeros([0, 2], tf.int32), 3)
    answers = len(eager[0])
    assert ids.shape == (0, answers, 3) and log_probabilities.shape == (0, answers)
    assert ids.dtype == tf.int32 and log_probabilities.dtype == tf.float32


# When to stop.


class Countdown:
    """Says 2 as often as a row's state tells, and the end then; it counts how often it is asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, token, state):
        self.calls += 1
        left = state[0]
        # 3 and 1 are the second choice and the third: beams have something to follow.
        likeliest = tf.one_hot(tf.where(left > 0, 2, END), VOCABULARY)
        return 20.0 * likeliest + tf.constant([0.0, 1.0, 0.0, 2.0, 0.0]), [left - 1]


@pytest.mark.parametrize("strategy", [GREEDY, Beam(width=1), Sampling(top_k=1)], ids=repr)
@pytest.mark.parametrize(
    ("rows", "max_length", "calls"),
    # A row that says 2 n times is asked n + 1 times, and the longest row decides; or the limit.
    [([0], 9, 1), ([3], 9, 4), ([3, 0, 5], 9, 6), ([3, 0, 5], 4, 4), ([3], 1, 1)],
)
def test_it_stops_as_soon_as_all_rows_have_ended(strategy, rows, max_length, calls):
    step = Countdown()
    found = answers_of(strategy, step, rows, max_length=max_length)
    assert step.calls == calls
    assert [answers[0][0] for answers in found] == [((2,) * row + (END,))[:max_length] for row in rows]


def test_a_beam_stops_when_all_its_answers_have_ended():
    # Whatever comes first, the second token is the end: three answers, two steps, though three are allowed.
    trees = Trees.by_hand({(): {1: 0.5, 2: 0.3, 3: 0.2}, (1,): {END: 1.0}, (2,): {END: 1.0}, (3,): {END: 1.0}})
    [found] = answers_of(Beam(3, 3), trees, rows_of([0]))
    assert [said for said, _ in found] == [(1, END), (2, END), (3, END)]
    assert trees.calls == 2


def test_without_an_end_every_answer_runs_to_the_limit():
    for strategy in (GREEDY, Beam(3, 3), Sampling()):
        [answers] = answers_of(strategy, Countdown(), [0], end=None, max_length=4)
        assert [len(said) for said, _ in answers] == [4] * len(answers)


@pytest.mark.parametrize("strategy", [GREEDY, Beam(4, 4), Sampling(temperature=50)], ids=repr)
@pytest.mark.parametrize("max_length", [1, 3])
def test_padding_is_never_said_and_no_answer_is_too_long(strategy, max_length):
    trees = Trees.random(3, len(TABLES))
    trees.logits[:, :, 0] = 9.0  # the likeliest of all, were it something to say
    state = tf.repeat(rows_of(TABLES), strategy.width, axis=0)
    ids, _ = strategy(Task(trees, [state], START, END, max_length, tf.range(len(TABLES))))
    assert ids.shape[2] == max_length
    for said in ids.numpy().reshape([-1, max_length]).tolist():
        length = said.index(END) + 1 if END in said else max_length
        assert 0 not in said[:length]
        assert not any(said[length:])  # nothing but padding behind the end


def test_padding_keeps_its_share_of_the_probability():
    # The probabilities are the model's: what it gives to padding is lost, not shared out.
    def step(token, state):
        return tf.math.log([[0.4, 0.0, 0.1, 0.2, 0.3]]), state

    for strategy in (GREEDY, Beam(width=1), Sampling(top_k=1)):
        [[(said, log_probability)]] = answers_of(strategy, step, [0])
        assert said == (END,)
        assert log_probability == pytest.approx(math.log(0.3), abs=1e-5)


# Drawing.

CHANCES = {1: 0.5, 2: 0.25, 3: 0.15, END: 0.1}
MANY = 2000


def always(probabilities):
    """Returns a step that gives the same probabilities whatever was said."""
    logits = tf.constant([[-math.inf, *(math.log(probabilities[token]) for token in range(1, VOCABULARY))]])
    return lambda token, state: (tf.repeat(logits, tf.size(token), axis=0), state)


@functools.cache
def drawing(strategy, probabilities, length):
    """Returns the graph from the numbers of rows to what they draw; eagerly it would take minutes."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)], autograph=False)
    def draw(rows):
        return strategy(Task(always(dict(probabilities)), [tf.zeros([tf.size(rows), 1])], START, None, length, rows))

    return draw


def drawn(strategy, probabilities=CHANCES, length=1, rows=range(MANY)):
    """Returns the tokens drawn by many rows, `(rows, length)`, and their log-probabilities."""
    ids, log_probabilities = drawing(strategy, tuple(probabilities.items()), length)(tf.constant(rows))
    return ids[:, 0].numpy(), log_probabilities[:, 0].numpy()


def check_frequencies(counts, chances):
    """Each count lies within five standard deviations of what was to be expected: 1 in 1.7 million does not."""
    counts = np.asarray(counts)
    for chance, count in zip(chances, counts, strict=True):
        assert abs(count - counts.sum() * chance) <= 5 * math.sqrt(counts.sum() * chance * (1 - chance))


@pytest.mark.parametrize(
    ("options", "chances"),
    [
        ({}, [0.5, 0.25, 0.15, 0.1]),
        # Squared: 0.25, 0.0625, 0.0225, 0.01, and divided by their sum, 0.345.
        ({"temperature": 0.5}, [0.25 / 0.345, 0.0625 / 0.345, 0.0225 / 0.345, 0.01 / 0.345]),
        # So hot that all are alike.
        ({"temperature": 1e6}, [0.25, 0.25, 0.25, 0.25]),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0]),
        ({"top_k": 100}, [0.5, 0.25, 0.15, 0.1]),  # more than there are
        ({"top_k": 2, "temperature": 0.5}, [0.8, 0.2, 0, 0]),
    ],
)
def test_tokens_are_drawn_as_often_as_they_are_likely(options, chances):
    said, _ = drawn(Sampling(seed=3, **options))
    check_frequencies([np.sum(said == token) for token in range(1, VOCABULARY)], chances)


def test_the_draws_of_a_row_do_not_hang_together_nor_those_of_two_rows():
    # The chance of a couple of draws is the product of theirs: over two steps of a row, and over two rows, also of the
    # second step of one and the first of the next, and of the second before and the first.
    said, _ = drawn(Sampling(seed=1), length=2)
    one, two = said.T
    for first, second in ((one, two), (one[:-1], one[1:]), (two[:-1], one[1:]), (one[:-1], two[1:])):
        couples = list(itertools.product(CHANCES, repeat=2))
        counts = [np.sum((first == token) & (second == other)) for token, other in couples]
        check_frequencies(counts, [CHANCES[one] * CHANCES[other] for one, other in couples])


def test_two_seeds_do_not_hang_together():
    couples = list(itertools.product(CHANCES, repeat=2))
    one_seed, other_seed = (drawn(Sampling(seed=seed), length=2)[0][:, 0] for seed in (1, 2))
    counts = [np.sum((one_seed == one) & (other_seed == other)) for one, other in couples]
    check_frequencies(counts, [CHANCES[one] * CHANCES[other] for one, other in couples])


def test_the_same_seed_draws_the_same_in_any_batch():
    all_at_once = drawn(Sampling(seed=4), length=8, rows=range(50))[0].tolist()
    drawing.cache_clear()  # as in another process
    assert drawn(Sampling(seed=4), length=8, rows=range(50))[0].tolist() == all_at_once
    assert drawn(Sampling(seed=4), length=8, rows=[7])[0].tolist() == [all_at_once[7]]
    assert drawn(Sampling(seed=4), length=8, rows=[49, 3])[0].tolist() == [all_at_once[49], all_at_once[3]]


def test_log_probabilities_are_the_models_own():
    # Not those of the sharpened, cut distribution that was drawn from.
    said, log_probabilities = drawn(Sampling(temperature=0.3, top_k=2, seed=2), length=3, rows=range(20))
    expected = [sum(math.log(CHANCES[token]) for token in row) for row in said.tolist()]
    assert log_probabilities.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("options", [{"top_k": 1}, {"temperature": 1e-6}, {"temperature": 1e-30}], ids=str)
def test_the_boldest_sampling_is_greedy(options):
    bold, greedy = (
        answers_of(strategy, Trees.random(9, len(TABLES)), rows_of(TABLES))
        for strategy in (Sampling(**options), GREEDY)
    )
    assert bold == greedy


def test_no_temperature_is_too_low():
    # The smallest number above 0 there is.
    said, _ = drawn(Sampling(temperature=5e-324), rows=range(20))
    assert said.tolist() == [[1]] * 20


@pytest.mark.parametrize("top_k", [1, 2])
def test_no_more_than_k_tokens_are_drawn_where_all_are_alike(top_k):
    said, _ = drawn(Sampling(top_k=top_k), dict.fromkeys(CHANCES, 0.25), rows=range(200))
    assert len(set(said[:, 0].tolist())) == top_k


# A strategy of one's own.


def test_a_strategy_of_ones_own_says_how_to_choose():
    class Unlikely(TokenByToken):
        def choose(self, log_probabilities, time, rows):
            speakable = tf.where(tf.math.is_finite(log_probabilities), log_probabilities, math.inf)
            return tf.argmin(speakable, axis=-1, output_type=tf.int32)

    [[(said, log_probability)]] = answers_of(Unlikely(), always(CHANCES), [0])
    assert said == (END,)  # the least likely
    assert log_probability == pytest.approx(math.log(0.1), abs=1e-5)


# Bad parameters.


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Beam(0), "beam 0"),
        (lambda: Beam(-1), "beam -1"),
        (lambda: Beam(3, 0), "n-best 0"),
        (lambda: Beam(3, 4), "n-best 4"),
        (lambda: Beam(3, length_penalty=math.nan), "nan"),
        (lambda: Beam(3, length_penalty=math.inf), "inf"),
        (lambda: Sampling(temperature=0), "temperature is 0"),
        (lambda: Sampling(temperature=-1.0), "temperature is -1"),
        (lambda: Sampling(temperature=math.nan), "temperature is nan"),
        (lambda: Sampling(temperature=math.inf), "temperature is inf"),
        (lambda: Sampling(top_k=-1), "top-k is -1"),
        (lambda: Sampling(seed=2**64), "seed"),  # more than a seed can hold
        (lambda: Sampling(seed=-1), "seed is -1"),
        (lambda: Beam(length_penalty=10.5), "length penalty is 10.5"),
        (lambda: Beam(length_penalty=-10.5), "length penalty is -10.5"),
    ],
)
def test_bad_parameters_are_refused(make, named):
    with pytest.raises(InputError, match=named) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_parameters_may_be_what_the_messages_say():
    for length_penalty in (-10, 10):
        Beam(length_penalty=length_penalty)
    for number in (0, LARGEST):
        Sampling(top_k=number, seed=number)
    Beam(LARGEST, LARGEST)
    assert (Beam(), Sampling()) == (Beam(5, 1, 0.6), Sampling(1.0, 0, 0))


@pytest.mark.parametrize("strategy", [GREEDY, Beam(2, 2), Sampling(0.1, 1, 7)], ids=repr)
def test_strategies_are_frozen_and_equal_where_their_parameters_are(strategy):
    # A model keeps one graph for each strategy, under the strategy itself.
    twin = type(strategy)(**vars(strategy))
    assert strategy == twin and hash(strategy) == hash(twin)
    with pytest.raises(AttributeError):
        strategy.width = 9
