"""Text in, text out: what a trained model is asked for, from Python, the shell or a server."""

import types
from collections.abc import Sequence

import tensorflow as tf

from keras_seq2seq.batching import add_question, teacher_forcing
from keras_seq2seq.config import InputError
from keras_seq2seq.decoding import GREEDY, NEVER, Strategy
from keras_seq2seq.losses import token_crossentropy


class TextInTextOut:
    """The part of `Seq2Seq` that deals in texts: a mix-in, so that `model.py` is about the network alone."""

    def text_function(self, strategy: Strategy = GREEDY) -> tf.types.experimental.GenericFunction:
        """Returns the graph from texts to answers: what `predict_text` runs and what `export` writes.

        The graph takes texts `(batch,)`, strings, and their numbers `(batch,)`, int32, and returns answers
        `(batch, answers)`, strings, with their log-probabilities. It is traced once for each strategy.
        """
        # In a plain object, where Keras does not look for layers to save.
        functions = self.__dict__.setdefault("_functions", types.SimpleNamespace(by_strategy={})).by_strategy
        if strategy not in functions:

            @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int32)])
            def answer(texts, rows):
                tokens = self.source_vocabulary.encode(texts)[:, : self.config.max_length]
                source = add_question(tokens, self.source_vocabulary)
                # At least one step, for an RNN cannot run over none, even where there is no text to answer.
                source = source.to_tensor(shape=tf.stack([-1, tf.maximum(source.bounding_shape()[1], 1)]))
                ids, log_probabilities = self.generate_ids(source, strategy, rows=rows)
                answers = tf.reshape(ids, [-1, tf.shape(ids)[-1]])
                answers = tf.reshape(self.target_vocabulary.decode(answers), tf.shape(log_probabilities))
                # Nothing asked, nothing answered: one empty answer, for certain.
                asked = tokens.row_lengths()[:, None] > 0
                nothing = tf.where(tf.range(tf.shape(answers)[1]) == 0, 0.0, NEVER)
                return tf.where(asked, answers, ""), tf.where(asked, log_probabilities, nothing)

            functions[strategy] = answer
        return functions[strategy]

    def predict_nbest(
        self, texts: Sequence[str], strategy: Strategy = GREEDY, batch_size: int = 128, first_row: int = 0
    ) -> list[list[tuple[str, float]]]:
        """Answers texts, in their order, with log-probabilities.

        A text without any token (an empty one, say) gets an empty answer; an unknown token is read as `<unk>`;
        of a text with more than `config.max_length` tokens the first ones are read.

        Args:
            texts: any number of them.
            strategy: of `decoding`.
            batch_size: texts answered at once; it changes nothing but speed and memory.
            first_row: number of the first text, where `texts` is a part of something longer.

        Returns:
            for each text its (answer, log-probability) pairs, best first.

        Raises:
            InputError: the model's numbers are not finite.
            TypeError: `texts` is one text, not a list.
        """
        _require_lists(texts)
        answer, results = self.text_function(strategy), []
        for start in range(0, len(texts), batch_size):
            part = tf.constant(list(texts[start : start + batch_size]), tf.string)
            answers, log_probabilities = answer(part, tf.range(len(part)) + first_row + start)
            if not tf.reduce_all(tf.math.is_finite(log_probabilities[:, 0])):
                raise InputError(
                    "the model's numbers are NaN: its training ran away; train it with a lower learning rate"
                )
            for row in zip(answers.numpy(), log_probabilities.numpy(), strict=True):
                results.append([(text.decode(), float(p)) for text, p in zip(*row, strict=True) if p > NEVER])
        return results

    def predict_text(self, texts: Sequence[str], strategy: Strategy = GREEDY, batch_size: int = 128) -> list[str]:
        """Answers texts, in their order: the best answer of each. See `predict_nbest` for odd inputs."""
        return [answers[0][0] for answers in self.predict_nbest(texts, strategy, batch_size)]

    def score(
        self, sources: Sequence[str], targets: Sequence[str], batch_size: int = 128
    ) -> tuple[list[list[float]], list[float]]:
        """Returns how likely given answers are: natural log-probabilities, `<end>` included.

        Args:
            sources: texts.
            targets: the answer to each.
            batch_size: answers scored at once; it changes nothing but speed and memory.

        Returns:
            for each answer, the log-probability of each of its tokens; and their sum.

        Raises:
            TypeError: one of the two is one text, not a list.
            ValueError: there are not as many answers as texts.
        """
        _require_lists(sources, targets)
        if len(sources) != len(targets):
            raise ValueError(f"{len(sources)} sources, but {len(targets)} targets: give one answer to each text")
        tokens: list[list[float]] = []
        for part in (slice(start, start + batch_size) for start in range(0, len(sources), batch_size)):
            source, target = (tf.constant(list(side[part]), tf.string) for side in (sources, targets))
            source = add_question(
                self.source_vocabulary.encode(source)[:, : self.config.max_length], self.source_vocabulary
            )
            target = self.target_vocabulary.encode(target)
            decoder_input, labels = teacher_forcing(target, self.target_vocabulary, self.config.as_published)
            logits = self((source.to_tensor(), decoder_input.to_tensor()), training=False)
            surprise = token_crossentropy(labels.to_tensor(), logits)
            rows = tf.RaggedTensor.from_tensor(surprise, labels.row_lengths())
            tokens += [[-float(value) for value in row] for row in rows]
        return tokens, [sum(row) for row in tokens]


def _require_lists(*sides: Sequence[str]) -> None:
    if any(isinstance(side, str) for side in sides):
        raise TypeError("this takes a list of texts; put the one text into a list")
