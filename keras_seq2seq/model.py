"""The model: encoder and decoder put together, the training step, and text in, text out."""

import functools
import types
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.attention import MakeAttention
from keras_seq2seq.config import Configuration
from keras_seq2seq.decoder import Decoder
from keras_seq2seq.decoding import GREEDY, Strategy, Task
from keras_seq2seq.encoder import Encoder
from keras_seq2seq.framework import (
    SameLayout,
    keras,
    keras_major,
    registered_name,
    registered_part,
    require_same_keras,
)
from keras_seq2seq.inference import TextInTextOut
from keras_seq2seq.losses import label_mask, masked_mean, smoothed_crossentropy, token_crossentropy
from keras_seq2seq.precision import apply_gradients, layers_of_precision, loss_scale
from keras_seq2seq.pretrained import freeze_embeddings
from keras_seq2seq.recurrent import Dropout, MakeCell
from keras_seq2seq.replicas import mean_over_replicas, require_supported_strategy, sum_over_replicas
from keras_seq2seq.scheduled_sampling import mix_in_own_tokens, probability_of
from keras_seq2seq.vocabulary import ANSWER, END, Vocabulary

FORMAT = 2  # of what `get_config` returns; one more whenever older code could not read it
OWN_PARTS = ("make_cell", "make_attention")
TokenLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Batch = tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]


@keras.utils.register_keras_serializable("keras_seq2seq")
class Seq2Seq(TextInTextOut, SameLayout, keras.Model):
    """An encoder whose final state seeds a decoder (Sutskever et al., 2014; Cho et al., 2014).

    Args:
        config: the configuration of the run; the model reads its sizes and initialisers from it.
        source_vocabulary: of the texts it reads.
        target_vocabulary: of the texts it says.
        answer_limit: the most tokens it says, `<end>` included.
        make_cell: a cell of your own: see `recurrent.make_rnn`.
        make_attention: an attention of your own: see `attention`.

    Attributes:
        token_loss: what training makes small: a function of labels `(batch, time)` and logits
            `(batch, time, vocabulary)` that returns `(batch, time)`.

    Call arguments:
        inputs: `(source, decoder_input)`: int32 ids `(batch, source_time)` and `(batch, target_time)`,
            padded with 0 on the right.

    Returns:
        logits `(batch, target_time, vocabulary)`, float32.
    """

    hidden_when_saving = (
        *SameLayout.hidden_when_saving,
        *("loss_tracker", "accuracy_tracker", "exact_tracker", "norm_tracker", "tokens_tracker", "_metrics"),
        "own_metrics",
    )

    def __init__(
        self,
        config: Configuration,
        source_vocabulary: Vocabulary,
        target_vocabulary: Vocabulary,
        answer_limit: int = 100,
        make_cell: MakeCell | None = None,
        make_attention: MakeAttention | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require_supported_strategy()
        self.config = config
        self.source_vocabulary = source_vocabulary
        self.target_vocabulary = target_vocabulary
        self.answer_limit = answer_limit
        self._progress = types.SimpleNamespace(value={})
        if keras_major() == 2:
            # Each replica returns what all of them measured; Keras 2 would add that up over the workers.
            self.distribute_reduction_method = "first"
        self.make_cell, self.make_attention = make_cell, make_attention
        for name in OWN_PARTS:
            if getattr(self, name):
                registered_name(getattr(self, name))  # refused now, not when the first epoch is to be saved
        with layers_of_precision(config.precision):
            self.encoder = Encoder(len(source_vocabulary), config, make_cell, name="encoder")
            shared = self.encoder.embedding if config.shared_vocabulary else None
            parts = (shared, make_cell, make_attention)
            self.decoder = Decoder(len(target_vocabulary), config, *parts, name="decoder")
        if config.scheduled_sampling:
            self.coin = Dropout(0.0, config.seed, "scheduled sampling")
            self.coin.build()
        self.token_loss: TokenLoss = functools.partial(smoothed_crossentropy, smoothing=config.label_smoothing)
        self._own = types.SimpleNamespace(metrics=[])
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.accuracy_tracker = keras.metrics.Mean(name="token_accuracy")
        self.exact_tracker = keras.metrics.Mean(name="exact_match")
        self.norm_tracker = keras.metrics.Mean(name="gradient_norm")
        self.tokens_tracker = keras.metrics.Sum(name="tokens")

    @property
    def progress(self) -> dict[str, Any]:
        """How far training has come: counters of callbacks and the like, saved with the model."""
        return self._progress.value

    @property
    def own_metrics(self) -> list[keras.metrics.Metric]:
        """More Keras metrics, for whoever trains the model: called with labels, logits and the mask as weights."""
        return self._own.metrics

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        return self.logits_and_attention(inputs, training)[0]

    def logits_and_attention(
        self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns what `call` does, and the attention's weights `(batch, target_time, source_time)` or None."""
        source, decoder_input = inputs
        state, memory = self.read(source, training)
        if training and self.config.scheduled_sampling:
            decoder_input = self._with_own_tokens(decoder_input, state, memory)
        logits, _, weights = self.decoder(decoder_input, state, memory, training=training)
        return logits, weights

    def read(self, source: tf.Tensor, training: bool = False) -> tuple[list[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        """Returns the state the decoder starts from, and the memory it attends to: see `Decoder`."""
        memory, state = self.encoder(source, training=training)
        return state, (memory, tf.not_equal(source, 0))

    def _with_own_tokens(self, decoder_input: tf.Tensor, state: list[tf.Tensor], memory: Any) -> tf.Tensor:
        self.coin.next_draw()
        return mix_in_own_tokens(
            decoder_input,
            state,
            lambda token, state: self.decoder.step(token, state, memory),
            probability_of(self.config, tf.convert_to_tensor(self.optimizer.iterations)),
            self.coin.uniform,
        )

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Makes one update from `((source, decoder_input), labels)`; returns the running means of the epoch."""
        inputs, labels = _unpack(batch)
        mask = label_mask(labels)
        # A distribution strategy gives each replica a part of the batch. All divide by the labels of the
        # whole batch, and the gradients are added up: together they make the step that one would make alone.
        count = sum_over_replicas(tf.reduce_sum(mask))
        scale = loss_scale(self.optimizer)
        with tf.GradientTape() as tape:
            logits = self(inputs, training=True)
            loss = masked_mean(self.token_loss(labels, logits), mask, count)
            scaled_loss = scale * loss
        self._update(tape.gradient(scaled_loss, self.trainable_variables), scale)
        self.tokens_tracker.update_state(tf.math.count_nonzero(inputs[0]) + tf.math.count_nonzero(labels))
        # Shown is the plain cross-entropy, whatever is trained on: training and validation share a chart.
        return self._track(token_crossentropy(labels, logits), logits, labels)

    def test_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Measures one batch: loss and token accuracy with teacher forcing, exact match without."""
        inputs, labels = _unpack(batch)
        logits = self(inputs, training=False)
        results = self._track(token_crossentropy(labels, logits), logits, labels)
        said = self.generate_ids(inputs[0], max_length=tf.shape(labels)[1])[0][:, 0]
        # Up to and including `<end>` (the last label) every token has to be the reference's. By `tf.equal`, since
        # the result of `==` has no rank where one of the sizes is not known when the graph is made.
        exact = tf.reduce_all(tf.equal(said, labels) | tf.equal(labels, 0), axis=1)
        self.exact_tracker.update_state(tf.cast(exact, tf.float32))
        return {**results, "exact_match": mean_over_replicas(self.exact_tracker)}

    def _update(self, gradients: list[tf.Tensor], scale: tf.Tensor | float) -> None:
        # Dense, since the norm of a sparse embedding gradient would count a token that occurs twice as two.
        gradients = [sum_over_replicas(tf.convert_to_tensor(gradient)) / scale for gradient in gradients]
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
        width = strategy.width
        state, memory = tf.nest.map_structure(lambda part: tf.repeat(part, width, axis=0), self.read(source))
        task = Task(
            # Outside the state: all answers to a text look at the same memory.
            step=lambda token, state: self.decoder.step(token, state, memory),
            state=state,
            start=self.target_vocabulary.id_of(ANSWER),
            end=self.target_vocabulary.id_of(END),
            max_length=self.answer_limit if max_length is None else max_length,
            rows=tf.range(tf.shape(source)[0]) if rows is None else rows,
        )
        return strategy(task)

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
        freeze_embeddings(self, self.config)
        return self

    def get_config(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "source_vocabulary": self.source_vocabulary.get_config(),
            "target_vocabulary": self.target_vocabulary.get_config(),
            "answer_limit": self.answer_limit,
            "progress": self.progress,
            "own_parts": {name: registered_name(getattr(self, name)) for name in OWN_PARTS if getattr(self, name)},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Seq2Seq":
        model = cls(
            # What is missing there was not known yet, and is as it was then: the plain default, whatever the data.
            Configuration.from_dict(config["config"], start=Configuration()),
            Vocabulary.from_config(config["source_vocabulary"]),
            Vocabulary.from_config(config["target_vocabulary"]),
            config["answer_limit"],
            **{name: registered_part(found) for name, found in config.get("own_parts", {}).items()},
        )
        model.progress.update(config.get("progress", {}))
        return model.create_weights()


def _unpack(batch: Batch) -> Batch:
    inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    if sample_weight is not None:
        raise ValueError("Seq2Seq takes no sample weights: its loss weighs every label that is not padding alike.")
    return inputs, labels
