"""Text in, text out: what a trained model is asked for, from Python, the shell or a server."""

import copy
import functools
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.batching import add_question, teacher_forcing
from keras_seq2seq.errors import InputError, is_utf8, refuse_one_text
from keras_seq2seq.keras_version import keras
from keras_seq2seq.model.decoding import GREEDY, NEVER, Strategy, TokenByToken
from keras_seq2seq.model.losses import token_crossentropy

GRAPHS = 8  # strategies whose graphs are kept, those used last: each graph takes megabytes
TOKENS = 2048  # the most on a side of a batch with teacher forcing, padding included; a longer row has its own


class Hypothesis(NamedTuple):
    """An answer.

    Attributes:
        text: the answer.
        log_probability: natural logarithm of its probability, `<end>` included.
        score: what the strategy orders answers by, the higher the better.
    """

    text: str
    log_probability: float
    score: float


class TextGeneration(keras.Model):
    """The part of `Seq2Seq` that deals in texts: a mix-in, so that `model.py` is about the network alone."""

    def text_function(self, strategy: Strategy = GREEDY) -> tf.types.experimental.GenericFunction:
        """Returns the graph from texts to answers: what `generate` runs and what `export` writes.

        The graph takes texts `(batch,)`, strings, and their numbers `(batch,)`, int32, and returns three tensors
        `(batch, answers)`: answers, strings, their log-probabilities, and the scores that order them. It is traced once
        for each strategy, and kept for those used last.

        Raises:
            TypeError: it is no strategy, or has no value that tells it from others, as a frozen dataclass has: every
                call would trace it anew.
        """
        _require_value(strategy)
        return self._graphs().of_strategy(strategy)

    def _graphs(self) -> types.SimpleNamespace:
        # In a plain object, where Keras does not look for layers to save.
        if "_traced" not in self.__dict__:
            self.__dict__["_traced"] = types.SimpleNamespace(
                of_strategy=functools.lru_cache(GRAPHS)(self._answering), teacher_forced=self._measuring()
            )
        return self.__dict__["_traced"]

    def _answering(self, strategy: Strategy) -> tf.types.experimental.GenericFunction:
        # Without a method of its own, a strategy orders as most do.
        score = getattr(strategy, "score", TokenByToken().score)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int32)])
        def answer(texts, rows):
            tokens = self.source_vocabulary.encode(texts)[:, : self.max_source_length]
            source = add_question(tokens, self.source_vocabulary)
            # At least one step, for an RNN cannot run over none, even where there is no text to answer.
            source = source.to_tensor(shape=tf.stack([-1, tf.maximum(source.bounding_shape()[1], 1)]))
            ids, log_probabilities = self.generate_ids(source, strategy, rows=rows)
            scores = score(log_probabilities, tf.math.count_nonzero(ids, axis=-1, dtype=tf.int32))
            answers = tf.reshape(ids, [-1, tf.shape(ids)[-1]])
            answers = tf.reshape(self.target_vocabulary.decode(answers), tf.shape(log_probabilities))
            # A text without tokens gets one empty answer, with probability 1.
            asked = tokens.row_lengths()[:, None] > 0
            nothing = tf.where(tf.range(tf.shape(answers)[1]) == 0, 0.0, NEVER)
            values = [tf.where(asked, value, nothing) for value in (log_probabilities, scores)]
            return tf.where(asked, answers, ""), *values

        return answer

    def _measuring(self) -> tf.types.experimental.GenericFunction:
        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)] * 3)
        def measure(source, target_input, labels):
            logits = self((source, target_input), training=False)
            likeliest = tf.argmax(logits, axis=-1, output_type=tf.int32)
            return -token_crossentropy(labels, logits), tf.equal(likeliest, labels)

        return measure

    def teacher_forced(
        self,
        source: tf.RaggedTensor,
        target_input: tf.RaggedTensor,
        labels: tf.RaggedTensor,
        batch_size: int = 128,
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Measures given answers, each token behind the true ones before it.

        Args:
            source: `(pairs, time)` ids, as `batching.Examples` has them; so are the next two.
            target_input: what the decoder reads.
            labels: what it has to predict.
            batch_size: the most pairs at once; of long ones there are fewer.

        Returns:
            for each pair, in order, the log-probability of each label, float32; and whether it is the likeliest token.
        """
        lengths = np.maximum(source.row_lengths(), labels.row_lengths())
        log_probabilities, likeliest = ([np.empty(0)] * len(lengths) for _ in range(2))
        for rows in _of_similar_length(lengths, batch_size):
            batch = [tf.gather(side, rows).to_tensor() for side in (source, target_input, labels)]
            measured = [values.numpy() for values in self._graphs().teacher_forced(*batch)]
            for row, count, *values in zip(rows, np.count_nonzero(batch[2], axis=1), *measured, strict=True):
                log_probabilities[row], likeliest[row] = (value[:count] for value in values)
        return log_probabilities, likeliest

    def generate_nbest(
        self, texts: Sequence[str], strategy: Strategy = GREEDY, batch_size: int = 256, first_row: int = 0
    ) -> list[list[Hypothesis]]:
        """Answers texts, in their order, with log-probabilities and scores.

        A text without any token (an empty one, for example) gets an empty answer; an unknown token is read as `<unk>`;
        of a text with more than `max_source_length` tokens the first ones are read.

        Args:
            texts: any number of them.
            strategy: of `decoding`.
            batch_size: texts answered at once; it changes nothing but speed and memory.
            first_row: number of the first text, where `texts` is a part of something longer.

        Returns:
            for each text its answers, best first: highest score first.

        Raises:
            InputError: a text is not a string, or no UTF-8, or the model's numbers are not finite.
            TypeError: `texts` is one text, not a list, or the strategy is none for `text_function`.
        """
        texts = list_of_texts(texts, "text")
        answer, results = self.text_function(strategy), [list[Hypothesis]()] * len(texts)
        # Texts of similar length together: little padding, and answers that end at about the same step.
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        for start in range(0, len(texts), batch_size):
            numbers = order[start : start + batch_size]
            part = tf.constant([texts[number] for number in numbers], tf.string)
            answers, log_probabilities, scores = answer(part, tf.constant(numbers, tf.int32) + first_row)
            if not tf.reduce_all(tf.math.is_finite(log_probabilities[:, 0])):
                raise InputError(
                    "the model's numbers are NaN: its training ran away; train it with a lower learning rate"
                )
            columns = (values.numpy().tolist() for values in (answers, log_probabilities, scores))
            for number, *row in zip(numbers, *columns, strict=True):
                found = zip(*row, strict=True)
                results[number] = [Hypothesis(text.decode(), p, score) for text, p, score in found if p > NEVER]
        return results

    def generate(self, texts: Sequence[str], strategy: Strategy = GREEDY, batch_size: int = 256) -> list[str]:
        """Answers texts, in their order: the best answer of each. See `generate_nbest` for odd inputs."""
        return [answers[0].text for answers in self.generate_nbest(texts, strategy, batch_size)]

    def score(
        self, sources: Sequence[str], targets: Sequence[str], batch_size: int = 128
    ) -> tuple[list[list[float]], list[float]]:
        """Returns how likely given answers are: natural log-probabilities, `<end>` included.

        Args:
            sources: texts.
            targets: the answer to each.
            batch_size: the most answers scored at once, fewer where they are long; it changes nothing but speed and
                memory.

        Returns:
            for each answer, the log-probability of each of its tokens; and their sum.

        Raises:
            InputError: a text is not a string, or no UTF-8.
            TypeError: one of the two is one text, not a list.
            ValueError: there are not as many answers as texts.
        """
        sources, targets = list_of_texts(sources, "source"), list_of_texts(targets, "target")
        if len(sources) != len(targets):
            raise ValueError(f"{len(sources)} sources, but {len(targets)} targets: give one answer to each text")
        source = self.source_vocabulary.encode(tf.constant(sources, tf.string))[:, : self.max_source_length]
        target = self.target_vocabulary.encode(tf.constant(targets, tf.string))
        sides = teacher_forcing(target, self.target_vocabulary)
        rows, _ = self.teacher_forced(add_question(source, self.source_vocabulary), *sides, batch_size)
        tokens = [row.tolist() for row in rows]
        return tokens, [sum(row) for row in tokens]


def list_of_texts(texts: Iterable[str], name: str) -> list[str]:
    """Returns texts as a list.

    Args:
        texts: the texts.
        name: what one of them is called in messages.

    Raises:
        InputError: one is not a string, or no UTF-8.
        TypeError: `texts` is one text, not a list.
    """
    refuse_one_text(texts)
    texts = list(texts)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str) or not is_utf8(text):
            raise InputError(f"{name} {number} is {text!r:.60}; give a string that can be written as UTF-8")
    return texts


def _require_value(strategy: Strategy) -> None:
    if isinstance(strategy, type) or not callable(strategy) or not hasattr(strategy, "width"):
        raise TypeError(f"the strategy is {strategy!r:.60}; give an object of `decoding`, such as Beam(width=5)")
    try:
        twin = copy.copy(strategy)
        found_again = twin == strategy and hash(twin) == hash(strategy)
    except TypeError:  # unhashable, it or a field
        found_again = False
    if not found_again:
        raise TypeError(
            f"the strategy {type(strategy).__name__} would be traced anew at each call: write "
            "@dataclasses.dataclass(frozen=True) above its class, and give it hashable fields"
        )


def _of_similar_length(lengths: np.ndarray, most_rows: int) -> Iterator[list[int]]:
    """Yields the numbers of rows, from short to long, in batches that padding does not make longer than `TOKENS`."""
    rows: list[int] = []
    for row in np.argsort(lengths, kind="stable"):
        if rows and (len(rows) == most_rows or (len(rows) + 1) * lengths[row] > TOKENS):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows
