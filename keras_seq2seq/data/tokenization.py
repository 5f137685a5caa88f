"""How a text is cut into words, characters, or what stands between blanks; `subwords` has those that are learnt.

Everything here is TensorFlow operations, so the very same code runs while training, in Python and inside an exported
graph: one tokenization, one answer.
"""

import importlib
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from keras_seq2seq.errors import InputError

# Marks that show nothing and mean no other word: soft hyphen, zero-width space, word joiner, byte order mark, and those
# that steer the direction of writing. The joiners U+200C and U+200D are none of them: they change what is read.
INVISIBLE = r"[\x{00AD}\x{061C}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}\x{2066}-\x{2069}\x{FEFF}]"
# Marks inside a word: apostrophes, Catalan's dot, what Hebrew and Armenian put between or over letters.
WITHIN_WORDS = r"['\x{2019}\x{FF07}\x{00B7}\x{05F3}\x{05F4}\x{055B}\x{055C}\x{055E}]"
# All other punctuation but point and comma, which belong to a number where they stand between digits.
BETWEEN_WORDS = r"[^\P{P}.,]|[$+<=>^`|~]"


def clean(texts: tf.Tensor, normalize: str = "none") -> tf.Tensor:
    """Returns texts as they are read, whatever they are cut into.

    Args:
        texts: `(batch,)` strings, UTF-8; invalid bytes become U+FFFD.
        normalize: `NFC`, `NFD` or `NFKC`: one spelling for what Unicode can write in several; `none`: as it stands.

    Returns:
        `(batch,)` strings, without `INVISIBLE` marks.

    Raises:
        InputError: it is to be normalized, and tensorflow-text is not installed.
    """
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    texts = tf.strings.regex_replace(texts, INVISIBLE, "")
    if normalize == "none":
        return texts
    return extra_package("tensorflow_text").normalize_utf8(texts, normalize)


def tokenize(texts: tf.Tensor, unit: str, normalize: str = "none") -> tf.RaggedTensor:
    """Cuts texts into tokens.

    Args:
        texts: `(batch,)` strings: see `clean`.
        unit: `word` (lower-cased, punctuation and control characters dropped, split there and at blanks),
            `char` (one token a code point) or `space` (split at blanks, nothing else touched).
        normalize: see `clean`.

    Returns:
        `(batch, time)` ragged strings.
    """
    texts = clean(texts, normalize)
    if unit == "char":
        return tf.strings.unicode_split(texts, "UTF-8")
    if unit == "word":
        texts = _words(texts)
    return tf.strings.split(texts)


def _words(texts: tf.Tensor) -> tf.Tensor:
    # Control characters first: the lower-casing would end the text at a NUL.
    texts = tf.strings.regex_replace(texts, r"[\p{Cc}\p{Z}]+", " ")
    texts = tf.strings.lower(texts, encoding="utf-8")
    texts = tf.strings.regex_replace(texts, WITHIN_WORDS, "")
    texts = tf.strings.regex_replace(texts, BETWEEN_WORDS, " ")
    # RE2 looks at nothing that it does not replace: first the marks before no digit, then those behind none.
    texts = tf.strings.regex_replace(texts, r"[.,]+(\P{Nd}|$)", r" \1")
    return tf.strings.regex_replace(texts, r"(^|\P{Nd})[.,]+", r"\1 ")


def tokens_of(texts: Iterable[str], unit: str, normalize: str = "none") -> list[list[str]]:
    """Cuts texts into tokens, as `tokenize` does, but from and to plain strings."""
    return plain(tokenize(tf.constant(list(texts), tf.string), unit, normalize))


def plain(tokens: tf.RaggedTensor) -> list[list[str]]:
    """Returns `(batch, time)` ragged strings as Python's."""
    return [[token.decode() for token in row] for row in tokens.to_list()]


def extra_package(name: str) -> Any:
    """Returns a package of the optional extra `subwords`, imported.

    Raises:
        InputError: it is not installed, or not for this TensorFlow.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, tf.errors.NotFoundError):  # the latter where its operations are for another TensorFlow
        raise InputError(
            "subword tokens and --normalize need the packages tensorflow-text, of TensorFlow's version, and "
            "sentencepiece: pip install '.[subwords]' in a clone of keras_seq2seq"
        ) from None
