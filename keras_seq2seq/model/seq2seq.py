"""The model: an encoder and a decoder together. How it learns is in `train_step`, text in, text out in `generation`."""

import types
from typing import Any

import tensorflow as tf

from keras_seq2seq.data.vocabulary import ANSWER, END, PAD, QUESTION, UNKNOWN, Vocabulary
from keras_seq2seq.errors import InputError, require_keys, require_size
from keras_seq2seq.keras_version import keras, registered_name, require_same_keras
from keras_seq2seq.layers.contract import DecoderContract, EncoderContract, State
from keras_seq2seq.model.decoding import GREEDY, Strategy, Task
from keras_seq2seq.model.deserialization import compile_options
from keras_seq2seq.model.export import BEAM, export
from keras_seq2seq.model.generation import TextGeneration
from keras_seq2seq.model.parts import freeze, frozen_layers
from keras_seq2seq.model.precision import layers_of_policy
from keras_seq2seq.model.replicas import require_supported_strategy
from keras_seq2seq.model.train_step import TrainStep
from keras_seq2seq.serialization import build

FORMAT = 5  # of what `get_config` returns; one more whenever older code could not read it
SIZES = ("max_source_length", "max_target_length")


@keras.utils.register_keras_serializable("keras_seq2seq")
class Seq2Seq(TextGeneration, TrainStep):
    """An encoder whose final state seeds a decoder (Sutskever et al., 2014; Cho et al., 2014).

    Args:
        encoder: any that keeps to `contract.EncoderContract`, such as `Encoder`.
        decoder: any that keeps to `contract.DecoderContract`, such as `Decoder`; it may share the encoder's embedding.
        source_vocabulary: of the texts it reads.
        target_vocabulary: of the texts it generates.
        max_source_length: of a longer source the first tokens are read.
        max_target_length: the most tokens it generates, `<end>` included.

    Call arguments:
        inputs: `(source, target_input)`: int32 ids `(batch, source_time)` and `(batch, target_time)`,
            padded with 0 on the right.

    Returns:
        logits `(batch, target_time, vocabulary)`, float32.

    Raises:
        InputError: a vocabulary lacks the token that begins its texts or is not of the size that encoder or decoder
            have, the decoder starts from another state than the encoder leaves, or a number is out of range.
        TypeError: encoder or decoder belongs to the other Keras, or a vocabulary is none.
        ValueError: the class of encoder or decoder is not registered with Keras.

    Example:
        >>> model = Seq2Seq(Encoder(len(source)), Decoder(len(target)), source, target)
        >>> model.compile("adam")
        >>> model.fit(batches(pairs, source, target))
        >>> model.generate(["what is the color of banana"])
    """

    def __init__(
        self,
        encoder: EncoderContract,
        decoder: DecoderContract,
        source_vocabulary: Vocabulary,
        target_vocabulary: Vocabulary,
        max_source_length: int = 100,
        max_target_length: int = 100,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require_supported_strategy()
        for side, begins, vocabulary, role, half in (
            ("source", QUESTION, source_vocabulary, "encoder", encoder),
            ("target", ANSWER, target_vocabulary, "decoder", decoder),
        ):
            if not isinstance(vocabulary, Vocabulary):
                raise TypeError(f"the {side} vocabulary is {vocabulary!r:.60}; give a Vocabulary")
            if vocabulary.id_of(begins) is None:
                raise InputError(f"the {side} vocabulary has no {begins}, which begins every {side}")
            require_same_keras(half, role)
            registered_name(type(half))  # refused now, not when the first epoch is to be saved
            size = getattr(getattr(half, "arguments", None), "vocabulary_size", len(vocabulary))
            if size != len(vocabulary):
                raise InputError(f"the {role} has {size} ids, but the {side} vocabulary {len(vocabulary)} tokens")
        left, wanted = (getattr(half, "state_sizes", None) for half in (encoder, decoder))
        if None not in (left, wanted) and left != wanted:
            raise InputError(
                f"the encoder leaves a state of the sizes {left}, but the decoder starts from {wanted}: give both the "
                "same kind of cell, units and num_layers"
            )
        self.encoder: Any = encoder
        self.decoder: Any = decoder
        self.source_vocabulary, self.target_vocabulary = source_vocabulary, target_vocabulary
        self.max_source_length, self.max_target_length = max_source_length, max_target_length
        for name in SIZES:
            require_size(name, getattr(self, name))
        self._progress = types.SimpleNamespace(value={})
        self.start_tracking()

    @property
    def progress(self) -> dict[str, Any]:
        """How far training has come: counters of callbacks and the like, saved with the model."""
        return self._progress.value

    @property
    def suppressed_tokens(self) -> list[int]:
        """Ids of the tokens that are never generated. The notebook's own model ends nothing, and generates `<a>`."""
        known = self.target_vocabulary.tokens
        tokens = (PAD, QUESTION, ANSWER) if END in known else (PAD,)
        return [known.index(token) for token in tokens if token in known]

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        source, target_input = _pair_of_ids(inputs)
        state, memory = self.encode(source, training)
        return self.decoder(target_input, state, memory, training=training)

    def encode(self, source: tf.Tensor, training: bool = False) -> tuple[State, Any]:
        """Returns the state the decoder starts from, and what it needs beside it: see `DecoderContract.prepare`."""
        memory, state = self.encoder(source, training=training)
        return self.decoder.prepare(state, memory, tf.not_equal(source, 0, name="source_mask"))

    def generate_ids(
        self,
        source: tf.Tensor,
        strategy: Strategy = GREEDY,
        max_length: int | tf.Tensor | None = None,
        rows: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes by real inference: from the source alone.

        Args:
            source: `(batch, source_time)` int32 ids, `<q>` first, padded with 0.
            strategy: of `decoding`.
            max_length: the most tokens to generate, `<end>` included; None for `max_target_length`.
            rows: `(batch,)` int32 numbers of the rows, for a strategy that draws; None counts from 0.

        Returns:
            ids `(batch, hypotheses, max_length)` int32, up to and including `<end>`, 0 behind it; and their
            log-probabilities `(batch, hypotheses)`.
        """
        width = strategy.width
        state, memory = tf.nest.map_structure(lambda part: tf.repeat(part, width, axis=0), self.encode(source))
        task = Task(
            # Outside the state: all hypotheses of a source look at the same memory.
            step=lambda token, state: self.decoder.step(token, state, memory),
            state=state,
            start=self.target_vocabulary.tokens.index(ANSWER),
            end=self.target_vocabulary.id_of(END),
            max_length=self.max_target_length if max_length is None else max_length,
            rows=tf.range(tf.shape(source)[0]) if rows is None else rows,
            suppressed=self.suppressed_tokens,
        )
        return strategy(task)

    def exact_matches(self, source: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Returns `(batch,)` bool: whether the greedy answer is the reference, `<end>` (the last label) included.

        A reference that holds `<unk>` never matches: the model cannot generate what has no name.
        Ids are compared, which XLA can do: with subwords, a right text that is cut otherwise is no match here.
        """
        generated = self.generate_ids(source, max_length=tf.shape(labels)[1])[0][:, 0]
        # By `tf.equal`, since the result of `==` has no rank where a size is not known when the graph is made.
        right = tf.equal(generated, tf.cast(labels, generated.dtype)) | tf.equal(labels, 0)
        unknown = self.target_vocabulary.id_of(UNKNOWN)
        if unknown is not None:
            right &= tf.not_equal(labels, unknown)
        return tf.reduce_all(right, axis=1)

    def create_weights(self) -> "Seq2Seq":
        """Makes all weights by a first forward pass, so that summary, saving and loading work before training."""
        token = tf.ones((1, 1), tf.int32)
        self((token, token))
        return self

    def save(self, filepath: Any, *arguments: Any, **options: Any) -> None:
        """Saves the model, as `keras.Model.save`; `keras_seq2seq.save` never leaves half a file.

        Raises:
            ValueError: the file would be HDF5, from which Keras builds no model of another class than its own.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(f"{filepath}: this model cannot be read from HDF5; give a name that ends in .keras")
        super().save(filepath, *arguments, **options)

    def export(self, filepath: Any, beam: Strategy = BEAM) -> None:
        """Exports the model for serving: see `keras_seq2seq.export`."""
        export(self, filepath, beam)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model, also for Keras's own `load_model`, which would build whatever the file describes."""
        self.compile(**compile_options(config))

    def get_config(self) -> dict[str, Any]:
        shared = getattr(self.decoder, "embedding", None)
        return {
            "format": FORMAT,
            "encoder": _description_of(self.encoder),
            "decoder": _description_of(self.decoder),
            "shared_embedding": shared is not None and shared is getattr(self.encoder, "embedding", None),
            "source_vocabulary": self.source_vocabulary.get_config(),
            "target_vocabulary": self.target_vocabulary.get_config(),
            **{name: getattr(self, name) for name in SIZES},
            "frozen": frozen_layers(self) if self._compiled.frozen is None else self._compiled.frozen,
            "policy": self.encoder.dtype_policy.name,
            "progress": self.progress,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Seq2Seq":
        """Builds a model from what `get_config` returned, which may come out of anybody's file.

        Raises:
            InputError: it is no such description, or was made by another version.
        """
        if config.get("format") != FORMAT:
            raise InputError(
                f"was saved by another version of keras_seq2seq (format {config.get('format')}, not {FORMAT})"
            )
        described = ("encoder", "decoder", "source_vocabulary", "target_vocabulary")
        further = ("shared_embedding", "frozen", "policy", "progress")
        require_keys("model", config, ("format", *described, *SIZES, *further))
        for name in described:
            if name not in config:
                raise InputError(f"its model is described without {name}")
        progress, frozen = config.get("progress", {}), config.get("frozen")
        if not isinstance(progress, dict):
            raise InputError("its progress is not described by names and values")
        if not isinstance(frozen, list | None):
            raise InputError("its frozen layers are not a list of names")
        with layers_of_policy(config.get("policy", "float32")):
            encoder = build(config["encoder"], keras.layers.Layer, role="encoder")
            shared = {"embedding": encoder.embedding} if config.get("shared_embedding") else {}
            decoder = build(config["decoder"], keras.layers.Layer, role="decoder", **shared)
        source, target = (Vocabulary.from_config(config[f"{side}_vocabulary"]) for side in ("source", "target"))
        model = cls(encoder, decoder, source, target, **{name: config[name] for name in SIZES if name in config})
        model.progress.update(progress)
        if frozen is not None:
            freeze(model, frozen)
        return model.create_weights()


def _pair_of_ids(inputs: Any) -> tuple[tf.Tensor, tf.Tensor]:
    if not isinstance(inputs, tuple | list) or len(inputs) != 2:
        raise TypeError(
            "the model reads (source, target_input), and learns from ((source, target_input), labels): ids, as "
            "`batches` makes them; texts are answered by `generate`"
        )
    source, target_input = inputs
    for ids in (source, target_input):
        if not tf.as_dtype(ids.dtype).is_integer:
            raise TypeError(f"the model reads ids, int32; these are {tf.as_dtype(ids.dtype).name}")
    return source, target_input


def _description_of(half: Any) -> dict[str, Any]:
    return {
        "class_name": type(half).__name__,
        "registered_name": registered_name(type(half)),
        "config": half.get_config(),
    }
