"""A cell and an attention of one's own: handed in from outside, saved, and found again."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Decoder, Encoder, InputError, Seq2Seq, keras, keras_version, load, save
from keras_seq2seq.layers.attention import Attention
from keras_seq2seq.serialization import build, describe
from keras_seq2seq.training.build import build_compiled


@keras.utils.register_keras_serializable("own")
class LeakyCell(keras.layers.Layer):
    """A cell that keeps some of its state, how much is learnt; it has never heard of training."""

    def __init__(self, units):
        super().__init__()
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units), initializer="glorot_uniform")
        self.leak = self.add_weight(name="leak", shape=(self.units,), initializer="zeros")
        self.built = True

    def call(self, inputs, states):
        kept = tf.sigmoid(tf.convert_to_tensor(self.leak))
        state = kept * states[0] + (1 - kept) * tf.tanh(inputs @ tf.convert_to_tensor(self.kernel))
        return state, [state]


@keras.utils.register_keras_serializable("own")
class FirstToken(Attention):
    """An attention that always looks at the first token."""

    def score(self, query, keys):
        return tf.one_hot(tf.zeros(tf.shape(query)[:2], tf.int32), tf.shape(keys)[1], 0.0, -1e9)


@keras.utils.register_keras_serializable("own")
class Distance(Attention):
    """An attention that looks at what lies near the query in some dimensions."""

    def __init__(self, size, **options):
        super().__init__(**options)
        self.size, self.query, self.key = size, keras.layers.Dense(size), keras.layers.Dense(size)

    def keys(self, memory):
        return self.key(memory)

    def score(self, query, keys):
        return -tf.reduce_sum((self.query(query)[:, :, None] - keys[:, None]) ** 2, axis=-1)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@keras.utils.register_keras_serializable("own")
def two_gates(units):
    return keras.layers.GRUCell(units, reset_after=False)


@keras.utils.register_keras_serializable("own")
def two_levels(units):
    """Makes a cell whose state is a list of lists."""
    return keras.layers.StackedRNNCells([keras.layers.LSTMCell(units), keras.layers.GRUCell(units)])


def trained(**parts):
    keras.utils.set_random_seed(1)
    model = build_compiled(toys.make_config(layers=2), toys.WORDS, toys.WORDS, 4, 2, **parts)
    model.run_eagerly = True
    before = [toys.array(weight) for weight in model.trainable_weights]
    for _ in range(2):
        model.train_on_batch(*toys.BATCHES[0])
    for weight, start in zip(model.trainable_weights, before, strict=True):
        assert (toys.array(weight) != start).any(), weight.name
    return model


SOURCE = toys.padded([[2, 5, 6], [2, 9]])


@pytest.mark.parametrize(
    "parts",
    [
        {"cell": LeakyCell},
        {"cell": two_levels},
        {"cell": keras.layers.GRUCell(6, reset_after=False)},
        {"cell": keras.layers.StackedRNNCells([keras.layers.LSTMCell(5), keras.layers.GRUCell(6)])},
        {"attention": FirstToken()},
        {"cell": two_gates, "attention": Distance(3)},
    ],
)
def test_they_learn_and_answer_and_are_saved(parts, tmp_path):
    model = trained(**parts)
    if isinstance(parts.get("cell"), keras.layers.Layer):  # each layer has a copy
        assert len({id(rnn.cell) for rnn in (model.encoder.rnn, model.decoder.rnn, model.decoder.rnn_2)}) == 3
        assert not parts["cell"].built
    save(model, tmp_path / "model.keras")
    copy = load(tmp_path / "model.keras")
    for ours, theirs in zip(copy.generate_ids(SOURCE), model.generate_ids(SOURCE), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Step by step comes what comes with teacher forcing.
    ids, total = model.generate_ids(SOURCE, max_length=3)
    seen = copy.decoder.inspect(tf.concat([[[3], [3]], ids[:, 0, :-1]], axis=1), *copy.encode(SOURCE))
    mask = tf.cast(ids[:, 0] != 0, tf.float32)
    log_probabilities = tf.gather(tf.nn.log_softmax(seen["logits"]), ids[:, 0], batch_dims=2) * mask
    np.testing.assert_allclose(tf.reduce_sum(log_probabilities, axis=1), total[:, 0], rtol=1e-4)
    assert type(copy.encoder.rnn.cell) is type(model.encoder.rnn.cell)
    assert type(copy.decoder.attention) is type(model.decoder.attention) is type(parts.get("attention"))
    if isinstance(copy.decoder.attention, FirstToken):
        assert (seen["attention"].numpy() == [1, 0, 0]).all()


@keras.utils.register_keras_serializable("own")
class WithSpare(LeakyCell):
    """Has a weight that it does not use."""

    def build(self, input_shape):
        super().build(input_shape)
        self.spare = self.add_weight(name="spare", shape=(2,), initializer="ones")


def test_a_weight_that_is_not_used_stays_as_it_is():
    halves = (half(len(toys.WORDS), units=6, cell=WithSpare) for half in (Encoder, Decoder))
    model = Seq2Seq(*halves, toys.WORDS, toys.WORDS).create_weights()
    model.compile("sgd", run_eagerly=True)
    before = toys.array(model.encoder.rnn.cell.kernel)
    model.train_on_batch(*toys.BATCHES[0])
    np.testing.assert_array_equal(toys.array(model.encoder.rnn.cell.spare), [1, 1])
    assert (toys.array(model.encoder.rnn.cell.kernel) != before).any()


class Unregistered(LeakyCell):
    pass


class UnregisteredAttention(FirstToken):
    pass


@pytest.mark.parametrize("half", [Encoder, Decoder])
@pytest.mark.parametrize(
    ("own", "name"),
    [
        (Unregistered, "Unregistered"),
        (Unregistered(6), "Unregistered"),
        (lambda units: LeakyCell(units), "<lambda>"),
        (functools.partial(LeakyCell), "partial"),
    ],
)
def test_a_cell_that_no_saved_model_could_find_again_is_refused_at_once(half, own, name):
    with pytest.raises(ValueError) as caught:
        half(7, cell=own)
    check_unregistered(caught, name)


def test_a_class_of_keras_is_answered_by_what_to_write_instead():
    with pytest.raises(ValueError) as caught:
        Encoder(7, cell=keras.layers.GRUCell)
    assert str(caught.value) == 'the cell is a class of Keras: write cell="gru", or GRUCell(units)'


@pytest.mark.parametrize(
    ("own", "name"),
    [
        (FirstToken, "<class '.*FirstToken'>"),
        (lambda units: FirstToken(), "<function <lambda> at .*"),
        (keras.layers.Attention(), "<.*[aA]ttention.*"),
    ],
)
def test_what_is_no_attention_is_refused_at_once(own, name):
    wanted = "; give an object of a class derived from `Attention`"
    with pytest.raises(InputError, match=f"the attention is {name}{wanted}"):
        Decoder(7, attention=own)


def test_an_attention_that_no_saved_model_could_find_again_is_refused_at_once():
    with pytest.raises(ValueError) as caught:
        Decoder(7, attention=UnregisteredAttention())
    check_unregistered(caught, "UnregisteredAttention")


def check_unregistered(caught, name):
    assert str(caught.value) == (
        f"{name} is not registered: write @keras.utils.register_keras_serializable() above it, "
        "so that a saved model finds it again"
    )


ELSEWHERE = """
import sys, keras_seq2seq
try:
    keras_seq2seq.load(sys.argv[1])
except keras_seq2seq.InputError as error:
    print(error)
"""


@pytest.mark.parametrize("keras_major", [2, 3])
def test_a_process_that_does_not_know_them_says_what_is_missing(tmp_path, keras_major):
    save(trained(cell=LeakyCell), tmp_path / "model.keras")
    line = toys.output_of(ELSEWHERE, tmp_path / "model.keras", keras_major=keras_major).splitlines()[-1]
    assert line.endswith("model.keras: the model needs 'LeakyCell': import the file that defines it, then load")


@pytest.mark.parametrize("class_name", ["Policy", "DTypePolicy"])  # as Keras 2 and Keras 3 call it
def test_a_policy_in_a_file_is_taken_by_its_name(class_name):
    described = describe(Distance(3))
    described["config"]["dtype"] = {"class_name": class_name, "config": {"name": "mixed_bfloat16"}}
    attention = build(described)
    assert attention.compute_dtype == "bfloat16" and attention.variable_dtype == "float32"
    assert build(describe(attention)).compute_dtype == "bfloat16"
    for config in ({}, {"name": 16}, None):
        described["config"]["dtype"]["config"] = config
        with pytest.raises(InputError, match="its attention's dtype is a policy without a name"):
            build(described, role="attention")


IN_THE_OTHER = """
import sys
sys.path[:0] = sys.argv[1], sys.argv[1] + "/model"
import test_registered_parts, keras_seq2seq
model = keras_seq2seq.load(sys.argv[2])
print(model.generate_ids(test_registered_parts.SOURCE)[1].numpy().tolist())
"""


def test_a_file_of_the_other_keras_brings_them_too(tmp_path):
    cell = keras.layers.StackedRNNCells([keras.layers.LSTMCell(5), keras.layers.GRUCell(6)])
    model = trained(cell=cell, attention=FirstToken())
    save(model, tmp_path / "model.keras")
    other = 5 - keras_version.keras_major()
    found = toys.output_of(IN_THE_OTHER, toys.ROOT / "tests", tmp_path / "model.keras", keras_major=other)
    expected = model.generate_ids(SOURCE)[1]
    np.testing.assert_allclose(json.loads(found.splitlines()[-1]), expected, rtol=1e-4)
