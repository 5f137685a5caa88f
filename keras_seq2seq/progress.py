"""A progress bar for a terminal: nothing is drawn elsewhere, and nothing for what is done in a moment."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

WIDTH, LENGTH = 80, 30  # columns of a line, and of a bar within it
REDRAWN = 0.1  # seconds from one picture of a bar to the next
PATIENCE = 2.0  # seconds that nobody needs a bar for

Item = TypeVar("Item")


class Bar:
    """One line, which is drawn again and again, and cleared in the end.

    Args:
        patience: seconds until the first picture.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self.in_terminal = sys.stdout.isatty()
        self.next_picture = time.perf_counter() + patience
        self.drawn = False

    def draw(self, name: str, done: int, total: int, at_once: bool = False) -> None:
        """Draws how much of `total` is done (0: nobody knows the total), if it is time, or `at_once`."""
        now = time.perf_counter()
        if self.in_terminal and (at_once or now >= self.next_picture):
            self.next_picture, self.drawn = now + REDRAWN, True
            filled = LENGTH * done // total if total else 0
            bar = f"[{'=' * filled}{'.' * (LENGTH - filled)}] {done}/{total}" if total else str(done)
            print(f"\r{f'{name} {bar}':<{WIDTH - 1}}", end="", flush=True)

    def clear(self) -> None:
        """Wipes the line, so that the next one begins there."""
        if self.drawn:
            print("\r" + " " * (WIDTH - 1), end="\r", flush=True)
            self.drawn = False


def watched(items: Iterable[Item], name: str, total: int = 0, each: int = 1) -> Iterator[Item]:
    """Yields the items; where that takes long, a terminal shows how many have been.

    Args:
        items: whatever.
        name: of what is done, for the bar.
        total: how many there are; 0: nobody knows.
        each: how many one of them counts for.
    """
    bar = Bar()
    try:
        for number, item in enumerate(items):
            bar.draw(name, min(number * each, total) if total else number * each, total)
            yield item
    finally:
        bar.clear()
