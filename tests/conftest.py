"""What holds for every test: seeded Keras, and properties that try the same examples on every run."""

import hypothesis
import pytest

from keras_seq2seq import keras

# No deadline (a first call traces a graph) and no data base of examples: each run is the same run.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, database=None, max_examples=25)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
