"""Learning-rate schedules that depend on the optimizer's own update counter, so a resumed run goes on unchanged."""

from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import keras


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
