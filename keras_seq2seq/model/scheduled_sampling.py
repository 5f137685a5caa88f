"""Scheduled sampling: in training, the decoder sometimes reads its own tokens (Bengio et al., 2015)."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_seq2seq.layers.contract import State
from keras_seq2seq.model.decoding import Step, token_log_probabilities


def probability_at(update: tf.Tensor, highest: float, updates: int) -> tf.Tensor:
    """Returns how likely the decoder reads the model's own token.

    Args:
        update: the present one, from 0.
        highest: what the probability rises to, linearly.
        updates: in which it rises; with 0 it is the same from the start: one half is the regime of SCAN (Lake and
            Baroni, 2018).
    """
    if not updates:
        return tf.constant(highest)
    return highest * tf.minimum(tf.cast(update, tf.float32) / updates, 1.0)


def mix_in_own_tokens(
    target_input: tf.Tensor,
    state: State,
    step: Step,
    probability: tf.Tensor,
    coin: Callable[[tf.Tensor], tf.Tensor],
    suppressed: Sequence[int] = (0,),
) -> tf.Tensor:
    """Lets the model generate the target and replaces true tokens by its own likeliest ones, from left to right.

    No gradient flows through the choice; train on the result as on any other decoder input.

    Args:
        target_input: `(batch, time)` int32 ids; the start token and padding stay as they are.
        state: from the decoder's `prepare`, a flat list of `(batch, units)`.
        step: the decoder's: see `decoding.Task`.
        probability: of taking the model's own token.
        coin: maps a shape to numbers drawn evenly from 0 to 1.
        suppressed: see `decoding.Task`.

    Returns:
        `(batch, time)` int32 ids.
    """
    true_tokens = tf.transpose(target_input)  # (time, batch)
    own_turn = (coin(tf.shape(true_tokens)) < probability) & (true_tokens != 0)

    def generate_one(time, token, state, read):
        logits, state = step(token, state)
        generated = tf.argmax(token_log_probabilities(logits, suppressed), axis=-1, output_type=token.dtype)
        token = tf.where(own_turn[time], generated, true_tokens[time])
        return time + 1, token, state, read.write(time, token)

    times = tf.shape(true_tokens)[0]
    read = tf.TensorArray(target_input.dtype, size=times, element_shape=[None])
    read = read.write(0, true_tokens[0])
    loop = (tf.constant(1), true_tokens[0], list(state), read)
    *_, read = tf.while_loop(lambda time, *_: time < times, generate_one, loop)
    return tf.stop_gradient(tf.ensure_shape(tf.transpose(read.stack()), target_input.shape))
