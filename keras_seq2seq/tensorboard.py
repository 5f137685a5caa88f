"""What TensorBoard shows: losses and rates by update and by epoch, training and validation on one chart.

Keras's own callback counts batches anew in each process and writes the epoch's running mean for a batch. Here every
point stands at the model's own update counter, so a resumed run goes on along the same axis, on both Keras.
"""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.framework import keras

FIRST, EVERY = 100, 10  # a point for each of the first updates, then for every tenth: it costs a millisecond or so


class TensorBoard(keras.callbacks.Callback):
    """Writes scalars to `run/train` and `run/validation`.

    By update, while training: `update/loss` and `update/token_accuracy` (means since the last point),
    `update/gradient_norm` (before clipping), `update/learning_rate` and `update/tokens_per_second` (source and label
    tokens, padding not counted). By epoch: `epoch/...` of all that Keras reports, and `epoch/perplexity`.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run

    def on_train_begin(self, logs: Any = None) -> None:
        self.writers: dict[str, tf.summary.SummaryWriter] = {}
        self.start_counting()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start_counting()

    def start_counting(self) -> None:
        """Takes note that Keras sets the metrics back to zero."""
        self.last_point = int(self.model.optimizer.iterations)
        self.sums: dict[str, np.ndarray] = {}
        self.clock = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        update = int(self.model.optimizer.iterations)
        if update <= FIRST or update // EVERY > self.last_point // EVERY:
            self.last_point = update
            self.write("train", self.since_the_last_point())

    def since_the_last_point(self) -> dict[str, float]:
        """Returns the means over the updates since the last point, the learning rate and the speed."""
        seconds, self.clock = time.perf_counter() - self.clock, time.perf_counter()
        rate = self.model.optimizer.learning_rate
        values, sums = {"update/learning_rate": float(tf.convert_to_tensor(rate))}, {}
        for metric in self.model.metrics:
            parts = [metric.total, metric.count] if hasattr(metric, "count") else [metric.total]
            sums[metric.name] = np.array([float(tf.convert_to_tensor(part)) for part in parts])
            total, *count = sums[metric.name] - self.sums.get(metric.name, 0.0)
            if metric.name == "tokens":
                values["update/tokens_per_second"] = total / seconds
            elif count[0]:
                values[f"update/{metric.name}"] = total / count[0]
        self.sums = sums
        return values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        validation = {name.removeprefix("val_"): value for name, value in logs.items() if name.startswith("val_")}
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        for split, values in (("train", train), ("validation", validation)):
            if values:
                # A loss beyond 700 nats would overflow; the chart says as much as it can.
                perplexity = math.exp(min(float(values["loss"]), 700.0))
                named = {f"epoch/{name}": float(value) for name, value in values.items()}
                self.write(split, {**named, "epoch/perplexity": perplexity})
                self.writers[split].flush()

    def write(self, split: str, values: dict[str, float]) -> None:
        """Writes points at the present update."""
        if split not in self.writers:
            self.writers[split] = tf.summary.create_file_writer(str(self.run / split))
        with self.writers[split].as_default(step=int(self.model.optimizer.iterations)):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def on_train_end(self, logs: Any = None) -> None:
        for writer in self.writers.values():
            writer.close()
