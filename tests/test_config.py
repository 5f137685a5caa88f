"""The configuration: defaults that suit the data, and mistakes answered with what is valid."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest
import toys

from keras_seq2seq.config import PUBLISHED, SMALL, Configuration, InputError, Parser, add_options, flag_of


def parsed(*arguments):
    """Returns what the command line hands on: the options that were used, and no others."""
    parser = Parser(prog="toy")
    add_options(parser)
    return vars(parser.parse_args(list(arguments)))


# Defaults


def test_the_defaults_are_the_notebooks_model_on_its_two_pairs():
    config = Configuration()
    assert (config.embedding_dim, config.units, config.batch_size, config.corpus) == (5, 32, 2, "notebook")
    assert config.epochs * config.updates_per_epoch == 100  # the notebook's 100 updates
    assert config.recurrent_initializer == "glorot_uniform" and config.embedding_stddev == 0
    assert Configuration.from_dict({}) == config


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Configuration()),
        ({"corpus": "notebook"}, Configuration()),
        ({"data": None}, Configuration()),
        ({"as_published": False}, Configuration()),
        ({"as_published": True}, PUBLISHED),
        ({"data": "pairs.tsv"}, dataclasses.replace(SMALL, data="pairs.tsv")),
        ({"corpus": "chatterbot"}, dataclasses.replace(SMALL, corpus="chatterbot")),
    ],
)
def test_the_data_chooses_the_defaults(values, expected):
    assert Configuration.from_dict(values) == expected


def test_what_is_given_stands_above_every_default():
    config = Configuration.from_dict({"data": "pairs.tsv", "units": 7, "inspect": 3})
    assert (config.units, config.inspect) == (7, 3)
    assert config.batch_size == SMALL.batch_size


def test_published_is_the_notebooks_optimizer():
    assert PUBLISHED.as_published and PUBLISHED.adam_epsilon == 1e-8
    assert Configuration().adam_epsilon == 1e-7  # Keras's own


def test_it_survives_json():
    config = Configuration.from_dict({"data": "pairs.tsv", "seed": 3, "run": "mine"})
    assert Configuration.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Configuration().units = 64


# Mistakes


def test_an_unknown_key_is_told_the_nearest_and_all_valid_ones():
    with pytest.raises(InputError) as caught:
        Configuration.from_dict({"unit": 64})
    message = str(caught.value)
    assert "'unit'" in message and "did you mean units?" in message
    for field in dataclasses.fields(Configuration):
        assert field.name in message


def test_a_key_near_to_nothing_gets_the_list_alone():
    with pytest.raises(InputError, match="'zzzzzz'; the valid ones are: corpus, data, "):
        Configuration.from_dict({"zzzzzz": 1})


@pytest.mark.parametrize("name", ["embedding_dim", "units", "epochs", "batch_size", "length_buckets", "max_length"])
@pytest.mark.parametrize("value", [0, -3])
def test_sizes_are_at_least_one(name, value):
    with pytest.raises(InputError, match=f"{flag_of(name)} is {value}; it must be a finite number, 1 or more"):
        Configuration(**{name: value})


@pytest.mark.parametrize("name", ["learning_rate", "adam_epsilon", "clip_norm", "embedding_stddev", "valid_share"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5])
def test_numbers_are_finite_and_not_negative(name, value):
    with pytest.raises(InputError, match=f"{flag_of(name)} is {value}; it must be a finite number, 0 or more"):
        Configuration(**{name: value})


@pytest.mark.parametrize("name", ["learning_rate", "adam_epsilon"])
def test_a_rate_of_zero_would_learn_nothing(name):
    with pytest.raises(InputError, match=f"{flag_of(name)} is 0; it must be greater than 0"):
        Configuration(**{name: 0.0})


@pytest.mark.parametrize("profile", ["", "10", "20,10", "0,5", "a,b", "-1,5", "1,2,3"])
def test_profile_wants_two_rising_updates(profile):
    with pytest.raises(InputError, match=f"--profile is '{profile}'; give the first and the last update"):
        Configuration(profile=profile)


def test_profile_is_read_as_numbers():
    assert Configuration().profiled_updates() is None
    assert Configuration(profile="10,20").profiled_updates() == (10, 20)
    assert Configuration(profile="7,7").profiled_updates() == (7, 7)


def test_profile_needs_tensorboard():
    with pytest.raises(InputError, match="leave out --tensorboard off"):
        Configuration(profile="10,20", tensorboard="off")


@pytest.mark.parametrize("name", ["seed", "inspect", "updates_per_epoch", "clip_norm", "valid_share"])
def test_zero_is_a_value_where_it_means_something(name):
    assert getattr(Configuration(**{name: 0}), name) == 0


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("corpus", "cornell", "notebook, chatterbot"),
        ("source_tokens", "Word", "word, char, space"),
        ("target_tokens", "", "word, char, space"),
        ("recurrent_initializer", "zeros", "glorot_uniform, orthogonal"),
    ],
)
def test_an_unknown_choice_is_told_the_valid_ones(name, value, valid):
    with pytest.raises(InputError, match=re.escape(f"{flag_of(name)} is {value!r}; choose one of: {valid}")):
        Configuration(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("units", "8"), ("units", 2.5), ("learning_rate", "0.1"), ("run", 3)])
def test_a_value_of_the_wrong_type_is_named(name, value):
    # From Python and from JSON a value comes as it is; far from here it would fail without its name.
    with pytest.raises(InputError, match=f"{flag_of(name)} is {value!r}"):
        Configuration(**{name: value})


def test_a_whole_number_will_do_for_a_rate():
    assert Configuration(learning_rate=1, clip_norm=2).clip_norm == 2


@pytest.mark.parametrize("share", [1.0, 2.5])
def test_a_share_of_all_leaves_nothing_to_train_on(share):
    with pytest.raises(InputError, match=f"--valid-share is {share}; it must be below 1"):
        Configuration(valid_share=share)


@pytest.mark.parametrize("values", [{"data": "pairs.tsv"}, {"corpus": "chatterbot"}])
def test_the_published_run_has_its_own_data(values):
    with pytest.raises(InputError, match="leave out --data and --corpus"):
        Configuration.from_dict({"as_published": True, **values})


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


@pytest.mark.parametrize("name", ["as_published", "shared_vocabulary", "jit_compile"])
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
        (["surplus"], "unknown option surplus"),
    ],
)
def test_the_parsers_own_errors_are_input_errors_too(arguments, expected):
    with pytest.raises(InputError, match=expected):
        parsed(*arguments)


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
    assert "default 32; with --data or --corpus 256" in " ".join(done.stdout.split())  # --units


def test_the_trap_of_the_test_above_works(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('tensorflow was imported')")
    done = toys.run_python("import keras_seq2seq.vocabulary", PYTHONPATH=f"{tmp_path}:{toys.ROOT}")
    assert done.returncode == 1 and done.stderr.strip() == "tensorflow was imported"
