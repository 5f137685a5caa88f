"""Callbacks of a run: printing the notebook's tensors, stopping early, and saving."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras
from keras_seq2seq.model.losses import label_mask, masked_mean, token_crossentropy
from keras_seq2seq.model.saving import LAST_FILE, MODEL_FILE, save
from keras_seq2seq.model.train_step import Batch, updates_of
from keras_seq2seq.training.configuration import Configuration
from keras_seq2seq.training.interruption import uninterrupted

EXPLAINED = """
loss: the cross-entropy of each label, in nats; mask: 1 at a token, 0 at padding
masked loss: the two multiplied; batch loss: its sum over the number of tokens
Lesson 1 explains each tensor: docs/lessons/training.ipynb, sections 3 to 5."""


class Inspect(keras.callbacks.Callback):
    """Prints, every few updates, what the notebook printed: each tensor between the logits and the loss.

    What is shown at update 0 is the untrained model: the tensors belong to the moment before the update.

    Args:
        batch: the examples to show: `((source, target_input), labels)`, ids of `(batch, time)`.
        every: updates between two prints.
    """

    def __init__(self, batch: Batch, every: int) -> None:
        super().__init__()
        self.batch = batch
        self.every = every
        self.next_update = 0

    def on_train_begin(self, logs: Any = None) -> None:
        print(EXPLAINED)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        update = updates_of(self.model)
        if update >= self.next_update:
            self.next_update = update - update % self.every + self.every
            print(f"\n--- update {update} " + "-" * (68 - len(str(update))))
            print(self.describe())

    def describe(self) -> str:
        """Returns the tensors of the examples as text that fits an 80-column terminal."""
        inputs, labels = self.batch
        logits = self.model(inputs, training=False)
        loss, mask = token_crossentropy(labels, logits), label_mask(labels)
        predicted = np.argmax(logits, axis=-1)
        tokens = np.array(self.model.target_vocabulary.tokens, dtype=object)
        sentences = [" ".join(tokens[row[kept]]) for row, kept in zip(predicted, np.array(mask) > 0, strict=True)]
        with np.printoptions(precision=4, suppress=True, linewidth=79, floatmode="fixed"):
            return "\n".join(
                [
                    f"loss, shape {tuple(loss.shape)}:\n{loss.numpy()}",
                    f"mask:\n{mask.numpy().astype(int)}",
                    f"masked loss:\n{(loss * mask).numpy()}",
                    f"batch loss: {float(masked_mean(loss, mask)):.4f}",
                    f"predicted ids:\n{predicted}",
                    "predicted sentences:",
                    *(f"  {sentence}" for sentence in sentences),
                ]
            )


class Remembering(keras.callbacks.Callback):
    """Mix-in for a stock callback: its counters are saved with the model, so that a resumed run goes on with them."""

    remembered = ("best", "wait")

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        # Keras 3 would take any first value for the best one, NaN too, and then no number for a better one.
        self.best = math.inf if _mode(self.monitor) == "min" else -math.inf
        for name, value in self.model.progress.get(type(self).__name__, {}).items():
            if value is not None and not math.isnan(value):
                setattr(self, name, value)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        values = {name: getattr(self, name) for name in self.remembered}
        self.model.progress[type(self).__name__] = {name: float(value) for name, value in values.items()}


class EarlyStopping(Remembering, keras.callbacks.EarlyStopping):
    """Keras's own; its counters outlast a stop."""


class HalveOnPlateau(Remembering, keras.callbacks.ReduceLROnPlateau):
    """Keras's own; its counters outlast a stop. The learning rate itself is saved with the optimizer."""


class StopAtNaN(keras.callbacks.Callback):
    """Ends the training at the first update whose loss is no number, before anything of it is saved.

    Args:
        run: the run's folder, for the message.

    Raises:
        InputError: the loss is NaN or infinite.
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if math.isfinite(float(logs["loss"])):  # the mean of the epoch so far, which no later update mends
            return
        print()  # below the bar
        saved = kept(self.run, self.model.progress["epoch"])
        raise InputError(
            f"the loss is not finite at update {updates_of(self.model)}, and {saved}: train with a lower "
            "--learning-rate, or with --clip-norm 1"
        )


def kept(run: Path, epoch: int) -> str:
    """Says which epoch a run's folder holds."""
    return f"epoch {epoch} is saved in {run}" if (run / LAST_FILE).exists() else "no epoch is saved"


class SaveEachEpoch(keras.callbacks.Callback):
    """Saves the whole model at the end of every epoch; it has to come last, after what counts epochs.

    `last.keras` is always the last finished epoch. `model.keras` is the best one by `metric` where there are
    validation pairs, else the last too. Of epochs that are equally good it is the one with the lowest loss. Each file
    is whole at every moment, and Ctrl-C waits until both are there.

    Args:
        run: the run's folder.
        metric: what "best" means: the smallest loss, the largest of anything else; None: the last epoch.

    Raises:
        InputError: an epoch cannot be saved: the disk is full, or the folder is gone.
    """

    def __init__(self, run: Path, metric: str | None = None) -> None:
        super().__init__()
        self.run = run
        self.metric = metric

    @uninterrupted()
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.progress["epoch"] = epoch + 1
        try:
            if self.is_best(logs):
                # Before `last.keras`: killed in between, the resumed run makes this epoch and its file again.
                save(self.model, self.run / MODEL_FILE)
            save(self.model, self.run / LAST_FILE)
        except OSError as error:
            reason = f"epoch {epoch + 1} cannot be saved ({error.strerror or error}), and {kept(self.run, epoch)}"
            raise InputError(f"{self.run}: {reason}: make it writable, with room, then go on by --resume") from None

    def is_best(self, logs: dict[str, float]) -> bool:
        """Compares value and loss with those of the best epoch so far, and remembers them; NaN is the worst number."""
        if self.metric is None:
            return True
        value = float(logs[self.metric])
        loss = float(logs.get("val_loss" if self.metric.startswith("val_") else "loss", math.nan))
        numbers = (value if _mode(self.metric) == "max" else -value, -loss)
        rank = [[False] if math.isnan(number) else [True, number] for number in numbers]
        if rank <= self.model.progress.get("best", []):  # the empty list ranks below all others
            return False
        self.model.progress["best"] = rank
        return True


def stopping_callbacks(config: Configuration) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that stop training early or lower the learning rate, as configured."""
    callbacks = []
    if config.early_stopping:
        metric, patience = config.stopping_rule()
        callbacks.append(EarlyStopping(monitor=metric, patience=patience, mode=_mode(metric), verbose=1))
    if config.learning_rate_schedule == "plateau":
        options = {"monitor": config.best, "mode": _mode(config.best), "patience": config.plateau_patience}
        callbacks.append(HalveOnPlateau(factor=0.5, verbose=1, min_delta=0.0, **options))
    return callbacks


def _mode(metric: str) -> str:
    return "min" if metric.endswith("loss") else "max"
