"""What is printed of each epoch: a line that fits a terminal, and in a terminal a bar for as long as it lasts."""

import contextlib
import io
import math
import os
import sys

import numpy as np
import pytest
import toys

from keras_seq2seq import keras, progress
from keras_seq2seq.training import progress as training_progress
from keras_seq2seq.training.progress import ProgressTable

LOGS = {"loss": 2.5, "token_accuracy": 0.25}
VALIDATED = {**LOGS, "val_loss": 3.5, "val_token_accuracy": 0.5, "val_exact_match": 0.125}


@pytest.fixture
def clock(monkeypatch):
    clock = toys.Clock()
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(training_progress, "time", clock)
    return clock


def live_through(epochs, total, clock, first=0, steps=2):
    """Lets a table see epochs: for each of them how long it lasts, in seconds, and what Keras reports."""
    table = ProgressTable()
    table.set_params({"epochs": total, "steps": steps, "verbose": 0})
    table.on_train_begin()
    for epoch, (seconds, logs) in enumerate(epochs, start=first):
        table.on_epoch_begin(epoch)
        clock.now += seconds
        table.on_epoch_end(epoch, logs)


def table_of(printed):
    """Returns the lines of a table, each as texts by name."""
    names, *lines = (line.split() for line in printed.splitlines())
    return [dict(zip(names, line, strict=True)) for line in lines]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0.0, "0.0000"), (3.05912, "3.0591"), (-1.5, "-1.5000"), (99.99999, "100.0000"), (123.4567, "123.457")],
        *[(-54321.98, "-54322"), (999999.9, "1e+06"), (1234567.0, "1.2e+06"), (-1e30, "-1.0e+30")],
        *[(math.nan, "nan"), (-math.inf, "-inf"), (np.float32(0.5), "0.5000")],
    ],
)
def test_a_number_takes_eight_characters_at_most(value, text):
    assert training_progress.number(value) == text and len(text) <= 8


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0s"),
        (7, "7s"),
        (59.6, "1m00s"),
        (270, "4m30s"),
        (3599, "59m59s"),
        (3605, "1h00m"),
        (359_999, "99h59m"),
        (360_001, "100h"),
    ],
)
def test_a_duration_is_told_in_two_units(seconds, text):
    assert training_progress.duration(seconds) == text


def test_names_stand_above_the_numbers_once(clock, capsys):
    live_through([(9, VALIDATED), (3, {**VALIDATED, "loss": 2.25})], 2, clock)
    assert capsys.readouterr().out == (
        "epoch    loss token_accuracy val_loss val_exact_match   time   left\n"
        "  1/2  2.5000         0.2500   3.5000          0.1250     9s     9s\n"
        "  2/2  2.2500         0.2500   3.5000          0.1250     3s     0s\n"
    )


def test_the_time_left_is_that_of_all_epochs_to_come(clock, capsys):
    live_through([(90, LOGS), (20, LOGS), (40, LOGS), (60, LOGS)], 102, clock)
    lines = table_of(capsys.readouterr().out)
    assert [line["time"] for line in lines] == ["1m30s", "20s", "40s", "1m00s"]
    # The first epoch, where the graphs are traced, counts only until there is another one: 101 * 90, 100 * 20, 99 * 40, 98 * 40.
    assert [line["left"] for line in lines] == ["2h31m", "33m20s", "1h06m", "1h05m"]


def test_the_last_ten_epochs_say_how_long_one_lasts(clock, capsys):
    live_through([(1, LOGS)] * 20 + [(5, LOGS)] * 6, 126, clock)
    assert table_of(capsys.readouterr().out)[-1]["left"] == "8m20s"


def test_a_resumed_run_has_only_the_rest_before_it(clock, capsys):
    live_through([(10, LOGS), (5, LOGS)], 10, clock, first=7)
    assert [(line["epoch"], line["left"]) for line in table_of(capsys.readouterr().out)] == [
        ("8/10", "20s"),
        ("9/10", "5s"),
    ]


@pytest.mark.parametrize(
    ("logs", "own"),
    [
        (LOGS, []),
        ({**LOGS, "top_3": 0.5, "perplexity": 12.5}, ["top_3", "perplexity"]),
        # With validation, what they are there; the one that is too wide is left out, and a narrower one is not.
        ({**VALIDATED, "top_3": 0.5, "val_top_3": 0.25}, ["val_top_3"]),
        ({**VALIDATED, "accuracy": 0.5, "val_accuracy": 0.25}, ["val_accuracy"]),
        ({**VALIDATED, "val_top_5_accuracy": 0.5, "val_f1": 0.25, "val_top_3": 0.25}, ["val_f1"]),
        ({**LOGS, "of_each_class": np.ones(3), "top_3": 0.5}, ["top_3"]),  # not one number
    ],
)
def test_metrics_of_ones_own_are_shown_as_far_as_they_fit(logs, own, clock, capsys):
    live_through([(1, logs)], 40, clock)
    printed = capsys.readouterr().out
    standard = ["epoch", *(name for name in training_progress.SHOWN if name in logs)]
    [shown] = table_of(printed)
    assert list(shown) == [*standard, *own, "time", "left"]
    assert [float(shown[name]) for name in own] == [logs[name] for name in own]
    assert max(map(len, printed.splitlines())) <= 80


def test_the_widest_numbers_leave_columns_apart(clock, capsys):
    huge = dict.fromkeys(["loss", "token_accuracy", "val_loss", "val_exact_match", "val_accuracy"], 999999.4)
    live_through([(86_400, huge)], 10, clock)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) == 80 and len(table_of(printed)) == 1


def fit(validated=True):
    """Trains a toy of two batches for two epochs, with the table."""
    data = toys.dataset_of(toys.BATCHES)
    model = toys.compiled_model()
    model.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"], run_eagerly=True)
    table = ProgressTable(len(toys.BATCHES) if validated else 0)
    return model.fit(
        data, epochs=2, validation_data=data if validated else None, callbacks=[table], verbose=0, shuffle=False
    ).history


@pytest.mark.parametrize("validated", [True, False])
def test_a_file_gets_the_lines_alone(validated, monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(sys, "stdout", file)
    history = fit(validated)
    lines = table_of(file.getvalue())
    assert "\r" not in file.getvalue() and [line["epoch"] for line in lines] == ["1/2", "2/2"]
    names = [
        "loss",
        "token_accuracy",
        *(["val_loss", "val_exact_match", "val_accuracy"] if validated else ["accuracy"]),
    ]
    assert list(lines[0]) == ["epoch", *names, "time", "left"]
    for name in names:
        assert [float(line[name]) for line in lines] == pytest.approx(history[name], abs=1e-4), name


def screen_of(written):
    """Returns what a terminal shows in the end, and what stood in its lines in between."""
    lines, pictures = [], []
    for line in written.replace("\r\n", "\n").split("\n"):
        shown = ""
        for text in line.split("\r"):
            shown = text + shown[len(text) :]
            pictures.append(shown.rstrip())
        lines.append(shown.rstrip())
    return lines, pictures


def test_a_terminal_shows_how_far_training_and_validation_have_come(monkeypatch):
    screen, terminal = pytest.importorskip("pty").openpty()
    with open(terminal, "w", encoding="utf-8") as stdout, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stdout)
        fit()
    written = b""
    with contextlib.suppress(OSError):  # which is how Linux says that the other side has closed it
        while part := os.read(screen, 4096):
            written += part
    os.close(screen)
    lines, pictures = screen_of(written.decode())
    # In the end the bars are gone.
    assert [line.split()[0] for line in lines[:-1]] == ["epoch", "1/2", "2/2"]
    assert lines[0].split()[1] == "loss"
    assert max(map(len, pictures)) <= 80
    for epoch in ("epoch 1/2", "epoch 2/2"):
        for what in ("training", "validation"):
            empty, full = "." * 30, "=" * 30
            assert f"{epoch}  {what} [{empty}] 0/2" in pictures and f"{epoch}  {what} [{full}] 2/2" in pictures


def test_a_bar_is_drawn_ten_times_a_second_at_most(clock, monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", screen)
    table = ProgressTable()
    table.set_params({"epochs": 1, "steps": 1000, "verbose": 0})
    table.on_epoch_begin(0)
    for batch in range(1000):
        clock.now += 0.001
        table.on_train_batch_end(batch)
    assert 10 <= screen.getvalue().count("\r") <= 12
