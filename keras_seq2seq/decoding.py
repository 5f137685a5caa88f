"""Decoding: from the encoder's state to the ids of an answer, inside the graph, in core TensorFlow operations."""

from collections.abc import Callable

import tensorflow as tf

State = list[tf.Tensor]
Step = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]


def greedy(step: Step, state: State, start: int, end: int | None, max_length: int | tf.Tensor) -> tf.Tensor:
    """Takes the likeliest token at each step.

    Args:
        step: maps `(batch,)` previous tokens and a state to `(batch, vocabulary)` logits and the next state.
        state: list of `(batch, units)`: what the encoder left.
        start: id of the token that begins every target.
        end: id of the token that ends a target; None: every row runs to `max_length`.
        max_length: the most tokens to say, `<end>` included.

    Returns:
        `(batch, time)` int32 ids with `time <= max_length`: up to and including `end`, 0 behind it. It ends as
        soon as every row has ended.
    """
    batch = tf.shape(state[0])[0]
    tokens = tf.TensorArray(tf.int32, size=max_length, element_shape=[None])

    def going_on(time, _token, finished, _state, _tokens):
        return (time < max_length) & ~tf.reduce_all(finished)

    def say_one(time, token, finished, state, tokens):
        logits, state = step(token, state)
        token = tf.where(finished, 0, tf.argmax(logits, axis=-1, output_type=tf.int32))
        if end is not None:
            finished |= token == end
        return time + 1, token, finished, state, tokens.write(time, token)

    start_tokens, unfinished = tf.fill([batch], start), tf.zeros([batch], tf.bool)
    loop = (tf.constant(0), start_tokens, unfinished, list(state), tokens)
    time, *_, tokens = tf.while_loop(going_on, say_one, loop)
    return tf.transpose(tokens.stack()[:time])
