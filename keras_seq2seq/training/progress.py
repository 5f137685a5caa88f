"""What is printed of each epoch: one line that fits a terminal, and there a progress bar for as long as it lasts.

Keras's own line is wider than a terminal, different on each Keras, and silent during validation.
"""

import collections
import statistics
import time
from typing import Any

import numpy as np

from keras_seq2seq.keras_version import keras
from keras_seq2seq.progress import WIDTH, Bar

SHOWN = ("loss", "token_accuracy", "val_loss", "val_exact_match")


def number(value: float) -> str:
    """Returns a number in 8 characters at most."""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.6g}" if abs(value) < 1e6 else f"{value:.1e}"


def duration(seconds: float) -> str:
    """Returns a time in 6 characters, by its two largest units: `7s`, `4m30s`, `12h05m`; from 100 hours on, `100h`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m" if hours < 100 else f"{hours}h"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"


class ProgressTable(keras.callbacks.Callback):
    """Prints a line for each epoch below one line of names; for `fit(verbose=0)`.

    Shown are `SHOWN`, and behind them the user's own metrics, in their order, as many as fit; with validation what they
    are there, else in training. `time` is the epoch's, `left` that of all epochs to come, if none stops early and each
    lasts as long as the last ten did.

    Args:
        validation_batches: in an epoch; 0: there is no validation.
    """

    def __init__(self, validation_batches: int = 0) -> None:
        super().__init__()
        self.validation_batches = validation_batches
        self.bar = Bar(patience=0)
        self.widths: dict[str, int] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self.last_end, self.lasted = time.perf_counter(), collections.deque[float](maxlen=10)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.name, self.begun = f"epoch {epoch + 1}/{self.params['epochs']}", time.perf_counter()
        self.draw("training", 0, self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.draw("training", batch + 1, self.params["steps"])

    def on_test_begin(self, logs: Any = None) -> None:
        self.draw("validation", 0, self.validation_batches)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.draw("validation", batch + 1, self.validation_batches)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now, epochs = time.perf_counter(), self.params["epochs"]
        self.lasted.append(now - self.last_end)
        self.last_end = now
        self.bar.clear()
        if not self.widths:
            self.widths = self.choose_columns(logs)
            print("".join(f"{name:>{width}}" for name, width in self.widths.items()))
        cells = {name: number(logs[name]) for name in self.widths if name in logs}
        cells |= {"epoch": f"{epoch + 1}/{epochs}", "time": duration(now - self.begun)}
        # The median, and of two the lower one: the first epoch traces the graphs, and any may be held up.
        cells["left"] = duration(statistics.median_low(self.lasted) * (epochs - epoch - 1))
        print("".join(f"{cells[name]:>{width}}" for name, width in self.widths.items()), flush=True)

    def choose_columns(self, logs: dict[str, Any]) -> dict[str, int]:
        """Returns the names of what is shown, and the width of each one's column."""
        validated = "val_loss" in logs
        widths = {"epoch": max(5, len(f"{self.params['epochs']}/{self.params['epochs']}"))}
        widths |= {name: 1 + max(7, len(name)) for name in SHOWN if name in logs}
        ends = {"time": 7, "left": 7}
        for name, value in logs.items():
            own = name.removeprefix("val_") not in ("loss", "token_accuracy", "exact_match")
            if own and name.startswith("val_") == validated and np.ndim(value) == 0:
                width = 1 + max(7, len(name))
                if sum([*widths.values(), *ends.values(), width]) <= WIDTH:
                    widths[name] = width
        return {**widths, **ends}

    def draw(self, what: str, done: int, total: int) -> None:
        """Draws a bar over the last one, its beginning and its end in any case."""
        self.bar.draw(f"{self.name}  {what}", done, total, at_once=done in (0, total))
