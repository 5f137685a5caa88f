"""Named corpora and file readers: where (source, target) text pairs come from.

A pair is two plain strings. Every error names the file and the line.
"""

import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_seq2seq.data.scan import scan
from keras_seq2seq.errors import InputError, is_utf8
from keras_seq2seq.files import lines_of
from keras_seq2seq.progress import watched

Pair = tuple[str, str]
Columns = tuple[int, int]  # the source's and the target's, counted from 1
CORPORA = ("notebook", "chatterbot", "scan")

NOTEBOOK: list[Pair] = [
    ("what is the color of banana", "yellow most of the time"),
    ("what makes up water molecules", "hydrogen and oxygen"),
]


def read_pairs(
    path: str | os.PathLike, target_path: str | os.PathLike | None = None, columns: Columns | None = None
) -> list[Pair]:
    """Reads one pair a line, of one file or of two. Blank lines are passed over.

    Args:
        path: a file of source, tab, target; with `target_path`, of the sources alone.
        target_path: the second of two parallel files: its line n is the target of line n of the first.
        columns: of one file, which columns are the source and the target, counted from 1; others are ignored.

    Raises:
        InputError: a file cannot be read, a line does not have exactly two sides with text, two files are not of the
            same number of lines, or `columns` are no two columns of one file.
    """
    hint = "choose the source's and the target's column, as by --columns 1,2"
    return [(source, targets[0]) for source, targets in _rows(path, target_path, columns, hint)]


def read_references(
    path: str | os.PathLike,
    target_path: str | os.PathLike | None = None,
    columns: Columns | None = None,
    further: bool = False,
) -> dict[str, list[str]]:
    """Reads test data: pairs of sources and references. A source may come back on a later line with another reference.

    Args:
        path: see `read_pairs`.
        target_path: see `read_pairs`.
        columns: see `read_pairs`.
        further: of one file, take further columns for further references.

    Raises:
        InputError: as for `read_pairs`; or `further` comes together with `target_path` or `columns`.
    """
    references: dict[str, list[str]] = {}
    hint = "with --references further columns are further references, with --columns 1,2 they are ignored"
    for source, targets in _rows(path, target_path, columns, hint, further):
        known = references.setdefault(source, [])
        known += dict.fromkeys(target for target in targets if target not in known)
    return references


def columns_of(text: str) -> Columns:
    """Returns the source's and the target's column that `--columns` asks for: "2,1" is (2, 1).

    Raises:
        InputError: it is not SOURCE,TARGET.
    """
    numbers = re.fullmatch(r"(\d{1,9}),(\d{1,9})", text)
    columns = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    _check_columns(columns, f"--columns is {text!r}")
    return columns


def _check_columns(columns: Columns, said: str) -> None:
    if not 1 <= min(columns) < max(columns):
        raise InputError(f"{said}; give the source's and the target's column, two counted from 1, as in 2,1")


def _rows(
    path: str | os.PathLike,
    target_path: str | os.PathLike | None,
    columns: Columns | None,
    hint: str,
    further: bool = False,
) -> Iterator[tuple[str, list[str]]]:
    """Returns the source and the targets of each line, of one file or of two.

    Raises:
        InputError: the arguments contradict one another; see `_tabbed` and `_parallel` for what the files can have.
    """
    if columns is not None and further:
        raise InputError("--references reads the columns that --columns leaves out; give one of the two")
    if target_path is None:
        return _tabbed(path, columns, hint, further)
    if columns is not None or further:
        option = "--references" if further else "--columns"
        raise InputError(f"{option} is for one file of tab-separated columns; leave it out with two parallel files")
    return _parallel(path, target_path)


def _tabbed(
    path: str | os.PathLike, columns: Columns | None, hint: str, further: bool
) -> Iterator[tuple[str, list[str]]]:
    """Yields the source and the targets of each line of a tab-separated file; blank lines are passed over.

    Args:
        path: the file.
        columns: the source's and the target's; None: the first one, and the others.
        hint: what to do where a line has more than one target.
        further: whether it may.

    Raises:
        InputError: the file cannot be read, is not UTF-8, has no other lines, or one with other columns.
    """
    if columns is not None:
        _check_columns(columns, f"columns is {columns}")
    empty = True
    for number, line in enumerate(_watched_lines(path), start=1):
        if not line.strip():
            continue
        empty = False
        sides = line.split("\t")
        if columns is not None:
            if len(sides) < max(columns):
                wanted = "expected {} or more, for --columns {},{}".format(max(columns), *columns)
                raise InputError(f"{path}, line {number}: {_seen(sides)}; {wanted}; complete or remove the line")
            sides = [sides[column - 1] for column in columns]
        source, *targets = sides
        if not targets or (len(targets) > 1 and not further):
            wanted = "expected source, tab, target" + (f"; {hint}" if targets else "")
            raise InputError(f"{path}, line {number}: {_seen(sides)}; {wanted}")
        for name, side in zip(("source", *["target"] * len(targets)), sides, strict=True):
            if not side.strip():
                raise InputError(f"{path}, line {number}: the {name} is empty; give it text or remove the line")
        yield source, targets
    if empty:
        raise InputError(f"{path}: is empty; expected one pair a line: source, tab, target")


def _parallel(source_path: str | os.PathLike, target_path: str | os.PathLike) -> Iterator[tuple[str, list[str]]]:
    """Yields each line of the first file with that of the second; lines that are blank in both are passed over.

    Raises:
        InputError: a file cannot be read, is not UTF-8 or has tabs; or their lines do not belong together.
    """
    paths = (source_path, target_path)
    sources, targets = (_texts(path) for path in paths)
    if len(sources) != len(targets):
        counts = f"{source_path} has {len(sources)} line{'s' * (len(sources) != 1)}, {target_path} has {len(targets)}"
        raise InputError(f"{counts}; line n of the second has to be the target of line n of the first")
    empty = True
    for number, sides in enumerate(zip(sources, targets, strict=True), start=1):
        blank = [not side.strip() for side in sides]
        if all(blank):
            continue
        empty = False
        if any(blank):
            path, other = paths if blank[0] else paths[::-1]
            what = f"is blank, and that of {other} is not"
            raise InputError(f"{path}, line {number}: {what}; give it text or remove the line from both")
        yield sides[0], [sides[1]]
    if empty:
        raise InputError(f"{source_path} and {target_path}: are empty; expected one text a line")


def _texts(path: str | os.PathLike) -> list[str]:
    """Returns the lines of one of two parallel files.

    Raises:
        InputError: it cannot be read, or a line has a tab: it may be a file of pairs, and the second one another.
    """
    texts = []
    for number, line in enumerate(_watched_lines(path), start=1):
        if "\t" in line:
            wanted = "of two parallel files each line is one text; write a blank, or give a file of pairs alone"
            raise InputError(f"{path}, line {number}: has a tab; {wanted}")
        texts.append(line)
    return texts


def _watched_lines(path: str | os.PathLike) -> Iterator[str]:
    return watched(lines_of(path), f"reading {Path(path).name:.40}")


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
    if name == "notebook":
        return list(NOTEBOOK)
    return scan() if name == "scan" else chatterbot()


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
