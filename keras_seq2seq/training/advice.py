"""Says so where a run's configuration is made for other data than it gets."""

import statistics
from collections.abc import Sequence

from keras_seq2seq.data.corpora import Pair
from keras_seq2seq.training.configuration import Configuration

ENOUGH, WORDS = 1000, 5  # pairs, and words on each side in the mean, from which they look like a corpus of sentences


def advice(pairs: Sequence[Pair], config: Configuration) -> str | None:
    """Returns one line on a configuration that suits the training pairs better, if there is one."""
    if len(pairs) < ENOUGH:
        return None
    source, target = (statistics.mean(len(pair[side].split()) for pair in pairs[:ENOUGH]) for side in (0, 1))
    if min(source, target) < WORDS or (config.attention != "none" and not config.splices):
        return None
    harm = "; splices are made for words and what they sound like" if config.splices else ""
    return f"The pairs look like sentences ({source:.0f} and {target:.0f} words): try --config sentences{harm}"
