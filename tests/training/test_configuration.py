"""The configuration: defaults that suit the data, and mistakes answered with what is valid."""

import dataclasses
import json
import re

import pytest

from keras_seq2seq.errors import InputError
from keras_seq2seq.training.configuration import PUBLISHED, SMALL, Configuration, flag_of

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
        ({"data": ["a.de", "a.en"]}, dataclasses.replace(SMALL, data=["a.de", "a.en"])),
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


def test_absurd_numbers_are_refused():
    with pytest.raises(InputError, match="--layers is 2000; it must be at most 100"):
        Configuration(layers=2000)
    with pytest.raises(InputError, match=r"--units is .*; it must be at most"):
        Configuration(units=10**12)


@pytest.mark.parametrize("text", ["a\0b", "\udcff"])
def test_no_file_has_such_a_name(text):
    for name in ("data", "valid", "logs", "run", "source_embeddings"):
        with pytest.raises(InputError, match=f"{flag_of(name)} is .*; it must be UTF-8, without NUL"):
            Configuration(**{name: text})
    with pytest.raises(InputError, match=r"--valid is .*; it must be UTF-8, without NUL"):
        Configuration(valid=["v.de", text])


@pytest.mark.parametrize("name", ["data", "valid"])
@pytest.mark.parametrize("files", [[], ["a"], ["a", "b", "c"], ["a", None], [3, 4]])
def test_files_are_one_or_two(name, files):
    with pytest.raises(InputError) as caught:
        Configuration(**{name: files})
    assert str(caught.value) == (
        f"--{name} is {files}; give one file of pairs, or a list of two: the sources, the targets"
    )


def test_columns_are_read_as_numbers():
    assert Configuration().chosen_columns() is None
    assert Configuration(columns="2,1").chosen_columns() == (2, 1)
    with pytest.raises(InputError) as caught:
        Configuration(columns="2,2")
    assert str(caught.value) == (
        "--columns is '2,2'; give the source's and the target's column, two counted from 1, as in 2,1"
    )


@pytest.mark.parametrize("name", ["data", "valid"])
def test_columns_are_not_for_two_files(name):
    with pytest.raises(InputError) as caught:
        Configuration(columns="1,2", **{name: ["a.de", "a.en"]})
    assert str(caught.value) == (
        "--columns is for files of tab-separated columns; leave it out with two parallel files"
    )


@pytest.mark.parametrize("profile", ["", "10", "20,10", "0,5", "a,b", "-1,5", "1,2,3", "1," + "9" * 5000])
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
        ("corpus", "cornell", "notebook, chatterbot, scan"),
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


def test_one_embedding_has_one_file():
    Configuration(source_embeddings="a.txt")
    Configuration(target_embeddings="b.txt", shared_vocabulary=False)
    with pytest.raises(InputError, match="--target-embeddings needs --no-shared-vocabulary"):
        Configuration(source_embeddings="a.txt", target_embeddings="b.txt")


def test_only_embeddings_from_a_file_can_be_frozen():
    with pytest.raises(InputError, match="--freeze-embeddings needs --source-embeddings or --target-embeddings"):
        Configuration(freeze_embeddings=True)
