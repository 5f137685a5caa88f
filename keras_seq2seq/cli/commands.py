"""Asking a trained model from the shell: the commands predict, evaluate and export."""

import argparse
import json
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_seq2seq import files, keras_version
from keras_seq2seq.cli.options import Parser
from keras_seq2seq.errors import InputError, is_utf8
from keras_seq2seq.training.configuration import files_of

if TYPE_CHECKING:
    from keras_seq2seq.model.decoding import Strategy
    from keras_seq2seq.model.seq2seq import Seq2Seq

BATCH = 1024  # lines that are answered in one go; `generate` cuts them into batches


def add_keras_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--keras`."""
    parser.add_argument("--keras", type=int, choices=(2, 3), help="2: tf_keras, the default; 3: keras")


def choose_keras(major: int | None) -> None:
    """Follows `--keras`, where it was given."""
    if major:
        keras_version.use_keras(major)


def predict(arguments: Sequence[str]) -> None:
    """Answers the texts given as arguments, or the lines of a file or of standard input."""
    parser = _parser("predict", "Answer texts: those given, or the lines of --input or of standard input.")
    parser.add_argument("text", nargs="*", metavar="[RUN] TEXT", help="a run's folder or .keras file; texts")
    _add_search_options(parser)
    parser.add_argument("--input", metavar="FILE", help="answer the lines of this file")
    parser.add_argument("--output", metavar="FILE", help="write the answers to this file, complete or not at all")
    parser.add_argument("--nbest", type=int, help="the best N answers of the beam, each on a line after its number")
    parser.add_argument(
        "--scores",
        action="store_true",
        help="add, after a tab, the score that orders answers: the log-probability; with --beam divided by the length "
        "penalty",
    )
    parser.add_argument("--sample", action="store_true", help="draw answers instead of searching for the best")
    parser.add_argument("--temperature", type=float, help="with --sample: below 1 favours likely tokens (default 1)")
    parser.add_argument("--top-k", type=int, help="with --sample: draw among the k likeliest tokens (default: all)")
    parser.add_argument("--seed", type=int, help="with --sample: same seed, same answers (default 0)")
    options = parser.parse_args(arguments)
    run, texts = _split_run(options.text)
    if texts and options.input:
        raise InputError("give either texts or --input, not both")
    for text in texts:
        if not is_utf8(text):
            raise InputError(f"the text {text!r} is not UTF-8")
    runs = _runs(run, options)
    for one in runs:
        if one != "latest":
            _require_model(one, options.ensemble is not None)
    model, strategy = _load(runs, options), _strategy(options)
    with files.output(options.output) as output:
        done = 0
        for batch in [texts] if texts else _lines(options.input):
            for answers in model.generate_nbest(batch, strategy, first_row=done):
                done += 1
                for answer in answers:
                    number = [str(done)] if options.nbest else []
                    score = [f"{answer.score:.4f}"] if options.scores else []
                    print("\t".join([*number, answer.text, *score]), file=output)
            output.flush()


def evaluate(arguments: Sequence[str]) -> None:
    """Measures a model on a file of sources with their references."""
    parser = _parser("evaluate", "Measure a model on test data: one pair a line: source, tab, reference.")
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's folder or .keras file; default: the latest")
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="FILE",
        help="the test data: one file, or two parallel ones: sources, references",
    )
    parser.add_argument(
        "--columns", metavar="SOURCE,TARGET", help="which columns of a tab-separated file to read, counted from 1"
    )
    parser.add_argument("--references", action="store_true", help="further columns of it are further references")
    _add_search_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)

    from keras_seq2seq.data.corpora import columns_of, read_references

    run, data = options.run, options.data
    if run is None and len(data) > 1 and _is_run(data[-1]):
        run = data.pop()  # behind `--data FILE` the parser takes RUN for one file more
    columns = None if options.columns is None else columns_of(options.columns)
    references = read_references(*files_of("data", data[0] if len(data) == 1 else data), columns, options.references)
    model, strategy = _load(_runs(run, options), options), _strategy(options)

    from keras_seq2seq.model.evaluation import evaluate as measure

    results = measure(model, references, strategy)
    if options.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:16} {value:.4f}" if isinstance(value, float) else f"{name:16} {value}")


def export(arguments: Sequence[str]) -> None:
    """Writes a SavedModel for serving."""
    parser = _parser("export", "Write a SavedModel: text in, text out, for TensorFlow Serving and the like.")
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's folder or .keras file")
    parser.add_argument("folder", nargs="?", metavar="DIR", help="the SavedModel's folder; it must not exist yet")
    parser.add_argument("--beam", type=int, default=5, help="width and n-best of the signature `beam` (default 5)")
    options = parser.parse_args(arguments)
    run, folder = options.run, options.folder
    if folder is None and options.ensemble is not None:
        run, folder = None, run
    if folder is None:
        raise InputError("give a RUN and the DIR to write; with --ensemble, the DIR before it")
    model = _load(_runs(run, options), options)

    from keras_seq2seq.model.decoding import Beam
    from keras_seq2seq.model.export import export as write

    write(model, folder, Beam(options.beam, options.beam))
    print(f"SavedModel: {folder} (signatures: serving_default, beam)")


def latest_run(logs: str | os.PathLike) -> Path:
    """Returns the run under `logs` whose model was saved last.

    Raises:
        InputError: there is none.
    """
    models = sorted(Path(logs).glob("*/model.keras"), key=lambda path: path.stat().st_mtime)
    if not models:
        raise InputError(f"{logs}: holds no run with a model; train one, or name a RUN or another --logs")
    return models[-1].parent


def _parser(command: str, description: str) -> Parser:
    parser = Parser(prog=f"keras-seq2seq {command}", description=description)
    add_keras_option(parser)
    parser.add_argument("--logs", default="logs", help="where to find the latest run if none is named (default logs)")
    parser.add_argument(
        "--ensemble",
        nargs="+",
        metavar="RUN",
        help="in place of RUN: several that answer as one, by their mean probabilities; texts and DIR stand before it",
    )
    return parser


def _add_search_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--beam", dest="width", type=int, metavar="N", help="width of beam search; default: greedy")
    parser.add_argument("--length-penalty", type=float, help="with --beam: alpha of Wu et al. (default 0.6)")


def _split_run(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Tells the run, if one is named, from the texts: it comes first and is `latest`, a folder, a `.keras` file or a
    path."""
    first = arguments[0] if arguments else ""
    if _is_run(first) or (os.sep in first and " " not in first):
        return first, arguments[1:]
    return None, arguments


def _runs(run: str | None, options: argparse.Namespace) -> list[str]:
    """Returns the runs to ask: those of `--ensemble`, or else the one that is named, or the latest.

    Raises:
        InputError: there are both.
    """
    if options.ensemble is None:
        return [run or "latest"]
    if run is not None:
        together = shlex.join([run, *options.ensemble])
        raise InputError(f"{run}: a RUN beside --ensemble; write all runs behind it: --ensemble {together}")
    return options.ensemble


def _is_run(name: str) -> bool:
    return name == "latest" or os.path.isdir(name) or name.endswith(".keras")


def _require_model(run: str, in_ensemble: bool) -> None:
    """Refuses what looks like a run and holds no model: it may have been meant as a text."""
    path = os.path.join(run, "model.keras") if os.path.isdir(run) else run
    if not os.path.exists(path):
        text = shlex.quote(run)
        raise InputError(
            f"{path}: there is no such file; give a run's folder or a .keras file; if it is a text to answer, write: "
            + (f"predict {text} --ensemble RUN RUN" if in_ensemble else f"predict latest {text}")
        )


def _lines(path: str | None) -> Iterator[list[str]]:
    """Yields the lines of a file or of standard input (None) in batches, as they come.

    Raises:
        InputError: a line holds a tab, so more than a text; the lines before it have been yielded.
    """
    number = 0
    for batch in files.batches(path, BATCH):
        for place, line in enumerate(batch):
            if "\t" in line:
                if place:
                    yield batch[:place]
                name = "standard input" if path is None else path
                expected = "expected one text a line (`cut -f1` takes the first column)"
                raise InputError(f"{name}, line {number + place + 1}: has a tab; {expected}")
        number += len(batch)
        yield batch


def _load(runs: Sequence[str], options: argparse.Namespace) -> "Seq2Seq":
    paths = [latest_run(options.logs) if run == "latest" else run for run in runs]
    choose_keras(options.keras)
    with keras_version.quiet_start():
        keras_version.versions()

    from keras_seq2seq.model.ensemble import Ensemble
    from keras_seq2seq.model.saving import load

    models = [load(path) for path in paths]
    return models[0] if options.ensemble is None else Ensemble(models, [str(path) for path in paths])


def _strategy(options: argparse.Namespace) -> "Strategy":
    from keras_seq2seq.model.decoding import GREEDY, Beam, Sampling

    given = {name: value for name, value in vars(options).items() if value is not None}
    drawing = {name: given[name] for name in ("temperature", "top_k", "seed") if name in given}
    searching = {name: given[name] for name in ("width", "nbest", "length_penalty") if name in given}
    if given.get("sample"):
        if searching:
            raise InputError("--sample does not go with --beam, --nbest or --length-penalty")
        return Sampling(**drawing)
    if drawing:
        raise InputError("--temperature, --top-k and --seed go with --sample")
    if searching and "width" not in searching:
        raise InputError("--nbest and --length-penalty go with --beam")
    return Beam(**searching) if searching else GREEDY
