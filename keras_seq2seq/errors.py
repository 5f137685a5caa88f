"""What a user gave and cannot be used: one kind of error, and the checks that everything shares."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

LARGEST = 2**31 - 1  # that ids, seeds and sizes can be


class InputError(ValueError):
    """Something the user gave cannot be used; the message is one line that says what to do."""


def require_size(name: str, value: Any) -> None:
    """Refuses what is no whole number from 1 to `LARGEST`.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, int) or not 1 <= value <= LARGEST:
        raise InputError(f"{name} is {value!r}; it must be a whole number from 1 to {LARGEST}")


def refuse_one_text(texts: Any) -> None:
    """Refuses a text where texts are expected, for it would be read letter by letter.

    Raises:
        TypeError: it is one.
    """
    if isinstance(texts, str | bytes):
        raise TypeError("this takes a list of texts; put the one text into a list")


def is_utf8(text: str) -> bool:
    """Says whether a text can be written as UTF-8; Python reads bytes that are none as halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def reason_of(error: Exception) -> str:
    """Returns the first line of an error's message, or else its class."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def suggest(name: str, valid: Iterable[str]) -> str:
    """Returns "did you mean ...?" for a near miss, and always the list of what is valid."""
    valid = list(valid)
    near = difflib.get_close_matches(name, valid, n=1)
    return (f"did you mean {near[0]}? " if near else "") + "the valid ones are: " + ", ".join(valid)


def require_keys(what: str, described: Any, known: tuple[str, ...]) -> None:
    """Refuses a description that is no mapping, or has other keys than `known`.

    Raises:
        InputError: it is one.
    """
    if not isinstance(described, Mapping):
        raise InputError(f"its {what} is not described by names and values")
    for key in described:
        if key not in known:
            raise InputError(f"its {what} has an unknown key {key!r}; the valid ones are: {', '.join(known)}")
