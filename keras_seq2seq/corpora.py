"""Named corpora and file readers: where (source, target) text pairs come from.

A pair is two plain strings. Every error names the file and the line.
"""

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from keras_seq2seq.config import Configuration, InputError
from keras_seq2seq.streams import lines_of

Pair = tuple[str, str]

NOTEBOOK: list[Pair] = [
    ("what is the color of banana", "yellow most of the time"),
    ("what makes up water molecules", "hydrogen and oxygen"),
]


def _columns(path: str | os.PathLike) -> Iterator[tuple[str, list[str]]]:
    """Yields where a line stands, for messages, and what stands between its tabs; blank lines are passed over.

    Raises:
        InputError: the file cannot be read, is not UTF-8, or has no other lines.
    """
    filled = ((number, line) for number, line in enumerate(lines_of(path), start=1) if line.strip())
    first = next(filled, None)
    if first is None:
        raise InputError(f"{path}: is empty; expected one pair a line: source, tab, target")
    for number, line in itertools.chain([first], filled):
        yield f"{path}, line {number}", line.split("\t")


def read_pairs(path: str | os.PathLike) -> list[Pair]:
    """Reads one pair a line: source, tab, target. Blank lines are passed over.

    Raises:
        InputError: the file cannot be read, or a line does not have exactly two sides with text.
    """
    pairs = []
    for place, sides in _columns(path):
        if len(sides) != 2:
            hint = " (`cut -f1,2` takes the first two columns)" if len(sides) > 2 else ""
            raise InputError(f"{place}: {len(sides) - 1} tabs; expected one: source, tab, target{hint}")
        for name, side in zip(("source", "target"), sides, strict=True):
            if not side.strip():
                raise InputError(f"{place}: the {name} is empty; give it text or remove the line")
        pairs.append((sides[0], sides[1]))
    return pairs


def read_references(path: str | os.PathLike) -> dict[str, list[str]]:
    """Reads test data: source, tab, one or more right answers with tabs between them.

    A source may come back on a later line with further answers.

    Raises:
        InputError: the file cannot be read, or a line has no answer or an empty side.
    """
    references: dict[str, list[str]] = {}
    for place, (source, *targets) in _columns(path):
        if not targets:
            raise InputError(f"{place}: no tab; expected: source, tab, one or more answers")
        if not source.strip() or not all(target.strip() for target in targets):
            raise InputError(f"{place}: a side is empty; give it text or remove the line")
        known = references.setdefault(source, [])
        known += dict.fromkeys(target for target in targets if target not in known)
    return references


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


def load_pairs(config: Configuration) -> tuple[list[Pair], list[Pair]]:
    """Returns the training pairs and the validation pairs (possibly none) that `config` names."""
    if config.data is not None:
        train = read_pairs(config.data)
    else:
        train = chatterbot() if config.corpus == "chatterbot" else list(NOTEBOOK)
    if config.valid is not None:
        return train, read_pairs(config.valid)
    return hold_out(train, config.valid_share)


def hold_out(pairs: list[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """Splits off about `share` of the *sources*, so that no source stands on both sides.

    A source's side depends on its text alone: it stays there when the corpus grows.

    Raises:
        InputError: nothing is left to train on, or nothing was held out.
    """
    held_out = [int(hashlib.sha256(source.encode()).hexdigest()[:8], 16) / 16**8 < share for source, _ in pairs]
    train = [pair for pair, held in zip(pairs, held_out, strict=True) if not held]
    valid = [pair for pair, held in zip(pairs, held_out, strict=True) if held]
    if share and not (train and valid):
        raise InputError(f"--valid-share {share} of {len(pairs)} pairs leaves one side empty; use another share")
    return train, valid
