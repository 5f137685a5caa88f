"""The learning rate over the updates."""

import numpy as np
import pytest
import toys

from keras_seq2seq import Configuration, keras, load, save
from keras_seq2seq.model.schedules import InverseSquareRoot
from keras_seq2seq.training.build import learning_rate


def test_inverse_square_root_by_hand():
    schedule = learning_rate(
        Configuration(learning_rate=0.1, learning_rate_schedule="inverse_sqrt", warmup_updates=4), 100
    )
    # The first update has the number 0: a quarter of the way up. The peak is the fourth; four times later, half of it.
    assert [float(schedule(update)) for update in (0, 1, 3, 15, 35)] == pytest.approx([0.025, 0.05, 0.1, 0.05, 1 / 30])


def test_it_is_saved_with_the_optimizer(tmp_path):
    model = toys.make_model()
    model.compile(keras.optimizers.Adam(InverseSquareRoot(peak=0.1, warmup=4)))
    save(model, tmp_path / "model.keras")
    described = load(tmp_path / "model.keras").optimizer.get_config()["learning_rate"]
    assert described["config"] == {"peak": 0.1, "warmup": 4}


def test_constant_is_a_number():
    assert learning_rate(Configuration(learning_rate=0.3), 100) == 0.3
    assert learning_rate(Configuration(learning_rate=0.3, learning_rate_schedule="plateau"), 100) == 0.3


def test_cosine_falls_to_nothing_at_the_last_update():
    # Half a cosine wave: (1 + cos 0) / 2, (1 + cos 45 degrees) / 2, the middle, the end.
    schedule = learning_rate(Configuration(learning_rate=0.4, learning_rate_schedule="cosine"), 8)
    np.testing.assert_allclose([schedule(step) for step in (0, 2, 4, 8)], [0.4, 0.341421, 0.2, 0.0], atol=1e-6)
