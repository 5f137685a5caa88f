"""Which source token becomes which target tokens, from left to right, found in pairs that do not say so.

The alignment of joint-sequence models (Bisani and Ney, 2008; Jiampojamarn et al., 2007), with hard
expectation-maximisation. Pairs of the same lengths are aligned together, as arrays.
"""

import collections
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from keras_seq2seq.progress import watched

Tokens = Sequence[str]
Aligned = list[tuple[str, tuple[str, ...]]]  # each source token with the target tokens it becomes

MOST = 3  # target tokens that one source token may become
PASSES = 4  # over all pairs; more of them change hardly anything
TOGETHER = 250_000  # the most steps that are scored at once
MORE = np.arange(MOST, -1, -1)  # of equally good steps, the one with the most target tokens is taken


def align(pairs: Sequence[tuple[Tokens, Tokens]]) -> list[Aligned]:
    """Finds, for each pair, which source token becomes which target tokens, in order.

    The best alignments under what was counted on the best alignments before; the first time, those closest to the
    diagonal.

    Args:
        pairs: source and target tokens; those with an empty side, or more than `MOST` target tokens for each source
            token, are left out.
    """
    pairs = [pair for pair in pairs if 1 <= len(pair[1]) <= MOST * len(pair[0])]
    sources, targets = (_as_ids([pair[side] for pair in pairs]) for side in (0, 1))
    groups = list(_of_same_lengths(sources, targets))
    of_token = np.bincount(list(itertools.chain(*sources)))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for number in range(PASSES):
        steps = [taken.ravel() for _, taken in found]
        counted = np.unique(np.concatenate(steps), return_counts=True) if steps else None
        found = [
            _best_alignments(source, target, counted, of_token)
            for _, source, target in watched(groups, f"aligning, pass {number + 1} of {PASSES}", len(groups))
        ]
    aligned: list[Aligned] = [[]] * len(pairs)
    for (numbers, _, _), (lengths, _) in zip(groups, found, strict=True):
        for number, ends in zip(numbers, lengths.cumsum(axis=1).tolist(), strict=True):
            source, target = pairs[number]
            begins = [0, *ends]
            aligned[number] = [
                (token, tuple(target[begin:end])) for token, begin, end in zip(source, begins, ends, strict=False)
            ]
    return aligned


def consistency(aligned: Sequence[Aligned]) -> float:
    """Returns how often source tokens become what they become: the mean share of a step among those of its token.

    Near 1 for a spelling that is written as it is spoken, about a half for French or Japanese words, and 0.05 to 0.2
    where the target does not follow the source from left to right: SIGMORPHON's words with their phones backwards.
    """
    steps = collections.Counter(step for pair in aligned for step in pair)
    tokens = collections.Counter(token for pair in aligned for token, _ in pair)
    shares = sum(count * count / tokens[token] for (token, _), count in steps.items())
    return shares / max(steps.total(), 1)


def _as_ids(rows: list[Tokens]) -> list[list[int]]:
    """Numbers the tokens from 1, in the order in which they come."""
    known: collections.defaultdict[str, int] = collections.defaultdict(lambda: len(known) + 1)
    return [[known[token] for token in row] for row in rows]


def _of_same_lengths(
    sources: list[list[int]], targets: list[list[int]]
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Yields groups: the pairs' numbers, their sources `(pairs, read)` and their targets `(pairs, covered)`."""
    shapes = collections.defaultdict(list)
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        shapes[len(source), len(target)].append(number)
    for (read, covered), numbers in shapes.items():
        size = max(TOGETHER // (read * (covered + 1) * len(MORE)), 1)
        for start in range(0, len(numbers), size):
            part = numbers[start : start + size]
            yield part, np.array([sources[n] for n in part]), np.array([targets[n] for n in part])


def _steps(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns a number for each possible step `(pairs, read, covered + 1, MOST + 1)`: a token and what it becomes.

    Along the last axis are `MORE` target tokens, from those that are covered on. Different steps could only get the
    same number in a vocabulary of over 65,535 tokens, where 64 bits are not enough.
    """
    size = 1 << 16
    covered = np.pad(target, [(0, 0), (0, MOST)])
    begins = np.arange(target.shape[1] + 1)
    said = np.zeros((len(target), len(begins), len(MORE)), np.int64)
    for column, more in enumerate(MORE):
        for offset in range(more):
            said[..., column] = said[..., column] * size + covered[:, begins + offset]
    return said[:, None] + source[:, :, None, None].astype(np.int64) * size**MOST


def _best_alignments(
    source: np.ndarray, target: np.ndarray, counted: tuple[np.ndarray, np.ndarray] | None, of_token: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Viterbi over (source tokens read, target tokens covered); scores are log-probabilities.

    Args:
        source: `(pairs, read)` ids.
        target: `(pairs, covered)` ids.
        counted: the steps of the best alignments before, sorted, and how often each came; None: the closer to the
            diagonal, the better.
        of_token: how often each source token comes, by its id.

    Returns:
        `(pairs, read)`: how many target tokens each source token becomes, and the number of that step.
    """
    pairs, read, last = *source.shape, target.shape[1]
    covered, steps = np.arange(last + 1), _steps(source, target)
    if counted is None:
        off = np.arange(1, read + 1)[:, None, None] / read - (covered[:, None] + MORE) / last
        gained = np.broadcast_to(-np.abs(off) - np.abs(MORE - 1), (pairs, read, last + 1, len(MORE)))
    else:
        known, times = counted
        place = np.minimum(np.searchsorted(known, steps), len(known) - 1)
        times = np.where(known[place] == steps, times[place], 0)
        gained = np.log((times + 1e-3) / of_token[source][:, :, None, None])
    best = np.where(covered == 0, 0.0, -np.inf) + np.zeros((pairs, 1))
    chosen = np.empty((pairs, read, last + 1), np.int64)
    begins = covered[:, None] - MORE  # of the step that ends where so many are covered
    before = np.maximum(begins, 0)
    for at in range(read):
        reached = best[:, before] + gained[:, at][:, before, np.arange(len(MORE))]
        reached[:, begins < 0] = -np.inf
        choice = reached.argmax(axis=-1)
        chosen[:, at] = MORE[choice]
        best = np.take_along_axis(reached, choice[..., None], axis=-1)[..., 0]
    lengths, taken = np.empty((2, pairs, read), np.int64)
    rows, end = np.arange(pairs), np.full(pairs, last)
    for at in reversed(range(read)):
        more = chosen[rows, at, end]
        end = end - more
        lengths[:, at], taken[:, at] = more, steps[rows, at, end, MOST - more]
    return lengths, taken
