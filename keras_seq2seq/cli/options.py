"""The command line's options, and configuration files: two ways to spell one `Configuration`.

No TensorFlow in here, so that `--help` and typing errors answer at once.
"""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any, NoReturn

from keras_seq2seq.errors import InputError, suggest
from keras_seq2seq.training.configuration import FILES, SMALL, Configuration, flag_of
from keras_seq2seq.training.configuration_files import CONFIG_FILE, preset_names, read_configuration


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one line, and never guesses at abbreviations."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        raise InputError(message)

    def parse_args(self, *arguments: Any) -> argparse.Namespace:  # type: ignore[override]
        # Options may stand between texts; behind `--` nothing is one, which only the plain parser understands.
        parse = self.parse_known_args if "--" in arguments[0] else self.parse_known_intermixed_args
        values, rest = parse(*arguments)
        for action in self._actions:  # what Python makes of `--config=--`
            if action.option_strings and getattr(values, action.dest, None) == []:
                self.error(f"argument {action.option_strings[-1]}: expected one argument")
        if rest and not rest[0].startswith("-"):
            raise InputError(f"{rest[0]!r} is one argument too many; see --help")
        if rest:
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            raise InputError(f"unknown option {rest[0]}; {suggest(rest[0].split('=')[0], flags)}")
        return values


class Files(argparse.Action):
    """Keeps the name of one file by itself, those of more as a list."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values[0] if len(values) == 1 else values)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Gives `parser` `--config` and one option for each field; one that is not used leaves no trace in the result."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help=f"a run's {CONFIG_FILE} or a file like it, or one of: {', '.join(preset_names())}; other options win",
    )
    for field in dataclasses.fields(Configuration):
        options: dict[str, Any] = {"help": _help(field), "default": argparse.SUPPRESS}
        if isinstance(field.default, bool):
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["type"] = str if field.default is None else type(field.default)
            options["metavar"] = field.metadata["shown"] or options["type"].__name__.upper()
        if field.name in FILES:
            options |= {"nargs": "+", "action": Files}
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
