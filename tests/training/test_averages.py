"""Moving averages of the weights: they are judged and kept; training goes on without them."""

import numpy as np
import pytest
import toys

from keras_seq2seq import keras, keras_version, load
from keras_seq2seq.model.saving import LAST_FILE, MODEL_FILE
from keras_seq2seq.training.callbacks import JudgeAverages, SaveEachEpoch, averaged_weights


def weights_of(model):
    return [toys.array(weight) for weight in model.trainable_weights]


def make_model(decay):
    """Returns a model that takes large steps, and every weight of which moves."""
    model = toys.make_model(average=decay)
    averages = {"use_ema": True, "ema_momentum": decay} if decay else {}
    model.compile(keras.optimizers.SGD(0.5, **averages), run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    return model


def test_averages_by_hand():
    model = make_model(0.75)
    weights = [weights_of(model)]
    for _ in range(2):
        model.train_on_batch(*toys.BATCHES[0])
        weights.append(weights_of(model))
    with averaged_weights(model):
        averages = weights_of(model)
    for average, start, first, second in zip(averages, *weights, strict=True):
        # Keras 2 begins with the weights at the start, Keras 3 with those after the first update.
        before = 0.75 * start + 0.25 * first if keras_version.keras_major() == 2 else first
        np.testing.assert_allclose(average, 0.75 * before + 0.25 * second, rtol=1e-5, atol=1e-6)
    # Then the weights are what they were, whatever happened to them in between.
    for after, second in zip(weights_of(model), weights[2], strict=True):
        np.testing.assert_array_equal(after, second)
    with pytest.raises(ZeroDivisionError), averaged_weights(model):
        1 / 0  # noqa: B018
    for after, second in zip(weights_of(model), weights[2], strict=True):
        np.testing.assert_array_equal(after, second)


def test_without_averages_the_weights_stay_themselves():
    model = make_model(0.0)
    model.train_on_batch(*toys.BATCHES[0])
    before = weights_of(model)
    with averaged_weights(model):
        for inside, outside in zip(weights_of(model), before, strict=True):
            np.testing.assert_array_equal(inside, outside)


def trained(decay, folder):
    """Trains two epochs as `train` does; returns the history."""
    folder.mkdir()
    data, valid = toys.dataset_of(toys.BATCHES), toys.dataset_of(toys.BATCHES[1:])
    callbacks = [JudgeAverages(), SaveEachEpoch(folder)]
    return (
        make_model(decay)
        .fit(data, epochs=2, validation_data=valid, callbacks=callbacks, verbose=0, shuffle=False)
        .history
    )


def test_the_averages_are_judged_and_kept_and_training_goes_on_without_them(tmp_path):
    history, plain = trained(0.75, tmp_path / "averaged"), trained(0.0, tmp_path / "plain")
    # Each update is that of a run without averages, also those after the first epoch was judged and saved.
    assert history["loss"] == pytest.approx(plain["loss"], rel=1e-6)
    last = [weights_of(load(tmp_path / run / LAST_FILE)) for run in ("averaged", "plain")]
    for ours, theirs in zip(*last, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    # What is judged, and kept to be asked, are the averages: other weights with another loss.
    assert history["val_loss"][1] != pytest.approx(plain["val_loss"][1], rel=1e-3)
    kept = load(tmp_path / "averaged" / MODEL_FILE)
    assert all((ours != theirs).any() for ours, theirs in zip(weights_of(kept), last[0], strict=True))
    kept.run_eagerly = True
    measured = kept.evaluate(toys.dataset_of(toys.BATCHES[1:]), verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(history["val_loss"][1], rel=1e-5)
    # The last epoch's file knows the averages too: a resumed run goes on with them.
    with averaged_weights(resumed := load(tmp_path / "averaged" / LAST_FILE)):
        for ours, theirs in zip(weights_of(resumed), weights_of(kept), strict=True):
            np.testing.assert_array_equal(ours, theirs)
