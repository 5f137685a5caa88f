"""More training pairs out of the ones there are: two pairs that share a stretch are spliced together there.

For languages written about as they are spoken, and whatever else is said in the order in which it is read: what a
letter becomes hangs on its neighbours, so where two words have three letters in common that become the same phones,
the beginning of one and the end of the other make a new word with its phones. A model that has met the parts of a word
in many surroundings finds them again in a new compound. The idea is Andreas's ("Good-enough compositional data
augmentation", 2020), the alignment that of joint-sequence models (Bisani and Ney, 2008; Jiampojamarn et al., 2007).
"""

import collections
import math
import random
from collections.abc import Sequence

import tensorflow as tf

from keras_seq2seq.data.batching import Examples, encode_pairs, make_buckets, training_batches
from keras_seq2seq.data.corpora import Pair
from keras_seq2seq.data.vocabulary import Vocabulary, tokens_of
from keras_seq2seq.training.configuration import Configuration

Tokens = Sequence[str]
Aligned = list[tuple[str, tuple[str, ...]]]  # each source token with the target tokens it becomes

MOST = 3  # target tokens that one source token may become
PASSES = 4  # over all pairs; more of them change next to nothing
SHARED = 3  # source tokens that both pairs have in common where they are spliced
SHARE = 2 / 3  # of the epochs that learn splices too; the last ones learn the given pairs alone, which are all right


def with_splices(
    given: Examples, source_vocabulary: Vocabulary, target_vocabulary: Vocabulary, config: Configuration
) -> Examples:
    """Returns the given examples and, behind them, up to `config.splices` spliced ones for each; prints how many."""
    made = encode_pairs(more_pairs(given.pairs, config), source_vocabulary, target_vocabulary, config)
    if not made.pairs:
        return given
    print(f"  and {len(made.pairs)} spliced out of them")
    sides = (tf.concat(both, axis=0) for both in zip(given[:3], made[:3], strict=True))
    return Examples(*sides, [*given.pairs, *made.pairs])


def more_pairs(pairs: Sequence[Pair], config: Configuration) -> list[Pair]:
    """Returns up to `config.splices` new text pairs for each of `pairs`, cut and joined by its kinds of tokens."""
    if not config.splices:
        return []
    units = (config.source_tokens, config.target_tokens)
    sides = [tokens_of(texts, unit) for texts, unit in zip(zip(*pairs, strict=True), units, strict=True)]
    made = splice(list(zip(*sides, strict=True)), config.splices * len(pairs), config.seed)
    blanks = ["" if unit == "char" else " " for unit in units]
    return [(blanks[0].join(source), blanks[1].join(target)) for source, target in made]


def updates_per_epoch(examples: Examples, given: int, config: Configuration) -> int:
    """Returns how many updates `config` asks for; by default one pass over `examples`, `given` of which are no splices.

    Where fewer splices could be made than asked for, the given pairs come round more often instead.
    """
    asked_for = -(-given * (1 + config.splices) // config.batch_size)
    return config.updates_per_epoch or max(make_buckets(examples, config).batch_count, asked_for)


def batches_to_learn(
    examples: Examples, given: int, config: Configuration, updates: int, first_batch: int
) -> tf.data.Dataset:
    """Yields batches of all examples at first, then of the given pairs alone: some splices teach what is not so.

    Args:
        examples: the given pairs, and the splices behind them.
        given: how many of them are no splices.
        config: for the number of epochs, and what `training_batches` needs.
        updates: in an epoch.
        first_batch: how many batches to leave out, to go on where another run stopped.
    """
    if len(examples.pairs) == given:
        return training_batches(examples, config, first_batch)
    switch = round(SHARE * config.epochs) * updates
    both = training_batches(examples, config, min(first_batch, switch)).take(max(switch - first_batch, 0))
    return both.concatenate(training_batches(examples.first(given), config, max(first_batch - switch, 0)))


def align(pairs: Sequence[tuple[Tokens, Tokens]]) -> list[Aligned]:
    """Finds, for each pair, which source token becomes which target tokens, in order.

    The best alignments under what was counted on the best alignments before (hard expectation-maximisation); the first
    time, those closest to the diagonal.

    Args:
        pairs: source and target tokens; those with an empty side, or more than `MOST` target tokens for each source
            token, are left out.
    """
    pairs = [pair for pair in pairs if 1 <= len(pair[1]) <= MOST * len(pair[0])]
    counts: collections.Counter = collections.Counter()
    aligned: list[Aligned] = []
    for _ in range(PASSES):
        aligned = [_best_alignment(source, target, counts) for source, target in pairs]
        counts = collections.Counter(step for pair in aligned for step in pair)
        for pair in aligned:
            counts.update(token for token, _ in pair)
    return aligned


def _best_alignment(source: Tokens, target: Tokens, counts: collections.Counter) -> Aligned:
    """Viterbi over (source tokens read, target tokens said); scores are log-probabilities."""
    best = {0: (0.0, [])}
    for read, token in enumerate(source, start=1):
        following: dict[int, tuple[float, Aligned]] = {}
        for said, (score, steps) in best.items():
            for more in range(min(MOST, len(target) - said) + 1):
                step = (token, tuple(target[said : said + more]))
                if counts:
                    gained = math.log((counts[step] + 1e-3) / counts[token])
                else:
                    gained = -abs(read / len(source) - (said + more) / len(target)) - abs(more - 1)
                if said + more not in following or following[said + more][0] < score + gained:
                    following[said + more] = (score + gained, [*steps, step])
        best = following
    return best[len(target)][1]


def splice(pairs: Sequence[tuple[Tokens, Tokens]], count: int, seed: int) -> list[tuple[Tokens, Tokens]]:
    """Makes new pairs, none of which has a source that is there already.

    Args:
        pairs: source and target tokens.
        count: how many to make; fewer come out where there is too little to splice.
        seed: same seed, same pairs.
    """
    draw = random.Random(seed)
    aligned = align(pairs)
    if not aligned:
        return []
    seams = collections.defaultdict(list)
    for pair in aligned:
        for place in range(len(pair) - SHARED + 1):
            seams[tuple(pair[place : place + SHARED])].append((pair, place))
    known = {tuple(source) for source, _ in pairs}
    longest = max(map(len, aligned))
    made = []
    for _ in range(100 * count):  # most draws give what is there already, where there is little to splice
        if len(made) == count:
            break
        pair = draw.choice(aligned)
        for _ in range(draw.randint(1, 2)):
            if len(pair) >= SHARED:
                place = draw.randint(0, len(pair) - SHARED)
                other, there = draw.choice(seams.get(tuple(pair[place : place + SHARED]), [(pair, place)]))
                pair = pair[:place] + other[there:]
        source = tuple(token for token, _ in pair)
        target = tuple(token for _, tokens in pair for token in tokens)
        if target and source not in known and len(pair) <= longest:
            known.add(source)
            made.append((source, target))
    return made
