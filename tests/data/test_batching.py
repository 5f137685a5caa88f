"""Pairs -> batches of ids: the teacher-forcing shift, the buckets and the order, worked out by hand."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq import InputError, Vocabulary, batches, encode_pairs
from keras_seq2seq.data.batching import (
    add_question,
    example_batches,
    make_layout,
    teacher_forcing,
    training_batches,
)
from keras_seq2seq.data.corpora import NOTEBOOK
from keras_seq2seq.data.vocabulary import NOTEBOOK_TOKENS, SPECIAL
from keras_seq2seq.training.configuration import PUBLISHED

PAD, Q, A, END = 0, 2, 3, 4
WORDS = Vocabulary([*SPECIAL, "b", "c", "d"], "space")  # b: 5, c: 6, d: 7


def ragged(*rows):
    return tf.ragged.constant(rows, dtype=tf.int32)


# One row


def test_the_source_begins_with_the_question_mark_token():
    assert add_question(ragged([5, 6], []), WORDS).to_list() == [[Q, 5, 6], [Q]]


def test_teacher_forcing_asks_for_the_next_token():
    target_input, labels = teacher_forcing(ragged([5, 6, 7], [6]), WORDS)
    assert target_input.to_list() == [[A, 5, 6, 7], [A, 6]]
    assert labels.to_list() == [[5, 6, 7, END], [6, END]]


def test_as_published_the_decoder_reads_what_it_must_predict():
    # The notebook's vocabulary has no `<end>`; its `<a>` is 18.
    target_input, labels = teacher_forcing(ragged([5, 6, 7], [6]), Vocabulary(NOTEBOOK_TOKENS, "word"))
    assert target_input.to_list() == labels.to_list() == [[18, 5, 6, 7], [18, 6]]


# Pairs


def test_pairs_are_encoded_by_hand():
    examples = encode_pairs([("b c", "d"), ("x", "c c")], WORDS, WORDS)
    assert examples.source.to_list() == [[Q, 5, 6], [Q, 1]]
    assert examples.target_input.to_list() == [[A, 7], [A, 6, 6]]
    assert examples.labels.to_list() == [[7, END], [6, 6, END]]
    assert examples.pairs == [("b c", "d"), ("x", "c c")]


def test_many_pairs_are_encoded_part_by_part(monkeypatch):
    pairs = [("b c", "d"), ("x", "c c"), ("c", "b b")]
    at_once = encode_pairs(pairs, WORDS, WORDS)
    monkeypatch.setattr("keras_seq2seq.data.batching.AT_ONCE", 2)
    in_parts = encode_pairs(pairs, WORDS, WORDS)
    for one, other in zip(at_once[:3], in_parts[:3], strict=True):
        assert one.to_list() == other.to_list()


def test_each_side_has_its_own_vocabulary():
    letters = Vocabulary([*SPECIAL, "d", "c"], "char")
    examples = encode_pairs([("c d", "cd")], WORDS, letters)
    assert examples.source.to_list() == [[Q, 6, 7]]
    assert examples.labels.to_list() == [[6, 5, END]]


def test_the_published_tensors_come_out():
    vocabulary = Vocabulary(NOTEBOOK_TOKENS, "word")
    sizes = PUBLISHED.batch_size, PUBLISHED.length_buckets, PUBLISHED.max_length
    [((q_tensor, a_tensor), labels)] = batches(NOTEBOOK, vocabulary, vocabulary, *sizes)
    assert q_tensor.numpy().tolist() == [[17, 1, 2, 3, 4, 5, 6], [17, 1, 10, 11, 12, 13, 0]]
    assert a_tensor.numpy().tolist() == [[18, 7, 8, 5, 3, 9], [18, 14, 15, 16, 0, 0]]
    assert labels.numpy().tolist() == a_tensor.numpy().tolist()
    assert {q_tensor.dtype, a_tensor.dtype, labels.dtype} == {tf.int32}


def test_pairs_that_are_too_long_or_empty_are_left_out():
    words = Vocabulary([*SPECIAL, "b", "c"], "word")
    pairs = [
        ("b", "c"),
        ("b b b", "c"),  # the source has more than two tokens
        ("b b", "c c"),  # just fits: <q>, <a> and <end> are not counted
        ("b", "c c c"),  # the target has more than two
        ("?!", "c"),  # no word in the source
        ("b", "..."),  # none in the target
    ]
    examples = encode_pairs(pairs, words, words, max_length=2)
    assert examples.pairs == [("b", "c"), ("b b", "c c")]
    assert examples.source.to_list() == [[Q, 5], [Q, 5, 5]]
    assert examples.labels.to_list() == [[6, END], [6, 6, END]]


def test_it_may_be_that_nothing_is_left():
    examples = encode_pairs([("b b", "c")], WORDS, WORDS, max_length=1)
    assert examples.pairs == [] and examples.source.nrows() == 0


# Buckets


def examples_of(lengths):
    """Returns an example for each (source words, target words), told apart by its first token: "0", "1", ..."""
    vocabulary = Vocabulary([*SPECIAL, *map(str, range(len(lengths))), "x"], "space")
    pairs = [
        (" ".join([str(number)] + ["x"] * (source - 1)), " ".join([str(number)] + ["x"] * (target - 1)))
        for number, (source, target) in enumerate(lengths)
    ]
    return encode_pairs(pairs, vocabulary, vocabulary)


def numbers_in(batch):
    """Returns which examples are in a batch; both sides and the labels agree on it. Rows without labels come last."""
    (source, target_input), labels = batch
    filled = int(tf.math.count_nonzero(labels[:, 0]))
    assert not np.any(labels[filled:])
    assert np.all(source[:, 0] == Q) and np.all(target_input[:, 0] == A)  # no encoder meets a source without a token
    first = source[:filled, 1].numpy()
    np.testing.assert_array_equal(target_input[:filled, 1], first)
    np.testing.assert_array_equal(labels[:filled, 0], first)
    return [int(number) - len(SPECIAL) for number in first]


# With <q> and <end> the longer sides are 2, 3, 3, 6, 7: the first three make one bucket, the others another.
FIVE = [(1, 1), (1, 2), (2, 1), (5, 5), (3, 6)]
TWO_BUCKETS = {"batch_size": 2, "length_buckets": 2}


def layout_of(lengths, batch_size=2, length_buckets=2):
    layout = make_layout(examples_of(lengths), batch_size, length_buckets)
    return [part.numpy().tolist() for part in layout]


def test_a_layout_by_hand():
    bucket_of, positions, shapes = layout_of(FIVE)
    assert bucket_of == [0, 0, 0, 1, 1]
    assert positions == [[0, 1], [2, -1], [3, 4]]  # of the first bucket two batches, the second filled up
    assert shapes == [[2, 3, 3], [2, 3, 3], [2, 6, 7]]  # the longest source and the longest target of each bucket


def test_one_bucket_holds_everything():
    bucket_of, positions, shapes = layout_of(FIVE, length_buckets=1)
    assert bucket_of == [0] * 5
    assert positions == [[0, 1], [2, 3], [4, -1]]
    assert shapes == [[2, 6, 7]] * 3


def test_a_batch_larger_than_all_examples_is_a_batch_of_them_all():
    _, positions, shapes = layout_of(FIVE, batch_size=2**31 - 1, length_buckets=1)
    assert positions == [[0, 1, 2, 3, 4]]
    assert shapes == [[5, 6, 7]]


def test_more_buckets_than_lengths_make_no_empty_bucket():
    bucket_of, _, shapes = layout_of([(1, 1)] * 3 + [(4, 4)], length_buckets=10)
    assert bucket_of == [0, 0, 0, 1]
    assert shapes == [[2, 2, 2], [2, 2, 2], [1, 5, 5]]  # what never fills a batch is not filled up


def test_a_short_half_and_a_long_half_are_kept_apart():
    # In one bucket, half of all numbers would be padding.
    bucket_of, _, shapes = layout_of([(1, 1)] * 4 + [(9, 9)] * 4)
    assert bucket_of == [0] * 4 + [1] * 4
    assert shapes == [[2, 2, 2]] * 2 + [[2, 10, 10]] * 2


def test_buckets_are_about_equal_in_size():
    bucket_of, *_ = layout_of([(length, length) for length in range(1, 13)], length_buckets=4)
    assert np.bincount(bucket_of).tolist() == [3, 3, 3, 3]


# Batches


def test_each_example_is_in_one_batch_of_its_buckets_shape():
    examples, seen = examples_of(FIVE), []
    for batch in example_batches(examples, **TWO_BUCKETS):
        (source, target_input), labels = batch
        numbers = numbers_in(batch)
        assert 1 <= len(numbers) <= 2
        short = {0, 1, 2} >= set(numbers)
        assert short or {3, 4} >= set(numbers)
        assert source.shape[1] == (3 if short else 6)
        assert labels.shape[1] == target_input.shape[1] == (3 if short else 7)
        seen += numbers
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_padding_stands_on_the_right_and_nowhere_else():
    examples = examples_of(FIVE)
    for batch in example_batches(examples, **TWO_BUCKETS):
        (source, target_input), labels = batch
        for padded, rows in (
            (source, examples.source),
            (target_input, examples.target_input),
            (labels, examples.labels),
        ):
            numbers = numbers_in(batch)
            for row, number in zip(padded.numpy()[: len(numbers)].tolist(), numbers, strict=True):
                tokens = rows[number].numpy().tolist()
                assert PAD not in tokens
                assert row == tokens + [PAD] * (len(row) - len(tokens))


def test_the_number_of_batches_is_known():
    dataset = example_batches(examples_of(FIVE), **TWO_BUCKETS)
    assert len(dataset) == len(list(dataset)) == 3


def test_batches_to_measure_with_come_always_in_the_same_order():
    examples = examples_of(FIVE)
    dataset, again = (example_batches(examples, **TWO_BUCKETS) for _ in range(2))
    orders = [[numbers_in(batch) for batch in run] for run in (dataset, dataset, again)]
    assert orders[0] == orders[1] == orders[2]


# Training

TWENTY = [(1 + number % 5, 1 + number % 7) for number in range(20)]
THREES = {"batch_size": 3, "length_buckets": 3}


def training_order(count, seed=11, **options):
    dataset = training_batches(examples_of(TWENTY), **THREES, seed=seed, **options)
    return [numbers_in(batch) for batch in dataset.take(count)]


def test_a_pass_holds_each_example_once_and_the_next_has_another_order():
    count = len(make_layout(examples_of(TWENTY), **THREES).shapes)
    order = training_order(3 * count)
    passes = [order[:count], order[count : 2 * count], order[2 * count :]]
    for one_pass in passes:
        assert sorted(itertools.chain(*one_pass)) == list(range(20))
        assert all(1 <= len(numbers) <= 3 for numbers in one_pass)
    assert passes[0] != passes[1] != passes[2] != passes[0]


def test_the_order_depends_on_the_seed_alone():
    order = training_order(20)
    tf.random.set_seed(99)
    np.random.seed(99)
    assert training_order(20) == order
    assert training_order(20, seed=12) != order


def test_bucket_mates_change_from_pass_to_pass():
    # Otherwise each batch would be the same few examples for ever.
    count = len(make_layout(examples_of(TWENTY), **THREES).shapes)
    order = [frozenset(numbers) for numbers in training_order(2 * count)]
    assert set(order[:count]) != set(order[count:])


@pytest.mark.parametrize("first", [5, 8, 30])  # inside the first pass, about its end, and far behind it
def test_a_run_can_go_on_at_any_batch(first):
    assert training_order(8, first_batch=first) == training_order(first + 8)[first:]


def test_a_resumed_run_has_the_very_same_tensors():
    examples = examples_of(TWENTY)
    whole = list(training_batches(examples, **THREES, seed=11).take(13))[12]
    [resumed] = training_batches(examples, **THREES, seed=11, first_batch=12).take(1)
    for ours, theirs in zip(tf.nest.flatten(resumed), tf.nest.flatten(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# From texts to batches in one call


def test_text_pairs_become_batches_by_hand():
    pairs = [("b c", "d"), ("b b b", "c"), ("c", "c d")]  # the second is too long
    dataset = batches(pairs, WORDS, WORDS, batch_size=2, length_buckets=1, max_length=2)
    assert len(dataset) == 1
    [((source, target_input), labels)] = dataset
    assert source.numpy().tolist() == [[Q, 5, 6], [Q, 6, PAD]]
    assert target_input.numpy().tolist() == [[A, 7, PAD], [A, 6, 7]]
    assert labels.numpy().tolist() == [[7, END, PAD], [6, 7, END]]


def test_pairs_may_come_from_a_zip_or_a_generator():
    sources, targets = ["b", "c d"], ["d", "c"]
    for pairs in (zip(sources, targets, strict=True), ((source, "d") for source in sources)):
        [((source, _), _)] = batches(pairs, WORDS, WORDS, length_buckets=1)
        assert source.numpy().tolist() == [[Q, 5, PAD], [Q, 6, 7]]


@pytest.mark.parametrize("name", ["batch_size", "length_buckets", "max_length"])
@pytest.mark.parametrize("size", [0, 2.5])
def test_sizes_that_are_none_are_refused(name, size):
    with pytest.raises(InputError, match=f"{name} is {size}; it must be a whole number from 1"):
        batches([("b", "c")], WORDS, WORDS, **{name: size})


def test_by_default_batches_have_64_rows_of_eight_buckets_and_pairs_up_to_100_tokens():
    pairs = [(" ".join(["b"] * length), "c") for length in range(1, 102)] * 8
    assert len(encode_pairs(pairs, WORDS, WORDS).pairs) == 8 * 100
    shapes = [tuple(source.shape) for (source, _), _ in batches(pairs, WORDS, WORDS)]
    assert {rows for rows, _ in shapes} == {64}
    times = sorted({time for _, time in shapes})
    assert len(times) == 8 and times[-1] == 1 + 100  # the start token stands before them


def test_text_pairs_are_sorted_by_length():
    short, long = ("b", "c"), ("b c d b c d", "d")
    shapes = [tuple(source.shape) for (source, _), _ in batches([short, long] * 3, WORDS, WORDS, batch_size=3)]
    assert sorted(shapes) == [(3, 2), (3, 7)]


def test_with_a_seed_each_pass_has_another_order_and_the_seed_decides_it():
    numbers = [str(number) for number in range(20)]
    vocabulary = Vocabulary([*SPECIAL, *numbers], "space")
    pairs = [(number, number) for number in numbers]

    def orders(seed):
        dataset = batches(pairs, vocabulary, vocabulary, batch_size=3, seed=seed)
        return [[numbers_in(batch) for batch in dataset] for _ in range(2)]

    first, second = orders(1)
    for one_pass in (first, second):
        assert sorted(itertools.chain(*one_pass)) == list(range(20))
    assert first != second
    assert orders(1) == [first, second] != orders(2)
    assert list(itertools.chain(*orders(None)[1])) == list(range(20))  # without one, the order of the pairs


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("b b", "c"), ("", "c")], "none of the 2 pairs has from 1 to 1 tokens on both sides"),
        ([], "none of the 0 pairs has from 1 to 1 tokens on both sides"),
        ([("b", "c"), ("b",)], "pair 2 of the given pairs is ('b',); expected two texts: source, target"),
    ],
)
def test_pairs_that_make_no_batch_are_refused(pairs, message):
    with pytest.raises(InputError) as caught:
        batches(pairs, WORDS, WORDS, max_length=1)
    assert str(caught.value) == message
