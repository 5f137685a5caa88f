"""BLEU and chrF of an epoch: of real answers, of a bounded part of the sources, and what may not be compared."""

import itertools
import math
import sys

import pytest

from keras_seq2seq import Configuration, InputError, keras, train
from keras_seq2seq.training.scoring import ScoreAnswers

PAIRS = [("a b c d e", "e d c b a"), ("b c d e f", "f e d c b"), ("c d e f g", "g f e d c")]
QUICK = {"inspect": 0, "tensorboard": "off", "epochs": 2, "updates_per_epoch": 1, "run": "one"}


class Model:
    """Answers what it was told to, with weights of its own."""

    optimizer = None

    def __init__(self, answers):
        self.answers = answers

    def generate(self, sources):
        if self.answers is None:
            raise InputError("the model's numbers are NaN")
        return [self.answers[source] for source in sources]


def scores_of(answers, pairs=PAIRS, learnt=1000):
    """Returns what an epoch reports."""
    pytest.importorskip("sacrebleu")
    scorer = ScoreAnswers(pairs, learnt)
    scorer.set_model(Model(answers))
    logs = {"val_loss": 1.0}
    scorer.on_epoch_end(0, logs)
    assert logs.pop("val_loss") == 1.0
    return logs


def test_right_answers_get_100_and_others_nothing():
    right = dict(PAIRS)
    assert scores_of(right) == {"val_bleu": pytest.approx(100), "val_chrf": pytest.approx(100)}
    assert scores_of(dict.fromkeys(right, "x y z")) == {"val_bleu": 0, "val_chrf": 0}


def test_bleu_by_hand():
    # Of the third answer's five words the last one is wrong. Right are 14 of 15 words, 11 of 12 pairs of words,
    # 8 of 9 threes and 5 of 6 fours, and the lengths are the same.
    bleu = 100 * (14 / 15 * 11 / 12 * 8 / 9 * 5 / 6) ** (1 / 4)
    assert scores_of({**dict(PAIRS), "c d e f g": "g f e d x"})["val_bleu"] == pytest.approx(bleu)


def test_a_model_without_numbers_gets_nan():
    assert all(map(math.isnan, scores_of(None).values()))


@pytest.mark.parametrize(
    ("pairs", "learnt", "asked"), [(1014, 29_000, 1000), (450, 4000, 200), (450, 2, 20), (3, 2, 3)]
)
def test_it_asks_a_part_evenly_spread(pairs, learnt, asked):
    scorer = ScoreAnswers([(str(number), "") for number in range(pairs)], learnt)
    numbers = [int(source) for source, _ in scorer.pairs]
    assert len(numbers) == asked and numbers[0] == 0 and numbers == sorted(set(numbers))
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    assert max(steps) - min(steps) <= 1


def test_training_keeps_the_best_and_reports_it(tmp_path, capfd):
    pytest.importorskip("sacrebleu")
    seen = []

    class Reported(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(dict(logs))

    config = Configuration(best="val_bleu", logs=str(tmp_path), **QUICK)
    model = train(config, PAIRS, PAIRS, callbacks=[Reported()])
    assert all({"val_bleu", "val_chrf"} <= set(logs) for logs in seen) and len(seen) == 2
    assert model.progress["best"][0] == [True, pytest.approx(max(logs["val_bleu"] for logs in seen))]
    assert "val_bleu" in capfd.readouterr().out  # a column of the table


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(InputError, match="--best val_chrf needs the package sacrebleu: pip install sacrebleu"):
        train(Configuration(best="val_chrf", logs=str(tmp_path), **QUICK), PAIRS, PAIRS)
    assert not list(tmp_path.iterdir())
    train(Configuration(best="val_chrf", logs=str(tmp_path), **QUICK), PAIRS)  # nothing is validated
