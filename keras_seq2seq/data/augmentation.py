"""More training pairs out of the ones there are: two pairs that share a stretch are spliced together there.

For spelling and pronunciation, and other tasks where the target follows the source from left to right: what a
letter becomes depends on its neighbours, so where two words have three letters in common that become the same phones,
the beginning of one and the end of the other make a new word with its phones. A model that has seen the parts of a word
in many contexts recognises them in a new compound. The idea is Andreas's ("Good-enough compositional data
augmentation", 2020).
"""

import collections
import random
from collections.abc import Sequence

from keras_seq2seq.data.alignment import Tokens, align, consistency
from keras_seq2seq.data.corpora import Pair
from keras_seq2seq.data.tokenization import tokens_of
from keras_seq2seq.progress import Bar

DRAWS, IN_VAIN = 100, 20_000  # the most for a pair that is asked for; and in a row, where none gives a new pair
MONOTONIC = 0.3  # what `consistency` is at least where the target follows the source from left to right
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


def splice(pairs: Sequence[tuple[Tokens, Tokens]], count: int, seed: int) -> list[tuple[Tokens, Tokens]]:
    """Makes new pairs, none of which has a source that is there already.

    Args:
        pairs: source and target tokens.
        count: how many to make; fewer come out where there is too little to splice, and none where the targets do not
            follow the sources from left to right.
        seed: same seed, same pairs.
    """
    draw = random.Random(seed)
    # Each step, a source token with what it becomes, gets a number: Python compares and hashes numbers faster.
    numbers: collections.defaultdict[tuple, int] = collections.defaultdict(lambda: len(numbers))
    found = align(pairs)
    if not found or consistency(found) < MONOTONIC:
        return []
    aligned = [[numbers[step] for step in pair] for pair in found]
    steps = list(numbers)
    seams = collections.defaultdict(list)
    for pair in aligned:
        for place in range(len(pair) - SHARED + 1):
            seams[tuple(pair[place : place + SHARED])].append((pair, place))
    known = {tuple(source) for source, _ in pairs}
    longest = max(map(len, aligned))
    made: list[tuple[Tokens, Tokens]] = []
    bar, in_vain = Bar(), 0
    for _ in range(DRAWS * count):
        bar.draw("splicing", len(made), count)
        in_vain += 1
        if len(made) == count or in_vain > IN_VAIN:
            break
        pair = draw.choice(aligned)
        for _ in range(draw.randint(1, 2)):
            if len(pair) >= SHARED:
                place = draw.randint(0, len(pair) - SHARED)
                other, there = draw.choice(seams.get(tuple(pair[place : place + SHARED]), [(pair, place)]))
                pair = pair[:place] + other[there:]
        source = tuple([steps[step][0] for step in pair])
        target = tuple([token for step in pair for token in steps[step][1]])
        if target and source not in known and len(pair) <= longest:
            known.add(source)
            made.append((source, target))
            in_vain = 0
    bar.clear()
    return made
