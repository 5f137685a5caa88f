"""Tokens <-> ids: how a text is cut into tokens, and which number each token has.

Everything here is TensorFlow operations, so the very same code runs while training, in Python and
inside an exported graph: one tokenisation, one answer.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data import TOKENS
from keras_seq2seq.errors import InputError, is_utf8, require_keys

PAD, UNKNOWN, QUESTION, ANSWER, END = "<pad>", "<unk>", "<q>", "<a>", "<end>"
AT_ONCE = 100_000  # texts that are cut into tokens together, to be counted or encoded
SPECIAL = (PAD, UNKNOWN, QUESTION, ANSWER, END)

# The dictionary that the notebook printed, in its order: no <unk>, no <end>.
NOTEBOOK_TOKENS = (
    "<pad> what is the color of banana yellow most time makes up water molecules hydrogen and oxygen <q> <a>"
).split()


def tokenize(texts: tf.Tensor, unit: str) -> tf.RaggedTensor:
    """Cuts texts into tokens.

    Args:
        texts: `(batch,)` strings, UTF-8; invalid bytes become U+FFFD.
        unit: `word` (lower-cased, punctuation and control characters dropped, split at blanks),
            `char` (one token a code point) or `space` (split at blanks, nothing else touched).

    Returns:
        `(batch, time)` ragged strings.
    """
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    if unit == "char":
        return tf.strings.unicode_split(texts, "UTF-8")
    if unit == "word":
        # Control characters first: the lower-casing would end the text at a NUL.
        texts = tf.strings.regex_replace(texts, r"[\p{Cc}\p{Z}]+", " ")
        texts = tf.strings.regex_replace(tf.strings.lower(texts, encoding="utf-8"), r"[[:punct:]\p{P}]", "")
    return tf.strings.split(texts)


def tokens_of(texts: Iterable[str], unit: str) -> list[list[str]]:
    """Cuts texts into tokens, as `tokenize` does, but from and to plain strings."""
    rows = tokenize(tf.constant(list(texts), tf.string), unit)
    return [[token.decode() for token in row] for row in rows.to_list()]


class Vocabulary:
    """The tokens of one side of a corpus, in the order of their ids, and the way to cut text into them.

    Args:
        tokens: all tokens; the first is `<pad>`, so that 0 is padding everywhere (`mask_zero`).
        unit: `word`, `char` or `space`: see `tokenize`.

    Attributes:
        table: the lookup table from tokens to ids, for a graph that uses it.

    Raises:
        InputError: a token is no text, `<pad>` is not first, or a token stands there twice.
    """

    def __init__(self, tokens: Sequence[str], unit: str) -> None:
        if unit not in TOKENS:
            raise InputError(f"the kind of tokens is {unit!r}; choose one of: {', '.join(TOKENS)}")
        if isinstance(tokens, str) or not isinstance(tokens, Sequence):
            raise InputError("the tokens of a vocabulary must be a list of texts")
        for number, token in enumerate(tokens):
            if not isinstance(token, str) or not is_utf8(token):
                raise InputError(f"token {number} of a vocabulary is {token!r}; it must be a text of UTF-8")
        self.tokens = list(tokens)
        self.unit = unit
        if UNKNOWN in self.tokens[2:]:
            raise InputError(f"{UNKNOWN} must be the second token of a vocabulary: its id is 1")
        if self.tokens[:1] != [PAD]:
            raise InputError(f"the first token of a vocabulary must be {PAD}: its id is 0")
        repeated = [token for token, count in Counter(self.tokens).items() if count > 1]
        if repeated:
            raise InputError(f"the tokens of a vocabulary must differ; these do not: {repeated[:5]}")
        self._special_ids = [self.tokens.index(token) for token in SPECIAL if token in self.tokens]
        # As objects: NumPy's own strings end before their last NULs.
        names = np.array([token.encode() for token in self.tokens], dtype=object)
        # Without `<unk>`, as in the notebook's dictionary, an unknown token is passed over.
        unknown = self.tokens.index(UNKNOWN) if UNKNOWN in self.tokens else 0
        # Made eagerly, even where a graph is being traced: the tables outlive that graph.
        with tf.init_scope():
            self._tokens_of_ids = tf.constant(names)
            ids = tf.range(len(names), dtype=tf.int64)
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(self._tokens_of_ids, ids), default_value=unknown
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def id_of(self, token: str) -> int | None:
        """Returns a special token's id; None where this vocabulary does without it."""
        return self.tokens.index(token) if token in self.tokens else None

    @classmethod
    def build(cls, texts: Iterable[str], unit: str, min_count: int = 1, max_size: int | None = None) -> "Vocabulary":
        """Collects the tokens of `texts`, most frequent first (ties: alphabetically), after the special ones.

        Args:
            texts: the training texts.
            unit: see `tokenize`.
            min_count: tokens seen fewer times are left to `<unk>`.
            max_size: keep at most this many tokens, the special ones not counted.
        """
        counts: Counter[str] = Counter()
        texts = iter(texts)
        # Part by part, and counted by TensorFlow: Python would need an object for each token.
        while part := list(itertools.islice(texts, AT_ONCE)):
            tokens, _, numbers = tf.unique_with_counts(tokenize(tf.constant(part), unit).flat_values)
            for token, number in zip(tokens.numpy(), numbers.numpy().tolist(), strict=True):
                counts[token.decode()] += number
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        kept = [token for token in ranked if counts[token] >= min_count and token not in SPECIAL]
        return cls([*SPECIAL, *kept[:max_size]], unit)

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Turns `(batch,)` strings into `(batch, time)` ragged int32 ids, without any special token around them.

        A text that happens to contain `<pad>` or `<end>` gets `<unk>` there, never the special id.
        """
        tokens = tokenize(texts, self.unit)
        ids = tf.cast(self.table.lookup(tokens.values), tf.int32)
        if UNKNOWN not in self.tokens:
            return tf.ragged.boolean_mask(tokens.with_values(ids), tokens.with_values(ids != 0))
        special = tf.reduce_any(ids[:, None] == tf.constant(self._special_ids), axis=1)
        return tokens.with_values(tf.where(special, self.tokens.index(UNKNOWN), ids))

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Turns `(batch, time)` ids into `(batch,)` strings: up to the first `<end>`, special tokens left out.

        `<unk>` stays, so that a reader sees what the model could not name.
        """
        end = self.id_of(END)
        kept = tf.reduce_all(
            ids[..., None] != tf.constant([i for i in self._special_ids if i != self.id_of(UNKNOWN)]), -1
        )
        if end is not None:
            kept &= tf.cumsum(tf.cast(ids == end, tf.int32), axis=1) == 0
        words = tf.ragged.boolean_mask(tf.gather(self._tokens_of_ids, ids), kept)
        return tf.strings.reduce_join(words, axis=1, separator="" if self.unit == "char" else " ")

    def get_config(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "unit": self.unit}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Vocabulary":
        """Makes a vocabulary of what `get_config` returned.

        Raises:
            InputError: it is no such description.
        """
        require_keys("vocabulary", config, ("tokens", "unit"))
        return cls(config.get("tokens", []), config.get("unit", ""))
