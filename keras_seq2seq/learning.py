"""How the model learns: the training step, the measuring step, and what is tracked in both."""

import functools
import types
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.framework import SameOnBothKeras, keras, keras_major, require_same_keras
from keras_seq2seq.losses import label_mask, masked_mean, smoothed_crossentropy, token_crossentropy
from keras_seq2seq.precision import apply_gradients, scaled_loss, unscaled
from keras_seq2seq.replicas import mean_over_replicas, sum_over_replicas

Batch = tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]
TokenLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class Learning:
    """The part of `Seq2Seq` that Keras's `fit` and `evaluate` call: a mix-in.

    Attributes:
        token_loss: what training makes small: a function of labels `(batch, time)` and logits
            `(batch, time, vocabulary)` that returns `(batch, time)`.
    """

    hidden_when_saving = (
        *SameOnBothKeras.hidden_when_saving,
        *("loss_tracker", "accuracy_tracker", "exact_tracker", "norm_tracker", "tokens_tracker", "_metrics"),
        "own_metrics",
    )

    def start_tracking(self) -> None:
        """Makes the trackers; called once, by `__init__`."""
        if keras_major() == 2:
            # Each replica returns what all of them measured; Keras 2 would add that up over the workers.
            self.distribute_reduction_method = "first"
        smoothing = self.config.label_smoothing
        smoothed = functools.partial(smoothed_crossentropy, smoothing=smoothing)
        self.token_loss: TokenLoss = smoothed if smoothing else token_crossentropy
        self._own = types.SimpleNamespace(metrics=[])
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.accuracy_tracker = keras.metrics.Mean(name="token_accuracy")
        self.exact_tracker = keras.metrics.Mean(name="exact_match")
        self.norm_tracker = keras.metrics.Mean(name="gradient_norm")
        self.tokens_tracker = keras.metrics.Sum(name="tokens")

    @property
    def own_metrics(self) -> list[keras.metrics.Metric]:
        """More Keras metrics, for whoever trains the model: called with labels, logits and the mask as weights."""
        return self._own.metrics

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Makes one update from `((source, decoder_input), labels)`; returns the running means of the epoch."""
        inputs, labels = _unpack(batch)
        mask = label_mask(labels)
        # A distribution strategy gives each replica a part of the batch. All divide by the labels of the
        # whole batch, and the gradients are added up: together they make the step that one would make alone.
        count = sum_over_replicas(tf.reduce_sum(mask))
        with tf.GradientTape() as tape:
            logits = self(inputs, training=True)
            loss = masked_mean(self.token_loss(labels, logits), mask, count)
            loss = scaled_loss(self.optimizer, loss)
        self._update(gradients_of(tape, loss, self.trainable_variables))
        self.tokens_tracker.update_state(tf.math.count_nonzero(inputs[0]) + tf.math.count_nonzero(labels))
        # Shown is the plain cross-entropy, whatever is trained on: training and validation share a chart.
        return self._track(token_crossentropy(labels, logits), logits, labels)

    def test_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Measures one batch: loss and token accuracy with teacher forcing, exact match without."""
        inputs, labels = _unpack(batch)
        logits = self(inputs, training=False)
        results = self._track(token_crossentropy(labels, logits), logits, labels)
        self.exact_tracker.update_state(tf.cast(self.answers_exactly(inputs[0], labels), tf.float32))
        return {**results, "exact_match": mean_over_replicas(self.exact_tracker)}

    def _update(self, gradients: list[tf.Tensor]) -> None:
        gradients = unscaled(self.optimizer, [sum_over_replicas(gradient) for gradient in gradients])
        norm = tf.linalg.global_norm(gradients)
        self.norm_tracker.update_state(tf.where(tf.math.is_finite(norm), norm, 0.0))
        if self.config.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.config.clip_norm, use_norm=norm)
        # The optimizer adds up over the replicas too; by now each holds the whole sum.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        gradients = [gradient / replicas for gradient in gradients]
        apply_gradients(self.optimizer, gradients, self.trainable_variables)

    def _track(self, crossentropy: tf.Tensor, logits: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        mask = label_mask(labels)
        correct = tf.cast(tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels, tf.float32)
        # Weighted by labels, so that the mean of an epoch does not depend on how it was cut into batches. In one
        # dimension, since Keras 3 takes the mean of a row's weights, which depends on how far it was padded.
        for tracker, values in ((self.loss_tracker, crossentropy), (self.accuracy_tracker, correct)):
            tracker.update_state(tf.reshape(values, [-1]), sample_weight=tf.reshape(mask, [-1]))
        for metric in self.own_metrics:
            metric.update_state(labels, logits, sample_weight=mask)
        return {
            "loss": mean_over_replicas(self.loss_tracker),
            "token_accuracy": mean_over_replicas(self.accuracy_tracker),
            **{metric.name: metric.result() for metric in self.own_metrics},
        }

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The trackers that Keras resets at the start of every epoch."""
        trackers = [self.loss_tracker, self.accuracy_tracker, self.exact_tracker]
        return [*trackers, self.norm_tracker, self.tokens_tracker, *self.own_metrics]

    def compile(self, optimizer: Any = "adam", **options: Any) -> None:
        """Configures training.

        Raises:
            TypeError: the optimizer belongs to the other Keras.
            ValueError: a loss or metrics are given, which Keras alone would know.
        """
        require_same_keras(optimizer, "optimizer")
        for name in ("loss", "metrics", "weighted_metrics"):
            if options.get(name):
                raise ValueError(f"Seq2Seq has its own {name}: set `token_loss`, or add to `own_metrics`.")
        super().compile(optimizer=optimizer, **options)

    def _maybe_symbolic_build(self, **batch: Any) -> None:
        # Keras 3 builds from the mean of the replicas' parts of a batch. There is none where one part has more rows.
        super()._maybe_symbolic_build(**({} if self.trainable_variables else batch))

    def fit(self, *data: Any, callbacks: Any = None, **options: Any) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit`; a callback of the other Keras is refused (TypeError)."""
        for callback in tf.nest.flatten(callbacks or []):
            require_same_keras(callback, "callback")
        return super().fit(*data, callbacks=callbacks, **options)


def gradients_of(tape: tf.GradientTape, loss: tf.Tensor, variables: list[Any]) -> list[tf.Tensor]:
    """Returns dense gradients, zeros where the loss does not hang on a variable.

    The norm of a sparse one, of an embedding, would count a token that occurs twice as two.
    """
    gradients = zip(variables, tape.gradient(loss, variables), strict=True)
    return [tf.zeros(one.shape) if gradient is None else tf.convert_to_tensor(gradient) for one, gradient in gradients]


def updates_of(model: keras.Model) -> int:
    """Returns how many updates the model's optimizer has made."""
    return int(tf.convert_to_tensor(model.optimizer.iterations))


def _unpack(batch: Batch) -> Batch:
    inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    if sample_weight is not None:
        raise ValueError("Seq2Seq takes no sample weights: its loss weighs every label that is not padding alike.")
    return inputs, labels
