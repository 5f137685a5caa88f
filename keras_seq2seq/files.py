"""Reading and writing lines, of files, pipes and a terminal: none is lost, and no file is half written."""

import codecs
import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from keras_seq2seq.errors import InputError

CHUNK = 2**20  # the most bytes read at once


def batches(path: str | os.PathLike | None, most: int) -> Iterator[list[str]]:
    """Yields the lines of a UTF-8 file, or of standard input (None), as they arrive, without their line ends.

    A single line through a pipe is yielded at once, a fast stream in full batches. A terminal shows a prompt.

    Args:
        path: the file.
        most: lines in a batch.

    Raises:
        InputError: it cannot be read, or a line is not UTF-8; the lines before it have been yielded.
    """
    number = 0
    for lines in _arriving(path):
        batch = []
        for raw in lines:
            number += 1
            raw = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            try:
                batch.append(raw.decode("utf-8").removesuffix("\r"))
            except UnicodeDecodeError as error:
                if batch:
                    yield batch
                name = "standard input" if path is None else path
                wrong = f"not UTF-8 (byte {error.start + 1}: 0x{raw[error.start]:02x}); save it as UTF-8"
                raise InputError(f"{name}, line {number}: {wrong}") from None
            if len(batch) == most:
                yield batch
                batch = []
        if batch:
            yield batch


def lines_of(path: str | os.PathLike) -> Iterator[str]:
    """Yields the lines of a UTF-8 file one at a time, without their line ends.

    Raises:
        InputError: it cannot be read, or a line is not UTF-8.
    """
    for batch in batches(path, CHUNK):
        yield from batch


def _arriving(path: str | os.PathLike | None) -> Iterator[list[bytes]]:
    """Yields the lines that have arrived so far; it waits only where there are none."""
    if path is None and sys.stdin is None:
        raise InputError("there is no standard input; give texts or --input")
    prompt = "> " if path is None and sys.stdin.isatty() else ""
    rest = b""
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if path is None else open(path, "rb") as opened:
            stream: Any = opened
            while True:
                if prompt and not rest:
                    print(prompt, end="", file=sys.stderr, flush=True)
                chunk = stream.read1(CHUNK)
                if not chunk:
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                yield lines
    except OSError as error:
        raise InputError(f"{path or 'standard input'}: cannot be read ({error.strerror})") from None
    if rest:
        yield [rest]
    if prompt:
        print(file=sys.stderr)


@contextlib.contextmanager
def replaced(path: str | os.PathLike) -> Iterator[Path]:
    """Yields another name in the same folder; what is written there takes the place of `path` when all went well.

    At any moment, and wherever the program is stopped, there is either the old file or folder, or the new one.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.unfinished{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def output(path: str | os.PathLike | None) -> Iterator[TextIO]:
    """Yields standard output, or a file that appears under its name when all is written (a pipe is written to)."""
    if path is None:
        # Answers are UTF-8 whatever the terminal's locale: what goes in comes out.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    place = os.path.realpath(path)  # where a link leads to
    whole = os.path.isfile(place) or not os.path.exists(place)  # a pipe or a device cannot be replaced
    try:
        with (
            replaced(place) if whole else contextlib.nullcontext(place) as name,
            open(name, "w", encoding="utf-8", newline="\n") as file,
        ):
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
