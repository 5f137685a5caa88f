"""How the model learns: the training step, the measuring step, and what is tracked in both."""

import functools
import types
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.keras_version import SameOnBothKeras, keras, keras_major, require_same_keras
from keras_seq2seq.model.losses import label_mask, masked_mean, smoothed_crossentropy, token_crossentropy
from keras_seq2seq.model.precision import apply_gradients, scaled_loss, unscaled
from keras_seq2seq.model.replicas import mean_over_replicas, result_over_replicas, sum_over_replicas

Batch = tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]
TokenLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
CHANGE_LEARNING_RATE = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


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
        """More Keras metrics, for whoever trains the model.

        They are given all tokens of a batch in one row: labels `(batch * time,)`, logits `(batch * time, vocabulary)`
        and weights `(batch * time,)`, 1 or at padding 0. A mean then weighs every label alike, however far a batch is
        padded. Under several replicas the result is that of the whole batch, if the metric's variables are sums.
        """
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
            loss = scaled_loss(self.optimizer, loss + self._added_losses())
        self._update(gradients_of(tape, loss, self.trainable_variables))
        self.tokens_tracker.update_state(tf.math.count_nonzero(inputs[0]) + tf.math.count_nonzero(labels))
        # Shown is the plain cross-entropy, whatever is trained on: training and validation share a chart.
        return self._track(token_crossentropy(labels, logits), logits, labels)

    def test_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Measures one batch: loss and token accuracy with teacher forcing, exact match without.

        Token accuracy is the share of labels that are the likeliest token, `<unk>` among them; an answer with `<unk>`
        is no exact match: see `answers_exactly`.
        """
        inputs, labels = _unpack(batch)
        logits = self(inputs, training=False)
        results = self._track(token_crossentropy(labels, logits), logits, labels)
        self.exact_tracker.update_state(tf.cast(self.answers_exactly(inputs[0], labels), tf.float32))
        return {**results, "exact_match": mean_over_replicas(self.exact_tracker)}

    def _added_losses(self) -> tf.Tensor | float:
        """Returns what layers add to the loss, regularisers and `add_loss`: this replica's share, as gradients add up.

        Each call of the model starts with none. What the loop of scheduled sampling adds stays in that loop's graph.
        """
        here = tf.compat.v1.get_default_graph()
        losses = [loss for loss in self.losses if getattr(loss, "graph", here) is here]
        total = sum(tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in losses)
        return total / tf.distribute.get_strategy().num_replicas_in_sync

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
        weights = tf.reshape(mask, [-1])
        for tracker, values in ((self.loss_tracker, crossentropy), (self.accuracy_tracker, correct)):
            tracker.update_state(tf.reshape(values, [-1]), sample_weight=weights)
        tokens = (tf.reshape(labels, [-1]), tf.reshape(logits, [-1, logits.shape[-1]]))
        for metric in self.own_metrics:
            metric.update_state(*tokens, sample_weight=weights)
        return {
            "loss": mean_over_replicas(self.loss_tracker),
            "token_accuracy": mean_over_replicas(self.accuracy_tracker),
            **{metric.name: result_over_replicas(metric) for metric in self.own_metrics},
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
        """Trains, as `keras.Model.fit`.

        Raises:
            TypeError: a callback belongs to the other Keras.
            ValueError: the learning rate follows a schedule that a callback would change, or that has come to its end.
        """
        schedule = _schedule_of(getattr(self, "optimizer", None))  # Keras says that `compile` comes first
        for callback in tf.nest.flatten(callbacks or []):
            require_same_keras(callback, "callback")
            if schedule and isinstance(callback, CHANGE_LEARNING_RATE):
                raise ValueError(
                    f"{type(callback).__name__} cannot change a learning rate that follows {type(schedule).__name__}: "
                    "compile with a plain number, or leave the callback out."
                )
        if schedule and _is_over(schedule, updates_of(self)):
            raise ValueError(
                f"{type(schedule).__name__} has come to its end: the learning rate is 0 from update {updates_of(self)} "
                "on; compile with a fresh optimizer to train further."
            )
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


def _schedule_of(optimizer: Any) -> keras.optimizers.schedules.LearningRateSchedule | None:
    # `learning_rate` is the present number, whether there is a schedule or not.
    rate = getattr(getattr(optimizer, "inner_optimizer", optimizer), "_learning_rate", None)
    return rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else None


def _is_over(schedule: keras.optimizers.schedules.LearningRateSchedule, updates: int) -> bool:
    """Says whether the learning rate is 0 now and stays so: a warm-up starts at 0 too, and restarts pass through it."""
    ahead = (0, *(2**power for power in range(24)))
    return all(float(schedule(tf.constant(updates + more, tf.int64))) == 0 for more in ahead)


def _unpack(batch: Batch) -> Batch:
    inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    if sample_weight is not None:
        raise ValueError("Seq2Seq takes no sample weights: its loss weighs every label that is not padding alike.")
    return inputs, labels
