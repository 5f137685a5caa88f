"""The model: encoder and decoder put together, the training step, and text in, text out."""

import types
from typing import Any

import tensorflow as tf

from keras_seq2seq.config import Configuration
from keras_seq2seq.decoder import Decoder
from keras_seq2seq.decoding import GREEDY, Strategy, Task
from keras_seq2seq.encoder import Encoder
from keras_seq2seq.framework import SameLayout, keras, keras_major, require_same_keras
from keras_seq2seq.inference import TextInTextOut
from keras_seq2seq.losses import label_mask, masked_mean, token_crossentropy
from keras_seq2seq.vocabulary import ANSWER, END, Vocabulary

FORMAT = 1  # of what `get_config` returns; one more whenever older code could not read it
Batch = tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]


@keras.utils.register_keras_serializable("keras_seq2seq")
class Seq2Seq(TextInTextOut, SameLayout, keras.Model):
    """An encoder whose final state seeds a decoder (Sutskever et al., 2014; Cho et al., 2014).

    Args:
        config: the configuration of the run; the model reads its sizes and initialisers from it.
        source_vocabulary: of the texts it reads.
        target_vocabulary: of the texts it says.
        answer_limit: the most tokens it says, `<end>` included.

    Call arguments:
        inputs: `(source, decoder_input)`: int32 ids `(batch, source_time)` and `(batch, target_time)`,
            padded with 0 on the right.

    Returns:
        logits `(batch, target_time, vocabulary)`, float32.
    """

    hidden_when_saving = (
        *SameLayout.hidden_when_saving,
        *("loss_tracker", "accuracy_tracker", "exact_tracker", "norm_tracker", "tokens_tracker", "_metrics"),
    )

    def __init__(
        self,
        config: Configuration,
        source_vocabulary: Vocabulary,
        target_vocabulary: Vocabulary,
        answer_limit: int = 100,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if keras_major() == 3 and isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            raise NotImplementedError(
                "Keras 3 cannot train under MultiWorkerMirroredStrategy: use Keras 2 (TF_USE_LEGACY_KERAS=1)."
            )
        self.config = config
        self.source_vocabulary = source_vocabulary
        self.target_vocabulary = target_vocabulary
        self.answer_limit = answer_limit
        self._progress = types.SimpleNamespace(value={})
        if keras_major() == 2:
            # Each replica returns what all of them measured; Keras 2 would add that up over the workers.
            self.distribute_reduction_method = "first"
        sizes = {
            "embedding_dim": config.embedding_dim,
            "units": config.units,
            "embedding_stddev": config.embedding_stddev,
            "recurrent_initializer": config.recurrent_initializer,
        }
        self.encoder = Encoder(len(source_vocabulary), name="encoder", **sizes)
        shared = self.encoder.embedding if config.shared_vocabulary else None
        self.decoder = Decoder(len(target_vocabulary), embedding=shared, name="decoder", **sizes)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.accuracy_tracker = keras.metrics.Mean(name="token_accuracy")
        self.exact_tracker = keras.metrics.Mean(name="exact_match")
        self.norm_tracker = keras.metrics.Mean(name="gradient_norm")
        self.tokens_tracker = keras.metrics.Sum(name="tokens")

    @property
    def progress(self) -> dict[str, Any]:
        """How far training has come: counters of callbacks and the like, saved with the model."""
        return self._progress.value

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        source, decoder_input = inputs
        _, state = self.encoder(source, training=training)
        logits, _ = self.decoder(decoder_input, state, training=training)
        return logits

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Makes one update from `((source, decoder_input), labels)`; returns the running means of the epoch."""
        inputs, labels = _unpack(batch)
        mask = label_mask(labels)
        # A distribution strategy gives each replica a part of the batch. All divide by the labels of the
        # whole batch, and the gradients are added up: together they make the step that one would make alone.
        count = _sum_over_replicas(tf.reduce_sum(mask))
        with tf.GradientTape() as tape:
            logits = self(inputs, training=True)
            crossentropy = token_crossentropy(labels, logits)
            loss = masked_mean(crossentropy, mask, count)
        gradients = tape.gradient(loss, self.trainable_variables)
        self._update(gradients)
        self.tokens_tracker.update_state(tf.math.count_nonzero(inputs[0]) + tf.math.count_nonzero(labels))
        return self._track(crossentropy, logits, labels)

    def test_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Measures one batch: loss and token accuracy with teacher forcing, exact match without."""
        inputs, labels = _unpack(batch)
        logits = self(inputs, training=False)
        results = self._track(token_crossentropy(labels, logits), logits, labels)
        self.exact_tracker.update_state(tf.cast(self.answers_exactly(inputs[0], labels), tf.float32))
        return {**results, "exact_match": _mean_over_replicas(self.exact_tracker)}

    def _update(self, gradients: list[tf.Tensor]) -> None:
        # Dense, since the norm of a sparse embedding gradient would count a token that occurs twice as two.
        gradients = [_sum_over_replicas(tf.convert_to_tensor(gradient)) for gradient in gradients]
        norm = tf.linalg.global_norm(gradients)
        self.norm_tracker.update_state(norm)
        if self.config.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.config.clip_norm, use_norm=norm)
        # The optimizer adds up over the replicas too; by now each holds the whole sum.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        gradients = [gradient / replicas for gradient in gradients]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))

    def _track(self, crossentropy: tf.Tensor, logits: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        mask = label_mask(labels)
        correct = tf.cast(tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels, tf.float32)
        # Weighted by labels, so that the mean of an epoch does not depend on how it was cut into batches. In one
        # dimension, since Keras 3 takes the mean of a row's weights, which depends on how far it was padded.
        for tracker, values in ((self.loss_tracker, crossentropy), (self.accuracy_tracker, correct)):
            tracker.update_state(tf.reshape(values, [-1]), sample_weight=tf.reshape(mask, [-1]))
        return {
            "loss": _mean_over_replicas(self.loss_tracker),
            "token_accuracy": _mean_over_replicas(self.accuracy_tracker),
        }

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The trackers that Keras resets at the start of every epoch."""
        trackers = [self.loss_tracker, self.accuracy_tracker, self.exact_tracker]
        return [*trackers, self.norm_tracker, self.tokens_tracker]

    def generate_ids(
        self,
        source: tf.Tensor,
        strategy: Strategy = GREEDY,
        max_length: int | tf.Tensor | None = None,
        rows: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Answers by real inference: from the source alone.

        Args:
            source: `(batch, source_time)` int32 ids, `<q>` first, padded with 0.
            strategy: of `decoding`.
            max_length: the most tokens to say, `<end>` included; None for `answer_limit`.
            rows: `(batch,)` int32 numbers of the rows, for a strategy that draws; None counts from 0.

        Returns:
            ids `(batch, answers, max_length)` int32, up to and including `<end>`, 0 behind it; and their
            log-probabilities `(batch, answers)`.
        """
        _, state = self.encoder(source, training=False)
        task = Task(
            step=self.decoder.step,
            state=[tf.repeat(part, strategy.width, axis=0) for part in state],
            start=self.target_vocabulary.id_of(ANSWER),
            end=self.target_vocabulary.id_of(END),
            max_length=self.answer_limit if max_length is None else max_length,
            rows=tf.range(tf.shape(source)[0]) if rows is None else rows,
        )
        return strategy(task)

    def answers_exactly(self, source: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Returns `(batch,)` bool: whether the greedy answer is the reference, `<end>` (the last label) included."""
        said = self.generate_ids(source, max_length=tf.shape(labels)[1])[0][:, 0]
        # By `tf.equal`, since the result of `==` has no rank where a size is not known when the graph is made.
        return tf.reduce_all(tf.equal(said, labels) | tf.equal(labels, 0), axis=1)

    def compile(self, optimizer: Any = "adam", **options: Any) -> None:
        """Configures training; an optimizer of the other Keras is refused (TypeError)."""
        require_same_keras(optimizer, "optimizer")
        super().compile(optimizer=optimizer, **options)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model; Keras leaves that to whoever overrides `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, *data: Any, callbacks: Any = None, **options: Any) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit`; a callback of the other Keras is refused (TypeError)."""
        for callback in tf.nest.flatten(callbacks or []):
            require_same_keras(callback, "callback")
        return super().fit(*data, callbacks=callbacks, **options)

    def create_weights(self) -> "Seq2Seq":
        """Makes all weights by a first forward pass, so that summary, saving and loading work before training."""
        token = tf.ones((1, 1), tf.int32)
        self((token, token))
        return self

    def get_config(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "source_vocabulary": self.source_vocabulary.get_config(),
            "target_vocabulary": self.target_vocabulary.get_config(),
            "answer_limit": self.answer_limit,
            "progress": self.progress,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Seq2Seq":
        model = cls(
            Configuration.from_dict(config["config"]),
            Vocabulary.from_config(config["source_vocabulary"]),
            Vocabulary.from_config(config["target_vocabulary"]),
            config["answer_limit"],
        )
        model.progress.update(config.get("progress", {}))
        return model.create_weights()


def _sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    replicas = tf.distribute.get_replica_context()
    return replicas.all_reduce(tf.distribute.ReduceOp.SUM, value) if replicas.num_replicas_in_sync > 1 else value


def _mean_over_replicas(tracker: keras.metrics.Mean) -> tf.Tensor:
    # Keras 3 shows the mean of the means of the replicas, which is another one where they have unequal parts.
    total, count = _sum_over_replicas(tf.identity(tracker.total)), _sum_over_replicas(tf.identity(tracker.count))
    return tf.math.divide_no_nan(total, count)


def _unpack(batch: Batch) -> Batch:
    inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    if sample_weight is not None:
        raise ValueError("Seq2Seq takes no sample weights: its loss weighs every label that is not padding alike.")
    return inputs, labels
