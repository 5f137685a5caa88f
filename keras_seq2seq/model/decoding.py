"""Decoding: from the encoder's state to the ids of answers, inside the graph, in core TensorFlow operations.

A strategy is a small frozen dataclass that is called with the decoder's `step`. To write your own, derive from
`TokenByToken` and define how to choose a token, or give a class `width` and a `__call__` like those below; where
something else than the log-probability orders its hypotheses, define a method `score` like that of `Beam`.
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_seq2seq.errors import LARGEST, InputError
from keras_seq2seq.layers.contract import State

Step = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]
NEVER = -float("inf")


@dataclasses.dataclass(frozen=True)
class Task:
    """What every strategy needs to know.

    Attributes:
        step: maps `(batch * width,)` previous tokens and a state to `(batch * width, vocabulary)` logits and the
            next state.
        state: list of `(batch * width, ...)`: the state from the encoder, each row repeated `width` times.
        start: id of the token that begins every target.
        end: id of the token that ends a target; None: every row runs to `max_length`.
        max_length: the most tokens to generate, `<end>` included.
        rows: `(batch,)` int32: the number of each row in the whole input, whatever batch it came in.
        suppressed: ids of tokens that are never generated: `<pad>`, `<q>` and `<a>`.
    """

    step: Step
    state: State
    start: int
    end: int | None
    max_length: int | tf.Tensor
    rows: tf.Tensor
    suppressed: Sequence[int] = (0,)


def token_log_probabilities(logits: tf.Tensor, suppressed: Sequence[int]) -> tf.Tensor:
    """Returns `log softmax(logits)`, with the suppressed tokens ruled out; the others do not get their share."""
    ruled_out = tf.reduce_any(tf.range(tf.shape(logits)[-1])[:, None] == tf.constant(suppressed), axis=1)
    return tf.where(ruled_out, NEVER, tf.nn.log_softmax(logits))


class TokenByToken:
    """Generates one token after the other; what differs between the strategies is `choose`."""

    width = 1

    def choose(self, log_probabilities: tf.Tensor, time: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Returns `(batch,)` int32: a token for each row of `(batch, vocabulary)` log-probabilities."""
        raise NotImplementedError

    def score(self, log_probabilities: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Returns what orders hypotheses, the higher the better: their log-probabilities."""
        return log_probabilities

    def __call__(self, task: Task) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes until every row has ended.

        Returns:
            ids `(batch, 1, max_length)` int32, up to and including `end`, 0 behind it; and their
            log-probabilities `(batch, 1)`.
        """
        batch = tf.shape(task.rows)[0]

        def unfinished(time, _token, finished, *_):
            return (time < task.max_length) & ~tf.reduce_all(finished)

        def generate_one(time, token, finished, total, state, ids):
            logits, state = task.step(token, state)
            log_probabilities = token_log_probabilities(logits, task.suppressed)
            token = tf.where(finished, 0, self.choose(log_probabilities, time, task.rows))
            gained = tf.gather(log_probabilities, token, batch_dims=1)
            total += tf.where(finished, 0.0, gained)
            if task.end is not None:
                finished |= token == task.end
            return time + 1, token, finished, total, state, ids.write(time, token)

        ids = tf.TensorArray(tf.int32, size=task.max_length, element_shape=[None])
        ids = ids.unstack(tf.zeros([task.max_length, batch], tf.int32))
        start, none_finished = tf.fill([batch], task.start), tf.zeros([batch], tf.bool)
        loop = (tf.constant(0), start, none_finished, tf.zeros([batch]), list(task.state), ids)
        _, _, _, total, _, ids = tf.while_loop(unfinished, generate_one, loop)
        # A TensorArray forgets the rank of what it holds on its way through the loop.
        ids = tf.ensure_shape(ids.stack(), [None, None])
        return tf.transpose(ids)[:, None], total[:, None]


@dataclasses.dataclass(frozen=True)
class Greedy(TokenByToken):
    """Takes the likeliest token at each step."""

    def choose(self, log_probabilities: tf.Tensor, time: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return tf.argmax(log_probabilities, axis=-1, output_type=tf.int32)


@dataclasses.dataclass(frozen=True)
class Sampling(TokenByToken):
    """Draws each token from the model's distribution; a row's draws follow from the seed and its number alone.

    Args:
        temperature: below 1 favours likely tokens, above 1 evens them out.
        top_k: draw among the k likeliest tokens only; 0 for all.
        seed: same seed, same answers.
    """

    temperature: float = 1.0
    top_k: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"temperature is {self.temperature}; it must be a finite number above 0")
        if not 0 <= self.top_k <= LARGEST:
            raise InputError(f"top-k is {self.top_k}; it must be from 0 (all tokens) to {LARGEST}")
        if not 0 <= self.seed <= LARGEST:
            raise InputError(f"seed is {self.seed}; it must be from 0 to {LARGEST}")

    def choose(self, log_probabilities: tf.Tensor, time: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        if self.top_k:
            vocabulary = tf.shape(log_probabilities)[-1]
            likeliest = tf.math.top_k(log_probabilities, tf.minimum(self.top_k, vocabulary)).indices
            kept = tf.reduce_any(tf.one_hot(likeliest, vocabulary, on_value=True, off_value=False), axis=1)
            log_probabilities = tf.where(kept, log_probabilities, NEVER)

        def noise(row):  # drawn row by row, so that no other row changes it
            seed = tf.stack([self.seed, row * 100_003 + time])
            return tf.random.stateless_uniform(tf.shape(log_probabilities)[-1:], seed, minval=1e-20)

        # The Gumbel-max trick: the argmax of log-probabilities with Gumbel noise is a draw from them.
        gumbel = -tf.math.log(-tf.math.log(tf.map_fn(noise, rows, fn_output_signature=tf.float32)))
        temperature = min(max(self.temperature, 1e-30), 1e30)  # a float32
        return tf.argmax(log_probabilities / temperature + gumbel, axis=-1, output_type=tf.int32)


@dataclasses.dataclass(frozen=True)
class Beam:
    """Follows the `width` best unfinished or finished answers side by side, and returns the `nbest` of them.

    Answers are compared by their `score` (Wu et al., 2016, equation 14): the probability of a long answer is a product
    of more factors, which is no fault of it.

    Args:
        width: answers kept at each step; 1 is greedy decoding.
        nbest: answers returned, best first.
        length_penalty: alpha of the score; 0 compares plain log-probabilities.
    """

    width: int = 5
    nbest: int = 1
    length_penalty: float = 0.6

    def __post_init__(self) -> None:
        if not 1 <= self.nbest <= self.width <= LARGEST:
            raise InputError(
                f"beam {self.width} with n-best {self.nbest}: both must be from 1 to {LARGEST}, n-best not above beam"
            )
        if not -10 <= self.length_penalty <= 10:  # beyond that a float32 may not hold what comes out
            raise InputError(f"length penalty is {self.length_penalty}; it must be from -10 to 10")

    def score(self, log_probabilities: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Returns what orders hypotheses, the higher the better.

        Args:
            log_probabilities: float32.
            lengths: int32 numbers of tokens, `<end>` included; they broadcast with `log_probabilities`.

        Returns:
            `log P / ((5 + length) / 6) ** length_penalty`, float32.
        """
        return log_probabilities / ((5.0 + tf.cast(lengths, tf.float32)) / 6.0) ** self.length_penalty

    def __call__(self, task: Task) -> tuple[tf.Tensor, tf.Tensor]:
        """Searches until every answer in every beam has ended.

        Returns:
            ids `(batch, nbest, max_length)` int32 and their log-probabilities `(batch, nbest)`. Where there are
            fewer different answers than `nbest`, the rest have log-probability minus infinity.
        """
        batch, times = tf.shape(task.rows)[0], tf.range(task.max_length)

        def unfinished(time, _token, finished, *_):
            return (time < task.max_length) & ~tf.reduce_all(finished)

        def generate_one(*before):
            time, token, finished, length, total, state, ids = before
            logits, state = task.step(tf.reshape(token, [-1]), state)
            vocabulary = tf.shape(logits)[-1]
            gained = tf.reshape(token_log_probabilities(logits, task.suppressed), [batch, self.width, vocabulary])
            # A finished answer goes on as itself: with padding, at no cost.
            itself = tf.where(tf.range(vocabulary) == 0, 0.0, NEVER)
            candidates = total[..., None] + tf.where(finished[..., None], itself, gained)
            length += tf.where(finished, 0, 1)
            ranked = self.score(candidates, length[..., None])

            best = tf.math.top_k(tf.reshape(ranked, [batch, -1]), self.width).indices
            parent, token = best // vocabulary, best % vocabulary
            total = tf.gather(tf.reshape(candidates, [batch, -1]), best, batch_dims=1)
            length, finished, ids = (tf.gather(kept, parent, batch_dims=1) for kept in (length, finished, ids))
            rows = tf.reshape(parent + self.width * tf.range(batch)[:, None], [-1])
            state = [tf.gather(part, rows) for part in state]
            ids = tf.where(times == time, token[..., None], ids)
            if task.end is not None:
                finished |= token == task.end
            after = (time + 1, token, finished, length, total, state, ids)
            # Where the batch's size is known when the graph is made, a loop has to be told again.
            return tf.nest.map_structure(lambda old, new: tf.ensure_shape(new, old.shape), before, after)

        token = tf.fill([batch, self.width], task.start)
        # All beams start the same, so at first only one of them may count.
        total = tf.tile(tf.where(tf.range(self.width) == 0, 0.0, NEVER)[None], [batch, 1])
        ids = tf.zeros([batch, self.width, task.max_length], tf.int32)
        loop = (tf.constant(0), token, token < 0, tf.zeros_like(token), total, list(task.state), ids)
        *_, total, _, ids = tf.while_loop(unfinished, generate_one, loop)
        return ids[:, : self.nbest], total[:, : self.nbest]


Strategy = TokenByToken | Beam
GREEDY = Greedy()
