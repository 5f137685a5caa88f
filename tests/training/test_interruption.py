"""Ctrl-C: heard whenever it comes, and never between two files that belong together."""

import signal
import sys
import threading

import pytest
import toys

from keras_seq2seq import keras, load
from keras_seq2seq.model.saving import LAST_FILE, MODEL_FILE, save
from keras_seq2seq.training import callbacks
from keras_seq2seq.training.interruption import interruptible, uninterrupted


class Deaf(keras.callbacks.Callback):
    """Is interrupted after the third batch and catches what it should not, as some code of Keras 3 does."""

    batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if self.batches == 3:
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException as error:
                self.caught = type(error)


def test_a_lost_ctrl_c_ends_the_training_at_the_next_batch():
    deaf, data = Deaf(), toys.dataset_of(toys.BATCHES)
    with pytest.raises(KeyboardInterrupt), interruptible() as ear:
        toys.compiled_model().fit(data, epochs=5, callbacks=[ear, deaf], verbose=0)
    assert (deaf.batches, deaf.caught) == (3, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_that_was_a_ctrl_c_is_one_and_any_other_stays_what_it_is():
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException:
            raise SystemError("bad argument to internal function") from None
    with pytest.raises(SystemError), interruptible():
        raise SystemError


class LastWords:
    """Raises an error, by Ctrl-C or of its own, where Python cannot pass it on: while it is being cleared away."""

    def __init__(self, error=None):
        self.error = error

    def __del__(self):
        if self.error:
            raise self.error
        signal.raise_signal(signal.SIGINT)


def test_a_ctrl_c_that_python_cannot_pass_on_is_heard_and_not_printed(monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: printed.append(lost.exc_type))
    hook = sys.unraisablehook
    with interruptible() as ear:
        LastWords()
        LastWords(ZeroDivisionError())
        with pytest.raises(KeyboardInterrupt):
            ear.on_train_batch_begin(0)
    assert (printed, sys.unraisablehook) == ([ZeroDivisionError], hook)


def test_a_handler_of_ones_own_is_left_alone():
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("Ctrl-C"))
    try:
        deaf = Deaf()
        with interruptible() as ear:
            toys.compiled_model().fit(toys.dataset_of(toys.BATCHES), epochs=2, callbacks=[ear, deaf], verbose=0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (deaf.batches, heard) == (4, ["Ctrl-C"])


@pytest.mark.parametrize("interrupted", [MODEL_FILE, LAST_FILE])
def test_ctrl_c_waits_until_both_files_of_an_epoch_are_there(tmp_path, monkeypatch, interrupted):
    def save_with_ctrl_c(model, path):
        if path.name == interrupted and model.progress["epoch"] == 2:
            signal.raise_signal(signal.SIGINT)
        save(model, path)

    monkeypatch.setattr(callbacks, "save", save_with_ctrl_c)
    keeper = callbacks.SaveEachEpoch(tmp_path)
    keeper.set_model(toys.compiled_model())
    keeper.on_epoch_end(0)
    with pytest.raises(KeyboardInterrupt):
        keeper.on_epoch_end(1)
    assert [load(tmp_path / name).progress["epoch"] for name in (MODEL_FILE, LAST_FILE)] == [2, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_only_the_main_thread_hears_ctrl_c():
    done = []
    with uninterrupted():
        handler = signal.getsignal(signal.SIGINT)

        def work():
            with uninterrupted():
                done.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert done == [handler]


def test_who_ignores_ctrl_c_still_does():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
