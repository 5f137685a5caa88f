"""More training pairs out of the ones there are: two pairs that share a stretch are spliced together there.

For spelling and pronunciation, and other tasks where the target follows the source from left to right: what a
letter becomes depends on its neighbours, so where two words have three letters in common that become the same phones,
the beginning of one and the end of the other make a new word with its phones. A model that has seen the parts of a word
in many contexts recognises them in a new compound. The idea is Andreas's ("Good-enough compositional data
augmentation", 2020), the alignment that of joint-sequence models (Bisani and Ney, 2008; Jiampojamarn et al., 2007).
"""

import collections
import math
import random
from collections.abc import Sequence

from keras_seq2seq.data.corpora import Pair
from keras_seq2seq.data.tokenization import tokens_of

Tokens = Sequence[str]
Aligned = list[tuple[str, tuple[str, ...]]]  # each source token with the target tokens it becomes

MOST = 3  # target tokens that one source token may become
PASSES = 4  # over all pairs; more of them change hardly anything
SHARED = 3  # source tokens that both pairs have in common where they are spliced


def more_pairs(
    pairs: Sequence[Pair], units: tuple[str, str], splices: int, seed: int, normalize: str = "none"
) -> list[Pair]:
    """Returns up to `splices` new text pairs for each of `pairs`.

    Args:
        pairs: (source, target) texts.
        units: what a token of the source and of the target is, no subword: they are cut and joined by these.
        splices: how many to make for each pair.
        seed: same seed, same pairs.
        normalize: see `tokenization.clean`.
    """
    if not splices:
        return []
    sides = [tokens_of(texts, unit, normalize) for texts, unit in zip(zip(*pairs, strict=True), units, strict=True)]
    made = splice(list(zip(*sides, strict=True)), splices * len(pairs), seed)
    blanks = ["" if unit == "char" else " " for unit in units]
    return [(blanks[0].join(source), blanks[1].join(target)) for source, target in made]


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
    """Viterbi over (source tokens read, target tokens covered); scores are log-probabilities."""
    best: dict[int, tuple[float, Aligned]] = {0: (0.0, [])}
    for read, token in enumerate(source, start=1):
        following: dict[int, tuple[float, Aligned]] = {}
        for covered, (score, steps) in best.items():
            for more in range(min(MOST, len(target) - covered) + 1):
                step = (token, tuple(target[covered : covered + more]))
                if counts:
                    gained = math.log((counts[step] + 1e-3) / counts[token])
                else:
                    gained = -abs(read / len(source) - (covered + more) / len(target)) - abs(more - 1)
                if covered + more not in following or following[covered + more][0] < score + gained:
                    following[covered + more] = (score + gained, [*steps, step])
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
    made: list[tuple[Tokens, Tokens]] = []
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
