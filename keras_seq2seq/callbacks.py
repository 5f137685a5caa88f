"""What one sees while the model learns: the notebook's printed tensors, on the console."""

from typing import Any

import numpy as np

from keras_seq2seq.framework import keras
from keras_seq2seq.losses import label_mask, masked_mean, token_crossentropy
from keras_seq2seq.model import Batch


class Inspect(keras.callbacks.Callback):
    """Prints, every few updates, what the notebook printed: each tensor between the logits and the loss.

    What is shown at update 0 is the untrained model: the tensors belong to the moment before the update.

    Args:
        batch: the examples to show: `((source, decoder_input), labels)`, ids of `(batch, time)`.
        every: updates between two prints.
    """

    def __init__(self, batch: Batch, every: int) -> None:
        super().__init__()
        self.batch = batch
        self.every = every
        self.next_update = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        update = int(self.model.optimizer.iterations)
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


class SaveEachEpoch(keras.callbacks.Callback):
    """Saves the whole model at the end of every epoch.

    Args:
        path: the `.keras` file; at every moment it is a whole one.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.epochs_saved = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        from keras_seq2seq.saving import save

        save(self.model, self.path)
        self.epochs_saved = epoch + 1
