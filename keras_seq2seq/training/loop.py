"""The main job as a story: text -> ids -> batches -> model -> loss -> answers."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_seq2seq.data.batching import Examples, encode_pairs, example_batches
from keras_seq2seq.data.corpora import Pair, check_pairs, hold_out
from keras_seq2seq.data.vocabulary import Vocabulary
from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras
from keras_seq2seq.layers.attention import Attention
from keras_seq2seq.layers.recurrent import CellChoice
from keras_seq2seq.model.losses import TokenLoss
from keras_seq2seq.model.replicas import is_chief
from keras_seq2seq.model.saving import MODEL_FILE, load
from keras_seq2seq.model.seq2seq import Seq2Seq
from keras_seq2seq.tensorboard.callback import SHOWN, TensorBoard, check_profiler
from keras_seq2seq.training.advice import advice
from keras_seq2seq.training.build import (
    batches_to_learn,
    build_compiled,
    build_vocabularies,
    decide_xla,
    default_loss,
    updates_per_epoch,
    with_splices,
)
from keras_seq2seq.training.callbacks import Inspect, SaveEachEpoch, StopAtNaN, kept, stopping_callbacks
from keras_seq2seq.training.configuration import SCORES, Configuration
from keras_seq2seq.training.configuration_files import write_configuration
from keras_seq2seq.training.interruption import interruptible
from keras_seq2seq.training.progress import ProgressTable
from keras_seq2seq.training.runs import (
    fingerprint,
    has_stopped,
    load_stopped,
    locked,
    names_of,
    new_run_folder,
    what_counts,
)
from keras_seq2seq.training.scoring import ScoreAnswers, require_scorer

NOT_COMPARED = ("inspect", "tensorboard", "profile", "logs", "run", "resume")


def train(
    config: Configuration,
    train_pairs: list[Pair],
    valid_pairs: Sequence[Pair] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
    metrics: Sequence[keras.metrics.Metric] = (),
    loss: TokenLoss | None = None,
    cell: CellChoice | None = None,
    attention: Attention | None = None,
) -> Seq2Seq:
    """Trains a model on text pairs, saves it in a new folder of `config.logs` and prints its answers.

    Args:
        config: every choice of the run.
        train_pairs: (source, target) texts.
        valid_pairs: measured after each epoch, where there are any; without them `config.valid_share` of the training
            pairs is held out.
        callbacks: more Keras callbacks of your own.
        metrics: more metrics: see `Seq2Seq.compile`.
        loss: a loss of your own, in place of the cross-entropy: see `Seq2Seq.compile`.
        cell: an RNN cell of your own: see `RecurrentHalf`.
        attention: an attention of your own: see `Attention`.

    Raises:
        InputError: no pair is short enough, the logs folder cannot be written, or what `config` asks for is
            impossible here: no validation pairs or no profiler, for example; or another process trains in the folder,
            or the loss is not finite.
        KeyboardInterrupt: Ctrl-C; the last finished epoch has been saved.
    """
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    check_pairs(train_pairs, "training")
    check_pairs(valid_pairs, "validation")
    if not valid_pairs and config.valid_share:
        train_pairs, valid_pairs = hold_out(train_pairs, config.valid_share, config.source_tokens, config.normalize)
    check_metrics(config, bool(valid_pairs))
    if config.profile:
        check_profiler()
    # The other workers do as the chief does, but where nobody looks.
    elsewhere = None if is_chief() else tempfile.TemporaryDirectory()
    digests = fingerprint(train_pairs, list(valid_pairs))
    own = names_of(metrics=metrics, callbacks=callbacks, loss=loss, cell=cell, attention=attention)
    if config.resume:
        run = Path(config.logs, str(config.run))
        model = load_stopped(run, config, digests, own)
        print(f"Resuming {run} after epoch {model.progress['epoch']}")
        run = Path(elsewhere.name) if elsewhere else run
        vocabularies = (model.source_vocabulary, model.target_vocabulary)
    else:
        vocabularies = build_vocabularies(train_pairs, config)
    given = prepare(train_pairs, "training", *vocabularies, config)
    examples = with_splices(given, *vocabularies, config)
    valid = prepare(valid_pairs, "validation", *vocabularies, config) if valid_pairs else None
    if hint := advice(train_pairs, config):
        print(hint)
    print("Vocabulary: {} source and {} target tokens".format(*map(len, vocabularies)))
    updates = updates_per_epoch(examples, len(given.pairs), config)
    own_parts = any(part is not None for part in (cell, attention, loss)) or bool(metrics)
    jit_compile = decide_xla(config, examples, config.epochs * updates, own_parts)
    if config.resume:
        model.compile(model.optimizer, loss or default_loss(config), list(metrics), jit_compile=jit_compile)
    else:
        longest = int(examples.labels.bounding_shape()[1])
        model = build_compiled(
            config,
            *vocabularies,
            longest,
            config.epochs * updates,
            cell,
            attention,
            loss,
            metrics,
            jit_compile=jit_compile,
        )
        model.progress.update(epoch=0, data=digests, own=own)
        run = Path(elsewhere.name) if elsewhere else new_run_folder(config, train_pairs)

    model.progress["configuration"] = what_counts(config)
    done = model.progress["epoch"]
    finished = done >= config.epochs or has_stopped(model, config)
    keeper = SaveEachEpoch(run, config.best if valid else None)
    to_validate = example_batches(valid, config.batch_size, config.length_buckets) if valid else None
    views: list[keras.callbacks.Callback] = [StopAtNaN(run)]
    if valid and config.scores_answers():
        views.append(ScoreAnswers(valid.pairs, updates * config.batch_size))
    if config.inspect:
        views.append(Inspect(first_batch(examples, config), config.inspect))
    else:
        views.append(ProgressTable(len(to_validate) if to_validate else 0))
    # TensorBoard after those that report or stop, so that it shows what they report and looks at the last epoch; and
    # before that epoch is saved, so that a run that is killed in between lacks nothing.
    ending: list[keras.callbacks.Callback] = [*stopping_callbacks(config)]
    if config.tensorboard == "on":
        ending.append(TensorBoard(run, examples, valid, config.profiled_updates(), to_compare(config)))
    try:
        if finished:
            print("It has finished already; nothing is left to train.")
        else:
            with locked(run), interruptible() as interruption:
                write_configuration(config, run)
                model.fit(
                    batches_to_learn(examples, len(given.pairs), config, updates, first_batch=done * updates),
                    initial_epoch=done,
                    epochs=config.epochs,
                    steps_per_epoch=updates,
                    validation_data=to_validate,
                    callbacks=[interruption, *views, *callbacks, *ending, keeper],
                    verbose=0,
                    shuffle=False,
                )
    except KeyboardInterrupt:
        done = model.progress["epoch"]
        print(f"\nInterrupted: {kept(run, done)}{f'; to go on: --run {run.name} --resume' if done else ''}")
        raise

    best = load(run / MODEL_FILE)
    show_answers(best, (valid or examples).pairs[:SHOWN])
    print(f"\nRun:   {run}\nModel: {run / MODEL_FILE}\nWatch: tensorboard --logdir {config.logs}")
    return best


def to_compare(config: Configuration) -> dict[str, Any]:
    """Returns what of a configuration is worth comparing with other runs: not how a run is shown, or where it is."""
    return {name: value for name, value in config.to_dict().items() if name not in NOT_COMPARED}


def check_metrics(config: Configuration, validated: bool) -> None:
    """Refuses to watch a validation metric where there are no validation pairs.

    Raises:
        InputError: it is asked for; or the package that computes it is not there.
    """
    watched = [("--early-stopping", config.stopping_rule()[0])] if config.early_stopping else []
    if config.learning_rate_schedule == "plateau":
        watched.append(("--learning-rate-schedule plateau", config.best))
    for flag, metric in watched:
        if metric.startswith("val_") and not validated:
            raise InputError(f"{flag} watches {metric}, which needs --valid or --valid-share")
    if validated and config.scores_answers():
        require_scorer(f"--best {config.best}" if config.best in SCORES else "--early-stopping")


def prepare(
    pairs: Sequence[Pair],
    role: str,
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    config: Configuration,
) -> Examples:
    """Encodes pairs and prints how many were left out.

    Raises:
        InputError: all of them were.
    """
    examples = encode_pairs(pairs, source_vocabulary, target_vocabulary, config.max_length)
    left_out = len(pairs) - len(examples.pairs)
    reason = f"a side has no token or more than {config.max_length} (--max-length)"
    if not examples.pairs:
        raise InputError(f"none of the {len(pairs)} {role} pairs can be used: {reason}")
    print(
        f"{role.capitalize()} pairs: {len(examples.pairs)}" + (f"; left out: {left_out}, {reason}" if left_out else "")
    )
    return examples


def first_batch(examples: Examples, config: Configuration) -> tuple:
    """Returns the first few training examples as one batch, in their order."""
    return next(iter(example_batches(examples.first(SHOWN), config.batch_size, config.length_buckets)))


def show_answers(model: Seq2Seq, pairs: list[Pair]) -> None:
    """Prints what the model answers by itself: from the start token and the encoder's state alone."""
    print("\nAnswers, by greedy decoding:")
    for (source, target), answer in zip(pairs, model.generate([source for source, _ in pairs]), strict=True):
        print(f"  question: {source}\n  expected: {target}\n  answer:   {answer}\n")
