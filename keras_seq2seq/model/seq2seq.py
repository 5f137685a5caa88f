"""The model: encoder and decoder put together. How it learns is in `learning`, text in, text out in `inference`."""

import types
from typing import Any

import tensorflow as tf

from keras_seq2seq.data.vocabulary import ANSWER, END, PAD, QUESTION, UNKNOWN, Vocabulary
from keras_seq2seq.errors import LARGEST, InputError, require_keys
from keras_seq2seq.keras_version import SameOnBothKeras, keras, registered_name, registered_part
from keras_seq2seq.layers.attention import MakeAttention
from keras_seq2seq.layers.decoder import Decoder
from keras_seq2seq.layers.encoder import Encoder
from keras_seq2seq.layers.recurrent import Dropout, MakeCell
from keras_seq2seq.model.decoding import GREEDY, Strategy, Task
from keras_seq2seq.model.deserialization import compile_options
from keras_seq2seq.model.generation import TextInTextOut
from keras_seq2seq.model.precision import layers_of_precision
from keras_seq2seq.model.replicas import require_supported_strategy
from keras_seq2seq.model.scheduled_sampling import mix_in_own_tokens, probability_of
from keras_seq2seq.model.train_step import Learning
from keras_seq2seq.training.configuration import Configuration

FORMAT = 2  # of what `get_config` returns; one more whenever older code could not read it
DESCRIBED = ("config", "source_vocabulary", "target_vocabulary", "answer_limit")
OWN_PARTS = ("make_cell", "make_attention")


@keras.utils.register_keras_serializable("keras_seq2seq")
class Seq2Seq(TextInTextOut, Learning, SameOnBothKeras, keras.Model):
    """An encoder whose final state seeds a decoder (Sutskever et al., 2014; Cho et al., 2014).

    Args:
        config: the configuration of the run; the model reads its sizes and initialisers from it.
        source_vocabulary: of the texts it reads.
        target_vocabulary: of the texts it says.
        answer_limit: the most tokens it says, `<end>` included.
        make_cell: a cell of your own: see `recurrent.make_rnn`.
        make_attention: an attention of your own: see `attention`.

    Call arguments:
        inputs: `(source, decoder_input)`: int32 ids `(batch, source_time)` and `(batch, target_time)`,
            padded with 0 on the right.

    Returns:
        logits `(batch, target_time, vocabulary)`, float32.
    """

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
        for side, begins, vocabulary in (
            ("source", QUESTION, source_vocabulary),
            ("target", ANSWER, target_vocabulary),
        ):
            if vocabulary.id_of(begins) is None:
                raise InputError(f"the {side} vocabulary has no {begins}, which begins every {side}")
        self.config = config
        self.source_vocabulary = source_vocabulary
        self.target_vocabulary = target_vocabulary
        self.answer_limit = answer_limit
        self._progress = types.SimpleNamespace(value={})
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
        self.start_tracking()

    @property
    def progress(self) -> dict[str, Any]:
        """How far training has come: counters of callbacks and the like, saved with the model."""
        return self._progress.value

    @property
    def never_said(self) -> list[int]:
        """Ids of the tokens that no answer has. The notebook's own model ends nothing, and does say `<a>`."""
        known = self.target_vocabulary.tokens
        tokens = (PAD, QUESTION, ANSWER) if END in known else (PAD,)
        return [known.index(token) for token in tokens if token in known]

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
        return state, (memory, tf.not_equal(source, 0, name="source_mask"))

    def _with_own_tokens(self, decoder_input: tf.Tensor, state: list[tf.Tensor], memory: Any) -> tf.Tensor:
        self.coin.next_draw()
        return mix_in_own_tokens(
            decoder_input,
            state,
            lambda token, state: self.decoder.step(token, state, memory),
            probability_of(self.config, tf.convert_to_tensor(self.optimizer.iterations)),
            self.coin.uniform,
            self.never_said,
        )

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
            never=self.never_said,
        )
        return strategy(task)

    def answers_exactly(self, source: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Returns `(batch,)` bool: whether the greedy answer is the reference, `<end>` (the last label) included.

        A reference that holds `<unk>` is answered by nothing: what cannot be named cannot be right.
        """
        said = self.generate_ids(source, max_length=tf.shape(labels)[1])[0][:, 0]
        # By `tf.equal`, since the result of `==` has no rank where a size is not known when the graph is made.
        right = tf.equal(said, tf.cast(labels, said.dtype)) | tf.equal(labels, 0)
        unknown = self.target_vocabulary.id_of(UNKNOWN)
        if unknown is not None:
            right &= tf.not_equal(labels, unknown)
        return tf.reduce_all(right, axis=1)

    def create_weights(self) -> "Seq2Seq":
        """Makes all weights by a first forward pass, so that summary, saving and loading work before training."""
        token = tf.ones((1, 1), tf.int32)
        self((token, token))
        freeze_embeddings(self, self.config)
        return self

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model, also for Keras's own `load_model`, which would build whatever the file describes."""
        self.compile(**compile_options(config))
        self.optimizer.build(self.trainable_variables)

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
        """Builds a model from what `get_config` returned, which may come out of anybody's file.

        Raises:
            InputError: it is no such description, or was made by a newer version.
        """
        made_for = config.get("format", FORMAT)
        if not isinstance(made_for, int) or made_for > FORMAT:
            raise InputError(f"was saved by a newer keras_seq2seq (format {made_for}, not {FORMAT}); upgrade")
        require_keys("model", config, ("format", *DESCRIBED, "progress", "own_parts"))
        for name in DESCRIBED:
            if name not in config:
                raise InputError(f"its model is described without {name}")
        if not isinstance(config["answer_limit"], int) or not 1 <= config["answer_limit"] <= LARGEST:
            raise InputError(f"its answer_limit is {config['answer_limit']!r}; expected a number from 1 to {LARGEST}")
        own_parts, progress = config.get("own_parts", {}), config.get("progress", {})
        require_keys("own parts", own_parts, OWN_PARTS)
        model = cls(
            # What is missing there was not known yet, and is as it was then: the plain default, whatever the data.
            Configuration.from_dict(config["config"], start=Configuration()),
            Vocabulary.from_config(config["source_vocabulary"]),
            Vocabulary.from_config(config["target_vocabulary"]),
            config["answer_limit"],
            **{name: registered_part(found) for name, found in own_parts.items()},
        )
        if not isinstance(progress, dict):
            raise InputError("its progress is not described by names and values")
        model.progress.update(progress)
        return model.create_weights()


def freeze_embeddings(model: Seq2Seq, config: Configuration) -> None:
    """Keeps the embeddings that come from a file as they are, if so configured. The weights have to exist."""
    for path, layer in embedding_files(model, config):
        if path is not None and config.freeze_embeddings:
            layer.trainable = False


def embedding_files(model: Seq2Seq, config: Configuration) -> list[tuple[str | None, keras.layers.Layer]]:
    """Returns for source and target the file that the embedding starts from, if any, and the embedding."""
    return [
        (config.source_embeddings, model.encoder.embedding),
        (config.target_embeddings, model.decoder.embedding),
    ]
