"""What happens at the end of an epoch: which file is kept, when training stops, when the learning rate is halved."""

import errno
import itertools
import json
import math
import os
import re
import shutil
import types

import numpy as np
import pytest
import toys

from keras_seq2seq import NOTEBOOK, Configuration, InputError, keras, load, train
from keras_seq2seq.model.saving import LAST_FILE, MODEL_FILE, save
from keras_seq2seq.training import callbacks
from keras_seq2seq.training.callbacks import SaveEachEpoch, stopping_callbacks


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


def best_epoch(metric, epochs):
    """Returns the epoch that is kept, of epochs with these results; the run is stopped and resumed after each."""
    best, progress = None, {}
    keeper = SaveEachEpoch("nowhere", metric)
    for epoch, logs in enumerate(epochs, start=1):
        keeper.set_model(types.SimpleNamespace(progress=progress))
        best = epoch if keeper.is_best(logs) else best
        progress = json.loads(json.dumps(progress))  # saved and loaded
    return best


NAN = math.nan


@pytest.mark.parametrize(
    ("metric", "values", "losses", "best"),
    [
        # Nothing is right yet, though the loss falls; what is equally good in both is kept as it was.
        ("val_exact_match", [0.0, 0.0, 0.0, 0.0], [3.0, 2.0, 1.0, 1.0], 3),
        ("val_exact_match", [0.0, 0.5, 0.5, 0.5, 0.2], [3.0, 2.0, 2.5, 1.5, 1.0], 4),
        ("val_token_accuracy", [0.5, 0.5, 0.5], [2.0, NAN, 1.0], 3),
        ("val_token_accuracy", [0.5, 0.5], [NAN, 9.0], 2),
        # NaN is no better than any number; where there is nothing else, it is kept.
        ("val_exact_match", [NAN, 0.0, NAN], [NAN, 2.0, 1.0], 2),
        ("val_loss", [NAN, math.inf, NAN], [NAN, math.inf, NAN], 2),
        ("val_loss", [NAN, 3.0, NAN, 2.0, NAN], [NAN, 3.0, NAN, 2.0, NAN], 4),
        ("val_loss", [NAN, NAN], [NAN, NAN], 1),
        ("loss", [2.0, 1.0, 1.0], [2.0, 1.0, 1.0], 2),
        ("token_accuracy", [0.0, 0.0, 0.0], [3.0, 2.0, 2.5], 2),
    ],
)
def test_of_equals_the_lower_loss_is_kept_and_nan_is_worse_than_any_number(metric, values, losses, best):
    # The other split's loss, which rises, has no say.
    own, other = ("val_loss", "loss") if metric.startswith("val_") else ("loss", "val_loss")
    rising = itertools.count()
    epochs = [{own: loss, other: -next(rising), metric: value} for value, loss in zip(values, losses, strict=True)]
    assert best_epoch(metric, epochs) == best


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


@pytest.mark.parametrize(("metric", "sign"), [("val_loss", -1), ("val_exact_match", 1)])
@pytest.mark.parametrize("stop", [False, True])
def test_a_first_nan_is_no_best_value_for_ever(tmp_path, metric, sign, stop):
    # NaN, then ever better, then two that are worse.
    config = Configuration(
        early_stopping=f"{metric}:2", learning_rate_schedule="plateau", plateau_patience=2, best=metric
    )
    epochs = [{metric: sign * value} for value in (NAN, 1.0, 2.0, 3.0, NAN, 2.5)]
    model = toys.compiled_model(learning_rate=0.08)
    done = 1 if stop else 0
    if stop:
        live_through(model, [*stopping_callbacks(config), SaveEachEpoch(tmp_path)], epochs[:1])
        model = load(tmp_path / LAST_FILE)
    assert live_through(model, stopping_callbacks(config), epochs[done:], first=done) == 6 - done
    assert toys.array(model.optimizer.learning_rate) == pytest.approx(0.04)


def test_a_memory_of_nan_is_forgotten():
    # As Keras 3 had it saved.
    model = toys.compiled_model()
    model.progress["EarlyStopping"] = {"best": NAN, "wait": 1.0}
    config = Configuration(early_stopping="val_loss:2")
    assert (
        live_through(model, stopping_callbacks(config), [{"val_loss": value} for value in (3.0, 2.0)], first=1) is None
    )
    assert model.progress["EarlyStopping"] == {"best": 2.0, "wait": 0.0}


@pytest.mark.parametrize("rule", ["val_loss", "val_loss:", "val_loss:0", "val_loss:-1", "loss:x", "perplexity:3", ":3"])
def test_a_rule_for_stopping_is_a_metric_and_a_patience(rule):
    with pytest.raises(InputError, match=r"METRIC:PATIENCE.*val_exact_match"):
        Configuration(early_stopping=rule)


@pytest.mark.parametrize(("failing", "kept"), [(2, "no epoch is saved"), (5, "epoch 1 is saved in {}")])
def test_a_loss_that_is_no_number_ends_training_with_the_last_good_epoch(tmp_path, failing, kept):
    class RunAway(keras.callbacks.Callback):
        """Spoils the weights before one update."""

        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == failing - 1:
                weight = self.model.trainable_variables[0]
                weight.assign(weight * math.nan)

    options = {"logs": str(tmp_path), "run": "one", "epochs": 3, "updates_per_epoch": 3, "tensorboard": "off"}
    config = Configuration(inspect=0, **options)
    expected = (
        rf"not finite at update {failing}, and {kept.format(tmp_path / 'one')}: train with a lower --learning-rate"
    )
    with pytest.raises(InputError, match=expected):
        train(config, NOTEBOOK, callbacks=[RunAway()])
    files = {path.name for path in (tmp_path / "one").iterdir()}
    assert files == ({"config.json", LAST_FILE, MODEL_FILE} if failing > 3 else {"config.json"})
    if failing > 3:
        assert load(tmp_path / "one" / LAST_FILE).progress["epoch"] == 1
        assert all(np.isfinite(toys.array(weight)).all() for weight in load(tmp_path / "one" / MODEL_FILE).weights)


@pytest.mark.parametrize("file", [MODEL_FILE, LAST_FILE])
def test_a_full_disk_keeps_the_epoch_before_and_says_so(tmp_path, monkeypatch, file):
    def full(model, path):
        if path.name == file and model.progress["epoch"] == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(model, path)

    monkeypatch.setattr(callbacks, "save", full)
    options = {"logs": str(tmp_path), "run": "one", "epochs": 3, "updates_per_epoch": 1, "tensorboard": "off"}
    kept = f"one: epoch 2 cannot be saved (No space left on device), and epoch 1 is saved in {tmp_path / 'one'}"
    with pytest.raises(InputError, match=re.escape(kept)):
        train(Configuration(inspect=0, **options), NOTEBOOK)
    assert load(tmp_path / "one" / LAST_FILE).progress["epoch"] == 1
    monkeypatch.undo()
    assert train(Configuration(inspect=0, resume=True, **options), NOTEBOOK).progress["epoch"] == 3


def test_a_folder_that_is_taken_away_in_mid_run_is_one_line(tmp_path):
    class Vandal(keras.callbacks.Callback):
        """Removes the run's folder after the first epoch."""

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                shutil.rmtree(tmp_path / "one")

    options = {"logs": str(tmp_path), "run": "one", "epochs": 3, "updates_per_epoch": 1}
    expected = r"epoch 2 cannot be saved \(.*\), and no epoch is saved: make it writable"
    with pytest.raises(InputError, match=expected):
        train(Configuration(inspect=0, **options), NOTEBOOK, callbacks=[Vandal()])
    assert not (tmp_path / "one").exists()
