"""What `Seq2Seq` asks of its two halves. Any encoder and any decoder that keep to it can be put together.

`batch` is the number of rows, `source_time` and `target_time` are numbers of tokens, padding included. Padding is id 0,
on the right, and must not change what comes out at the other positions. Each row has a token at least.
"""

from typing import Any, Protocol

import tensorflow as tf

State = list[tf.Tensor]


class EncoderContract(Protocol):
    """Reads source ids: a `keras.Model` or layer."""

    def __call__(self, source: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, State]:
        """Encodes a batch.

        Args:
            source: `(batch, source_time)` int32.
            training: whether to drop out.

        Returns:
            memory `(batch, source_time, size)`, and the state the decoder starts from: a flat list of tensors whose
            first dimension is the batch; it may be empty.
        """
        ...


class DecoderContract(Protocol):
    """Turns target ids into logits of the next ones: a `keras.Model` or layer."""

    def prepare(self, state: State, memory: tf.Tensor, memory_mask: tf.Tensor) -> tuple[State, Any]:
        """Computes once for each source what does not change over the steps, such as projected keys.

        Args:
            state: the encoder's final state.
            memory: `(batch, source_time, size)`.
            memory_mask: `(batch, source_time)` bool, true at tokens.

        Returns:
            the state before the first step, a flat list of tensors of fixed shapes; and whatever `__call__` and `step`
            want beside it, a nest of tensors. In all of them the first dimension is the batch.
        """
        ...

    def __call__(self, target_input: tf.Tensor, state: State, prepared: Any, training: bool = False) -> tf.Tensor:
        """Computes all steps at once, as in training, where the whole target is known.

        Args:
            target_input: `(batch, target_time)` int32: at each step the true previous token.
            state: from `prepare`.
            prepared: from `prepare`.
            training: whether to drop out.

        Returns:
            logits `(batch, target_time, vocabulary)` float32.
        """
        ...

    def step(self, token: tf.Tensor, state: State, prepared: Any) -> tuple[tf.Tensor, State]:
        """Computes one step, as in decoding; it has to give what `__call__` gives at that position.

        Args:
            token: `(batch,)` int32: the previous token.
            state: from `prepare` or the step before.
            prepared: from `prepare`.

        Returns:
            logits `(batch, vocabulary)` float32, and the next state, of the same shapes.
        """
        ...
