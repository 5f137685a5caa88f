"""A cell and an attention of one's own: handed in from outside, saved, and found again."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Configuration, Seq2Seq, keras, load, save
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
class FirstToken(keras.layers.Layer):
    """An attention that always looks at the first token."""

    def __init__(self, units, memory_size):
        super().__init__()
        self.size = memory_size

    def call(self, query, memory, memory_mask):
        weights = tf.one_hot(tf.zeros(tf.shape(query)[:2], tf.int32), tf.shape(memory)[1])
        return weights @ memory, weights


@keras.utils.register_keras_serializable("own")
def two_gates(units):
    return keras.layers.GRUCell(units, reset_after=False)


@keras.utils.register_keras_serializable("own")
def two_storeys(units):
    """Makes a cell whose state is a list of lists."""
    return keras.layers.StackedRNNCells([keras.layers.LSTMCell(units), keras.layers.GRUCell(units)])


def trained(**parts):
    keras.utils.set_random_seed(1)
    config = Configuration(embedding_dim=4, units=6, embedding_stddev=0.5, layers=2, recurrent_dropout=0.2)
    model = build_compiled(config, toys.WORDS, toys.WORDS, 4, updates=2, **parts)
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
        {"cell": two_storeys},
        {"attention": FirstToken},
        {"cell": two_gates, "attention": FirstToken},
    ],
)
def test_they_learn_and_answer_and_are_saved(parts, tmp_path):
    model = trained(**parts)
    save(model, tmp_path / "model.keras")
    copy = load(tmp_path / "model.keras")
    for ours, theirs in zip(copy.generate_ids(SOURCE), model.generate_ids(SOURCE), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # What is said step by step is what teacher forcing says.
    ids, total = model.generate_ids(SOURCE, max_length=3)
    logits, weights = copy.logits_and_attention((SOURCE, tf.concat([[[3], [3]], ids[:, 0, :-1]], axis=1)))
    mask = tf.cast(ids[:, 0] != 0, tf.float32)
    said = tf.gather(tf.nn.log_softmax(logits), ids[:, 0], batch_dims=2) * mask
    np.testing.assert_allclose(tf.reduce_sum(said, axis=1), total[:, 0], rtol=1e-4)
    assert type(copy.encoder.rnn.cell.cell) is type(model.encoder.rnn.cell.cell)
    if "attention" in parts:
        assert isinstance(copy.decoder.attention, FirstToken)
        assert (weights.numpy() == [1, 0, 0]).all()


@keras.utils.register_keras_serializable("own")
class WithSpare(LeakyCell):
    """Has a weight that it does not use."""

    def build(self, input_shape):
        super().build(input_shape)
        self.spare = self.add_weight(name="spare", shape=(2,), initializer="ones")


def test_a_weight_that_is_not_used_stays_as_it_is():
    model = Seq2Seq(Configuration(units=6), toys.WORDS, toys.WORDS, 4, cell=WithSpare).create_weights()
    model.compile("sgd", run_eagerly=True)
    before = toys.array(model.encoder.rnn.cell.kernel)
    model.train_on_batch(*toys.BATCHES[0])
    np.testing.assert_array_equal(toys.array(model.encoder.rnn.cell.spare), [1, 1])
    assert (toys.array(model.encoder.rnn.cell.kernel) != before).any()


class Unregistered(LeakyCell):
    pass


@pytest.mark.parametrize("part", ["cell", "attention"])
@pytest.mark.parametrize(
    ("own", "name"),
    [
        (Unregistered, "Unregistered"),
        (lambda *sizes: LeakyCell(sizes[0]), "<lambda>"),
        (functools.partial(int), "functools.partial(<class 'int'>)"),
        (keras.layers.GRUCell, "GRUCell"),
    ],
)
def test_what_no_saved_model_could_find_again_is_refused_at_once(part, own, name):
    with pytest.raises(ValueError) as caught:
        Seq2Seq(Configuration(), toys.WORDS, toys.WORDS, **{part: own})
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
