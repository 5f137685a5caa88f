"""The command line's options, and configuration files: two ways to spell one `Configuration`.

No TensorFlow in here, so that `--help` and typing errors answer at once.
"""

import argparse
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_seq2seq import streams
from keras_seq2seq.config import CONFIGURATIONS, SMALL, Configuration, InputError, flag_of, starting_point, suggest

CONFIG_FILE = "config.json"  # what a run's folder calls the configuration it used
NEW_EACH_TIME = ("logs", "run", "resume")  # where a run is written: no part of what is repeated


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one line, and never guesses at abbreviations."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> None:
        raise InputError(message)

    def parse_args(self, *arguments: Any) -> argparse.Namespace:
        # Options may stand between texts; behind `--` nothing is one, which only the plain parser understands.
        parse = self.parse_known_args if "--" in arguments[0] else self.parse_known_intermixed_args
        values, rest = parse(*arguments)
        if rest and not rest[0].startswith("-"):
            raise InputError(f"{rest[0]!r} is one argument too many; see --help")
        if rest:
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            raise InputError(f"unknown option {rest[0]}; {suggest(rest[0].split('=')[0], flags)}")
        return values


def add_options(parser: argparse.ArgumentParser) -> None:
    """Gives `parser` `--config` and one option for each field; one that is not used leaves no trace in the result."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help=f"a run's {CONFIG_FILE} or a file like it, or one of: {', '.join(_named())}; options on top of it win",
    )
    for field in dataclasses.fields(Configuration):
        options = {"help": _help(field), "default": argparse.SUPPRESS}
        if isinstance(field.default, bool):
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["type"] = str if field.default is None else type(field.default)
            options["metavar"] = field.metadata["shown"] or options["type"].__name__.upper()
        parser.add_argument(flag_of(field.name), **options)


def _help(field: dataclasses.Field) -> str:
    small = getattr(SMALL, field.name)
    default = f"{field.default}" if small == field.default else f"{field.default}; {small} with --data or --corpus"
    return field.metadata["help"] + ("" if field.default is None else f" (default {default})")


def configure(options: Mapping[str, Any]) -> Configuration:
    """Returns the configuration that a command line asks for.

    Args:
        options: what `add_options` found: `config` and field names to values.

    Raises:
        InputError: a bad value, or a configuration file that cannot be used.
    """
    values = {name: value for name, value in options.items() if name != "config"}
    start = read_configuration(options["config"], values) if "config" in options else None
    return Configuration.from_dict(values, start)


def read_configuration(name: str, options: Mapping[str, Any] | None = None) -> Configuration:
    """Reads a JSON object of field names and values; what it leaves out has the default that suits the data.

    Args:
        name: a file, or else one of the configurations of this package: `tiny`, `small`, `base`.
        options: more of them, which go on top of it later: they may name the data.

    Raises:
        InputError: there is neither, or the file cannot be read, is no JSON object, or has a wrong key or value.
    """
    path = name
    if not os.path.isfile(name) and name in _named():
        path = str(CONFIGURATIONS / f"{name}.json")
    elif not os.path.exists(name):
        raise InputError(f"{name}: is neither a file nor a configuration's name; {suggest(name, _named())}")
    text = "\n".join(streams.lines_of(path))
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{name}, line {error.lineno}: not JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:  # a number too long, lists too deep
        raise InputError(f"{name}: cannot be read as JSON ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f'{name}: is not a JSON object; expected one like {{"units": 64}}')
    try:
        return Configuration.from_dict(values, start=starting_point({**values, **(options or {})}))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def write_configuration(config: Configuration, run: Path) -> None:
    """Writes to the run's folder all that `--config` needs to repeat the run in another folder."""
    values = {name: value for name, value in config.to_dict().items() if name not in NEW_EACH_TIME}
    with streams.output(run / CONFIG_FILE) as file:
        file.write(json.dumps(values, indent=2) + "\n")


def _named() -> list[str]:
    return sorted(path.stem for path in CONFIGURATIONS.glob("*.json"))
