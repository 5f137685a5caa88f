"""Subwords: pieces of words, from single characters to whole words, that are learnt from the training texts.

By byte-pair encoding (Sennrich et al., 2016): at first each character is a piece, then the most frequent pair of
neighbours becomes one, again and again. Against unigram models, which cut about as well, it only counts: it can be
followed by hand, and no rounding decides. SentencePiece does it (Kudo and Richardson, 2018), and its operation in
tensorflow-text cuts texts inside the graph.
"""

import hashlib
import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from keras_seq2seq.data.tokenization import extra_package
from keras_seq2seq.errors import InputError, reason_of

BLANK = "\u2581"  # how pieces spell a blank; one more stands before the text, so that each word begins with one
# What SentencePiece uses itself: it would learn nothing from a text that holds one of them.
RESERVED = ("\t", "\0", "\u2585")
LONGEST = 2**30  # bytes of a text, the most that SentencePiece allows
# Rules of normalization: the size of an index in bytes, the index, whose root leads nowhere, and no replacements.
# Without them, which means the same, the operation writes a line to the terminal for each vocabulary.
NO_RULES = struct.pack("<257I", 1024, 1 << 10, *[0] * 255) + b"\0"


def learn_pieces(texts: Iterable[str], size: int) -> list[str]:
    """Returns the pieces that suit the texts: merged ones first, in the order of merging, then each character.

    Same texts, same pieces. Tabs, NUL and U+2585 are read as blanks; no piece goes beyond a word.

    Args:
        texts: the training texts, cleaned.
        size: the most pieces; there are fewer where the texts have no more pairs to merge.

    Raises:
        InputError: there are more different characters than that, or no text; or sentencepiece is not installed.
    """
    sentencepiece = extra_package("sentencepiece")
    characters, model = set[str](), io.BytesIO()

    def lines() -> Iterator[str]:
        for text in texts:
            for mark in RESERVED:
                text = text.replace(mark, " ")
            characters.update(text.replace(" ", BLANK))
            yield text

    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines(),
            model_writer=model,
            model_type="bpe",
            vocab_size=size + 1,  # and the unknown one
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=LONGEST,
            unk_id=0,
            unk_piece=RESERVED[-1],
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except (RuntimeError, ValueError) as error:
        needed = len(characters | {BLANK})
        if needed == 1:
            raise InputError("no subwords can be learnt: there is no text") from None
        if needed > size:
            raise InputError(
                f"--subwords is {size}, but the texts have {needed} different characters; give {needed} or more"
            ) from None
        raise InputError(f"no subwords can be learnt ({reason_of(error)})") from None
    learnt = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [learnt.id_to_piece(number) for number in range(1, learnt.get_piece_size())]


def tokenizer_of(pieces: Sequence[str]) -> Any:
    """Returns a `tensorflow_text.SentencepieceTokenizer` that cuts texts `(batch,)` into pieces `(batch, time)`.

    Raises:
        InputError: a piece is empty, or tensorflow-text is not installed.
    """
    if "" in pieces:
        raise InputError("a subword of a vocabulary is empty; it must have a character")
    model = model_of(pieces)
    tokenizer = extra_package("tensorflow_text").SentencepieceTokenizer(model, out_type=tf.string)
    tokenizer._model_resource = LastingModel(model)
    return tokenizer


class LastingModel(tf.saved_model.experimental.TrackableResource):
    """A SentencePiece model that is kept by name, and shared by all who have the same.

    What `SentencepieceTokenizer` makes belongs to a cache of TensorFlow's, which `tf.random.set_seed` clears: the next
    text would find it gone.
    """

    def __init__(self, model: bytes) -> None:
        super().__init__()
        self.model = model
        _ = self.resource_handle  # makes it

    def _create_resource(self) -> tf.Tensor:
        operations = extra_package("tensorflow_text.python.ops.sentencepiece_tokenizer").gen_sentencepiece_tokenizer
        name = f"keras_seq2seq-{hashlib.sha256(self.model).hexdigest()}"
        return operations.sentencepiece_op(model=self.model, shared_name=name)


def model_of(pieces: Sequence[str]) -> bytes:
    """Returns the SentencePiece model that merges these pieces, in this order.

    That is all that byte-pair encoding needs. So a saved vocabulary is a list of texts, like any other; the bytes of a
    model, out of anybody's file, might harm the library that reads them. It is a protocol buffer, whose few fields are
    written here by their numbers in `sentencepiece_model.proto`: the Python class of that message runs with some
    versions of protobuf only.
    """
    unknown = _text(1, RESERVED[-1].encode()) + _number(3, 2)  # of type UNKNOWN
    # A piece and its score: of two pairs, the one with the higher score is merged first.
    scored = [
        _text(1, piece.encode()) + b"\x15" + struct.pack("<f", -rank)  # field 2, a float of 32 bits
        for rank, piece in enumerate(pieces)
    ]
    trainer = _number(3, 2)  # of type BPE
    normalizer = _text(1, b"identity") + _text(2, NO_RULES) + _number(4, 0)  # extra blanks are not removed
    return b"".join(_text(1, piece) for piece in (unknown, *scored)) + _text(2, trainer) + _text(3, normalizer)


def _text(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value)


def _varint(value: int) -> bytes:
    """Returns a number in groups of seven bits, the lowest first; all but the last have the eighth bit set."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def join_pieces(pieces: tf.RaggedTensor) -> tf.Tensor:
    """Puts pieces `(batch, time)` together to texts `(batch,)`; the blank before the first word is left out."""
    texts = tf.strings.regex_replace(tf.strings.reduce_join(pieces, axis=-1), BLANK, " ")
    return tf.strings.regex_replace(texts, "^ ", "")
