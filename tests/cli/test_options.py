"""The command line's options, and configuration files that stand in their place."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import toys

from keras_seq2seq.cli.options import Parser, add_options, configure
from keras_seq2seq.errors import InputError
from keras_seq2seq.training.configuration import PRESETS, SMALL, Configuration, flag_of
from keras_seq2seq.training.configuration_files import read_configuration, write_configuration


def parsed(*arguments):
    """Returns what the command line hands on: the options that were used, and no others."""
    parser = Parser(prog="toy")
    add_options(parser)
    return vars(parser.parse_args(list(arguments)))


def configured(*arguments):
    """Returns the configuration that a command line asks for."""
    return configure(parsed(*arguments))


# The command line


def test_an_option_that_is_not_used_leaves_no_trace():
    assert parsed() == {}
    assert parsed("--units", "8") == {"units": 8}


def test_every_field_has_an_option_of_its_type():
    given = parsed("--learning-rate", "1e-2", "--data", "pairs.tsv", "--seed", "3", "--corpus", "chatterbot")
    assert given == {"learning_rate": 0.01, "data": "pairs.tsv", "seed": 3, "corpus": "chatterbot"}
    for field in dataclasses.fields(Configuration):
        if isinstance(field.default, bool):
            assert parsed(flag_of(field.name)) == {field.name: True}
        else:
            assert parsed(flag_of(field.name), "1").keys() == {field.name}


def test_one_file_is_a_name_and_more_are_a_list():
    given = parsed("--data", "a.de", "a.en", "--valid", "pairs.tsv", "--columns", "2,1")
    assert given == {"data": ["a.de", "a.en"], "valid": "pairs.tsv", "columns": "2,1"}


@pytest.mark.parametrize("name", ["as_published", "shared_vocabulary", "deterministic"])
def test_flags_can_be_switched_on_and_off(name):
    assert parsed(flag_of(name)) == {name: True}
    assert parsed(flag_of(name).replace("--", "--no-")) == {name: False}


def test_there_are_no_abbreviations():
    with pytest.raises(InputError, match=r"unknown option --epoch; did you mean --epochs\?"):
        parsed("--epoch", "3")  # argparse itself would take it for --epochs


def test_an_unknown_option_is_told_all_valid_ones():
    with pytest.raises(InputError) as caught:
        parsed("--learning-rat=0.1")
    message = str(caught.value)
    assert "unknown option --learning-rat" in message and "did you mean --learning-rate?" in message
    for field in dataclasses.fields(Configuration):
        assert flag_of(field.name) in message


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--units", "many"], "argument --units: invalid int value: 'many'"),
        (["--units", "2.5"], "argument --units: invalid int value: '2.5'"),
        (["--units"], "argument --units: expected one argument"),
        (["--data"], "argument --data: expected at least one argument"),
        (["--data", "--valid", "pairs.tsv"], "argument --data: expected at least one argument"),
        (["surplus"], "'surplus' is one argument too many"),
    ],
)
def test_the_parsers_own_errors_are_input_errors_too(arguments, expected):
    with pytest.raises(InputError, match=expected):
        parsed(*arguments)


@pytest.mark.parametrize("option", ["--config=--", "--data=--"])
def test_two_dashes_are_one_line(option, tmp_path):
    # In the parser of Python 3.13 they are a name as any other.
    done = subprocess.run(
        [sys.executable, "-m", "keras_seq2seq", "train", option],
        env=toys.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=toys.PATIENCE,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["train.py"], ["-m", "keras_seq2seq", "train"]])
def test_help_answers_without_tensorflow(arguments, tmp_path):
    # A package of this name comes first on the path and fails loudly when anybody imports it.
    for name in ("tensorflow", "keras", "tf_keras"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    script = [str(toys.ROOT / arguments[0])] if arguments == ["train.py"] else arguments
    done = subprocess.run(
        [sys.executable, *script, "--help"],
        env=toys.environment(PYTHONPATH=f"{tmp_path}:{toys.ROOT}"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=toys.PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for field in dataclasses.fields(Configuration):
        assert flag_of(field.name) in done.stdout
    assert "default 32; 256 with --data or --corpus" in " ".join(done.stdout.split())  # --units


def test_the_trap_of_the_test_above_works(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('tensorflow was imported')")
    done = toys.run_python("import keras_seq2seq.vocabulary", PYTHONPATH=f"{tmp_path}:{toys.ROOT}")
    assert done.returncode == 1 and done.stderr.strip() == "tensorflow was imported"


# Configuration files


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_recommended_ones_come_with_the_package():
    assert sorted(path.name for path in PRESETS.iterdir()) == ["base.json", "sentences.json", "small.json", "tiny.json"]
    assert read_configuration("tiny") == Configuration()  # the notebook's
    assert read_configuration("small") == SMALL
    # What somebody else's data has to be is not ours to recommend, nor where to put runs.
    for path in PRESETS.iterdir():
        given = {"data", "valid", "logs", "run", "resume", "seed"} & json.loads(path.read_text()).keys()
        assert not given, path


def test_a_file_takes_the_place_of_the_defaults_and_options_win(here):
    Path("mine.json").write_text('{"units": 7, "shared_vocabulary": true, "inspect": 3}')
    config = configured("--config", "mine.json", "--data", "pairs.tsv", "--no-shared-vocabulary", "--inspect", "4")
    expected = {"data": "pairs.tsv", "units": 7, "shared_vocabulary": False, "inspect": 4}
    assert config == dataclasses.replace(SMALL, **expected)  # which is where data of one's own starts
    assert read_configuration("mine.json") == Configuration(units=7, inspect=3)


def test_a_named_one_can_be_changed_too():
    assert configured("--config", "small", "--units", "7") == dataclasses.replace(SMALL, units=7)
    assert configured("--config", "tiny", "--data", "pairs.tsv") == Configuration(data="pairs.tsv")


def test_without_a_file_the_data_chooses():
    assert configured("--data", "pairs.tsv") == dataclasses.replace(SMALL, data="pairs.tsv")
    assert configured() == Configuration()


def test_a_file_of_ones_own_goes_before_the_packages(here):
    Path("small").write_text('{"units": 3}')
    assert read_configuration("small") == Configuration(units=3)
    Path("small").unlink()
    Path("small").mkdir()  # a folder of runs, say
    assert read_configuration("small") == SMALL


def test_what_a_run_writes_is_complete_and_repeats_it_elsewhere(here):
    config = Configuration(data="p\xe4irs.tsv", units=7, early_stopping="loss:2", logs="here", run="mine", resume=True)
    write_configuration(config, here)
    assert [path.name for path in here.iterdir()] == ["config.json"]
    written = Path("config.json").read_text()
    fields = [field.name for field in dataclasses.fields(Configuration)]
    assert list(json.loads(written)) == [name for name in fields if name not in ("logs", "run", "resume")]
    assert len(written.splitlines()) == len(fields) - 3 + 2  # one a line, between braces
    assert read_configuration("config.json") == dataclasses.replace(config, logs="logs", run=None, resume=False)


def test_two_files_are_repeated_as_two(here):
    config = Configuration(data=["a.de", "a.en"], valid=["v.de", "v.en"])
    write_configuration(config, here)
    assert json.loads(Path("config.json").read_text())["data"] == ["a.de", "a.en"]
    assert read_configuration("config.json") == config
    assert configured("--config", "config.json", "--data", "pairs.tsv").data == "pairs.tsv"


def test_what_is_written_takes_the_place_of_what_was(here):
    write_configuration(Configuration(epochs=1), here)
    write_configuration(Configuration(epochs=2), here)
    assert [path.name for path in here.iterdir()] == ["config.json"]
    assert read_configuration("config.json").epochs == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "f.json, line 1: not JSON (Expecting value)"),
        (b"units: 7\n", "f.json, line 1: not JSON (Expecting value)"),
        (b'{\n"units": 7\n"epochs": 3}', "f.json, line 3: not JSON (Expecting ',' delimiter)"),
        (b'{\n"corpus": "\xfc"}', "f.json, line 2: not UTF-8 (byte 12: 0xfc); save it as UTF-8"),
        (b'{"units": ' + b"9" * 5000 + b"}", "f.json: cannot be read as JSON (Exceeds the limit"),
        (b"[" * 100_000, "f.json: cannot be read as JSON (maximum recursion depth"),
        (b'{"run": "a\\u0000b"}', "f.json: --run is 'a\\x00b'; it must be UTF-8, without NUL"),
        (b"[7]", 'f.json: is not a JSON object; expected one like {"units": 64}'),
        (b'{"unit": 7}', "f.json: unknown configuration key 'unit'; did you mean units? the valid ones are: corpus, "),
        (b'{"config": "tiny"}', "f.json: unknown configuration key 'config'; "),
        (b'{"units": "7"}', "f.json: --units is '7'; it must be of type int"),
        (b'{"units": 7.5}', "f.json: --units is 7.5; it must be of type int"),
        (b'{"units": true}', "f.json: --units is True; it must be of type int"),
        (b'{"units": null}', "f.json: --units is None; it must be of type int"),
        (b'{"data": ["a.tsv"]}', "f.json: --data is ['a.tsv']; give one file of pairs, or a list of two: "),
        (b'{"data": {"de": "en"}}', "f.json: --data is {'de': 'en'}; it must be of type str | list[str] | None"),
        (b'{"deterministic": 1}', "f.json: --deterministic is 1; it must be of type bool"),
        (b'{"learning_rate": NaN}', "f.json: --learning-rate is nan; it must be a finite number"),
        (b'{"units": 0}', "f.json: --units is 0; it must be a finite number, 1 or more"),
        (b'{"corpus": "cornell"}', "f.json: --corpus is 'cornell'; choose one of: notebook, chatterbot, scan"),
    ],
)
def test_a_wrong_file_is_named_and_what_is_wrong_in_it(content, expected, here):
    Path("f.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        configured("--config", "f.json", "--units", "8")
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smal", "smal: is neither a file nor a configuration's name; did you mean small? the valid ones are: base, "),
        (
            "no.json",
            "no.json: is neither a file nor a configuration's name; the valid ones are: base, sentences, small, tiny",
        ),
        (".", ".: cannot be read (Is a directory)"),
        ("", ": is neither a file nor a configuration's name"),
        ("x" * 300, "x" * 300 + ": is neither a file nor a configuration's name"),  # more than a name can have
    ],
)
def test_a_file_that_is_not_there_is_named(name, expected, here):
    with pytest.raises(InputError) as caught:
        configured("--config", name)
    assert str(caught.value).startswith(expected)


def test_a_byte_order_mark_is_no_part_of_it(here):
    Path("f.json").write_bytes(b'\xef\xbb\xbf{"units": 7}\r\n')
    assert read_configuration("f.json").units == 7
