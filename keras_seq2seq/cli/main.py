"""The command line: `keras-seq2seq COMMAND`, the same as `python -m keras_seq2seq COMMAND`.

TensorFlow is imported when a command has work to do, not before.
"""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence

from keras_seq2seq import keras_version
from keras_seq2seq.cli import commands
from keras_seq2seq.cli.options import Parser, add_options, configure
from keras_seq2seq.errors import InputError
from keras_seq2seq.termination import Terminated, terminable
from keras_seq2seq.training.configuration import files_of

STRATEGIES = ("none", "mirrored", "multi-worker")
BAD_INPUT, INTERRUPTED, TERMINATED = 2, 130, 143  # exit codes; what a shell reports for Ctrl-C and for SIGTERM


def train(arguments: Sequence[str], program: str = "keras-seq2seq train") -> None:
    """Parses the options of a training run and does it."""
    parser = Parser(prog=program, description="Train a sequence-to-sequence model and watch it learn.")
    commands.add_keras_option(parser)
    parser.add_argument("--strategy", choices=STRATEGIES, default="none", help="all GPUs, or the machines of TF_CONFIG")
    add_options(parser)
    options = vars(parser.parse_args(arguments))
    commands.choose_keras(options.pop("keras"))
    strategy = options.pop("strategy")
    config = configure(options)

    from keras_seq2seq.data.corpora import read_corpus, read_pairs

    columns = config.chosen_columns()
    train_pairs = (
        read_pairs(*files_of("data", config.data), columns) if config.data is not None else read_corpus(config.corpus)
    )
    valid_pairs = read_pairs(*files_of("valid", config.valid), columns) if config.valid is not None else []
    with keras_version.quiet_start():
        versions = keras_version.versions()
    print(versions, flush=True)

    import tensorflow as tf

    from keras_seq2seq.model.replicas import is_chief, scope_of
    from keras_seq2seq.training.loop import train as run

    try:
        with (
            scope_of(strategy),
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(sys.stdout if is_chief() else nowhere),
        ):
            run(config, train_pairs, valid_pairs)
    except tf.errors.UnavailableError:
        raise InputError("a worker is gone: start all of them again, with --run and --resume") from None


COMMANDS = {"train": train, "predict": commands.predict, "evaluate": commands.evaluate, "export": commands.export}


def run_command(command: Callable[..., None], arguments: Sequence[str], **options: str) -> int:
    """Runs one command and turns what went wrong into one line on stderr and an exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal has all letters
    try:
        with terminable():
            command(arguments, **options)
        sys.stdout.flush()
    except InputError as error:
        one_line = str(error).replace("\n", "\\n")  # a file's name may have several
        print(f"error: {one_line}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt as stop:
        # TensorFlow's interrupted operations would log errors of their own when they are garbage-collected.
        logging.getLogger("tensorflow").setLevel(logging.CRITICAL)
        name, code = ("SIGTERM", TERMINATED) if isinstance(stop, Terminated) else ("Ctrl-C", INTERRUPTED)
        print(f"error: stopped by {name}", file=sys.stderr)
        return code
    except BrokenPipeError:
        # The reader of our output (`head`, for example) has closed the pipe: Python must not flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"error: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    except Exception as error:
        # TensorFlow's own class cannot be named here without importing TensorFlow.
        if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":
            raise
        trains = command is train or arguments[:1] == ["train"]
        smaller = "smaller sizes (--units, --embedding-dim, --batch-size, --max-length)"
        print(
            f"error: out of memory; choose {smaller if trains else 'a smaller --beam or shorter texts'}",
            file=sys.stderr,
        )
        return BAD_INPUT
    return 0


def choose(arguments: Sequence[str]) -> None:
    """Runs the command that the first argument names."""
    parser = Parser(prog="keras-seq2seq", description="Keras sequence-to-sequence models, text in, text out.")
    parser.add_argument("command", choices=COMMANDS, help="`COMMAND --help` lists its options")
    COMMANDS[parser.parse_args(arguments[:1]).command](arguments[1:])


def main() -> int:
    """Runs the command that the command line asks for; returns the exit code."""
    return run_command(choose, sys.argv[1:])
