"""What holds for every test: seeded Keras, and properties that try the same examples on every run."""

import os
import signal

import hypothesis
import pytest

# TensorFlow reads this once: what it logs by itself would stand among the lines that tests compare. The commands that
# tests start must not have it, since they keep such messages away themselves.
GIVEN = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_seq2seq import keras  # noqa: E402

if GIVEN is None:
    del os.environ["TF_CPP_MIN_LOG_LEVEL"]

# The toys are too small to be worth a second thread, and the other core has tests of its own to run.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# No deadline (a first call traces a graph) and no data base of examples: each run is the same run.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, database=None, max_examples=25)
hypothesis.settings.register_profile("thorough", hypothesis.settings.get_profile("suite"), max_examples=15_000)
hypothesis.settings.load_profile("suite")

# A shell starts what it runs in the background deaf to Ctrl-C, and so would be the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def seeded_file():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def seeded(request):
    """Seeds for each test; not in a file that says `SEED_ONCE`, since TensorFlow then prepares every graph anew."""
    if not getattr(request.module, "SEED_ONCE", False):
        keras.utils.set_random_seed(0)
