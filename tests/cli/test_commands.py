"""Asking a model from the shell: predict, evaluate and export, with files, pipes, people and mistakes."""

import contextlib
import errno
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
import tensorflow as tf
import toys
from text_toys import ACCENT, CHAR_PAIRS, FAMILY, HEBREW, WORD_PAIRS, char_model, word_model

import keras_seq2seq
from keras_seq2seq import GREEDY, Beam, InputError, Sampling, files, keras, keras_version
from keras_seq2seq.cli import commands
from keras_seq2seq.cli.main import COMMANDS, choose, run_command
from keras_seq2seq.model import saving
from keras_seq2seq.model.generation import Hypothesis

BANANA, WATER = (source for source, _ in WORD_PAIRS)
YELLOW, HYDROGEN = (target for _, target in WORD_PAIRS)

SEED_ONCE = True  # see conftest.py


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Returns a folder of two runs; that of the words was saved last."""
    logs = tmp_path_factory.mktemp("asking") / "logs"
    for saved_at, (name, model) in enumerate([("chars", char_model), ("words", word_model)]):
        (logs / name).mkdir(parents=True)
        saving.save(model(), logs / name / "model.keras")
        os.utime(logs / name / "model.keras", (1e9 + saved_at, 1e9 + saved_at))
    return logs


def toy_of(path):
    """Returns the toy that a run was saved from, traced graphs and all: loading it anew for every test takes minutes."""
    run = Path(path).resolve()
    return {"words": word_model, "chars": char_model}[run.parent.name if run.suffix else run.name]()


@pytest.fixture
def there(logs, tmp_path, monkeypatch):
    """Stands in an empty folder with the runs in `logs`; what loading itself does is told in test_saving.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").symlink_to(logs)
    monkeypatch.setattr(saving, "load", toy_of)
    return tmp_path


class Echo:
    """Answers every text with the text and its number, and keeps the strategy it was asked to use."""

    def __init__(self):
        self.batches = []

    def generate_nbest(self, texts, strategy, first_row):
        self.strategy = strategy
        self.batches.append(list(texts))
        return [[Hypothesis(f"{first_row + number}:{text}", -0.75, -0.5)] for number, text in enumerate(texts)]


@pytest.fixture
def echo(there, monkeypatch):
    """Puts an Echo in the place of every model: for what the commands do around it."""
    echo = Echo()
    monkeypatch.setattr(saving, "load", lambda path: echo)
    return echo


@pytest.fixture
def ask(capsys, monkeypatch, tmp_path):
    """Returns a function that runs a command in this process: its exit code, and what it wrote."""

    def ask(*arguments, stdin=b"", tty=False):
        file = tmp_path / ".stdin"
        file.write_bytes(stdin)
        with open(file, encoding="utf-8") as stream:
            stream.isatty = lambda: tty
            monkeypatch.setattr(sys, "stdin", stream)
            code = run_command(choose, [str(argument) for argument in arguments])
        file.unlink()
        out, err = capsys.readouterr()
        return types.SimpleNamespace(code=code, out=out, err=err)

    return ask


def said(done, *lines):
    """Says whether a command succeeded with these lines and nothing on stderr."""
    return (done.code, done.out, done.err) == (0, "".join(line + "\n" for line in lines), "")


def refused(done, *parts):
    """Says whether a command ended with exit code 2 and one line on stderr that has these parts."""
    return (
        done.code == 2
        and done.err.startswith("error: ")
        and done.err.endswith("\n")
        and done.err.count("\n") == 1
        and all(part in done.err for part in parts)
    )


def names(folder):
    """Returns what is in a folder, but for the logs."""
    return sorted(path.name for path in folder.iterdir() if path.name != "logs")


# predict: where texts come from and where answers go


def test_texts_on_the_command_line(there, ask):
    assert said(
        ask("predict", "logs/words", WATER, BANANA, "", "What IS the color of banana?!"), HYDROGEN, YELLOW, "", YELLOW
    )


def test_standard_input_is_answered_line_for_line(there, ask):
    lines = f"{BANANA}\n\n{WATER}\r\n  \n...\n{BANANA}"  # blank lines, a line from Windows, no line end at last
    assert said(ask("predict", "logs/words", stdin=lines.encode()), YELLOW, "", HYDROGEN, "", "", YELLOW)


def test_no_lines_no_answers(there, ask):
    assert said(ask("predict", "logs/words"))


def test_odd_characters_survive(there, ask):
    # Line ends to Python's str, but not here.
    done = ask("predict", "logs/chars", stdin=f"{ACCENT}\n{FAMILY}\n{HEBREW}\ncat\u2028\n\x85\x0b\x0c\n".encode())
    assert done.out.split("\n")[:3] == [dict(CHAR_PAIRS)[source] for source in (ACCENT, FAMILY, HEBREW)]
    assert (done.code, done.out.count("\n"), done.err) == (0, 5, "")


def test_a_file_in_a_file_out(there, ask):
    (there / "questions").write_bytes(f"{BANANA}\n\n{WATER}\n".encode() * 100)
    assert said(ask("predict", "logs/words", "--input", "questions", "--output", "answers"))
    assert (there / "answers").read_bytes() == f"{YELLOW}\n\n{HYDROGEN}\n".encode() * 100
    assert names(there) == ["answers", "questions"]


@pytest.mark.parametrize("options", [[], ["--input", "questions"]], ids=str)
def test_lines_from_windows(echo, there, ask, options):
    # A byte order mark at the very beginning is none of the text, nor is half a line end.
    content = "\ufeffa\r\nb\ufeff\r\n".encode()
    (there / "questions").write_bytes(content)
    assert said(ask("predict", *options, stdin=content), "0:a", "1:b\ufeff")


@pytest.mark.parametrize("before", [None, "precious"])
@pytest.mark.parametrize("source", ["--input", "standard input"])
def test_half_an_output_is_no_output(there, ask, before, source):
    if before:
        (there / "answers").write_text(before)
    lines = f"{BANANA}\n".encode() * 300 + b"caf\xe9\n" + f"{BANANA}\n".encode()
    (there / "questions").write_bytes(lines)
    options = ["--input", "questions"] if source == "--input" else []
    done = ask("predict", "logs/words", *options, "--output", "answers", stdin=lines)
    place = f"{options[1] if options else source}, line 301"
    assert refused(done, f"{place}: not UTF-8 (byte 4: 0xe9); save it as UTF-8") and not done.out
    assert names(there) == (["answers", "questions"] if before else ["questions"])
    assert not before or (there / "answers").read_text() == before


def test_before_a_bad_line_on_standard_input_the_good_ones_are_answered(there, ask):
    done = ask("predict", "logs/words", stdin=BANANA.encode() + b"\n\xff\n")
    assert refused(done, "standard input, line 2: not UTF-8 (byte 1: 0xff); save it as UTF-8")
    assert done.out == YELLOW + "\n"


def test_an_output_is_replaced(echo, there, ask):
    (there / "answers").write_text("old " * 100)
    assert said(ask("predict", "a", "--output", "answers"))
    assert (there / "answers").read_text() == "0:a\n"


@pytest.mark.parametrize("source", ["questions", "standard input"])
def test_a_line_with_a_tab_is_more_than_a_text(there, ask, source):
    # A file of pairs, say: its targets are not to be read as sources.
    lines = f"{BANANA}\n\n{WATER}\t{HYDROGEN}\n{BANANA}\n".encode()
    (there / "questions").write_bytes(lines)
    options = ["--input", "questions"] if source == "questions" else []
    message = f"error: {source}, line 3: has a tab; expected one text a line (`cut -f1` takes the first column)\n"
    done = ask("predict", "logs/words", *options, "--output", "answers", stdin=lines)
    assert (done.code, done.out, done.err) == (2, "", message)
    assert names(there) == ["questions"]
    # Where answers come as they are ready, those before it are out.
    done = ask("predict", "logs/words", *options, stdin=lines)
    assert (done.code, done.out, done.err) == (2, f"{YELLOW}\n\n", message)


def test_the_line_with_a_tab_is_counted_through_all_batches(echo, ask, monkeypatch):
    monkeypatch.setattr(commands, "BATCH", 2)
    assert refused(ask("predict", stdin=b"a\nb\nc\nd\n\te\n"), "standard input, line 5: has a tab")
    assert echo.batches == [["a", "b"], ["c", "d"]]


def test_a_text_on_the_command_line_may_hold_tabs(echo, ask):
    assert said(ask("predict", "a\tb"), "0:a\tb")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--input", "none"], ["none: cannot be read (No such file or directory)"]),
        (["--input", "folder"], ["folder: cannot be read (Is a directory)"]),
        (["a", "--output", "no/answers"], ["no/answers: cannot be written (No such file or directory)"]),
        (["a", "--output", "folder"], ["folder: cannot be written (Is a directory)"]),
        (["a", "--output", "x" * 300], ["x: cannot be written (File name too long)"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_files_that_cannot_be_used(echo, there, ask, options, parts):
    (there / "folder").mkdir()
    done = ask("predict", "logs/words", *options)
    assert refused(done, *parts) and not done.out
    assert names(there) == ["folder"]


# predict: the search


def test_the_n_best_with_scores(there, ask):
    lines = []
    answers = word_model().generate_nbest([BANANA, "", "water banana"], Beam(5, 3))
    for number, best in enumerate(answers, start=1):
        lines += [f"{number}\t{text}\t{score:.4f}" for text, _, score in best]
    assert len(lines) == 3 + 1 + 3
    done = ask(
        "predict", "logs/words", "--beam", 5, "--nbest", 3, "--scores", stdin=f"{BANANA}\n\nwater banana\n".encode()
    )
    assert said(done, *lines)
    assert lines[0].startswith(f"1\t{YELLOW}\t-0.00") and lines[3] == "2\t\t0.0000"


@pytest.mark.parametrize("length_penalty", [0, 1])
def test_the_scores_printed_are_those_that_order(there, ask, length_penalty):
    questions = ["water banana", "the of", "time"]
    options = ["--beam", 5, "--nbest", 5, "--length-penalty", length_penalty, "--scores"]
    rows = [line.split("\t") for line in ask("predict", "logs/words", *options, *questions).out.splitlines()]
    for number in "123":
        scores = [float(score) for first, _, score in rows if first == number]
        assert len(scores) == 5 and scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("options", "strategy", "line"),
    [
        ([], GREEDY, "0:a b"),
        (["--scores"], GREEDY, "0:a b\t-0.5000"),
        (["--beam", "3"], Beam(3), "0:a b"),
        (["--beam", "3", "--nbest", "2"], Beam(3, 2), "1\t0:a b"),
        (["--beam", "3", "--length-penalty", "0", "--scores"], Beam(3, 1, 0.0), "0:a b\t-0.5000"),
        (["--beam=3", "--nbest=3", "--length-penalty=1.5", "--scores"], Beam(3, 3, 1.5), "1\t0:a b\t-0.5000"),
        (["--sample"], Sampling(), "0:a b"),
        (["--sample", "--temperature", "0.5", "--top-k", "4", "--seed", "7"], Sampling(0.5, 4, 7), "0:a b"),
    ],
    ids=str,
)
def test_options_choose_the_strategy(echo, ask, options, strategy, line):
    assert said(ask("predict", "logs/words", "a b", *options), line)
    assert echo.strategy == strategy


def test_draws_follow_from_the_seed_and_the_line_alone(there, ask, monkeypatch):
    lines = b"cat\ntack\nkit\nacca\ntat\nat\n"

    def draw(seed):
        done = ask("predict", "logs/chars", "--sample", "--temperature", 5, "--seed", seed, stdin=lines)
        assert (done.code, done.err, done.out.count("\n")) == (0, "", 6)
        return done.out

    first = draw(1)
    assert draw(1) == first
    assert draw(2) != first
    # However the lines came in.
    monkeypatch.setattr(commands, "BATCH", 2)
    assert draw(1) == first


@pytest.mark.parametrize("options", [[], ["--input", "questions"]], ids=str)
def test_lines_are_numbered_through_all_batches(echo, there, ask, monkeypatch, options):
    monkeypatch.setattr(commands, "BATCH", 3)
    content = b"a\nb\nc\nd\ne\nf\ng\n"
    (there / "questions").write_bytes(content)
    done = ask("predict", *options, "--beam", 2, "--nbest", 1, stdin=content)
    assert said(done, *(f"{number + 1}\t{number}:{text}" for number, text in enumerate("abcdefg")))
    assert max(map(len, echo.batches)) <= 3


# Which run


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["logs/words", BANANA], YELLOW),
        (["logs/words/", BANANA], YELLOW),
        (["logs/words/model.keras", BANANA], YELLOW),
        (["logs/chars", "cat"], "K AE T"),
        ([BANANA], YELLOW),  # the one saved last
        (["latest", BANANA], YELLOW),
        (["--logs", "logs", "latest", BANANA], YELLOW),
    ],
    ids=str,
)
def test_a_run_is_named_or_it_is_the_latest(there, ask, arguments, answer):
    assert said(ask("predict", *arguments), answer)


def test_what_looks_like_a_run_is_one_and_all_else_is_text(echo, there, ask):
    for folder in ("model.keras", "folder"):
        (there / folder).mkdir()
        (there / folder / "model.keras").touch()
    for arguments, texts in [
        (["model.keras", "a"], ["a"]),
        (["folder", "a"], ["a"]),
        (["folder/model.keras", "a"], ["a"]),  # a path
        (["and/or what", "a"], ["and/or what", "a"]),  # no path: it has a blank
        (["a", "latest", "logs/words"], ["a", "latest", "logs/words"]),  # behind the first it is all text
        (["latest", "latest"], ["latest"]),
        (["--", "-x", "--beam"], ["-x", "--beam"]),
    ]:
        echo.batches.clear()
        assert ask("predict", *arguments).code == 0
        assert echo.batches == [texts]


@pytest.mark.parametrize(
    "arguments",
    [
        ["logs/words", "--beam", "2", "a", "b"],
        ["logs/words", "a", "--beam", "2", "b"],
        ["--beam", "2", "logs/words", "a", "b"],
        ["logs/words", "a", "b", "--beam", "2"],
    ],
    ids=" ".join,
)
def test_options_may_stand_anywhere(echo, ask, arguments):
    assert said(ask("predict", *arguments), "0:a", "1:b")
    assert echo.strategy == Beam(2)


def test_the_latest_run_is_the_one_saved_last(echo, there, ask, monkeypatch):
    loaded = []
    monkeypatch.setattr(saving, "load", lambda path: loaded.append(Path(path).name) or echo)
    for name, saved_at in {"b": 30, "a": 40, "c": 20}.items():
        (there / "elsewhere" / name).mkdir(parents=True)
        (there / "elsewhere" / name / "model.keras").touch()
        os.utime(there / "elsewhere" / name / "model.keras", (saved_at, saved_at))
    (there / "elsewhere" / "d").mkdir()  # nothing was saved there
    ask("predict", "--logs", "elsewhere", "x")
    ask("predict", "--logs", "elsewhere", "latest", "x")
    assert loaded == ["a", "a"]


def test_the_latest_run_for_every_command(echo, there, ask, monkeypatch):
    loaded = []
    monkeypatch.setattr(saving, "load", lambda path: loaded.append(Path(path).name) or echo)
    monkeypatch.setattr("keras_seq2seq.model.evaluation.evaluate", lambda *_: {})
    monkeypatch.setattr("keras_seq2seq.model.export.export", lambda *_: None)
    (there / "data").write_text("a\tb\n")
    for arguments in (["evaluate"], ["evaluate", "latest"]):
        assert ask(*arguments, "--data", "data").code == 0
    assert ask("export", "latest", "saved").code == 0
    assert loaded == ["words"] * 3


def test_a_text_longer_than_any_files_name_is_a_text(echo, ask):
    text = "what is " * 60 + "love"
    assert said(ask("predict", text), f"0:{text}")


def test_the_file_behind_a_link_gets_the_answers(echo, there, ask):
    (there / "real").write_text("before\n")
    (there / "link").symlink_to("real")
    assert said(ask("predict", "a", "--output", "link"))
    assert ((there / "link").is_symlink(), (there / "real").read_text()) == (True, "0:a\n")
    assert names(there) == ["link", "real"]


def test_a_pipe_is_written_to_and_stays_one(echo, there, ask):
    os.mkfifo("pipe")
    reader = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE)
    assert said(ask("predict", "a", "--output", "pipe"))
    assert (reader.communicate(timeout=toys.PATIENCE)[0], (there / "pipe").is_fifo()) == (b"0:a\n", True)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_closed_stream_is_no_error(echo, there, monkeypatch, stream):
    # What `>&-` and `2>&-` make of it.
    monkeypatch.setattr(sys, stream, None)
    assert run_command(choose, ["predict", "a", "--output", "answers"]) == 0
    assert (there / "answers").read_text() == "0:a\n"


# A pipe, a person, an interruption


# The plainest locale there is: answers are UTF-8 all the same.
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def start(*arguments, stdin=subprocess.PIPE, **options):
    """Starts a command in a process of its own, where nobody quiets TensorFlow but we ourselves."""
    environment = toys.environment(**options)
    environment.pop("TF_CPP_MIN_LOG_LEVEL")
    return subprocess.Popen(
        [sys.executable, "-m", "keras_seq2seq", *map(str, arguments)],
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_slow_pipe_is_answered_at_once_and_ctrl_c_stops_it(logs):
    # The run was saved under one Keras and is asked under the other.
    pipe = start("predict", logs / "chars", "--keras", 5 - keras_version.keras_major(), keras_major=None, **PLAIN)
    for source, answer in [("cat", "K AE T"), ("", ""), (FAMILY, dict(CHAR_PAIRS)[FAMILY])]:
        pipe.stdin.write(source.encode() + b"\n")
        pipe.stdin.flush()
        # It would wait for ever, if an answer waited for the next line.
        assert pipe.stdout.readline() == answer.encode() + b"\n"
    # It is waiting for a line now, and is not to wait any longer.
    pipe.send_signal(signal.SIGINT)
    assert pipe.wait(toys.PATIENCE) == 130
    assert pipe.stderr.read() == b"error: stopped by Ctrl-C\n"
    pipe.communicate()


def test_a_reader_that_has_had_enough_is_no_error():
    # As `... | head -1`, while more lines may still come. The command is the simplest there is, to do without TensorFlow.
    code = """
import sys
sys.argv, sys.orig_argv = ["-m"], [sys.executable, "-m", "keras_seq2seq"]
from keras_seq2seq import files
from keras_seq2seq.cli import main
def repeat(arguments):
    for batch in files.batches(None, 8):
        print(*batch, flush=True)
sys.exit(main.run_command(repeat, []))
"""
    pipe = subprocess.Popen(
        [sys.executable, "-c", code],
        env=toys.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    pipe.stdin.write(b"first\n")
    pipe.stdin.flush()
    assert pipe.stdout.readline() == b"first\n"
    pipe.stdout.close()
    pipe.stdin.write(b"second\n")
    pipe.stdin.flush()
    assert pipe.wait(toys.PATIENCE) == 0
    assert pipe.stderr.read() == b""
    pipe.stdin.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_of_a_long_output_may_leave_too(echo, ask, monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as stdout, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stdout)
        done = ask("predict", stdin=b"a\n" * 100_000)
    assert (done.code, done.err) == (0, "")


def test_a_full_disk_is_one_line(echo, ask, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with contextlib.suppress(OSError), open("/dev/full", "w") as full, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        done = ask("predict", "a")
    assert refused(done, "No space left on device")


def test_a_person_at_a_terminal_sees_a_prompt(echo, monkeypatch, capsys):
    keyboard, terminal = pytest.importorskip("pty").openpty()
    os.write(keyboard, b"x\n\ny\n\x04")  # three lines and Ctrl-D
    with open(terminal, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stderr", sys.stdout)  # to see in what order things are written
        assert run_command(choose, ["predict"]) == 0
    os.close(keyboard)
    assert capsys.readouterr().out == "> 0:x\n> 1:\n> 2:y\n> \n"


@pytest.mark.parametrize(
    ("arguments", "prompts"),
    [([], 2), (["a"], 0), (["--input", "questions"], 0)],
    ids=str,
)
def test_there_is_a_prompt_where_somebody_types_and_nowhere_else(echo, there, ask, arguments, prompts):
    (there / "questions").write_text("x\ny\n")
    done = ask("predict", *arguments, stdin=b"x\ny\n", tty=True)
    assert (done.code, done.err) == (0, "> " * prompts + "\n" * bool(prompts))
    assert done.out == ("0:a\n" if arguments == ["a"] else "0:x\n1:y\n")


def test_ctrl_c(echo, there, ask, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(echo, "generate_nbest", interrupted)
    done = ask("predict", "a", "--output", "answers")
    assert (done.code, done.out, done.err) == (130, "", "error: stopped by Ctrl-C\n")
    assert names(there) == []


def test_ctrl_c_in_the_midst_of_tensorflow_is_one_line_too():
    # TensorFlow complains of results that nobody used, as a Ctrl-C between two operations leaves them.
    code = """
import sys
sys.argv, sys.orig_argv = ["-m"], [sys.executable, "-m", "keras_seq2seq"]
from keras_seq2seq import keras_version
from keras_seq2seq.cli import main
def work(arguments):
    with keras_version.quiet_start():
        import tensorflow as tf
        half_done = tf.TensorArray(tf.int32, size=2).write(0, 1)
    raise KeyboardInterrupt
sys.exit(main.run_command(work, []))
"""
    environment = toys.environment()
    del environment["TF_CPP_MIN_LOG_LEVEL"]
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=toys.PATIENCE)
    assert (done.returncode, done.stderr) == (130, b"error: stopped by Ctrl-C\n")


# Lines in batches


@pytest.fixture
def pipe(monkeypatch):
    """Puts a pipe in the place of standard input; returns the end to write to."""
    read, write = os.pipe()
    with open(read, encoding="utf-8") as stdin, open(write, "wb", buffering=0) as end:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield end


def test_a_file_comes_in_full_batches(tmp_path):
    (tmp_path / "lines").write_bytes(b"\xef\xbb\xbf0\n1\r\n2\n\n4")  # begins with a byte-order mark
    assert list(files.batches(tmp_path / "lines", 2)) == [["0", "1"], ["2", ""], ["4"]]
    assert list(files.lines_of(tmp_path / "lines")) == ["0", "1", "2", "", "4"]
    (tmp_path / "lines").write_bytes(b"")
    assert list(files.batches(tmp_path / "lines", 2)) == []


@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_lines_may_be_cut_anywhere(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(files, "CHUNK", chunk)
    (tmp_path / "lines").write_text("né\n\nlonger than that\n", encoding="utf-8")
    assert [line for batch in files.batches(tmp_path / "lines", 2) for line in batch] == [
        "né",
        "",
        "longer than that",
    ]


def test_what_has_come_is_handed_on_before_more_is_there(pipe):
    batches = files.batches(None, 2)
    pipe.write(b"0\n1\n2\nhal")
    assert [next(batches), next(batches)] == [["0", "1"], ["2"]]
    pipe.write(b"f\n")
    assert next(batches) == ["half"]
    pipe.write(b"the last")
    pipe.close()
    assert list(batches) == [["the last"]]


def test_a_bad_line_is_an_error_behind_the_good_ones(pipe):
    pipe.write(b"0\n1\n2\n\xff\n4\n")
    seen = []
    with pytest.raises(InputError, match="standard input, line 4: not UTF-8"):
        for batch in files.batches(None, 2):
            seen += batch
    assert seen == ["0", "1", "2"]


def test_an_input_that_breaks_off_is_an_error(monkeypatch):
    class BreaksOff(io.BytesIO):
        def read1(self, size):
            if not self.tell():
                return super().read1(2)
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(BreaksOff(b"a\nb")))
    batches = files.batches(None, 2)
    assert next(batches) == ["a"]
    with pytest.raises(InputError, match=r"^standard input: cannot be read \(Input/output error\)$"):
        next(batches)


# evaluate and export

DATA = f"{BANANA}\tyellow most of time\n{BANANA}\tthe\n{WATER}\twater\n{WATER}\t{HYDROGEN}\n"


def test_evaluate_prints_every_measure(there, ask):
    (there / "data").write_text(DATA)
    expected = keras_seq2seq.evaluate(
        word_model(),
        {BANANA: ["yellow most of time", "the"], WATER: ["water", HYDROGEN]},
    )
    printed = ask("evaluate", "logs/words", "--data", "data")
    assert (printed.code, printed.err) == (0, "")
    rows = [line.split() for line in printed.out.splitlines()]
    assert [name for name, _ in rows] == list(expected)
    for (_, value), right in zip(rows, expected.values(), strict=True):
        assert value == right if isinstance(right, str) else float(value) == pytest.approx(right, abs=1e-4)
    assert dict(rows)["sources"] == "2" and dict(rows)["token_error_rate"] == "14.2857"  # 1 of 7

    as_json = ask("evaluate", "--data", "data", "--json")  # of the latest run
    assert (as_json.code, as_json.err, as_json.out.count("\n")) == (0, "", 1)
    assert json.loads(as_json.out) == pytest.approx(expected)


def test_further_columns_are_answers_only_if_told(there, ask):
    (there / "data").write_text(DATA)
    (there / "columns").write_text(f"{BANANA}\tyellow most of time\tthe\n{WATER}\twater\t{HYDROGEN}\n")
    done = ask("evaluate", "logs/words", "--data", "columns")
    assert done.err == (
        "error: columns, line 1: 3 columns ('what is the color of...', 'yellow most of time', 'the'); expected source, "
        "tab, target; with --references further columns are further references, with --columns 1,2 they are ignored\n"
    )
    assert (done.code, done.out) == (2, "")
    done = ask("evaluate", "logs/words", "--data", "columns", "--references")
    assert (done.code, done.out) == (0, ask("evaluate", "logs/words", "--data", "data").out)


def test_evaluate_reads_two_files_or_chosen_columns(there, ask):
    (there / "data").write_text(DATA)
    rows = [line.split("\t") for line in DATA.splitlines()]
    for name, lines in {
        "questions": [source for source, _ in rows],
        "answers": [target for _, target in rows],
        "table": [f"{target}\tby somebody\t{source}" for source, target in rows],
    }.items():
        (there / name).write_text("".join(line + "\n" for line in lines))
    expected = ask("evaluate", "logs/words", "--data", "data")
    assert expected.code == 0
    for arguments in (
        ["logs/words", "--data", "questions", "answers"],
        ["--data", "questions", "answers", "logs/words"],  # the last name is that of a run
        ["--data", "data", "logs/words/model.keras"],
        ["--data", "questions", "answers", "latest"],
        ["--data", "questions", "answers"],
        ["logs/words", "--data", "table", "--columns", "3,1"],
    ):
        done = ask("evaluate", *arguments)
        assert (done.code, done.out) == (0, expected.out), arguments


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["a", "b", "c"],
            "--data is ['a', 'b', 'c']; give one file of pairs, or a list of two: the sources, the targets",
        ),
        (["a", "b"], "a has 2 lines, b has 1; line n of the second has to be the target of line n of the first"),
        (["a", "c"], "c, line 2: is blank, and that of a is not; give it text or remove the line from both"),
        (["a", "data"], "data: cannot be read (No such file or directory)"),
        (
            ["a", "b", "--columns", "1,2"],
            "--columns is for one file of tab-separated columns; leave it out with two parallel files",
        ),
        (
            ["a", "b", "--references"],
            "--references is for one file of tab-separated columns; leave it out with two parallel files",
        ),
        (
            ["a", "--references", "--columns", "1,2"],
            "--references reads the columns that --columns leaves out; give one of the two",
        ),
        (
            ["a", "--columns", "1"],
            "--columns is '1'; give the source's and the target's column, two counted from 1, as in 2,1",
        ),
    ],
)
def test_test_data_that_evaluate_cannot_use_is_named(there, ask, options, line):
    for name, content in {"a": "x\ny\n", "b": "x\n", "c": "x\n\n"}.items():
        (there / name).write_text(content)
    done = ask("evaluate", "logs/words", "--data", *options)
    assert (done.code, done.out, done.err) == (2, "", f"error: {line}\n")


def test_evaluate_searches_as_told(echo, there, ask, monkeypatch):
    monkeypatch.setattr(
        "keras_seq2seq.model.evaluation.evaluate", lambda model, references, strategy: {"told": repr(strategy)}
    )
    (there / "data").write_text(DATA)
    done = ask("evaluate", "--data", "data", "--beam", 4, "--length-penalty", 1, "--json")
    assert json.loads(done.out) == {"told": repr(Beam(4, 1, 1.0))}
    assert json.loads(ask("evaluate", "--data", "data", "--json").out) == {"told": repr(GREEDY)}


@pytest.mark.parametrize(("options", "width"), [([], 5), (["--beam", "3"], 3)], ids=str)
def test_export_prints_the_folder(echo, there, ask, monkeypatch, options, width):
    # What is written there is the business of test_export.py.
    written = []
    monkeypatch.setattr("keras_seq2seq.model.export.export", lambda *arguments: written.append(arguments))
    done = ask("export", "logs/words", "saved", *options)
    assert said(done, "SavedModel: saved (signatures: serving_default, beam)")
    assert written == [(echo, "saved", Beam(width, width))]


# --ensemble: several runs that answer as one


@pytest.fixture
def members(echo, there, monkeypatch):
    """Returns the list of what the last ensemble was made of; the Echo answers for it."""
    members = []

    def ensemble(models, names):
        assert models == [echo] * len(names)
        members[:] = names
        return echo

    monkeypatch.setattr("keras_seq2seq.model.ensemble.Ensemble", ensemble)
    return members


@pytest.mark.parametrize(
    ("arguments", "named", "texts"),
    [
        (["a", "b", "--ensemble", "logs/chars", "logs/words"], ["logs/chars", "logs/words"], ["a", "b"]),
        (["--ensemble", "logs/chars", "logs/words", "--", "a", "b"], ["logs/chars", "logs/words"], ["a", "b"]),
        (["--ensemble", "logs/chars", "logs/words", "--beam", "2", "a"], ["logs/chars", "logs/words"], ["a"]),
        (["a", "--ensemble", "latest", "logs/chars/model.keras"], ["logs/words", "logs/chars/model.keras"], ["a"]),
        (["a", "--ensemble", "logs/chars"], ["logs/chars"], ["a"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_the_runs_of_an_ensemble_stand_behind_the_option(echo, members, ask, arguments, named, texts):
    assert ask("predict", *arguments).code == 0
    assert (members, echo.batches) == (named, [texts])


def test_an_ensemble_answers_standard_input_is_evaluated_and_exported(echo, members, there, ask, monkeypatch):
    assert said(ask("predict", "--ensemble", "logs/chars", "logs/words", stdin=b"a\nb\n"), "0:a", "1:b")
    monkeypatch.setattr("keras_seq2seq.model.evaluation.evaluate", lambda *asked: {"asked": asked[0] is echo})
    (there / "data").write_text(DATA)
    for arguments in (
        ["--ensemble", "logs/chars", "logs/words", "--data", "data"],
        ["--data", "data", "--ensemble", "logs/chars", "logs/words"],
    ):
        members.clear()
        assert json.loads(ask("evaluate", *arguments, "--json").out) == {"asked": True}
        assert members == ["logs/chars", "logs/words"]
    members.clear()
    written = []
    monkeypatch.setattr("keras_seq2seq.model.export.export", lambda *arguments: written.append(arguments))
    done = ask("export", "saved", "--ensemble", "logs/chars", "logs/words", "--beam", 3)
    assert said(done, "SavedModel: saved (signatures: serving_default, beam)")
    assert (members, written) == (["logs/chars", "logs/words"], [(echo, "saved", Beam(3, 3))])


def test_an_ensemble_of_real_runs(there, ask):
    runs = ["--ensemble", "logs/words", "logs/words/model.keras"]
    assert said(ask("predict", WATER, BANANA, *runs), HYDROGEN, YELLOW)
    assert ask("predict", WATER, *runs, "--beam", 2, "--scores").out.startswith(HYDROGEN + "\t-")
    (there / "data").write_text(DATA)
    together, alone = (
        json.loads(ask("evaluate", "--data", "data", "--json", *options).out) for options in (runs, ["logs/words"])
    )
    assert together.keys() == alone.keys()
    for name in ("loss", "exact_match", "token_error_rate"):
        assert together[name] == pytest.approx(alone[name], rel=1e-4)
    assert said(ask("export", "saved", *runs), "SavedModel: saved (signatures: serving_default, beam)")
    code = """
import sys

for package in ("keras", "tf_keras", "keras_seq2seq"):
    sys.modules[package] = None  # import raises ImportError
import tensorflow as tf

answer = tf.saved_model.load("saved").signatures["serving_default"]
print(answer(tf.constant(sys.argv[1:]))["answers"].numpy().tolist())
"""
    assert toys.output_of(code, WATER, BANANA, cwd=there) == f"{[HYDROGEN.encode(), YELLOW.encode()]}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["predict", "logs/words", "a", "--ensemble", "logs/chars"],
            "logs/words: a RUN beside --ensemble; write all runs behind it: --ensemble logs/words logs/chars",
        ),
        (
            ["evaluate", "--data", "data", "logs/words", "--ensemble", "logs/chars"],
            "logs/words: a RUN beside --ensemble; write all runs behind it: --ensemble logs/words logs/chars",
        ),
        (
            ["export", "logs/words", "saved", "--ensemble", "logs/chars"],
            "logs/words: a RUN beside --ensemble; write all runs behind it: --ensemble logs/words logs/chars",
        ),
        (
            ["predict", "--ensemble", "logs/words", "logs/chars", "it's me"],
            "it's me: there is no such file; give a run's folder or a .keras file; if it is a text to answer, write: "
            "predict 'it'\"'\"'s me' --ensemble RUN RUN",
        ),
        (
            ["export", "--ensemble", "logs/words", "saved"],
            "give a RUN and the DIR to write; with --ensemble, the DIR before it",
        ),
        (
            ["predict", "a", "--ensemble", "logs/words", "logs/chars"],
            "logs/chars: its source vocabulary has another kind of tokens than that of logs/words; train all members "
            "on the same data with the same kinds of tokens",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_with_ensembles(there, ask, arguments, line):
    (there / "data").write_text(DATA)
    done = ask(*arguments)
    assert (done.code, done.out, done.err) == (2, "", f"error: {line}\n")


# Mistakes: one line on stderr, exit code 2


@pytest.fixture
def broken(there, monkeypatch):
    """Has files that are not ours, or not whole, in the place of a model; they are loaded for real."""
    monkeypatch.undo()
    monkeypatch.chdir(there)
    whole = (there / "logs/words/model.keras").read_bytes()
    (there / "cut.keras").write_bytes(whole[: len(whole) // 2])
    (there / "empty.keras").touch()
    (there / "text.keras").write_text("not a model at all")
    (there / "folder").mkdir()
    return there


@pytest.mark.parametrize(
    ("run", "parts"),
    [
        ("logs/none", ["logs/none: there is no such file"]),
        ("none.keras", ["none.keras: there is no such file"]),
        ("no\nne.keras", [r"no\nne.keras: there is no such file"]),
        ("folder", ["folder/model.keras: there is no such file"]),
        ("cut.keras", ["cut.keras: is not a whole .keras file"]),
        ("empty.keras", ["empty.keras: is not a whole .keras file"]),
        ("text.keras", ["text.keras: is not a whole .keras file"]),
    ],
)
def test_no_such_model(broken, ask, run, parts):
    (broken / "data").write_text(DATA)
    for arguments in (["predict", run, "a"], ["evaluate", run, "--data", "data"], ["export", run, "saved"]):
        done = ask(*arguments)
        assert refused(done, *parts) and not done.out


@pytest.mark.parametrize(
    ("arguments", "named", "latest"),
    [
        (["12/05/2019"], "12/05/2019", "12/05/2019"),
        (["folder", "a"], "folder/model.keras", "folder"),  # a folder that holds no model
        (["it's/one"], "it's/one", "'it'\"'\"'s/one'"),  # as a shell wants it
        (["和" * 100 + "/或"], "和" * 100 + "/或", f"'{'和' * 100}/或'"),  # no file's name is that long
    ],
    ids=["date", "folder", "apostrophe", "long"],
)
def test_a_text_that_looks_like_a_run_can_be_answered(broken, ask, monkeypatch, arguments, named, latest):
    done = ask("predict", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: {named}: there is no such file; give a run's folder or a .keras file; if it is a text to answer, write: "
        f"predict latest {shlex.quote(arguments[0])}\n"
    )
    assert done.err.endswith(f" {latest}\n")
    monkeypatch.setattr(saving, "load", lambda path: Echo())
    assert said(ask("predict", "latest", arguments[0]), f"0:{arguments[0]}")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["MemoryError", "ResourceExhaustedError"])
def test_out_of_memory_is_one_line_that_names_options_of_the_command(command, kind, monkeypatch, capsys):
    def too_much(arguments):
        raise {"MemoryError": MemoryError(), "ResourceExhaustedError": tf.errors.ResourceExhaustedError(0, 0, "")}[kind]

    with pytest.raises(SystemExit):
        choose([command, "--help"])
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    monkeypatch.setitem(COMMANDS, command, too_much)
    code = run_command(choose, [command])
    err = capsys.readouterr().err
    assert refused(types.SimpleNamespace(code=code, err=err), "out of memory")
    assert set(re.findall(r"--[\w-]+", err)) <= known
    assert ("--units" in err, "--beam" in err) == (command == "train", command != "train")


def test_a_model_of_another_kind(broken, ask):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.build((None, 1))
    model.save("foreign.keras")
    assert refused(ask("predict", "foreign.keras", "a"), "foreign.keras: holds another kind of model (Sequential)")


def test_no_run_at_all(there, ask):
    assert refused(ask("predict", "--logs", "none", "a"), "none: holds no run with a model")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["command"]),
        (["predcit"], ["predcit", "predict"]),
        (["predict", "a", "--sample", "--beam", "2"], ["--sample does not go with --beam"]),
        (["predict", "a", "--sample", "--beam", "2", "--nbest", "2"], ["--sample does not go with --beam"]),
        (["predict", "a", "--sample", "--length-penalty", "1"], ["--sample does not go with"]),
        (["predict", "a", "--nbest", "2"], ["go with --beam"]),
        (["predict", "a", "--length-penalty", "0"], ["go with --beam"]),
        (["predict", "a", "--temperature", "0.5"], ["go with --sample"]),
        (["predict", "a", "--top-k", "0"], ["go with --sample"]),
        (["predict", "a", "--seed", "0", "--beam", "2"], ["go with --sample"]),
        (["predict", "a", "--input", "questions"], ["texts or --input"]),
        (["predict", "a", "--beam", "0"], ["beam 0"]),
        (["predict", "a", "--beam", "2", "--nbest", "3"], ["n-best 3"]),
        (["predict", "a", "--beam", "2", "--nbest", "0"], ["n-best 0"]),
        (["predict", "a", "--beam", "two"], ["--beam", "two"]),
        (["predict", "a", "--beam", "2", "--length-penalty", "nan"], ["nan"]),
        (["predict", "a", "--beam", "2", "--length-penalty", "11"], ["length penalty is 11.0"]),
        (["predict", "a", "--beam", str(2**40)], [f"beam {2**40}"]),
        (["predict", "a", "--sample", "--top-k", str(2**40)], [f"top-k is {2**40}"]),
        (["predict", "a", "--sample", "--temperature", "0"], ["temperature is 0"]),
        (["predict", "a", "--sample", "--temperature", "nan"], ["temperature is nan"]),
        (["predict", "a", "--sample", "--top-k", "-1"], ["top-k is -1"]),
        (["predict", "a", "--sample", "--seed", str(2**70)], ["seed"]),
        (["predict", "a", "--baem", "2"], ["unknown option --baem", "did you mean --beam?"]),
        (["predict", "a", "--temp", "2"], ["--temp"]),  # abbreviations are not guessed at
        (["predict", "a", "--keras", "4"], ["--keras", "4"]),
        (["predict", "caf\udce9"], ["UTF-8"]),  # what Python makes of an argument that is not UTF-8
        (["evaluate", "logs/words"], ["--data"]),
        (["evaluate", "logs/words", "surplus", "--data", "data"], ["'surplus' is one argument too many"]),
        (["evaluate", "--data", "none"], ["none: cannot be read"]),
        (["evaluate", "--data", "data", "--nbest", "2"], ["--nbest"]),
        (["evaluate", "--data", "bad"], ["bad, line 2: 1 column ('c'); expected source, tab, target"]),
        (["evaluate", "--data", "bad", "--references"], ["bad, line 2: 1 column ('c')"]),
        (["evaluate", "--data", "blank"], ["'?', '!'", "no word token"]),
        (["export", "logs/words"], ["DIR"]),
        (["export"], ["RUN"]),
        (["export", "logs/words", "saved", "--beam", "0"], ["beam 0"]),
        (["export", "logs/words", "data"], ["data: exists already"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes(there, ask, arguments, parts):
    (there / "data").write_text(DATA)
    (there / "bad").write_text("a\tb\nc\n")
    (there / "blank").write_text("?\t!\n")
    before = names(there)
    done = ask(*arguments)
    assert refused(done, *parts)
    assert not done.out
    assert names(there) == before


def test_no_standard_input_at_all(echo, ask, monkeypatch, capsys):
    # What `<&-` makes of it.
    monkeypatch.setattr(sys, "stdin", None)
    code = run_command(choose, ["predict"])
    assert refused(types.SimpleNamespace(code=code, err=capsys.readouterr().err), "standard input")


def test_mistakes_and_help_are_answered_before_tensorflow_is_imported(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('much too slow')")
    options = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{toys.ROOT}"}
    for arguments, part in [(["preditc"], "preditc"), (["predict", "--baem"], "--baem"), (["evaluate"], "--data")]:
        process = start(*arguments, **options)
        out, err = process.communicate()
        assert refused(types.SimpleNamespace(code=process.returncode, err=err.decode()), part) and not out
    for arguments in (["--help"], ["predict", "--help"], ["evaluate", "--help"], ["export", "-h"]):
        process = start(*arguments, **options)
        out, err = process.communicate()
        assert (process.returncode, err) == (0, b"") and out.startswith(b"usage: keras-seq2seq")
    for words in (["-um", "keras_seq2seq"], ["-mkeras_seq2seq"]):
        help_of = subprocess.run(
            [sys.executable, *words, "--help"], env=toys.environment(**options), capture_output=True
        )
        assert (help_of.returncode, help_of.stderr) == (0, b"")
