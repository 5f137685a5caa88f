"""From a configuration to its parts: vocabularies, model, optimizer, batches. The only place where both are known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.augmentation import more_pairs
from keras_seq2seq.data.batching import Examples, encode_pairs, make_layout, training_batches
from keras_seq2seq.data.corpora import Pair
from keras_seq2seq.data.embedding_files import read_embeddings
from keras_seq2seq.data.vocabulary import NOTEBOOK_TOKENS, Vocabulary
from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras
from keras_seq2seq.layers.attention import Attention
from keras_seq2seq.layers.decoder import Decoder
from keras_seq2seq.layers.encoder import Encoder
from keras_seq2seq.layers.recurrent import CellChoice
from keras_seq2seq.model.losses import SmoothedCrossentropy
from keras_seq2seq.model.precision import layers_of_precision, optimizer_for
from keras_seq2seq.model.seq2seq import Seq2Seq
from keras_seq2seq.progress import watched
from keras_seq2seq.training.configuration import Configuration

SHARE = 2 / 3  # of the epochs that learn splices too; the last ones learn the given pairs alone, which are all right
# Updates for each shape of a batch after which XLA has given back the time it takes to compile: between 230 (LSTM) and
# 610 (SimpleRNN) were measured on two CPU cores, with 256 units. On a GPU, an H100, it takes a minute for a shape and
# then saves 30 ms or more of an update. See the results page.
PAYS_BACK = {"CPU": 600, "GPU": 2000}
BOTH_HALVES = ("embedding_dim", "units", "residual", "dropout", "embedding_stddev", "recurrent_initializer", "seed")


def build_vocabularies(pairs: list[Pair], config: Configuration) -> tuple[Vocabulary, Vocabulary]:
    """Collects the tokens of the training pairs; both sides get the same one under `shared_vocabulary`.

    Raises:
        InputError: one vocabulary is asked for two sides that are cut into tokens differently; or see
            `Vocabulary.build`.
    """
    if config.as_published:
        vocabulary = Vocabulary(NOTEBOOK_TOKENS, "word")
        return vocabulary, vocabulary
    sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
    options: dict[str, Any] = {"min_count": config.min_count, "max_size": config.max_vocabulary}
    options |= {"normalize": config.normalize, "subwords": config.subwords}

    def build(texts: list[str], unit: str) -> Vocabulary:
        return Vocabulary.build(watched(texts, "collecting tokens", len(texts)), unit, **options)

    if not config.shared_vocabulary:
        return build(sources, config.source_tokens), build(targets, config.target_tokens)
    if config.source_tokens != config.target_tokens:
        raise InputError("--shared-vocabulary needs the same --source-tokens and --target-tokens")
    vocabulary = build([*sources, *targets], config.source_tokens)
    return vocabulary, vocabulary


def build_model(
    config: Configuration,
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    max_target_length: int,
    cell: CellChoice | None = None,
    attention: Attention | None = None,
) -> Seq2Seq:
    """Puts a model together, with fresh weights.

    Args:
        config: of the run.
        source_vocabulary: of the sources.
        target_vocabulary: of the targets.
        max_target_length: the most tokens it generates.
        cell: in place of `config.cell`.
        attention: in place of `config.attention`.
    """
    both: dict[str, Any] = {name: getattr(config, name) for name in BOTH_HALVES}
    both |= {"cell": cell or config.cell, "num_layers": config.layers}
    frozen = [
        config.freeze_embeddings and path is not None for path in (config.source_embeddings, config.target_embeddings)
    ]
    with layers_of_precision(config.precision):
        encoder = Encoder(
            len(source_vocabulary),
            bidirectional=config.bidirectional,
            trainable_embedding=not frozen[0],
            name="encoder",
            **both,
        )
        decoder = Decoder(
            len(target_vocabulary),
            attention=attention or (None if config.attention == "none" else config.attention),
            tie_embeddings=config.tie_embeddings,
            embedding=encoder.embedding if config.shared_vocabulary else None,
            trainable_embedding=not frozen[1],
            name="decoder",
            **both,
        )
    return Seq2Seq(
        encoder,
        decoder,
        source_vocabulary,
        target_vocabulary,
        max_source_length=config.max_length,
        max_target_length=max_target_length,
    ).create_weights()


def build_optimizer(config: Configuration, updates: int) -> keras.optimizers.Optimizer:
    """Makes Adam with its schedule, ready for so many updates in the whole run."""
    options = {"epsilon": config.adam_epsilon, "global_clipnorm": config.clip_norm or None}
    return optimizer_for(config.precision, keras.optimizers.Adam(learning_rate(config, updates), **options))


def build_compiled(
    config: Configuration,
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    longest_target: int,
    updates: int,
    cell: CellChoice | None = None,
    attention: Attention | None = None,
    loss: Any = None,
    metrics: Sequence[Any] = (),
    jit_compile: bool = False,
) -> Seq2Seq:
    """Makes a model that is ready for so many updates; it generates up to twice as much as the longest target.

    Raises:
        InputError: an embedding file cannot be used.
    """
    vocabularies = (source_vocabulary, target_vocabulary)
    model = build_model(config, *vocabularies, 2 * longest_target, cell, attention)
    use_embeddings(model, config)
    model.compile(
        build_optimizer(config, updates),
        loss=loss or default_loss(config),
        metrics=list(metrics),
        jit_compile=jit_compile,
    )
    return model


def decide_xla(config: Configuration, examples: Examples, updates: int, own_parts: bool) -> bool:
    """Decides whether XLA compiles the training step, and prints it where it does.

    Args:
        config: of the run.
        examples: what is learnt.
        updates: in the whole run.
        own_parts: whether a cell, an attention, a loss or a metric is the user's: XLA cannot compile everything.
    """
    device = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    # On a CPU, XLA draws the random numbers of a dropout so slowly that nothing is won.
    unfit = own_parts or replicas > 1 or config.deterministic or (config.dropout and device == "CPU")
    if config.jit_compile == "off" or (config.jit_compile == "auto" and unfit):
        return False
    shapes = np.unique(make_layout(examples, config.batch_size, config.length_buckets).shapes, axis=0)
    if config.jit_compile == "auto" and updates < PAYS_BACK[device] * len(shapes):
        return False
    each = {"CPU": "seconds", "GPU": "a minute"}[device]
    print(f"XLA: compiles the training step for each of {len(shapes)} shapes of a batch, which takes {each} each")
    return True


def default_loss(config: Configuration) -> Any:
    """Returns what `compile` takes for `config.label_smoothing`."""
    return SmoothedCrossentropy(config.label_smoothing) if config.label_smoothing else None


def learning_rate(config: Configuration, updates: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns what the optimizer starts with; `plateau` starts constant and is halved by a callback.

    Args:
        config: of the run.
        updates: in the whole run.
    """
    if config.learning_rate_schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(config.learning_rate, updates)
    return config.learning_rate


def use_embeddings(model: Seq2Seq, config: Configuration) -> None:
    """Starts the embeddings of a new model from the files that `config` names, and prints how much they cover.

    Tokens that are not in the file, and `<pad>`, keep their random start.

    Raises:
        InputError: see `read_embeddings`.
    """
    for side, path, half, vocabulary in (
        ("Source", config.source_embeddings, model.encoder, model.source_vocabulary),
        ("Target", config.target_embeddings, model.decoder, model.target_vocabulary),
    ):
        if path is not None:
            matrix, found = read_embeddings(path, vocabulary, config.embedding_dim)
            table = half.embedding.embeddings
            table.assign(tf.where(found[:, None], matrix, table))
            print(f"{side} embeddings: {found.sum()} of {len(vocabulary)} tokens found in {path}")


def with_splices(
    given: Examples, source_vocabulary: Vocabulary, target_vocabulary: Vocabulary, config: Configuration
) -> Examples:
    """Returns the given examples and, behind them, up to `config.splices` spliced ones for each; prints how many."""
    units = (config.source_tokens, config.target_tokens)
    pairs = more_pairs(given.pairs, units, config.splices, config.seed, config.normalize)
    made = encode_pairs(pairs, source_vocabulary, target_vocabulary, config.max_length)
    if not made.pairs:
        if config.splices:
            print("  and none spliced: too few share a stretch, or the targets do not follow from left to right")
        return given
    print(f"  and {len(made.pairs)} spliced out of them")
    source, target_input, labels = (tf.concat(both, axis=0) for both in zip(given[:3], made[:3], strict=True))
    return Examples(source, target_input, labels, [*given.pairs, *made.pairs])


def updates_per_epoch(examples: Examples, given: int, config: Configuration) -> int:
    """Returns how many updates `config` asks for; by default one pass over `examples`, `given` of which are no splices.

    Where fewer splices could be made than asked for, the given pairs come round more often instead.
    """
    asked_for = -(-given * (1 + config.splices) // config.batch_size)
    batch_count = len(make_layout(examples, config.batch_size, config.length_buckets).shapes)
    return config.updates_per_epoch or max(batch_count, asked_for)


def batches_to_learn(
    examples: Examples, given: int, config: Configuration, updates: int, first_batch: int
) -> tf.data.Dataset:
    """Yields batches of all examples at first, then of the given pairs alone: some splices teach what is not so.

    Args:
        examples: the given pairs, and the splices behind them.
        given: how many of them are no splices.
        config: for the number of epochs, and what `training_batches` needs.
        updates: in an epoch.
        first_batch: how many batches to leave out, to go on where another run stopped.
    """
    options = (config.batch_size, config.length_buckets, config.seed)
    if len(examples.pairs) == given:
        return training_batches(examples, *options, first_batch)
    switch = round(SHARE * config.epochs) * updates
    both = training_batches(examples, *options, min(first_batch, switch)).take(max(switch - first_batch, 0))
    return both.concatenate(training_batches(examples.first(given), *options, max(first_batch - switch, 0)))
