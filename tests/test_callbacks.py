"""What happens at the end of an epoch: which file is kept, when training stops, when the learning rate is halved."""

import pytest
import toys

from keras_seq2seq import Configuration, InputError, load
from keras_seq2seq.callbacks import SaveEachEpoch, stopping_callbacks
from keras_seq2seq.saving import LAST_FILE, MODEL_FILE


def live_through(model, callbacks, epochs, first=0):
    """Lets callbacks see epochs with made-up results; returns how many it took until one stopped the training."""
    model.stop_training = False
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    for epoch, logs in enumerate(epochs, start=first):
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
        if model.stop_training:
            return epoch + 1 - first
    return None


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [("val_loss", [3.0, 1.0, 2.0], 2), ("val_exact_match", [0.1, 0.3, 0.3], 2), (None, [1.0, 2.0, 3.0], 3)],
)
def test_the_best_and_the_last_epoch_are_kept(tmp_path, metric, values, best):
    live_through(toys.compiled_model(), [SaveEachEpoch(tmp_path, metric)], [{metric: value} for value in values])
    assert load(tmp_path / MODEL_FILE).progress["epoch"] == best
    assert load(tmp_path / LAST_FILE).progress["epoch"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [LAST_FILE, MODEL_FILE]


def test_the_best_value_is_remembered_over_a_stop(tmp_path):
    live_through(toys.compiled_model(), [SaveEachEpoch(tmp_path, "val_loss")], [{"val_loss": 1.0}])
    resumed = load(tmp_path / LAST_FILE)
    live_through(resumed, [SaveEachEpoch(tmp_path, "val_loss")], [{"val_loss": 2.0}], first=1)
    assert load(tmp_path / MODEL_FILE).progress["epoch"] == 1
    assert load(tmp_path / LAST_FILE).progress["epoch"] == 2


WORSE = [{"val_loss": 1.0}, {"val_loss": 2.0}, {"val_loss": 2.0}, {"val_loss": 2.0}, {"val_loss": 2.0}]


def test_early_stopping_waits_as_long_with_a_stop_in_between(tmp_path):
    config = Configuration(early_stopping="val_loss:3")
    assert live_through(toys.compiled_model(), stopping_callbacks(config), WORSE) == 4

    # Stopped and resumed after two epochs, one of which was already worse: two more to wait.
    live_through(toys.compiled_model(), [*stopping_callbacks(config), SaveEachEpoch(tmp_path)], WORSE[:2])
    assert live_through(load(tmp_path / LAST_FILE), stopping_callbacks(config), WORSE[2:], first=2) == 2


def test_larger_is_better_for_what_is_no_loss():
    config = Configuration(early_stopping="val_exact_match:1")
    rising, falling = (
        [{"val_exact_match": value} for value in values] for values in ((0.1, 0.2, 0.3), (0.3, 0.2, 0.1))
    )
    assert live_through(toys.compiled_model(), stopping_callbacks(config), rising) is None
    assert live_through(toys.compiled_model(), stopping_callbacks(config), falling) == 2


def test_the_learning_rate_is_halved_on_a_plateau_and_stays_so_after_a_stop(tmp_path):
    config = Configuration(learning_rate_schedule="plateau", plateau_patience=2)
    model = toys.compiled_model(learning_rate=0.08)
    live_through(model, [*stopping_callbacks(config), SaveEachEpoch(tmp_path)], WORSE[:4])
    assert toys.array(model.optimizer.learning_rate) == pytest.approx(0.04)  # after two that were worse; then one more
    resumed = load(tmp_path / LAST_FILE)
    assert toys.array(resumed.optimizer.learning_rate) == pytest.approx(0.04)
    live_through(resumed, stopping_callbacks(config), WORSE[4:], first=4)
    assert toys.array(resumed.optimizer.learning_rate) == pytest.approx(0.02)


@pytest.mark.parametrize("rule", ["val_loss", "val_loss:", "val_loss:0", "val_loss:-1", "loss:x", "perplexity:3", ":3"])
def test_a_rule_for_stopping_is_a_metric_and_a_patience(rule):
    with pytest.raises(InputError, match=r"METRIC:PATIENCE.*val_exact_match"):
        Configuration(early_stopping=rule)
