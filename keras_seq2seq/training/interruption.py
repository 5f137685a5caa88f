"""Ctrl-C and SIGTERM: neither is ever lost, or falls between two files that belong together."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from keras_seq2seq.keras_version import keras
from keras_seq2seq.termination import Terminated, terminate

# What each signal raises, and the handlers that raise it: any other handler is left in place.
STOPS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
HANDLERS = (signal.default_int_handler, terminate)


class Interruptible(keras.callbacks.Callback):
    """Ends the training between two batches if a signal came and has not been heard yet; see `interruptible`."""

    stop: type[KeyboardInterrupt] | None = None
    computing = False  # a batch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.computing = True
        self.end_if_stopped()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.computing = False
        self.end_if_stopped()

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.on_train_batch_begin(batch)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.on_train_batch_end(batch)

    def end_if_stopped(self) -> None:
        if self.stop:
            raise self.stop


@contextlib.contextmanager
def interruptible() -> Iterator[Interruptible]:
    """Gives a callback for `fit` and, for as long as it is used, makes sure that no Ctrl-C and no SIGTERM is lost.

    While a batch is computed, a first signal waits for its end, and a second one does not: an exception that comes out
    of the blue in the middle of TensorFlow's work can end the process by a crash.

    Keras 3 catches everything in a few places (where it turns logs into numbers, say), and there one in fifty is lost.
    Interrupted in C code, Python may raise another error in its place. While an object is being destroyed, it prints
    the exception and goes on.
    """
    callback = Interruptible()

    def note(number: int, _frame: Any) -> None:
        waits = callback.computing and not callback.stop
        callback.stop = STOPS[signal.Signals(number)]
        if not waits:
            raise callback.stop

    before = {number: handler for number, handler in _handlers().items() if handler in HANDLERS}
    if not before:
        yield callback
        return
    for number in before:
        signal.signal(number, note)
    hook = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if lost.exc_type in STOPS.values() else hook(lost)
    try:
        yield callback
    except Exception:
        if callback.stop:
            raise callback.stop from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Lets a Ctrl-C and a SIGTERM wait until what is inside is done. A second one waits too."""
    before, came = _handlers(), []
    for number in before:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in came:  # the first one may be ignored
            signal.raise_signal(late)


def _handlers() -> dict[signal.Signals, Any]:
    """Returns the handlers of both signals that can be replaced and put back: none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in STOPS}
    return {number: handler for number, handler in handlers.items() if handler is not None}  # None: not Python's
