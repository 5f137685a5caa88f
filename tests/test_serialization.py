"""Parts become plain data and parts again; data chooses from what is known here, and nothing else."""

import json

import pytest

from keras_seq2seq import InputError, keras
from keras_seq2seq.layers.attention import DotAttention
from keras_seq2seq.serialization import build, describe, known_name


@keras.utils.register_keras_serializable("test_serialization")
def small_cell(units):
    return keras.layers.GRUCell(units, reset_after=False)


@keras.utils.register_keras_serializable("test_serialization")
class Box:
    """Holds whatever it is given."""

    def __init__(self, **content):
        self.content = content

    def get_config(self):
        return self.content


def again(part):
    """Returns what comes back from a file."""
    return build(json.loads(json.dumps(describe(part))))


@pytest.mark.parametrize("plain", [None, "gru"])
def test_names_are_described_by_themselves(plain):
    assert describe(plain) == plain


@pytest.mark.parametrize("part", [small_cell, Box])
def test_a_function_or_a_class_comes_back_as_itself(part):
    assert describe(part) == {"registered_name": f"test_serialization>{part.__name__}"}
    assert again(part) is part


@pytest.mark.parametrize(
    "part",
    [
        keras.layers.LSTMCell(3, kernel_initializer=keras.initializers.Constant(0.5), kernel_constraint="max_norm"),
        keras.layers.StackedRNNCells([keras.layers.LSTMCell(3), keras.layers.GRUCell(2, bias_regularizer="l2")]),
        keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9), momentum=0.5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        DotAttention(3),
    ],
    ids=lambda part: type(part).__name__,
)
def test_an_object_comes_back_with_its_options_and_the_objects_in_it(part):
    copy = again(part)
    assert type(copy) is type(part) and copy is not part
    assert describe(copy) == describe(part)


def test_registered_names_in_lists_and_within_options_are_found_too():
    described = describe(Box(cell=describe(small_cell), sizes=[1, 2.5, "x", None]))
    assert build(described).content == {"cell": small_cell, "sizes": [1, 2.5, "x", None]}


@pytest.mark.parametrize("part", [keras.layers.Dense(3), keras.layers.Dense, lambda units: None, print])
def test_what_is_neither_registered_nor_known_is_not_described(part):
    with pytest.raises(ValueError, match=r"is not registered: write @keras\.utils\.register_keras_serializable\(\)"):
        describe(part)


def test_a_class_that_is_only_called_like_one_of_keras_is_not_taken_for_it():
    impostor = type("GRUCell", (keras.layers.Dense,), {})
    with pytest.raises(ValueError, match="GRUCell is not registered"):
        describe(impostor(3))


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (None, "its thing is not described as Keras does it"),
        ({}, "its thing is not described as Keras does it"),
        ({"class_name": "GRUCell"}, "its thing is not described as Keras does it"),
        ({"class_name": "GRUCell", "config": "x"}, "its thing is not described as Keras does it"),
        ({"class_name": "Dense", "config": {}}, "its thing 'Dense' is not known here"),
        ({"class_name": "Lambda", "config": {}}, "its thing 'Lambda' is not known here"),
        ({"class_name": "__class__", "config": {}}, "its thing '__class__' is not known here"),
        ({"module": "os", "class_name": "system", "config": {}}, "its thing 'system' is not known here"),
        ({"registered_name": "os>system"}, "the model needs 'system': import the file that defines it"),
        ({"registered_name": "print"}, "the model needs 'print': import the file that defines it"),
        (
            {"class_name": "x", "registered_name": "test_serialization>small_cell", "config": {}},
            "'x' is not known here",
        ),
        ({"class_name": "GRUCell", "config": {}}, "its thing GRUCell cannot be made ("),
        ({"class_name": "GRUCell", "config": {"units": {}}}, "its thing's units is not described as Keras does it"),
        ({"class_name": "GRUCell", "config": {"units": [[]]}}, "its thing's units is described as list"),
    ],
)
def test_what_is_not_known_is_refused_in_one_line(described, reason):
    with pytest.raises(InputError) as caught:
        build(described, role="thing")
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_a_part_of_another_kind_is_refused():
    described = describe(keras.optimizers.SGD())
    assert isinstance(build(described, keras.optimizers.Optimizer), keras.optimizers.SGD)
    with pytest.raises(InputError, match="its encoder 'SGD' is not known here"):
        build(described, keras.layers.Layer, role="encoder")
    with pytest.raises(InputError, match="its encoder is not described as Keras does it"):
        build(describe(small_cell), keras.layers.Layer, role="encoder")  # a function is of no kind


def test_names_of_keras_are_known_however_they_are_written():
    assert [known_name(name, "optimizers") for name in ("adam", "RMSPROP", "Own")] == ["Adam", "RMSprop", "Own"]
