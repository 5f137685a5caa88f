"""What is learnt from: losses that layers add, metrics of one's own, and learning rates that have come to their end."""

import json

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Configuration, Seq2Seq, keras
from keras_seq2seq.data.vocabulary import NOTEBOOK_TOKENS
from keras_seq2seq.layers.attention import DotAttention
from keras_seq2seq.model.losses import token_crossentropy
from keras_seq2seq.model.precision import optimizer_for

L2, RATE = 0.1, 0.5


@keras.utils.register_keras_serializable("test_learning")
def plain_cell(units):
    return keras.layers.SimpleRNNCell(units)


@keras.utils.register_keras_serializable("test_learning")
def regular_cell(units):
    return keras.layers.SimpleRNNCell(units, kernel_regularizer=keras.regularizers.L2(L2))


@keras.utils.register_keras_serializable("test_learning")
class AddingCell(keras.layers.SimpleRNNCell):
    def call(self, inputs, states, training=False):
        self.add_loss(tf.reduce_sum(inputs))
        return super().call(inputs, states, training=training)


@keras.utils.register_keras_serializable("test_learning")
class Tempered(DotAttention):
    """Adds its weight to the loss: the gradient of the weight is 1."""

    def build(self, _input_shape):
        self.weight = self.add_weight(name="weight", shape=(), initializer="zeros")
        self.built = True

    def call(self, query, memory, memory_mask):
        self.add_loss(tf.convert_to_tensor(self.weight))
        return super().call(query, memory, memory_mask)


def nothing(labels, logits):
    """A loss without a gradient: what is learnt comes from elsewhere."""
    return 0.0 * token_crossentropy(labels, logits)


def make_model(cell=None, attention=None, loss=None, rate=RATE, run_eagerly=False, **options):
    keras.utils.set_random_seed(1)
    config = Configuration(**{"embedding_dim": 4, "units": 6, "embedding_stddev": 0.5, "clip_norm": 0.0, **options})
    parts = {"cell": make_cell, "attention": make_attention}
    model = Seq2Seq(config, toys.WORDS, toys.WORDS, 8, **parts).create_weights()
    model.token_loss = token_loss or model.token_loss
    model.compile(optimizer_for(config.precision, keras.optimizers.SGD(rate)), run_eagerly=run_eagerly)
    model.optimizer.build(model.trainable_variables)
    return model


def fit(model, batches=toys.BATCHES, epochs=1, **options):
    return model.fit(toys.dataset_of(batches), epochs=epochs, verbose=0, shuffle=False, **options).history


def kernels_of(model):
    return [toys.array(half.rnn.cell.kernel) for half in (model.encoder, model.decoder)]


# Regularisers, and losses that a layer adds


def test_a_regulariser_shrinks_a_kernel_as_in_a_model_of_keras():
    model = make_model(regular_cell, loss=nothing)
    before = kernels_of(model)
    fit(model, epochs=2)  # four updates; each takes away RATE * 2 * L2 = 0.1 of the kernel
    for kernel, start in zip(kernels_of(model), before, strict=True):
        np.testing.assert_allclose(kernel, 0.9**4 * start, rtol=1e-5)

    rnn = keras.layers.RNN(regular_cell(6))
    plain = keras.Sequential([keras.Input([3, 4]), rnn])
    plain.compile(keras.optimizers.SGD(RATE), lambda right, said: 0.0 * said)
    start = toys.array(rnn.cell.kernel)
    plain.fit(np.ones([8, 3, 4]), np.ones([8, 6]), batch_size=2, verbose=0)
    np.testing.assert_allclose(toys.array(rnn.cell.kernel), 0.9**4 * start, rtol=1e-5)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_regulariser_adds_its_gradient_and_the_loss_shown_is_without_it(run_eagerly):
    plain, regular = (make_model(cell, run_eagerly=run_eagerly) for cell in (plain_cell, regular_cell))
    before = kernels_of(plain)
    for kernel, other in zip(kernels_of(regular), before, strict=True):
        np.testing.assert_array_equal(kernel, other)
    shown = [fit(model, toys.BATCHES[:1])["loss"] for model in (plain, regular)]
    assert shown[0] == pytest.approx(shown[1], rel=1e-6)
    for kernel, without, start in zip(kernels_of(regular), kernels_of(plain), before, strict=True):
        np.testing.assert_allclose(kernel, without - RATE * 2 * L2 * start, rtol=1e-4, atol=1e-6)
        assert np.abs(kernel - without).max() > 0.01


# In 16 bits the loss is scaled, and so has to be what is added to it.
@pytest.mark.parametrize(
    "options", [{}, {"run_eagerly": True}, {"scheduled_sampling": 0.5, "sampling_updates": 0}, {"precision": "float16"}]
)
def test_a_loss_that_a_layer_adds_is_learnt_from_once_each_update(options):
    model = make_model(attention=Tempered, loss=nothing, **options)
    model(toys.BATCHES[0][0], training=True)  # an earlier call, whose loss is gone
    model.generate_ids(toys.BATCHES[0][0][0])
    fit(model, epochs=2, validation_data=toys.dataset_of(toys.BATCHES))
    assert float(toys.array(model.decoder.attention.weight)) == pytest.approx(-4 * RATE, rel=1e-3)


def test_a_loss_that_a_cell_adds_at_each_step_is_refused():
    with pytest.raises(ValueError, match="AddingCell adds to the loss at each time step"):
        fit(make_model(AddingCell))
    assert toys.greedy_ids(make_model(AddingCell), toys.BATCHES[0][0][0], 5).shape == (2, 5)  # to ask it is no harm


# Metrics of one's own


class LabelsSeen(keras.metrics.Sum):
    """A metric that is no mean."""

    def update_state(self, labels, logits, sample_weight):
        assert labels.shape.rank == sample_weight.shape.rank == 1
        assert logits.shape.rank == 2 and logits.shape[-1] == len(toys.WORDS)
        return super().update_state(sample_weight)


def own_metrics():
    return [
        keras.metrics.SparseCategoricalAccuracy(name="own_accuracy"),
        keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="own_loss"),
        LabelsSeen(name="labels_seen"),
    ]


def check_own_metrics(measured, labels):
    assert measured["own_accuracy"] == pytest.approx(measured["token_accuracy"], abs=1e-6)
    assert measured["own_loss"] == pytest.approx(measured["loss"], rel=1e-5)
    assert measured["labels_seen"] == labels


def test_an_own_metric_weighs_every_label_alike_however_far_a_batch_is_padded():
    model = make_model()
    model.own_metrics[:] = own_metrics()
    (source, decoder_input), labels = toys.BATCHES[0]
    said = np.argmax(model((source, decoder_input)), axis=-1)
    right = np.where(np.arange(labels.shape[1]) < 2, said, labels) * (labels.numpy() != 0)  # up to two a row
    batches = [((source, decoder_input), tf.constant(right, tf.int32)), toys.BATCHES[1]]
    count = sum(int(tf.math.count_nonzero(labels)) for _, labels in batches)
    measured = model.evaluate(toys.dataset_of(batches), verbose=0, return_dict=True)
    assert measured["token_accuracy"] > 0
    check_own_metrics(measured, count)
    check_own_metrics({name: values[0] for name, values in fit(model, batches).items()}, count)


def test_a_reference_that_cannot_be_named_is_never_answered_exactly(monkeypatch):
    # `<unk>` is 1. The model says the first two references word by word, the third but for its first word.
    model = make_model()
    source, labels = toys.padded([[2, 5]] * 3), toys.padded([[1, 1, 4], [6, 4], [7, 1, 4]])
    said = toys.padded([[1, 1, 4], [6, 4, 0], [6, 1, 4]])
    monkeypatch.setattr(model, "generate_ids", lambda source, max_length: (said[:, None], None))
    assert model.answers_exactly(source, labels).numpy().tolist() == [False, True, False]
    assert model.answers_exactly(source, tf.cast(labels, tf.int64)).numpy().tolist() == [False, True, False]


def test_without_unk_in_the_vocabulary_its_id_is_a_word_as_any_other(monkeypatch):
    notebook = toys.Vocabulary(NOTEBOOK_TOKENS, "word")
    model = Seq2Seq(Configuration(as_published=True, embedding_dim=4, units=6), notebook, notebook)
    said = toys.padded([[1, 2]])
    monkeypatch.setattr(model, "generate_ids", lambda source, max_length: (said[:, None], None))
    assert model.answers_exactly(said, said).numpy().tolist() == [True]


# Two replicas


def run_under(strategy):
    """Trains with a regulariser, an added loss and own metrics; returns what is shown and the weights, for JSON."""
    with strategy.scope():
        model = make_model(regular_cell, Tempered, rate=0.1)
        model.own_metrics[:] = own_metrics()
    history = fit(model, toys.UNEQUAL_BATCHES, epochs=2)
    return {
        "shown": {name: [float(value) for value in values] for name, values in history.items()},
        "measured": model.evaluate(toys.dataset_of(toys.UNEQUAL_BATCHES), verbose=0, return_dict=True),
        "weights": [toys.array(weight).tolist() for weight in model.trainable_weights],
    }


TWO_REPLICAS = """
import sys
sys.path.insert(0, sys.argv[1])
import json, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import test_learning
print(json.dumps(test_learning.run_under(strategy)))
"""


def test_two_replicas_learn_from_added_losses_and_show_own_metrics_as_one_does():
    ours = json.loads(toys.output_of(TWO_REPLICAS, toys.ROOT / "tests").splitlines()[-1])
    one = run_under(tf.distribute.get_strategy())
    for epoch in range(2):
        check_own_metrics({name: values[epoch] for name, values in ours["shown"].items()}, 26)
    check_own_metrics(ours["measured"], 26)
    for name, values in one["shown"].items():
        assert ours["shown"][name] == pytest.approx(values, rel=1e-5), name
    assert ours["measured"] == pytest.approx(one["measured"], rel=1e-5)
    for weight, other in zip(ours["weights"], one["weights"], strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-4, atol=1e-5)


# Learning rates that nobody can change, and that have come to their end

schedules = keras.optimizers.schedules


class MyPlateau(keras.callbacks.ReduceLROnPlateau):
    pass


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize(
    "make", [MyPlateau, lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)], ids=["plateau", "scheduler"]
)
def test_a_callback_that_would_change_a_schedule_is_refused_before_training(make, precision):
    model = make_model(precision=precision, rate=schedules.CosineDecay(0.1, 10))
    name = type(make()).__name__
    with pytest.raises(ValueError, match=f"{name} cannot change .* CosineDecay: compile with a plain number") as caught:
        fit(model, callbacks=[make()])
    assert "\n" not in str(caught.value) and int(tf.convert_to_tensor(model.optimizer.iterations)) == 0


@pytest.mark.filterwarnings("ignore:Learning rate reduction is conditioned")
def test_a_plain_learning_rate_is_changed():
    model = make_model(run_eagerly=True)
    fit(model, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.25), MyPlateau()])
    assert float(toys.array(model.optimizer.learning_rate)) == 0.25


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_learning_rate_at_its_end_is_refused_and_a_fresh_one_learns(precision):
    model = make_model(precision=precision, rate=schedules.CosineDecay(0.1, decay_steps=2), run_eagerly=True)
    fit(model)  # two updates
    with pytest.raises(ValueError, match=r"CosineDecay has come to its end: .* 0 from update 2 on; compile") as caught:
        fit(model)
    assert "\n" not in str(caught.value)
    fresh = optimizer_for(precision, keras.optimizers.SGD(schedules.CosineDecay(0.1, decay_steps=8)))
    model.compile(fresh, run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    losses = fit(model, epochs=4)["loss"]
    assert losses == sorted(losses, reverse=True) and losses[0] > losses[-1] + 0.01


@pytest.mark.parametrize(
    "schedule",
    [
        # Zero now, but not for ever: a warm-up, a restart, a pause.
        lambda: schedules.CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=5),
        lambda: schedules.PolynomialDecay(0.1, 2, 0.0, cycle=True),
        lambda: schedules.PiecewiseConstantDecay([500], [0.0, 0.1]),
    ],
    ids=["warm-up", "restart", "pause"],
)
def test_a_learning_rate_that_comes_back_is_not_at_its_end(schedule):
    model = make_model(rate=schedule(), run_eagerly=True)
    for _ in range(2):
        fit(model)
