"""The bar for what takes long outside training: in a terminal alone, and only after a while."""

import contextlib
import io

import pytest
import toys

from keras_seq2seq import progress


@pytest.fixture
def clock(monkeypatch):
    clock = toys.Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def screen():
    """Returns what a terminal gets, within `redirect_stdout`: pytest has its own output between fixture and test."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    return screen


def watch(clock, seconds, screen, **options):
    """Goes through four items that take so long each; returns what came out."""
    seen = []
    with contextlib.redirect_stdout(screen):
        for item in progress.watched("abcd", "reading", **options):
            seen.append(item)
            clock.now += seconds
    return "".join(seen)


def pictures(screen):
    return [picture.rstrip() for picture in screen.getvalue().split("\r") if picture.strip()]


def test_what_takes_long_shows_how_much_is_done(clock, screen):
    assert watch(clock, 1, screen, total=40, each=10) == "abcd"
    bars = [f"reading [{'=' * filled}{'.' * (30 - filled)}] {done}/40" for filled, done in ((15, 20), (22, 30))]
    assert pictures(screen) == bars  # after two seconds and after three
    assert screen.getvalue().endswith("\r" + " " * 79 + "\r")


def test_without_a_total_it_counts(clock, screen):
    watch(clock, 1, screen)
    assert pictures(screen) == ["reading 2", "reading 3"]


def test_what_is_done_in_a_moment_shows_nothing(clock, screen):
    assert watch(clock, 0.4, screen) == "abcd"
    assert screen.getvalue() == ""


def test_a_file_or_a_pipe_gets_nothing(clock):
    pipe = io.StringIO()
    assert watch(clock, 10, pipe, total=4) == "abcd"
    assert pipe.getvalue() == ""


def test_an_error_leaves_a_clean_line(clock, screen):
    def broken():
        yield from "abc"
        raise OSError("gone")

    with contextlib.redirect_stdout(screen), pytest.raises(OSError, match="gone"):
        for _ in progress.watched(broken(), "reading"):
            clock.now += 2
    assert screen.getvalue().endswith("\r" + " " * 79 + "\r")
