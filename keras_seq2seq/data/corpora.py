"""Named corpora and file readers: where (source, target) text pairs come from.

A pair is two plain strings. Every error names the file and the line.
"""

import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_seq2seq.errors import InputError, is_utf8
from keras_seq2seq.files import lines_of
from keras_seq2seq.progress import watched

Pair = tuple[str, str]
CORPORA = ("notebook", "chatterbot")

NOTEBOOK: list[Pair] = [
    ("what is the color of banana", "yellow most of the time"),
    ("what makes up water molecules", "hydrogen and oxygen"),
]


def read_pairs(path: str | os.PathLike) -> list[Pair]:
    """Reads one pair a line: source, tab, target. Blank lines are passed over.

    Raises:
        InputError: the file cannot be read, or a line does not have exactly two sides with text.
    """
    hint = "keep the source's and the target's column (`cut -f1,2` for the first two)"
    return [(source, targets[0]) for source, targets in _rows(path, hint)]


def read_references(path: str | os.PathLike, further: bool = False) -> dict[str, list[str]]:
    """Reads test data: source, tab, reference. A source may come back on a later line with another reference.

    Args:
        path: the file.
        further: take further columns for further references.

    Raises:
        InputError: the file cannot be read, or a line does not have these columns, or an empty one.
    """
    references: dict[str, list[str]] = {}
    hint = "with --references further columns are further references"
    for source, targets in _rows(path, hint, further):
        known = references.setdefault(source, [])
        known += dict.fromkeys(target for target in targets if target not in known)
    return references


def _rows(path: str | os.PathLike, hint: str, further: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Yields the source and the targets of each line; blank lines are passed over.

    Args:
        path: the file.
        hint: what to do where a line has more than one target.
        further: whether it may.

    Raises:
        InputError: the file cannot be read, is not UTF-8, has no other lines, or one with other columns.
    """
    empty = True
    for number, line in enumerate(watched(lines_of(path), f"reading {Path(path).name:.40}"), start=1):
        if not line.strip():
            continue
        empty = False
        source, *targets = columns = line.split("\t")
        if not targets or (len(targets) > 1 and not further):
            wanted = "expected source, tab, target" + (f"; {hint}" if targets else "")
            raise InputError(f"{path}, line {number}: {_seen(columns)}; {wanted}")
        for name, side in zip(("source", *["target"] * len(targets)), columns, strict=True):
            if not side.strip():
                raise InputError(f"{path}, line {number}: the {name} is empty; give it text or remove the line")
        yield source, targets
    if empty:
        raise InputError(f"{path}: is empty; expected one pair a line: source, tab, target")


def _seen(columns: list[str]) -> str:
    """Returns how many columns a line has, with the beginnings of the first five."""
    shown = [repr(column if len(column) <= 20 else column[:20] + "...") for column in columns[:5]]
    more = ["..."] if len(columns) > 5 else []
    return f"{len(columns)} column{'s' * (len(columns) > 1)} ({', '.join(shown + more)})"


def chatterbot() -> list[Pair]:
    """Returns each English statement of the package `chatterbot-corpus` with the statement that answers it.

    Raises:
        InputError: the package, or its YAML reader, is not installed.
    """
    try:
        import yaml
        from chatterbot_corpus.corpus import DATA_DIRECTORY
    except ImportError as error:
        raise InputError(
            f"--corpus chatterbot needs the package {error.name}: pip install chatterbot-corpus pyyaml"
        ) from None
    pairs = []
    for file in sorted(Path(DATA_DIRECTORY, "english").glob("*.yml")):
        for conversation in yaml.safe_load(file.read_text(encoding="utf-8"))["conversations"]:
            statements = [" ".join(str(statement).split()) for statement in conversation]
            pairs += [(s, t) for s, t in itertools.pairwise(statements) if s and t]
    return pairs


def check_pairs(pairs: Sequence[Pair], role: str = "given") -> None:
    """Refuses what is no list of two texts each, before it becomes an error of TensorFlow's that names no pair.

    Args:
        pairs: (source, target) texts.
        role: what they are for, for the message.

    Raises:
        InputError: a pair is something else; the message has its number.
    """
    for number, pair in enumerate(pairs, start=1):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(side, str) for side in pair):
            raise InputError(f"pair {number} of the {role} pairs is {pair!r}; expected two texts: source, target")
        for side in pair:
            if not is_utf8(side):
                raise InputError(f"pair {number} of the {role} pairs: {side!r} is not UTF-8")


def read_corpus(name: str) -> list[Pair]:
    """Returns the pairs of a corpus known by name: see `CORPORA`."""
    return chatterbot() if name == "chatterbot" else list(NOTEBOOK)


def hold_out(pairs: list[Pair], share: float, unit: str, normalize: str = "none") -> tuple[list[Pair], list[Pair]]:
    """Splits off about `share` of the *sources*, so that no source stands on both sides.

    What counts are the tokens that a model reads: as words, `Tom runs!` and `tom runs` are one source. Its side depends
    on them alone: it stays there when the corpus grows. Subwords are not known yet, and keep the case and punctuation:
    for them, sources are one that are the same between their blanks.

    Args:
        pairs: (source, target) texts.
        share: from 0 to 1.
        unit: what a token of the source is: one of `data.TOKENS`.
        normalize: see `tokenization.clean`.

    Raises:
        InputError: nothing is left to train on, or nothing was held out.
    """
    from keras_seq2seq.data.tokenization import tokens_of  # needs TensorFlow, which reading a file does not

    train: list[Pair] = []
    valid: list[Pair] = []
    sources = [source for source, _ in pairs]
    unit = "space" if unit == "subword" else unit
    for pair, tokens in zip(pairs, tokens_of(sources, unit, normalize), strict=True):
        digest = hashlib.sha256("\0".join(tokens).encode()).hexdigest()
        held_out = int(digest[:8], 16) / 16**8 < share
        (valid if held_out else train).append(pair)
    if share and not (train and valid):
        raise InputError(f"--valid-share {share} of {len(pairs)} pairs leaves one side empty; use another share")
    return train, valid
