"""The inverse square root over the updates."""

import pytest
import toys

from keras_seq2seq import keras, load, save
from keras_seq2seq.model.schedules import InverseSquareRoot


def test_inverse_square_root_by_hand():
    schedule = InverseSquareRoot(peak=0.1, warmup=4)
    # The first update has the number 0: a quarter of the way up. The peak is the fourth; four times later, half of it.
    assert [float(schedule(update)) for update in (0, 1, 3, 15, 35)] == pytest.approx([0.025, 0.05, 0.1, 0.05, 1 / 30])


def test_it_is_saved_with_the_optimizer(tmp_path):
    model = toys.make_model()
    model.compile(keras.optimizers.Adam(InverseSquareRoot(peak=0.1, warmup=4)))
    save(model, tmp_path / "model.keras")
    described = load(tmp_path / "model.keras").optimizer.get_config()["learning_rate"]
    assert described["config"] == {"peak": 0.1, "warmup": 4}
