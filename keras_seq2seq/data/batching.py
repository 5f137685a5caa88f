"""Text pairs -> batches of ids: special tokens, the teacher-forcing shift, length buckets, padding."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.corpora import Pair, check_pairs
from keras_seq2seq.data.vocabulary import ANSWER, AT_ONCE, END, QUESTION, Vocabulary
from keras_seq2seq.errors import InputError, require_size
from keras_seq2seq.progress import watched


class Examples(NamedTuple):
    """Encoded pairs: three ragged int32 tensors `(pairs, time)`, and the texts they were made from."""

    source: tf.RaggedTensor
    target_input: tf.RaggedTensor
    labels: tf.RaggedTensor
    pairs: list[Pair]

    def first(self, count: int) -> "Examples":
        """Returns the first `count` pairs, or all if there are fewer."""
        return Examples(self.source[:count], self.target_input[:count], self.labels[:count], self.pairs[:count])


def add_question(source: tf.RaggedTensor, vocabulary: Vocabulary) -> tf.RaggedTensor:
    """Puts `<q>` before every source: `w1..wn` -> `<q> w1..wn`, so that none is empty."""
    return _put(vocabulary.tokens.index(QUESTION), source, before=True)


def teacher_forcing(target: tf.RaggedTensor, vocabulary: Vocabulary) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
    """Makes the decoder's input and its labels, side by side.

    From `w1..wn` the decoder reads `<a> w1..wn` and has to predict `w1..wn <end>`: at each step it is given
    the true previous token, and asked for the next one (Williams and Zipser, 1989).

    Args:
        target: `(pairs, time)` ragged ids.
        vocabulary: of the target. The notebook's own has no `<end>`: there the labels are the decoder's input,
            `<a> w1..wn`, which teaches copying.

    Returns:
        Decoder input and labels, `(pairs, time)` ragged ids of the same lengths.
    """
    target_input = _put(vocabulary.tokens.index(ANSWER), target, before=True)
    end = vocabulary.id_of(END)
    return target_input, target_input if end is None else _put(end, target, before=False)


def _put(token: int, rows: tf.RaggedTensor, before: bool) -> tf.RaggedTensor:
    column = tf.RaggedTensor.from_tensor(tf.fill([rows.nrows(), 1], token))
    return tf.concat([column, rows] if before else [rows, column], axis=1)


def encode_pairs(
    pairs: Iterable[Pair], source_vocabulary: Vocabulary, target_vocabulary: Vocabulary, max_length: int = 100
) -> Examples:
    """Encodes text pairs and leaves out those that have no token, or more than `max_length`, on a side.

    How many were left out is `len(pairs) - len(examples.pairs)`.

    Raises:
        InputError: a pair is not two texts.
    """
    pairs = list(pairs)
    check_pairs(pairs)
    source = _encode([source for source, _ in pairs], source_vocabulary)
    target = _encode([target for _, target in pairs], target_vocabulary)
    lengths = np.stack([source.row_lengths(), target.row_lengths()])
    kept = np.flatnonzero(((lengths >= 1) & (lengths <= max_length)).all(axis=0))
    source, target = tf.gather(source, kept), tf.gather(target, kept)
    target_input, labels = teacher_forcing(target, target_vocabulary)
    return Examples(
        add_question(source, source_vocabulary), target_input, labels, [pairs[int(index)] for index in kept]
    )


def _encode(texts: list[str], vocabulary: Vocabulary) -> tf.RaggedTensor:
    """Encodes part by part: all tokens of a million texts at once, as texts, would take more memory than the ids."""
    starts = watched(range(0, max(len(texts), 1), AT_ONCE), "encoding", len(texts), AT_ONCE)
    return tf.concat([vocabulary.encode(tf.constant(texts[at : at + AT_ONCE], tf.string)) for at in starts], axis=0)


class Layout(NamedTuple):
    """Which examples are batched together: those of similar length, all padded to the same shape.

    A few fixed shapes mean little padding, and few graphs to compile. So that a batch is never of another shape, its
    last rows may have no labels, which teaches nothing; where there are fewer examples of a length than a batch holds,
    they are one smaller batch.
    """

    bucket_of: tf.Tensor  # (pairs,) int32: each example's bucket
    positions: tf.Tensor  # (batches, rows) int32: places among the examples sorted by bucket; -1: a row without labels
    shapes: tf.Tensor  # (batches, 3) int32: rows, source_time, target_time


def make_layout(examples: Examples, batch_size: int, length_buckets: int) -> Layout:
    """Sorts examples into at most `length_buckets` groups of about equal size, by their longer side, and cuts them."""
    sides = np.stack([examples.source.row_lengths(), examples.labels.row_lengths()], axis=1)
    batch_size = min(batch_size, len(sides))  # or else a huge one would take the memory of its rows
    longer = sides.max(axis=1)
    edges = np.unique(np.quantile(longer, np.linspace(0, 1, length_buckets + 1)[1:], method="inverted_cdf"))
    bucket_of = np.searchsorted(edges, longer)
    positions, shapes, first = [], [], 0
    for bucket in range(len(edges)):
        size = int(np.sum(bucket_of == bucket))
        shape = (min(size, batch_size), *sides[bucket_of == bucket].max(axis=0))
        for start in range(0, size, batch_size):
            row = np.full(batch_size, -1)
            row[: min(size - start, batch_size)] = np.arange(first + start, first + min(start + batch_size, size))
            positions.append(row)
            shapes.append(shape)
        first += size
    return Layout(*(tf.constant(part, tf.int32) for part in (bucket_of, np.stack(positions), shapes)))


def training_batches(
    examples: Examples, batch_size: int, length_buckets: int, seed: int, first_batch: int = 0
) -> tf.data.Dataset:
    """Yields padded batches for ever: pass after pass, each in an order that (seed, pass) alone decides.

    Args:
        examples: what to learn.
        batch_size: pairs in a batch.
        length_buckets: see `make_layout`.
        seed: of the orders.
        first_batch: how many batches to leave out, to go on where another run stopped.

    Returns:
        An endless dataset of `((source, target_input), labels)`, each `(batch, time)` int32.
    """
    layout = make_layout(examples, batch_size, length_buckets)
    passes, rest = divmod(first_batch, len(layout.shapes))
    numbers = tf.data.Dataset.range(passes, np.iinfo(np.int64).max)
    endless = numbers.flat_map(lambda number: _one_pass(examples, layout, (seed, number))).skip(rest)
    return _ahead(endless.map(_padded(examples)))


def example_batches(
    examples: Examples, batch_size: int, length_buckets: int, seed: int | None = None
) -> tf.data.Dataset:
    """Yields padded batches of each example once; it knows its length. For the arguments see `batches`."""
    layout = make_layout(examples, batch_size, length_buckets)
    if seed is None:
        rows = _one_pass(examples, layout)
    else:
        random = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
        rows = random.flat_map(lambda number: _one_pass(examples, layout, (seed, number)))
    counted = rows.map(_padded(examples)).apply(tf.data.experimental.assert_cardinality(len(layout.shapes)))
    return _ahead(counted)


def _ahead(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Prepares a batch while another is learnt, without tf.data's tuning: its thread can hold up an epoch's start."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(2).with_options(options)


def _one_pass(examples: Examples, layout: Layout, seed: tuple[int, tf.Tensor] | None = None) -> tf.data.Dataset:
    """Yields each batch's numbers of examples, -1 for a row without labels, and its shape; without a seed in order."""
    count, positions, shapes = len(examples.pairs), layout.positions, layout.shapes
    order = tf.range(count)
    if seed is not None:
        pair, number = (tf.cast(part, tf.int64) for part in seed)
        order = tf.argsort(tf.random.stateless_uniform([count], tf.stack([pair, number])))
        turns = tf.argsort(tf.random.stateless_uniform(tf.shape(shapes)[:1], tf.stack([~pair, number])))
        positions, shapes = tf.gather(positions, turns), tf.gather(shapes, turns)
    by_bucket = tf.gather(order, tf.argsort(tf.gather(layout.bucket_of, order), stable=True))
    rows = tf.where(positions < 0, -1, tf.gather(by_bucket, tf.maximum(positions, 0)))
    return tf.data.Dataset.from_tensor_slices((rows, shapes))


def _padded(examples: Examples) -> Callable[[tf.Tensor, tf.Tensor], tuple]:
    """Returns a function from the numbers of a batch's examples and its shape to `((source, target_input), labels)`."""

    def pad(rows: tf.Tensor, shape: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
        size, source_time, target_time = tf.unstack(shape)
        rows = rows[:size]

        def dense(side: tf.RaggedTensor, time: tf.Tensor) -> tf.Tensor:
            return tf.gather(side, tf.maximum(rows, 0)).to_tensor(shape=tf.stack([-1, time]))

        labels = tf.where(rows[:, None] < 0, 0, dense(examples.labels, target_time))
        return (dense(examples.source, source_time), dense(examples.target_input, target_time)), labels

    return pad


def batches(
    pairs: Iterable[Pair],
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    batch_size: int = 64,
    length_buckets: int = 8,
    max_length: int = 100,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Turns text pairs into padded batches for `fit` and `evaluate`, each pair once.

    Args:
        pairs: (source, target) texts; those with no token, or more than `max_length`, on a side are left out.
        source_vocabulary: of the sources.
        target_vocabulary: of the targets.
        batch_size: pairs in a batch.
        length_buckets: pairs are sorted into so many groups of similar length; a batch is of one group.
        max_length: the most tokens on a side.
        seed: each pass over the dataset has another order, which the seed decides; None: the order of the pairs.

    Returns:
        a dataset of `((source, target_input), labels)`, each `(batch, time)` int32; it knows its length.

    Raises:
        InputError: a pair is not two texts, or none is left, or a number is not 1 or more.
    """
    for name, size in (("batch_size", batch_size), ("length_buckets", length_buckets), ("max_length", max_length)):
        require_size(name, size)
    pairs = list(pairs)
    examples = encode_pairs(pairs, source_vocabulary, target_vocabulary, max_length)
    if not examples.pairs:
        raise InputError(f"none of the {len(pairs)} pairs has from 1 to {max_length} tokens on both sides")
    return example_batches(examples, batch_size, length_buckets, seed)
