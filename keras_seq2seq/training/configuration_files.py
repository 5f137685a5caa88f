"""Configurations as JSON files: those of the user, of the runs, and the presets of this package."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_seq2seq import files
from keras_seq2seq.errors import InputError, suggest
from keras_seq2seq.training.configuration import PRESETS, Configuration, starting_point

CONFIG_FILE = "config.json"  # what a run's folder calls the configuration it used
NEW_EACH_TIME = ("logs", "run", "resume")  # where a run is written: no part of what is repeated


def read_configuration(name: str, options: Mapping[str, Any] | None = None) -> Configuration:
    """Reads a JSON object of field names and values; what it leaves out has the default that suits the data.

    Args:
        name: a file, or else one of the configurations of this package: `tiny`, `small`, `base`, `sentences`.
        options: more of them, which go on top of it later: they may name the data.

    Raises:
        InputError: there is neither, or the file cannot be read, is no JSON object, or has a wrong key or value.
    """
    path = name
    if not os.path.isfile(name) and name in preset_names():
        path = str(PRESETS / f"{name}.json")
    elif not os.path.exists(name):
        raise InputError(f"{name}: is neither a file nor a configuration's name; {suggest(name, preset_names())}")
    text = "\n".join(files.lines_of(path))
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
    with files.output(run / CONFIG_FILE) as file:
        file.write(json.dumps(values, indent=2) + "\n")


def preset_names() -> list[str]:
    """Returns the names of the configurations that come with this package."""
    return sorted(path.stem for path in PRESETS.glob("*.json"))
