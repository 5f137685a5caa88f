"""SIGTERM, as `kill`, batch systems and containers send it: our commands end by it as by Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM came. Whoever puts things in order after Ctrl-C does so after it."""


def terminate(_number: int, _frame: Any) -> None:
    """Is the handler of SIGTERM while a command runs."""
    raise Terminated


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Makes an exception of SIGTERM, unless something else has been chosen for it or this is not the main thread."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
