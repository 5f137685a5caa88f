"""From a configuration to its parts: vocabularies, model, optimizer."""

import tensorflow as tf

from keras_seq2seq.data.corpora import Pair
from keras_seq2seq.data.embedding_files import read_embeddings
from keras_seq2seq.data.vocabulary import NOTEBOOK_TOKENS, Vocabulary
from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras
from keras_seq2seq.layers.attention import MakeAttention
from keras_seq2seq.layers.recurrent import MakeCell
from keras_seq2seq.model.precision import optimizer_for
from keras_seq2seq.model.schedules import InverseSquareRoot
from keras_seq2seq.model.seq2seq import Seq2Seq, embedding_files
from keras_seq2seq.training.configuration import Configuration


def build_vocabularies(pairs: list[Pair], config: Configuration) -> tuple[Vocabulary, Vocabulary]:
    """Collects the tokens of the training pairs; both sides get the same one under `shared_vocabulary`.

    Raises:
        InputError: one vocabulary is asked for two sides that are cut into tokens differently.
    """
    if config.as_published:
        vocabulary = Vocabulary(NOTEBOOK_TOKENS, "word")
        return vocabulary, vocabulary
    sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
    limits = {"min_count": config.min_count, "max_size": config.max_vocabulary}
    if not config.shared_vocabulary:
        return (
            Vocabulary.build(sources, config.source_tokens, **limits),
            Vocabulary.build(targets, config.target_tokens, **limits),
        )
    if config.source_tokens != config.target_tokens:
        raise InputError("--shared-vocabulary needs the same --source-tokens and --target-tokens")
    vocabulary = Vocabulary.build([*sources, *targets], config.source_tokens, **limits)
    return vocabulary, vocabulary


def new_model(
    config: Configuration,
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    longest_target: int,
    updates: int,
    make_cell: MakeCell | None = None,
    make_attention: MakeAttention | None = None,
) -> Seq2Seq:
    """Makes a model with fresh weights, ready for so many updates; it may say twice as much as the longest target.

    Raises:
        InputError: an embedding file cannot be used.
    """
    parts = {"make_cell": make_cell, "make_attention": make_attention}
    model = Seq2Seq(config, source_vocabulary, target_vocabulary, 2 * longest_target, **parts).create_weights()
    use_embeddings(model, config)
    averages = {"use_ema": True, "ema_momentum": config.average} if config.average else {}
    optimizer = keras.optimizers.Adam(learning_rate(config, updates), epsilon=config.adam_epsilon, **averages)
    model.compile(optimizer_for(config.precision, optimizer), jit_compile=config.jit_compile)
    model.optimizer.build(model.trainable_variables)
    return model


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


def use_embeddings(model: Seq2Seq, config: Configuration) -> None:
    """Starts the embeddings of a new model from the files that `config` names, and prints how much they cover.

    Tokens that are not in the file, and `<pad>`, keep their random start.

    Raises:
        InputError: see `read_embeddings`.
    """
    sides = zip(embedding_files(model, config), (model.source_vocabulary, model.target_vocabulary), strict=True)
    for side, ((path, layer), vocabulary) in zip(("Source", "Target"), sides, strict=True):
        if path is not None:
            matrix, found = read_embeddings(path, vocabulary, config.embedding_dim)
            layer.embeddings.assign(tf.where(found[:, None], matrix, layer.embeddings))
            print(f"{side} embeddings: {found.sum()} of {len(vocabulary)} tokens found in {path}")
