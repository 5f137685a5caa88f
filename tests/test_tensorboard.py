"""The event files read back: what TensorBoard will find in them, on either Keras."""

import numpy as np
import pytest
import tensorflow as tf
import toys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_seq2seq import keras
from keras_seq2seq.tensorboard import EVERY, FIRST, TensorBoard

EVERYTHING = {"tensors": 0}  # nothing sampled away
UPDATES = 70  # of an epoch, so that the second one goes beyond the first 100


def fit(model, run, epochs, initial_epoch=0):
    """Trains on two batches of equally many labels, over and over."""
    pairs = [toys.make_batch([[5, 6], [8]], [[9, 8], [6]]), toys.make_batch([[6], [9, 5]], [[5, 5], [7]])]
    dataset = tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(lambda *parts: tf.stack(parts), *pairs))
    options = {"validation_data": dataset, "callbacks": [TensorBoard(run)], "verbose": 0, "shuffle": False}
    return model.fit(
        dataset.repeat(), epochs=epochs, initial_epoch=initial_epoch, steps_per_epoch=UPDATES, **options
    ).history


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Trains two epochs, the second one as a resumed run does: with a callback and event files of its own."""
    folder = tmp_path_factory.mktemp("run")
    model = toys.make_model()
    model.compile(keras.optimizers.SGD(0.02))
    history = fit(model, folder, epochs=1)
    for name, values in fit(model, folder, epochs=2, initial_epoch=1).items():
        history[name] += values
    events = [EventAccumulator(str(folder / split), EVERYTHING) for split in ("train", "validation")]
    return history, *(split.Reload() for split in events)


def points(events, tag):
    """Returns the steps and the values of a scalar."""
    found = events.Tensors(tag)
    return [point.step for point in found], np.array([float(tf.make_ndarray(point.tensor_proto)) for point in found])


def test_by_epoch_training_and_validation_share_names_and_axis(run):
    history, *splits = run
    for events, prefix in zip(splits, ("", "val_"), strict=True):
        for name in ("loss", "token_accuracy"):
            steps, values = points(events, f"epoch/{name}")
            assert steps == [UPDATES, 2 * UPDATES]
            np.testing.assert_allclose(values, history[prefix + name], rtol=1e-5)
        np.testing.assert_allclose(points(events, "epoch/perplexity")[1], np.exp(history[prefix + "loss"]), rtol=1e-5)
    np.testing.assert_allclose(points(splits[1], "epoch/exact_match")[1], history["val_exact_match"])


def test_by_update_the_axis_goes_on_over_a_stop(run):
    expected = [*range(1, FIRST + 1), *range(FIRST + EVERY, 2 * UPDATES + 1, EVERY)]
    for name in ("loss", "token_accuracy", "gradient_norm", "learning_rate", "tokens_per_second"):
        assert points(run[1], f"update/{name}")[0] == expected


def test_a_point_is_the_mean_since_the_last_one(run):
    history, train, _ = run
    # Each of the first epoch's updates has a point, and as many labels as any other.
    losses = points(train, "update/loss")[1]
    assert np.mean(losses[:UPDATES]) == pytest.approx(history["loss"][0], rel=1e-4)
    # The second epoch: 30 points of one update, 4 of ten.
    weights = [1] * 30 + [10] * 4
    assert np.average(losses[UPDATES:], weights=weights) == pytest.approx(history["loss"][1], rel=1e-4)
    assert losses[0] > losses[UPDATES] > losses[-1]


def test_the_gradient_norm_is_that_of_the_gradient(tmp_path):
    model = toys.make_model(clip_norm=0.01)  # clipping comes after the measuring
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    weights = [toys.array(weight) for weight in model.trainable_weights]
    model.fit(toys.dataset_of(toys.BATCHES[:1]), callbacks=[TensorBoard(tmp_path)], verbose=0, shuffle=False)
    change = [toys.array(after) - before for after, before in zip(model.trainable_weights, weights, strict=True)]
    assert np.sqrt(sum((part**2).sum() for part in change)) == pytest.approx(0.01, rel=1e-3)
    events = EventAccumulator(str(tmp_path / "train"), EVERYTHING).Reload()
    assert points(events, "update/gradient_norm")[1][0] > 0.1
    assert points(events, "update/learning_rate")[1][0] == 1.0
