"""Ctrl-C: it is never lost, and never falls between two files that belong together."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from keras_seq2seq.keras_version import keras


class Interruptible(keras.callbacks.Callback):
    """Ends the training at the next batch if Ctrl-C came and its exception got lost; see `interruptible`."""

    interrupted = False

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.on_train_batch_begin(batch)


@contextlib.contextmanager
def interruptible() -> Iterator[Interruptible]:
    """Gives a callback for `fit` and, for as long as it is used, makes sure that no Ctrl-C is lost.

    Keras 3 catches everything in a few places (where it turns logs into numbers, say), and there one in fifty is lost.
    Interrupted in C code, Python may raise another error in its place. While an object is being destroyed, it prints
    the exception and goes on.
    """
    callback = Interruptible()

    def note(_number: int, _frame: Any) -> None:
        callback.interrupted = True
        raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    # A handler other than Python's own is left in place; other threads receive no signals.
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield callback
        return
    signal.signal(signal.SIGINT, note)
    hook = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if lost.exc_type is KeyboardInterrupt else hook(lost)
    try:
        yield callback
    except Exception:
        if callback.interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = hook


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Lets a Ctrl-C wait until what is inside is done. A second one waits too."""
    handler, came = signal.getsignal(signal.SIGINT), []
    # None is a handler that is not Python's, and could not be put back.
    if handler is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
