"""How the model learns: the training step, the measuring step, and what is tracked in both."""

import types
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import SameOnBothKeras, keras, keras_major, require_same_keras
from keras_seq2seq.model import metrics as own_metrics
from keras_seq2seq.model.losses import UnknownLoss, label_mask, masked_mean, token_crossentropy, token_loss
from keras_seq2seq.model.parts import frozen_layers
from keras_seq2seq.model.precision import apply_gradients, scaled_loss, unscaled
from keras_seq2seq.model.replicas import mean_over_replicas, result_over_replicas, sum_over_replicas
from keras_seq2seq.serialization import describe

Batch = tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]
CHANGE_LEARNING_RATE = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


class TrainStep(SameOnBothKeras, keras.Model):
    """The part of `Seq2Seq` that Keras's `compile`, `fit` and `evaluate` call: a mix-in."""

    train_function: Any  # Keras's own, made when it is first needed
    hidden_when_saving = (*SameOnBothKeras.hidden_when_saving, "_metrics")

    def start_tracking(self) -> None:
        """Makes the trackers; called once, by `__init__`."""
        if keras_major() == 2:
            # Each replica returns what all of them measured; Keras 2 would add that up over the workers.
            self.distribute_reduction_method = "first"
        # In plain objects, where Keras does not look for what to save, to count as weights or to show.
        self._compiled = types.SimpleNamespace(
            loss=None, token_loss=token_crossentropy, metrics=[], weighted=[], frozen=None
        )
        self._trackers = types.SimpleNamespace(
            loss=keras.metrics.Mean(name="loss"),
            accuracy=keras.metrics.Mean(name="token_accuracy"),
            exact=keras.metrics.Mean(name="exact_match"),
            norm=keras.metrics.Mean(name="gradient_norm"),
            tokens=keras.metrics.Sum(name="tokens"),
        )

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        jit_compile: bool = False,
        **options: Any,
    ) -> None:
        """Configures training, as `keras.Model.compile`.

        Args:
            optimizer: of Keras, or its name.
            loss: what training minimises: a function or an object of Keras that gives a number for each token, or a
                name; None for the cross-entropy. Padding is masked, and the mean taken, by the model.
            metrics: names, functions or objects of Keras, over the tokens that are no padding: see `metrics.update`.
            weighted_metrics: the same, with the sample weights too.
            jit_compile: whether XLA compiles the training step, once for each shape of a batch: seconds that a long run
                gets back several times, and a short one does not.
            options: of Keras's own `compile`: `steps_per_execution`, `run_eagerly`, ...

        Raises:
            TypeError: something belongs to the other Keras.
            ValueError: the loss is none for ids and logits, or there are weights for several losses.
        """
        require_same_keras(optimizer, "optimizer")
        if options.get("loss_weights") is not None:
            raise ValueError("the model has one loss: loss_weights is for several")
        self._compiled.loss, self._compiled.token_loss = loss, token_loss(loss)
        self._compiled.metrics = own_metrics.resolve(metrics)
        self._compiled.weighted = own_metrics.resolve(weighted_metrics)
        self._compiled.frozen = frozen_layers(self)  # what is frozen later counts from the next `compile` on
        if not self.built:  # before training, so that there is something to summarise, save and restore
            self.create_weights()
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **options)
        self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any]:
        """Returns how the model was compiled, for its file; without metrics, which are given anew."""
        loss = self._compiled.loss
        try:
            described = describe(loss)
        except ValueError:  # not registered: loading names it in a message
            described = {"class_name": getattr(loss, "__name__", type(loss).__name__), "config": {}}
        config = super().get_compile_config()
        return {**config, "loss": described} if config else {}  # a model that is not compiled is saved without

    def make_train_function(self, force: bool = False) -> Any:
        """Makes what `fit` calls for each batch: Keras's own, but under XLA a graph for each shape of a batch.

        In Keras's graph the lengths are unknown; where they are known, there is no loop over time left for XLA.
        """
        made = self.train_function is None or force
        super().make_train_function(force)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if made and self.jit_compile and replicas == 1 and int(self.steps_per_execution) == 1:
            self.train_function = self._function_by_shape()
        return self.train_function

    def _function_by_shape(self) -> Callable[[Any], dict[str, tf.Tensor]]:
        update = tf.function(lambda batch: self.train_step(batch), jit_compile=True, autograph=False)
        graphs: dict[tuple, Callable[[Any], dict[str, tf.Tensor]]] = {}

        def train_on_next(iterator: Any) -> dict[str, tf.Tensor]:
            batch = next(iterator)
            kind = tuple((part.shape, part.dtype) for part in tf.nest.flatten(batch))
            if kind not in graphs:  # made by hand: TensorFlow would warn of so many
                graphs[kind] = update.get_concrete_function(batch)
            logs = graphs[kind](batch)
            if keras_major() == 2:  # which counts the batches for its own callbacks
                self._train_counter.assign_add(1)
            return logs

        return train_on_next

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Makes one update from `((source, target_input), labels)`; returns the running means of the epoch.

        With sample weights, `(batch,)` or `(batch, time)`, each label's loss counts as many times; the sum is divided
        by the number of labels all the same, as Keras does.
        """
        inputs, labels, weights = _unpack(batch)
        with tf.GradientTape() as tape:
            logits = self(inputs, training=True)
            loss = self.compute_loss(x=inputs, y=labels, y_pred=logits, sample_weight=weights)
            loss = scaled_loss(self.optimizer, loss)
        self._update(gradients_of(tape, loss, self.trainable_variables))
        source = inputs[0] * tf.cast(tf.reduce_any(labels != 0, axis=1, keepdims=True), inputs[0].dtype)
        self._trackers.tokens.update_state(tf.math.count_nonzero(source) + tf.math.count_nonzero(labels))
        return self._track(logits, labels, weights)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> tf.Tensor:
        """Returns what training minimises, as `keras.Model.compute_loss`: a subclass may change it.

        Args:
            x: `(source, target_input)`.
            y: the labels, `(batch, time)`.
            y_pred: the logits, `(batch, time, vocabulary)`.
            sample_weight: of the labels, `(batch, 1)` or `(batch, time)`; None for 1.
            training: as in Keras 3.
        """
        # First: while replicas wait for each other below, another one's losses take the place of these in Keras 3.
        added = self._added_losses()
        mask = label_mask(y)
        # A distribution strategy gives each replica a part of the batch. All divide by the labels of the
        # whole batch, and the gradients are added up: together they make the step that one would make alone.
        count = sum_over_replicas(tf.reduce_sum(mask))
        values = _per_token(self._compiled.token_loss(y, y_pred), y)
        weights = mask if sample_weight is None else mask * sample_weight
        return masked_mean(values, weights, count) + added

    def test_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Measures one batch: loss and token accuracy with teacher forcing, exact match without.

        Token accuracy is the share of labels that are the likeliest token, `<unk>` among them; an answer with `<unk>`
        is no exact match: see `exact_matches`.
        """
        inputs, labels, weights = _unpack(batch)
        logits = self(inputs, training=False)
        results = self._track(logits, labels, weights)
        exact = tf.cast(self.exact_matches(inputs[0], labels), tf.float32)
        # A row without labels only fills the batch up.
        self._trackers.exact.update_state(exact, sample_weight=tf.reduce_any(labels != 0, axis=1))
        return {**results, "exact_match": mean_over_replicas(self._trackers.exact)}

    def _added_losses(self) -> tf.Tensor | float:
        """Returns what layers add to the loss, regularisers and `add_loss`: this replica's share, as gradients add up.

        Each call of the model starts with none.
        """
        total = sum(tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in self.losses)
        return total / tf.distribute.get_strategy().num_replicas_in_sync

    def _update(self, gradients: list[tf.Tensor]) -> None:
        gradients = unscaled(self.optimizer, [sum_over_replicas(gradient) for gradient in gradients])
        norm = tf.linalg.global_norm(gradients)
        self._trackers.norm.update_state(tf.where(tf.math.is_finite(norm), norm, 0.0))
        # Here and not by the optimizer, which on some replicas would hold its own part against the norm of the whole.
        clip_norm = getattr(getattr(self.optimizer, "inner_optimizer", self.optimizer), "global_clipnorm", None)
        if clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
        # The optimizer adds up over the replicas too; by now each holds the whole sum.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        gradients = [gradient / replicas for gradient in gradients]
        apply_gradients(self.optimizer, gradients, self.trainable_variables)

    def _track(self, logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates what is shown: the plain cross-entropy, whatever is trained on, so that all runs share a chart."""
        mask = label_mask(labels)
        correct = tf.cast(tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels, tf.float32)
        # Weighted by labels, so that the mean of an epoch does not depend on how it was cut into batches.
        for tracker, values in (
            (self._trackers.loss, token_crossentropy(labels, logits)),
            (self._trackers.accuracy, correct),
        ):
            tracker.update_state(tf.reshape(values, [-1]), sample_weight=tf.reshape(mask, [-1]))
        own_metrics.update(self._compiled.metrics, labels, logits, mask)
        own_metrics.update(self._compiled.weighted, labels, logits, mask * weights)
        return {
            "loss": mean_over_replicas(self._trackers.loss),
            "token_accuracy": mean_over_replicas(self._trackers.accuracy),
            **{metric.name: result_over_replicas(metric) for metric in self._own_metrics},
        }

    @property
    def _own_metrics(self) -> list[keras.metrics.Metric]:
        return [*self._compiled.metrics, *self._compiled.weighted]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The trackers that Keras resets at the start of every epoch, in the order of the numbers that it lists.

        Those that only `evaluate` reports, or none, come last, so that `metrics_names` fits every list.
        """
        own = self._trackers
        return [own.loss, own.accuracy, *self._own_metrics, own.exact, own.norm, own.tokens]

    def _maybe_symbolic_build(self, **batch: Any) -> None:
        # Keras 3 builds from the mean of the replicas' parts of a batch. There is none where one part has more rows.
        super()._maybe_symbolic_build(**({} if self.trainable_variables else batch))

    def fit(self, *data: Any, callbacks: Any = None, **options: Any) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit`.

        Raises:
            InputError: the model comes from a file, and its loss is not known here.
            TypeError: a callback belongs to the other Keras.
            ValueError: the learning rate follows a schedule that a callback would change, or that has come to its end;
                or classes are weighed.
        """
        if options.get("class_weight") is not None:
            raise ValueError("class_weight weighs rows of one class; give each token its weight: sample_weight")
        if isinstance(self._compiled.loss, UnknownLoss):
            raise InputError(self._compiled.loss.message)
        schedule = _schedule_of(getattr(self, "optimizer", None))  # without `compile`, Keras raises its own error
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
        if data and isinstance(data[0], tf.data.Dataset):
            options.setdefault("shuffle", False)  # it has an order of its own; Keras 3 would warn of that
        return super().fit(*data, callbacks=callbacks, **options)


def gradients_of(tape: tf.GradientTape, loss: tf.Tensor, variables: list[Any]) -> list[tf.Tensor]:
    """Returns dense gradients, zeros where the loss does not depend on a variable.

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


def _unpack(batch: Any) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor, tf.Tensor]:
    """Returns inputs, labels and the weights of the labels, `(batch, 1)` or `(batch, time)`."""
    inputs, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
    weights = tf.ones([1, 1]) if weights is None else tf.cast(weights, tf.float32)
    return inputs, labels, weights[:, None] if weights.shape.rank == 1 else weights


def _per_token(loss: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    if loss.shape.rank != labels.shape.rank:
        raise ValueError(
            f"the loss has the shape {loss.shape}: it has to give a number for each token, (batch, time); mask "
            "and mean are the model's business"
        )
    return tf.cast(loss, tf.float32)
