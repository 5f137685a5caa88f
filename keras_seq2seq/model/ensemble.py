"""Several models that answer as one, by the mean of their probabilities at each step.

Translation by such ensembles: Sutskever et al., 2014.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import SameOnBothKeras, keras
from keras_seq2seq.layers.contract import State
from keras_seq2seq.model.seq2seq import SIZES, Seq2Seq

PARTS = {"unit": "kind of tokens", "normalize": "normalization", "tokens": "list of tokens"}  # of a vocabulary


def log_of_mean(logits: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the logarithm of the mean of the probabilities that logits stand for.

    Args:
        logits: one tensor for each member, `(..., vocabulary)` float32, all of one shape.

    Returns:
        log-probabilities of that shape. They are logits too: `log_softmax` leaves them as they are.
    """
    log_probabilities = tf.nn.log_softmax(tf.stack(logits))
    # Added up as logarithms: a probability may be too small for a float32.
    return tf.reduce_logsumexp(log_probabilities, axis=0) - math.log(len(logits))


@keras.utils.register_keras_serializable("keras_seq2seq")
class EnsembleEncoder(SameOnBothKeras, keras.layers.Layer):
    """Lets each member's encoder read the source. See `contract.EncoderContract`.

    Args:
        members: the models.

    Returns:
        as memory a tuple, of each member its memory and its state; and an empty state.
    """

    def __init__(self, members: Sequence[Seq2Seq]) -> None:
        super().__init__(autocast=False)  # each member computes in its own precision
        self.members = [member.encoder for member in members]

    def call(self, source: tf.Tensor, training: bool = False) -> tuple[tuple, State]:
        return tuple(encoder(source, training=training) for encoder in self.members), []


@keras.utils.register_keras_serializable("keras_seq2seq")
class EnsembleDecoder(SameOnBothKeras, keras.layers.Layer):
    """Lets each member's decoder make the same step, and returns `log_of_mean` of their logits.

    Its state is that of all members, one behind the other. See `contract.DecoderContract`.

    Args:
        members: the models.
    """

    def __init__(self, members: Sequence[Seq2Seq]) -> None:
        super().__init__(autocast=False)
        self.members = [member.decoder for member in members]
        # How many tensors each member's state has: only a first step tells, for members may be of any kind.
        self.state_sizes = tuple(len(member.encode(tf.ones((1, 1), tf.int32))[0]) for member in members)

    def prepare(self, state: State, memory: tuple, memory_mask: tf.Tensor) -> tuple[State, tuple]:
        parts = [
            decoder.prepare(own_state, own_memory, memory_mask)
            for decoder, (own_memory, own_state) in zip(self.members, memory, strict=True)
        ]
        states, prepared = zip(*parts, strict=True)
        return [part for own in states for part in own], prepared

    def call(self, target_input: tf.Tensor, state: State, prepared: tuple, training: bool = False) -> tf.Tensor:
        return log_of_mean(
            [
                decoder(target_input, *own, training=training)
                for decoder, *own in zip(self.members, self._states(state), prepared, strict=True)
            ]
        )

    def step(self, token: tf.Tensor, state: State, prepared: tuple) -> tuple[tf.Tensor, State]:
        steps = [
            decoder.step(token, *own) for decoder, *own in zip(self.members, self._states(state), prepared, strict=True)
        ]
        return log_of_mean([logits for logits, _ in steps]), [part for _, own in steps for part in own]

    def _states(self, state: State) -> list[State]:
        """Returns the state of each member."""
        ends = itertools.accumulate(self.state_sizes)
        return [state[end - size : end] for size, end in zip(self.state_sizes, ends, strict=True)]


class Ensemble(Seq2Seq):
    """Models that answer as one: at each step, a token's probability is the mean of what the members give it.

    It decodes, scores, is evaluated and exported as any `Seq2Seq`. Members may be of different kinds; they are not
    copied, and their training goes on to count. It takes the time and the memory of all of them.

    Args:
        members: models of the same vocabularies.
        names: what messages call them; None for `member 1`, `member 2`, ...

    Attributes:
        max_source_length: the smallest of the members', so that none reads more than it was made for.
        max_target_length: the smallest of the members': some decoders have room for no more.

    Raises:
        InputError: there is no member, one is no `Seq2Seq`, or its vocabularies are not those of the first one; later:
            the ensemble is to be trained, or saved.

    Example:
        >>> ensemble = Ensemble([load("logs/hun-0"), load("logs/hun-1"), load("logs/hun-2")])
        >>> ensemble.generate(["alapanyag"], Beam())
    """

    def __init__(self, members: Iterable[Seq2Seq], names: Sequence[str] | None = None) -> None:
        members = list(members)
        _require_same_vocabularies(members, names or [f"member {number + 1}" for number in range(len(members))])
        super().__init__(
            EnsembleEncoder(members),
            EnsembleDecoder(members),
            members[0].source_vocabulary,
            members[0].target_vocabulary,
            **{size: min(getattr(member, size) for member in members) for size in SIZES},
        )
        self.create_weights()

    def fit(self, *_data: Any, **_options: Any) -> NoReturn:
        """Refuses to train: members that learn together no longer err in different ways.

        Raises:
            InputError: always.
        """
        raise InputError("an ensemble is not trained: train its members, each by itself")

    train_on_batch = fit

    def get_config(self, *_path: Any, **_options: Any) -> NoReturn:
        raise InputError("an ensemble is not saved as one file: keep its members' files, or export the ensemble")

    save = get_config  # too, for Keras 3 asks for the configuration when it has opened the file


def _require_same_vocabularies(members: Sequence[Any], names: Sequence[str]) -> None:
    if not members:
        raise InputError("an ensemble needs a member at least")
    for member, name in zip(members, names, strict=True):
        if not isinstance(member, Seq2Seq):
            raise InputError(f"{name} is {member!r:.60}; give models, as `load` returns them")
        for side, part in itertools.product(("source", "target"), PARTS):
            own, first = (getattr(getattr(one, f"{side}_vocabulary"), part) for one in (member, members[0]))
            if own != first:
                raise InputError(
                    f"{name}: its {side} vocabulary has another {PARTS[part]} than that of {names[0]}; train all "
                    "members on the same data with the same kinds of tokens"
                )
