"""Text pairs -> batches of ids: special tokens, the teacher-forcing shift, length buckets, padding."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.corpora import Pair, check_pairs
from keras_seq2seq.data.vocabulary import ANSWER, END, QUESTION, Vocabulary
from keras_seq2seq.errors import InputError


class Examples(NamedTuple):
    """Encoded pairs: three ragged int32 tensors `(pairs, time)`, and the texts they were made from."""

    source: tf.RaggedTensor
    decoder_input: tf.RaggedTensor
    labels: tf.RaggedTensor
    pairs: list[Pair]

    def first(self, count: int) -> "Examples":
        """Returns the first `count` pairs, or all if there are fewer."""
        return Examples(self.source[:count], self.decoder_input[:count], self.labels[:count], self.pairs[:count])


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
    decoder_input = _put(vocabulary.tokens.index(ANSWER), target, before=True)
    end = vocabulary.id_of(END)
    return decoder_input, decoder_input if end is None else _put(end, target, before=False)


def _put(token: int, rows: tf.RaggedTensor, before: bool) -> tf.RaggedTensor:
    column = tf.RaggedTensor.from_tensor(tf.fill([rows.nrows(), 1], token))
    return tf.concat([column, rows] if before else [rows, column], axis=1)


def encode_pairs(
    pairs: Sequence[Pair], source_vocabulary: Vocabulary, target_vocabulary: Vocabulary, max_length: int = 100
) -> Examples:
    """Encodes text pairs and leaves out those that have no token, or more than `max_length`, on a side.

    How many were left out is `len(pairs) - len(examples.pairs)`.

    Raises:
        InputError: a pair is not two texts.
    """
    check_pairs(pairs)
    source = source_vocabulary.encode(tf.constant([s for s, _ in pairs], tf.string))
    target = target_vocabulary.encode(tf.constant([t for _, t in pairs], tf.string))
    lengths = np.stack([source.row_lengths(), target.row_lengths()])
    kept = np.flatnonzero(((lengths >= 1) & (lengths <= max_length)).all(axis=0))
    source, target = tf.gather(source, kept), tf.gather(target, kept)
    decoder_input, labels = teacher_forcing(target, target_vocabulary)
    return Examples(
        add_question(source, source_vocabulary), decoder_input, labels, [pairs[int(index)] for index in kept]
    )


class Buckets(NamedTuple):
    """Which examples are batched together: those of similar length, all padded to the same shape."""

    of_example: np.ndarray  # (pairs,): each example's bucket
    shapes: np.ndarray  # (buckets, 2): source_time, target_time
    batch_count: int  # batches in one pass over the examples


def make_buckets(examples: Examples, batch_size: int, length_buckets: int) -> Buckets:
    """Sorts examples into at most `length_buckets` groups of about equal size, by their longer side.

    Few fixed shapes mean little padding, and few graphs to trace or compile.
    """
    sides = np.stack([examples.source.row_lengths(), examples.labels.row_lengths()], axis=1)
    longer = sides.max(axis=1)
    edges = np.unique(np.quantile(longer, np.linspace(0, 1, length_buckets + 1)[1:], method="inverted_cdf"))
    bucket = np.searchsorted(edges, longer)
    sizes = np.bincount(bucket)
    shapes = np.stack([sides[bucket == number].max(axis=0) for number in range(len(edges))])
    return Buckets(bucket, shapes.astype(np.int64), int(np.sum(-(-sizes // batch_size))))


def training_batches(
    examples: Examples, batch_size: int, length_buckets: int, seed: int, first_batch: int = 0
) -> tf.data.Dataset:
    """Yields padded batches for ever: pass after pass, each in an order that (seed, pass) alone decides.

    Args:
        examples: what to learn.
        batch_size: pairs in a batch.
        length_buckets: see `make_buckets`.
        seed: of the orders.
        first_batch: how many batches to leave out, to go on where another run stopped.

    Returns:
        An endless dataset of `((source, target_input), labels)`, each `(batch, time)` int32.
    """
    buckets = make_buckets(examples, batch_size, length_buckets)

    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.argsort(
            tf.random.stateless_uniform([len(examples.pairs)], tf.stack([tf.constant(seed, tf.int64), number]))
        )
        return _padded(examples, buckets, tf.data.Dataset.from_tensor_slices(order), batch_size)

    passes, rest = divmod(first_batch, buckets.batch_count)
    endless = tf.data.Dataset.range(passes, np.iinfo(np.int64).max).flat_map(one_pass).skip(rest)
    return endless.prefetch(tf.data.AUTOTUNE)


def example_batches(
    examples: Examples, batch_size: int, length_buckets: int, seed: int | None = None
) -> tf.data.Dataset:
    """Yields padded batches of each example once; it knows its length. For the arguments see `batches`."""
    buckets = make_buckets(examples, batch_size, length_buckets)
    numbers = tf.data.Dataset.range(len(examples.pairs))
    if seed is not None:
        numbers = numbers.shuffle(len(examples.pairs), seed=seed, reshuffle_each_iteration=True)
    padded = _padded(examples, buckets, numbers, batch_size)
    return padded.apply(tf.data.experimental.assert_cardinality(buckets.batch_count)).prefetch(tf.data.AUTOTUNE)


def batches(
    pairs: Sequence[Pair],
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    batch_size: int = 64,
    length_buckets: int = 4,
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
        InputError: a pair is not two texts, or none is left.
    """
    examples = encode_pairs(pairs, source_vocabulary, target_vocabulary, max_length)
    if not examples.pairs:
        raise InputError(f"none of the {len(pairs)} pairs has from 1 to {max_length} tokens on both sides")
    return example_batches(examples, batch_size, length_buckets, seed)


def _padded(examples: Examples, buckets: Buckets, numbers: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    bucket_of, shapes = tf.constant(buckets.of_example, tf.int64), tf.constant(buckets.shapes)

    def pad(rows: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
        source_time, target_time = tf.unstack(tf.gather(shapes, tf.gather(bucket_of, rows[0])))

        def dense(side: tf.RaggedTensor, time: tf.Tensor) -> tf.Tensor:
            return tf.gather(side, rows).to_tensor(shape=tf.stack([-1, time]))

        decoder_input, labels = dense(examples.decoder_input, target_time), dense(examples.labels, target_time)
        return (dense(examples.source, source_time), decoder_input), labels

    return numbers.group_by_window(
        key_func=lambda row: tf.gather(bucket_of, row),
        reduce_func=lambda _, rows: rows.batch(batch_size),
        window_size=batch_size,
    ).map(pad)
