"""Embeddings that others have trained: the text format of word2vec and GloVe, read into a model."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from keras_seq2seq.data.vocabulary import PAD, Vocabulary
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import lines_of

LARGEST = float(np.finfo(np.float32).max)


def read_embeddings(path: str, vocabulary: Vocabulary, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the vocabulary's tokens in a file of embeddings, which may be larger than the memory.

    A line is a token and its numbers, one blank or tab between them. word2vec's first line holds two other numbers,
    how many tokens and dimensions there are. A token may contain blanks (GloVe), and has to be the vocabulary's to
    the letter. If it comes twice, the first counts. The numbers of tokens that are not wanted are not looked at.

    Args:
        path: a UTF-8 text file.
        vocabulary: the tokens to look for, but for `<pad>`.
        dim: how many numbers a token has.

    Returns:
        float32 `(len(vocabulary), dim)`, zeros where nothing was found, and bool `(len(vocabulary),)`: what was.

    Raises:
        InputError: the file cannot be read, has another dimension, a wrong line or none of the tokens.
    """
    ids = {token: row for row, token in enumerate(vocabulary.tokens) if token != PAD}
    matrix, found = np.zeros((len(vocabulary), dim), np.float32), np.zeros(len(vocabulary), bool)
    for line_number, line in _embedding_lines(path, dim):
        token, *texts = line.rsplit(" ", dim)
        # A number in front of the last `dim` is one too many, not the end of a token with a blank in it.
        if len(texts) < dim or (" " in token and math.isfinite(_number(token.rsplit(" ", 1)[1]))):
            count = line.count(" ") + 1
            raise InputError(f"{path}, line {line_number}: {count} fields; expected a token and {dim} numbers")
        row = ids.get(token)
        if row is None or found[row]:
            continue
        numbers = [_number(text) for text in texts]
        for text, number in zip(texts, numbers, strict=True):
            if not math.isfinite(number):
                raise InputError(f"{path}, line {line_number}: {text!r} is not a finite number")
        matrix[row], found[row] = numbers, True
    if not found.any():
        raise InputError(f"{path}: holds none of the vocabulary's {len(vocabulary)} tokens")
    return matrix, found


def _embedding_lines(path: str, dim: int) -> Iterator[tuple[int, str]]:
    """Yields (line number, line) of a file whose first line shows that its dimension is `dim`; no header."""
    # Stripped of blanks and tabs alone: another space, or a first blank, is a token.
    lines = ((number, line.replace("\t", " ").rstrip(" ")) for number, line in enumerate(lines_of(path), start=1))
    lines = ((number, line) for number, line in lines if line)
    number, line = next(lines, (0, ""))
    if not line:
        raise InputError(f"{path}: is empty; expected a token and its numbers on each line")
    fields = line.split(" ")
    header = len(fields) == 2 and all(field.isdecimal() and len(field) < 10 for field in fields)
    if header:
        width = int(fields[1])
    elif len(fields) == dim + 1:
        width = dim
    else:  # so many numbers from the end on; but at least one field is the token
        width = sum(1 for _ in itertools.takewhile(lambda field: math.isfinite(_number(field)), fields[:0:-1]))
    if not width:
        raise InputError(f"{path}, line {number}: no numbers; expected a token and its numbers")
    if width != dim:
        raise InputError(f"{path}: has embeddings of {width} numbers, not {dim}; set --embedding-dim {width}")
    yield from lines if header else itertools.chain([(number, line)], lines)


def _number(text: str) -> float:
    """Returns the number that `text` spells; NaN if it is none, or none that fits a float32."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if abs(number) <= LARGEST else math.nan
