"""Tokens <-> ids: which number each token has, and the way to cut text into those tokens and to put it together.

TensorFlow operations all of it: see `tokenization`.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data import NORMALIZATIONS, TOKENS
from keras_seq2seq.data.subwords import join_pieces, learn_pieces, tokenizer_of
from keras_seq2seq.data.tokenization import clean, extra_package, plain, tokenize
from keras_seq2seq.errors import InputError, is_utf8, refuse_one_text, require_keys

PAD, UNKNOWN, QUESTION, ANSWER, END = "<pad>", "<unk>", "<q>", "<a>", "<end>"
AT_ONCE = 100_000  # texts that are cut into tokens together, to be counted or encoded
SPECIAL = (PAD, UNKNOWN, QUESTION, ANSWER, END)

# The dictionary that the notebook printed, in its order: no <unk>, no <end>.
NOTEBOOK_TOKENS = (
    "<pad> what is the color of banana yellow most time makes up water molecules hydrogen and oxygen <q> <a>"
).split()


class Vocabulary:
    """The tokens of one side of a corpus, in the order of their ids, and the way to cut text into them.

    Args:
        tokens: all tokens; the first is `<pad>`, so that 0 is padding everywhere (`mask_zero`).
        unit: `word`, `char` or `space`: see `tokenize`; or `subword`: the tokens are pieces, in the order in which
            they are merged: see `subwords`.
        normalize: `none`, `NFC`, `NFD` or `NFKC`: see `clean`. After `NFD` texts are put together again in NFC.

    Attributes:
        table: the lookup table from tokens to ids, for a graph that uses it.
        pieces: what cuts texts into subwords, for such a graph; None for other tokens.

    Raises:
        InputError: a token is no text, `<pad>` is not first, or a token stands there twice; or subwords or normalizing
            are asked for where tensorflow-text or sentencepiece is not installed.
    """

    def __init__(self, tokens: Sequence[str], unit: str, normalize: str = "none") -> None:
        if unit not in TOKENS:
            raise InputError(f"the kind of tokens is {unit!r}; choose one of: {', '.join(TOKENS)}")
        if normalize not in NORMALIZATIONS:
            raise InputError(f"the normalization is {normalize!r}; choose one of: {', '.join(NORMALIZATIONS)}")
        if isinstance(tokens, str) or not isinstance(tokens, Sequence):
            raise InputError("the tokens of a vocabulary must be a list of texts")
        for number, token in enumerate(tokens):
            if not isinstance(token, str) or not is_utf8(token):
                raise InputError(f"token {number} of a vocabulary is {token!r}; it must be a text of UTF-8")
        if normalize != "none":
            extra_package("tensorflow_text")  # or the error would come with the first text
        self.tokens = list(tokens)
        self.unit = unit
        self.normalize = normalize
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
            known = [token for token in self.tokens if token not in SPECIAL]
            self.pieces = tokenizer_of(known) if unit == "subword" else None
            self._tokens_of_ids = tf.constant(names)
            ids = tf.range(len(names), dtype=tf.int64)
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(self._tokens_of_ids, ids), default_value=unknown
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"<Vocabulary of {len(self)} tokens, {self.unit}>"

    def id_of(self, token: str) -> int | None:
        """Returns a special token's id; None where this vocabulary does without it."""
        return self.tokens.index(token) if token in self.tokens else None

    @classmethod
    def build(
        cls,
        texts: Iterable[str],
        unit: str,
        min_count: int = 1,
        max_size: int | None = None,
        normalize: str = "none",
        subwords: int = 8000,
    ) -> "Vocabulary":
        """Collects the tokens of `texts`, most frequent first (ties: alphabetically), after the special ones.

        Subwords are learnt, and stand in the order of `learn_pieces`.

        Args:
            texts: the training texts.
            unit: see `Vocabulary`.
            min_count: tokens seen fewer times are left to `<unk>`; not for subwords, any of which may be needed.
            max_size: keep at most this many tokens, the special ones not counted; not for subwords.
            normalize: see `Vocabulary`.
            subwords: the most subwords, the special tokens not counted.

        Raises:
            InputError: see `learn_pieces` and `Vocabulary`.
            TypeError: `texts` is one text, not a list.
        """
        refuse_one_text(texts)
        if unit == "subword":
            extra_package("tensorflow_text")  # or the error would come after minutes of learning
            cleaned = (text.decode() for part in _parts(texts) for text in clean(part, normalize).numpy())
            # A piece like `<end>` would be the special token; without it, such a text is cut into smaller ones.
            kept = [piece for piece in learn_pieces(cleaned, subwords) if piece not in SPECIAL]
            return cls([*SPECIAL, *kept], unit, normalize)
        counts: Counter[str] = Counter()
        # Counted by TensorFlow: Python would need an object for each token.
        for part in _parts(texts):
            tokens, _, numbers = tf.unique_with_counts(tokenize(part, unit, normalize).flat_values)
            for token, number in zip(tokens.numpy(), numbers.numpy().tolist(), strict=True):
                counts[token.decode()] += number
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        kept = [token for token in ranked if counts[token] >= min_count and token not in SPECIAL]
        return cls([*SPECIAL, *kept[:max_size]], unit, normalize)

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Cuts `(batch,)` strings into `(batch, time)` ragged strings, in this vocabulary or not."""
        if self.pieces is None:
            return tokenize(texts, self.unit, self.normalize)
        return self.pieces.tokenize(clean(texts, self.normalize))

    def tokens_of(self, texts: Iterable[str]) -> list[list[str]]:
        """Cuts texts into tokens, as `tokenize` does, but from and to plain strings."""
        return plain(self.tokenize(tf.constant(list(texts), tf.string)))

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Turns `(batch,)` strings into `(batch, time)` ragged int32 ids, without any special token around them.

        A text that happens to contain `<pad>` or `<end>` gets `<unk>` there, never the special id.

        Raises:
            TypeError: it is one text, not a list.
        """
        refuse_one_text(texts)
        tokens = self.tokenize(texts)
        ids = tf.cast(self.table.lookup(tokens.values), tf.int32)
        if UNKNOWN not in self.tokens:
            return tf.ragged.boolean_mask(tokens.with_values(ids), tokens.with_values(ids != 0))
        special = tf.reduce_any(ids[:, None] == tf.constant(self._special_ids), axis=1)
        return tokens.with_values(tf.where(special, self.tokens.index(UNKNOWN), ids))

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Turns `(batch, time)` ids into `(batch,)` strings: up to the first `<end>`, special tokens left out.

        `<unk>` stays, so that a reader sees what the model could not name.
        """
        ids, end = tf.convert_to_tensor(ids), self.id_of(END)
        kept = tf.reduce_all(
            ids[..., None] != tf.constant([i for i in self._special_ids if i != self.id_of(UNKNOWN)]), -1
        )
        if end is not None:
            kept &= tf.cumsum(tf.cast(ids == end, tf.int32), axis=1) == 0
        words = tf.ragged.boolean_mask(tf.gather(self._tokens_of_ids, ids), kept)
        if self.unit == "subword":
            texts = join_pieces(words)
        else:
            texts = tf.strings.reduce_join(words, axis=1, separator="" if self.unit == "char" else " ")
        return clean(texts, "NFC") if self.normalize == "NFD" else texts

    def get_config(self) -> dict[str, Any]:
        # Named only where it is used, so that code from before it can read all other files.
        normalize = {} if self.normalize == "none" else {"normalize": self.normalize}
        return {"tokens": self.tokens, "unit": self.unit, **normalize}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Vocabulary":
        """Makes a vocabulary of what `get_config` returned.

        Raises:
            InputError: it is no such description.
        """
        require_keys("vocabulary", config, ("tokens", "unit", "normalize"))
        return cls(config.get("tokens", []), config.get("unit", ""), config.get("normalize", "none"))


def _parts(texts: Iterable[str]) -> Iterator[tf.Tensor]:
    """Yields texts `(up to AT_ONCE,)`: all tokens of a million of them would take too much memory."""
    texts = iter(texts)
    while part := list(itertools.islice(texts, AT_ONCE)):
        yield tf.constant(part)
