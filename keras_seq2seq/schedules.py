"""Learning-rate schedules that depend on the optimizer's own update counter, so a resumed run goes on unchanged."""

from typing import Any

import tensorflow as tf

from keras_seq2seq.config import Configuration
from keras_seq2seq.framework import keras


@keras.utils.register_keras_serializable("keras_seq2seq")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly for `warmup` updates, then falls with the inverse square root (Vaswani et al., 2017, 5.3).

    Args:
        peak: the learning rate at update `warmup`.
        warmup: updates until the peak, 1 or more.
    """

    def __init__(self, peak: float, warmup: int) -> None:
        super().__init__()
        self.peak = peak
        self.warmup = warmup

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        update = tf.cast(step, tf.float32) + 1.0
        return self.peak * tf.minimum(update / self.warmup, tf.sqrt(self.warmup / update))

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup": self.warmup}


def learning_rate(config: Configuration, updates: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns what the optimizer starts with; `plateau` starts constant and is halved by a callback.

    Args:
        config: of the run.
        updates: in the whole run.
    """
    if config.learning_rate_schedule == "inverse_sqrt":
        return InverseSquareRoot(config.learning_rate, config.warmup_updates)
    if config.learning_rate_schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(config.learning_rate, updates)
    return config.learning_rate
