"""Lines in, lines out: files, pipes and people at a keyboard, without losing or half-writing anything."""

import codecs
import contextlib
import io
import os
import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from keras_seq2seq.config import InputError


def _standard_input() -> Iterable[bytes]:
    if sys.stdin is None:
        raise InputError("there is no standard input; give texts or --input")
    try:
        # A reader of our own: Python cannot shut down while a thread waits inside `sys.stdin`.
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except (OSError, ValueError, AttributeError):
        return sys.stdin.buffer


def lines_of(path: str | os.PathLike | None) -> Iterator[str]:
    """Yields the lines of a UTF-8 file, or of standard input (None), one at a time, without their line ends.

    Raises:
        InputError: it cannot be read, or a line is not UTF-8.
    """
    name = "standard input" if path is None else path
    try:
        stream = _standard_input() if path is None else open(path, "rb")  # noqa: SIM115 - closed with the process
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    for number, raw in enumerate(stream, start=1):
        try:
            raw = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            yield raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            wrong = f"not UTF-8 (byte {error.start + 1}: 0x{raw[error.start]:02x}); save it as UTF-8"
            raise InputError(f"{name}, line {number}: {wrong}") from None


def prompted(lines: Iterator[str]) -> Iterator[str]:
    """Shows a prompt before each line that a person types."""
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        try:
            yield next(lines)
        except StopIteration:
            print(file=sys.stderr)
            return


def batches(lines: Iterable[str], most: int, wait: bool) -> Iterator[list[str]]:
    """Groups lines. Unless told to wait for a full batch, it hands on what has come so far.

    So one slow line through a pipe is answered at once, and a fast stream in full batches.
    """
    if wait or most == 1:
        lines = iter(lines)
        while batch := [line for _, line in zip(range(most), lines, strict=False)]:
            yield batch
        return
    waiting: queue.Queue = queue.Queue(maxsize=most)

    def read() -> None:
        try:
            for line in lines:
                waiting.put(line)
            waiting.put(None)
        except Exception as error:  # whatever it is, the reader of the queue must not wait for ever
            waiting.put(error)

    threading.Thread(target=read, daemon=True).start()
    while isinstance(item := waiting.get(), str):
        batch = [item]
        with contextlib.suppress(queue.Empty):
            while len(batch) < most and isinstance(item := waiting.get_nowait(), str):
                batch.append(item)
        yield batch
        if not isinstance(item, str):
            break
    if item is not None:
        raise item


@contextlib.contextmanager
def output(path: str | os.PathLike | None) -> Iterator[TextIO]:
    """Yields standard output, or a file that appears under its name when all is written."""
    if path is None:
        # Answers are UTF-8 whatever the terminal's locale: what goes in comes out.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    unfinished = Path(f"{path}.{os.getpid()}.unfinished")
    try:
        with open(unfinished, "w", encoding="utf-8", newline="\n") as file:
            yield file
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
