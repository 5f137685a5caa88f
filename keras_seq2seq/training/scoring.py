"""BLEU and chrF after each epoch: how good whole answers are, decoded from the source alone."""

import importlib.util
import math
from collections.abc import Sequence
from typing import Any

from keras_seq2seq.data.corpora import Pair
from keras_seq2seq.errors import InputError
from keras_seq2seq.keras_version import keras
from keras_seq2seq.model.evaluation import overlap_scores
from keras_seq2seq.training.configuration import SCORES

MOST, LEAST, SHARE = 1000, 20, 0.05  # sources that are answered: for each pair that an epoch learns so many at most


def require_scorer(flag: str) -> None:
    """Raises InputError where the package that computes the scores is not installed."""
    if importlib.util.find_spec("sacrebleu") is None:
        raise InputError(f"{flag} needs the package sacrebleu: pip install sacrebleu")


class ScoreAnswers(keras.callbacks.Callback):
    """Adds `val_bleu` and `val_chrf` of greedy answers to what an epoch reports.

    It has to come before what writes or judges what is reported. So that it takes less than a tenth of an epoch, it
    answers a part of the sources, evenly spread: to answer one is about as much work as to learn one. The scores are
    those of the command `sacrebleu`, from 0 to 100 (Papineni et al., 2002; Popovic, 2015; Post, 2018); NaN where the
    model's numbers are.

    Args:
        pairs: the validation pairs.
        learnt: how many pairs an epoch learns.
    """

    def __init__(self, pairs: Sequence[Pair], learnt: int) -> None:
        super().__init__()
        count = min(MOST, max(LEAST, int(SHARE * learnt)), len(pairs))
        self.pairs = [pairs[number * len(pairs) // count] for number in range(count)]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        try:
            answers = self.model.generate([source for source, _ in self.pairs])
            scores: dict[str, Any] = overlap_scores(answers, [[target] for _, target in self.pairs])
        except InputError:  # no numbers
            scores = {}
        logs.update({name: scores.get(name.removeprefix("val_"), math.nan) for name in SCORES})
