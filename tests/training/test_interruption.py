"""Ctrl-C and SIGTERM: heard whenever they come, and never between two files that belong together."""

import signal
import sys
import threading

import pytest
import toys

from keras_seq2seq import Seq2Seq, keras, load
from keras_seq2seq.model.saving import LAST_FILE, MODEL_FILE, save
from keras_seq2seq.termination import Terminated, terminable, terminate
from keras_seq2seq.training import callbacks
from keras_seq2seq.training.interruption import interruptible, uninterrupted

SIGNALS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]


@pytest.fixture(autouse=True)
def as_in_a_command():
    with terminable():
        yield


def in_another_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


class Deaf(keras.callbacks.Callback):
    """Is interrupted after the third batch and catches what it should not, as some code of Keras 3 does."""

    def __init__(self, number=signal.SIGINT):
        super().__init__()
        self.number, self.batches = number, 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if self.batches == 3:
            try:
                signal.raise_signal(self.number)
            except BaseException as error:
                self.caught = type(error)


@pytest.mark.parametrize(("number", "raised"), SIGNALS)
def test_a_lost_signal_ends_the_training_at_the_next_batch(number, raised):
    deaf, data = Deaf(number), toys.dataset_of(toys.BATCHES)
    with pytest.raises(raised), interruptible() as ear:
        toys.compiled_model().fit(data, epochs=5, callbacks=[ear, deaf], verbose=0)
    assert (deaf.batches, deaf.caught) == (3, raised)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is terminate


@pytest.mark.parametrize(("number", "raised"), SIGNALS)
@pytest.mark.parametrize(("times", "done"), [(1, ["update", "signal", "update"]), (2, ["update", "signal"])])
def test_a_signal_waits_for_the_end_of_an_update_and_a_second_one_does_not(monkeypatch, number, raised, times, done):
    train_step, seen = Seq2Seq.train_step, []

    def interrupted(model, data):
        for _ in range(times if seen == ["update"] else 0):
            signal.raise_signal(number)
            seen[1:] = ["signal"]
        logs = train_step(model, data)
        seen.append("update")
        return logs

    monkeypatch.setattr(Seq2Seq, "train_step", interrupted)
    model = toys.compiled_model()
    model.run_eagerly = True
    with pytest.raises(raised), interruptible() as ear:
        model.fit(toys.dataset_of(toys.BATCHES), epochs=5, callbacks=[ear], verbose=0)
    assert seen == done


@pytest.mark.parametrize(("number", "raised"), SIGNALS)
def test_an_error_that_was_a_signal_is_one_and_any_other_stays_what_it_is(number, raised):
    with pytest.raises(raised), interruptible():
        try:
            signal.raise_signal(number)
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


@pytest.mark.parametrize(("number", "raised"), SIGNALS)
@pytest.mark.parametrize("interrupted", [MODEL_FILE, LAST_FILE])
def test_a_signal_waits_until_both_files_of_an_epoch_are_there(tmp_path, monkeypatch, interrupted, number, raised):
    def save_with_signal(model, path):
        if path.name == interrupted and model.progress["epoch"] == 2:
            signal.raise_signal(number)
        save(model, path)

    monkeypatch.setattr(callbacks, "save", save_with_signal)
    keeper = callbacks.SaveEachEpoch(tmp_path)
    keeper.set_model(toys.compiled_model())
    keeper.on_epoch_end(0)
    with pytest.raises(raised):
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

        in_another_thread(work)
    assert done == [handler]


def test_who_ignores_ctrl_c_still_does():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        with pytest.raises(Terminated), uninterrupted():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_who_has_chosen_something_for_sigterm_keeps_it():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("SIGTERM"))
    try:
        with terminable(), interruptible():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["SIGTERM"]


def test_sigterm_is_an_exception_while_a_command_runs_and_in_its_main_thread_alone():
    seen = []
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with terminable():
            seen.append(signal.getsignal(signal.SIGTERM))

        def work():
            with terminable():
                seen.append(signal.getsignal(signal.SIGTERM))

        in_another_thread(work)
        assert seen == [terminate, signal.SIG_DFL] and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, terminate)
