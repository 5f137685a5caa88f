"""What TensorBoard shows, and when: scalars during training, and now and then diagnostics of the model.

Keras's own callback counts batches anew in each process, and on Keras 3 draws no graph and finds no embedding. Here
every point stands at the model's own update counter, so a resumed run goes on along the same axis, on both Keras.
"""

import importlib.util
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.batching import Examples
from keras_seq2seq.errors import InputError, reason_of
from keras_seq2seq.keras_version import keras
from keras_seq2seq.model.train_step import updates_of
from keras_seq2seq.tensorboard import summaries
from keras_seq2seq.tensorboard.diagnostics import exact_match, look
from keras_seq2seq.tensorboard.graph import graph

FIRST, EVERY = 100, 20  # a point for each of the first updates, then for every twentieth: it costs a few ms
DENSE = 10_000  # updates until points get rarer: 250 of them from then on while the number of updates doubles
SHOWN, SAMPLE = 5, 64  # pairs that are looked at; training pairs whose exact match is measured
HPARAMS = ".hparams"  # ends the name of the event file that holds the hyperparameters


def interval(update: int) -> int:
    """Returns how many updates apart two points are at `update`."""
    return 1 if update <= FIRST else EVERY * 2 ** (update // DENSE).bit_length()


def check_profiler() -> None:
    """Refuses to profile what TensorBoard could not show.

    Raises:
        InputError: its profile plug-in is not installed.
    """
    if not importlib.util.find_spec("tensorboard_plugin_profile"):
        raise InputError("--profile needs a plug-in of TensorBoard: pip install tensorboard-plugin-profile")


class TensorBoard(keras.callbacks.Callback):
    """Writes what TensorBoard shows, to `run/train`, `run/validation` and, for its HParams tab, to `run`.

    By update, while training: `update/loss` and `update/token_accuracy` (means since the last point),
    `update/gradient_norm` (before clipping), `update/learning_rate` and `update/tokens_per_second` (source and label
    tokens, padding not counted). By epoch: `epoch/...` of all that Keras reports, and `epoch/perplexity`.

    The other tabs, see `summaries`: the graph and the configuration at the start, all else after epochs 1, 2, 4, 8 and
    so on (images after 1, 4, 16), and after the last one. A view that fails is reported in one line and left out from
    then on; training goes on.

    It stands behind callbacks that add to Keras's report, to show that too, and behind those that end training, to know
    the last epoch.

    Args:
        run: the run's folder.
        examples: the training pairs.
        valid: the validation pairs; the first ones are looked at, or else the first training pairs.
        profile: the first and the last update to profile.
        hyperparameters: what the HParams tab compares, by name.
    """

    def __init__(
        self,
        run: Path,
        examples: Examples,
        valid: Examples | None = None,
        profile: tuple[int, int] | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.run = run
        self.examples = examples
        self.split = "validation" if valid else "train"
        self.shown = (valid or examples).first(SHOWN)
        self.profile = profile
        self.hyperparameters = hyperparameters or {}
        self.profiling = False
        self.broken: set[str] = set()

    @property
    def update(self) -> int:
        """The model's own count of its updates: the horizontal axis of everything."""
        return updates_of(self.model)

    def attempt(self, view: str, split: str, write: Callable, *arguments: Any) -> Any:
        """Lets a view write to a split at the present update, unless it has failed before.

        Returns:
            what `write` returns; None if it failed, now or before.
        """
        if view in self.broken:
            return None
        try:
            if split not in self.writers:
                suffix = {"filename_suffix": HPARAMS} if split == "." else {}
                self.writers[split] = tf.summary.create_file_writer(str(self.run / split), **suffix)
            with self.writers[split].as_default(step=self.update):
                return write(*arguments)
        except Exception as error:
            self.broken.add(view)
            print(f"\nTensorBoard goes on without {view}: {reason_of(error)}")
            return None

    def on_train_begin(self, logs: Any = None) -> None:
        self.writers: dict[str, tf.summary.SummaryWriter] = {}
        self.start_counting()
        # A resumed run stays one run of the HParams tab, with the configuration it has now.
        for stale in self.run.glob(f"*{HPARAMS}"):
            stale.unlink()
        self.attempt("hyperparameters", ".", summaries.hyperparameters, self.model, self.hyperparameters, self.run.name)
        self.observed_at = self.drawn_at = self.update
        self.seen = None
        if self.update == 0:
            self.attempt("the graph", "train", graph, self.model, self.shown)
        for split in ("train", "validation"):
            if self.update and (self.run / split).is_dir():
                self.attempt("scalars", split, summaries.forget_from, self.update + 1, self.run / split)
        self.flush()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start_counting()

    def start_counting(self) -> None:
        """Takes note that Keras sets the metrics back to zero."""
        self.last_point = self.update
        self.sums: dict[str, np.ndarray] = {}
        self.clock = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.profile and not self.profiling and self.profile[0] <= self.update + 1 <= self.profile[1]:
            self.profiling = True
            self.attempt("the profile", "train", tf.profiler.experimental.start, str(self.run / "train"))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        update = self.update
        if update // interval(update) > self.last_point // interval(update):
            self.last_point = update
            self.attempt("scalars", "train", self.scalars_by_update)
        if self.profiling and self.profile and update >= self.profile[1]:
            self.stop_profiling()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        # `ReduceLROnPlateau` reports the learning rate, each Keras under its own name: it has a chart by update.
        reported = {name: value for name, value in logs.items() if name not in ("lr", "learning_rate")}
        validation = {name.removeprefix("val_"): value for name, value in reported.items() if name.startswith("val_")}
        train = {name: value for name, value in reported.items() if not name.startswith("val_")}
        for split, values in (("train", train), ("validation", validation)):
            if values:
                self.attempt("scalars", split, self.scalars_by_epoch, values)
        number = epoch + 1
        last = number == self.params.get("epochs") or self.model.stop_training
        # At powers of two; the pictures, which cost as much as all else, at every other one.
        if last or number & epoch == 0:
            self.observe()
            if last or number.bit_length() % 2:
                self.draw()
        self.flush()

    def on_train_end(self, logs: Any = None) -> None:
        if self.observed_at != self.update:
            self.observe()
        if self.drawn_at != self.update:
            self.draw()
        if self.profiling:
            self.stop_profiling()
        self.attempt("hyperparameters", ".", summaries.end_of_session)
        for split, writer in self.writers.items():
            self.attempt("files", split, writer.close)

    def scalars_by_update(self) -> None:
        """Writes the means over the updates since the last point, the learning rate and the speed."""
        seconds, self.clock = time.perf_counter() - self.clock, time.perf_counter()
        rate = self.model.optimizer.learning_rate
        values, sums = {"update/learning_rate": float(tf.convert_to_tensor(rate))}, {}
        for metric in self.model.metrics:
            if not hasattr(metric, "total"):  # one of the user's that is no mean: shown by epoch alone
                continue
            parts = [metric.total, metric.count] if hasattr(metric, "count") else [metric.total]
            sums[metric.name] = np.array([float(tf.convert_to_tensor(part)) for part in parts])
            total, *count = sums[metric.name] - self.sums.get(metric.name, 0.0)
            if metric.name == "tokens":
                values["update/tokens_per_second"] = total / seconds
            elif count and count[0]:
                values[f"update/{metric.name}"] = total / count[0]
        self.sums = sums
        summaries.scalars(values)

    def scalars_by_epoch(self, values: dict[str, float]) -> None:
        """Writes what Keras reports of a split: training and validation under the same names, to share a chart."""
        # A loss beyond 700 nats would overflow; the chart shows that limit instead.
        perplexity = math.exp(min(float(values["loss"]), 700.0))
        shown = {f"epoch/{name}": float(value) for name, value in values.items()}
        summaries.scalars({**shown, "epoch/perplexity": perplexity})

    def observe(self) -> None:
        """Writes all diagnostics of the model but for the images."""
        self.observed_at = self.update
        share = self.attempt("exact match", "train", exact_match, self.model, self.examples.first(SAMPLE))
        if share is not None:
            self.attempt("exact match", "train", summaries.scalars, {"epoch/exact_match": share})
        self.attempt("embeddings", "train", summaries.embeddings, self.model, self.examples, self.run / "train")
        self.seen = self.attempt("diagnostics", "train", look, self.model, self.shown)
        if self.seen is not None:
            self.attempt("histograms", "train", summaries.histograms, self.seen)
            self.attempt("sentences", self.split, summaries.sentences, self.seen, self.model, self.shown)

    def draw(self) -> None:
        """Draws the images of the last diagnostics."""
        self.drawn_at = self.update
        if self.seen is not None:
            self.attempt("images", self.split, summaries.images, self.seen, self.model, self.shown)

    def stop_profiling(self) -> None:
        self.profiling = False
        self.attempt("the profile", "train", tf.profiler.experimental.stop)

    def flush(self) -> None:
        """Hands everything to the operating system, so that TensorBoard sees it and a kill does not lose it."""
        for split, writer in self.writers.items():
            self.attempt("files", split, writer.flush)
