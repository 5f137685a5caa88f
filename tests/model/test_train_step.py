"""What is learnt from: losses of one's own and those that layers add, sample weights, metrics, learning rates."""

import contextlib
import json

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Decoder, Encoder, Seq2Seq, keras, keras_version
from keras_seq2seq.data.vocabulary import NOTEBOOK_TOKENS
from keras_seq2seq.layers.attention import DotAttention
from keras_seq2seq.model.losses import SmoothedCrossentropy, label_mask, token_crossentropy
from keras_seq2seq.model.precision import optimizer_for
from keras_seq2seq.training.build import build_model

KERAS_3 = keras_version.keras_major() == 3
L2, RATE = 0.1, 0.5


@keras.utils.register_keras_serializable("test_train_step")
def plain_cell(units):
    return keras.layers.SimpleRNNCell(units)


@keras.utils.register_keras_serializable("test_train_step")
def regular_cell(units):
    return keras.layers.SimpleRNNCell(units, kernel_regularizer=keras.regularizers.L2(L2))


@keras.utils.register_keras_serializable("test_train_step")
class AddingCell(keras.layers.SimpleRNNCell):
    def call(self, inputs, states, training=False):
        self.add_loss(tf.reduce_sum(inputs))
        return super().call(inputs, states, training=training)


@keras.utils.register_keras_serializable("test_train_step")
class Tempered(DotAttention):
    """Adds its weight to the loss: the gradient of the weight is 1."""

    def build(self, _input_shape):
        self.weight = self.add_weight(name="weight", shape=(), initializer="zeros")
        self.built = True

    def call(self, query, keys, memory, memory_mask):
        self.add_loss(tf.convert_to_tensor(self.weight))
        return super().call(query, keys, memory, memory_mask)


def nothing(labels, logits):
    """A loss without a gradient: what is learnt comes from elsewhere."""
    return 0.0 * token_crossentropy(labels, logits)


def make_model(cell=None, attention=None, rate=RATE, loss=None, metrics=None, run_eagerly=False, **options):
    """Returns a compiled model; `attention` is a class, `options` are fields of a configuration."""
    keras.utils.set_random_seed(1)
    config = toys.make_config(**options)
    own = {"cell": cell, "attention": attention and attention(config.units)}
    model = build_model(config, toys.WORDS, toys.WORDS, 8, **own)
    optimizer = optimizer_for(config.precision, keras.optimizers.SGD(rate))
    model.compile(optimizer, loss=loss, metrics=metrics, run_eagerly=run_eagerly)
    return model


def fit(model, batches=toys.BATCHES, epochs=1, **options):
    return model.fit(toys.dataset_of(batches), epochs=epochs, verbose=0, shuffle=False, **options).history


def kernels_of(model):
    return [toys.array(half.rnn.cell.kernel) for half in (model.encoder, model.decoder)]


# Losses of one's own


def change_by(loss=None, weights=None):
    """Returns what one update with a learning rate of 1 changes, as one vector: the negative gradient."""
    model = make_model(loss=loss, rate=1.0, run_eagerly=True)
    before = weights_of(model)
    inputs, labels = toys.BATCHES[0]
    batch = (inputs, labels) if weights is None else (inputs, labels, tf.constant(weights))
    model.fit(tf.data.Dataset.from_tensors(batch), verbose=0, shuffle=False)
    return np.concatenate([(now - start).ravel() for now, start in zip(weights_of(model), before, strict=True)])


def expected_change(token_loss, weights=1.0):
    """Returns the same by the formula: the weighted sum over the labels, over their number."""
    model = make_model()
    inputs, labels = toys.BATCHES[0]
    mask = label_mask(labels)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(token_loss(labels, model(inputs)) * mask * weights) / tf.reduce_sum(mask)
    watched = [weight.value if KERAS_3 else weight for weight in model.trainable_weights]
    return -np.concatenate([toys.array(gradient).ravel() for gradient in tape.gradient(loss, watched)])


def weights_of(model):
    return [toys.array(weight) for weight in model.trainable_weights]


def squared(labels, logits):
    """Squares what the right token's logit lacks from 1."""
    return (1 - tf.gather(logits, labels, batch_dims=2)) ** 2


@keras.utils.register_keras_serializable("test_train_step")
class Squared(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return squared(y_true, y_pred)


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (None, token_crossentropy),
        ("sparse_categorical_crossentropy", token_crossentropy),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), token_crossentropy),
        (SmoothedCrossentropy(0.3), SmoothedCrossentropy(0.3).call),
        (squared, squared),
        (Squared(), squared),
    ],
    ids=["none", "name", "keras", "smoothed", "function", "object"],
)
def test_the_loss_that_is_compiled_is_minimised_and_padding_does_not_count(loss, formula):
    expected = expected_change(formula)
    np.testing.assert_allclose(change_by(loss), expected, rtol=1e-3, atol=1e-6)
    if formula is not token_crossentropy:  # the losses differ enough to tell them apart
        assert np.abs(expected - expected_change(token_crossentropy)).max() > 0.01


@keras.utils.register_keras_serializable("test_train_step")
class Twice(Seq2Seq):
    """What Keras users override to change the loss: here twice that of `compile`, and of sources too."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        own = super().compute_loss(x, y, y_pred, sample_weight)
        return 2 * own + 0.0 * tf.cast(tf.reduce_max(x[0]), tf.float32)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_subclass_may_compute_the_loss(run_eagerly):
    changes = []
    for model_class in (Seq2Seq, Twice):
        made = make_model()
        model = model_class.from_config(made.get_config())
        model.set_weights(made.get_weights())
        model.compile(keras.optimizers.SGD(0.05), run_eagerly=run_eagerly)
        before = weights_of(model)
        shown = fit(model, toys.BATCHES[:1])["loss"]
        changes.append([after - start for start, after in zip(before, weights_of(model), strict=True)])
    for once, twice in zip(*changes, strict=True):
        np.testing.assert_allclose(twice, 2 * once, rtol=1e-4, atol=1e-7)
    assert shown == pytest.approx(fit(make_model(), toys.BATCHES[:1])["loss"], rel=1e-6)


def test_what_is_shown_is_the_cross_entropy_whatever_is_minimised():
    plain, own = (make_model(loss=loss, rate=0.0) for loss in (None, squared))
    assert fit(own)["loss"] == pytest.approx(fit(plain)["loss"], rel=1e-6)
    batches = toys.dataset_of(toys.BATCHES)
    assert own.evaluate(batches, verbose=0) == pytest.approx(plain.evaluate(batches, verbose=0), rel=1e-6)


def mean_squared(labels, logits):
    return tf.reduce_mean(squared(labels, logits))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (mean_squared, r"the loss has the shape \(\): it has to give a number for each token, \(batch, time\)"),
        (
            lambda labels, logits: logits,
            r"the loss has the shape \(None, None, 10\): it has to give a number for each token",
        ),
        (
            lambda *_: tf.numpy_function(lambda: np.float32(1), [], tf.float32),
            "the loss has the shape <unknown>: it has",
        ),
    ],
    ids=["a mean", "logits", "of a function of Python"],
)
def test_a_loss_that_is_no_number_for_each_token_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        fit(make_model(loss=loss), toys.BATCHES[:1])


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (keras.losses.SparseCategoricalCrossentropy(), r"write SparseCategoricalCrossentropy\(from_logits=True\)"),
        (keras.losses.sparse_categorical_crossentropy, r"write SparseCategoricalCrossentropy\(from_logits=True\)"),
        ("kl_divergence", "the labels are ids, but kl_divergence wants a vector for each"),
        ("mse", "mean_squared_error wants a vector"),
        (keras.losses.CategoricalCrossentropy(from_logits=True), "categorical_crossentropy wants a vector"),
        (["sparse_categorical_crossentropy"], "the loss is .'sparse_categorical_crossentropy'.; .* give one loss"),
        ({"output": squared}, "the model has one output: give one loss"),
    ],
    ids=["object", "function", "divergence", "squares", "one-hot", "a list", "by name of the output"],
)
def test_a_loss_of_keras_that_is_none_for_ids_and_logits_is_refused_at_once(loss, message):
    with pytest.raises(ValueError, match=message):
        make_model(loss=loss)


def test_without_a_loss_compile_takes_the_cross_entropy_again():
    model = make_model(loss=nothing, run_eagerly=True)
    before = weights_of(model)
    fit(model)
    for weight, start in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(weight, start)
    model.compile(keras.optimizers.SGD(RATE), run_eagerly=True)
    fit(model)
    assert all((weight != start).any() for weight, start in zip(weights_of(model), before, strict=True))


# Sample weights

ROWS = [2.0, 0.5]
TOKENS = [[1.0, 0.0, 3.0, 0.5, 1.0, 2.0], [0.0, 4.0, 9.0, 9.0, 9.0, 9.0]]  # the second row has two labels


@pytest.mark.parametrize("weights", [ROWS, TOKENS], ids=["of rows", "of tokens"])
@pytest.mark.parametrize("loss", [None, SmoothedCrossentropy(0.3)], ids=["plain", "smoothed"])
def test_sample_weights_multiply_the_loss_of_each_label(weights, loss):
    formula = token_crossentropy if loss is None else loss.call
    expected = expected_change(formula, np.reshape(np.float32(weights), [2, -1]))
    np.testing.assert_allclose(change_by(loss, weights), expected, rtol=1e-3, atol=1e-6)
    assert np.abs(expected - expected_change(formula)).max() > 0.01


def test_weights_of_one_change_nothing_and_of_zero_teach_nothing():
    np.testing.assert_allclose(change_by(None, [1.0, 1.0]), change_by(), rtol=1e-5, atol=1e-7)
    assert not change_by(None, [0.0, 0.0]).any()


def test_a_row_with_the_weight_two_is_learnt_as_a_row_that_comes_twice():
    model = make_model(rate=1.0, run_eagerly=True)
    before = weights_of(model)
    fit(model, [toys.make_batch([[5, 6, 7], [5, 6, 7], [8]], [[9, 8, 7, 6, 5], [9, 8, 7, 6, 5], [6]])])
    twice = np.concatenate([(now - start).ravel() for now, start in zip(weights_of(model), before, strict=True)])
    # The sum is divided by the labels: 14 where it comes twice, 8 where it weighs 2.
    np.testing.assert_allclose(change_by(None, [2.0, 1.0]) * 8 / 14, twice, rtol=1e-3, atol=1e-6)


def test_sample_weights_may_be_given_to_fit_and_evaluate_as_keras_has_them():
    model = make_model(rate=0.0, run_eagerly=True)
    model.compile(keras.optimizers.SGD(0.0), weighted_metrics=["accuracy"], metrics=["crossentropy"], run_eagerly=True)
    model.decoder.projection.bias.assign([-99.0] + [0.0] * 9)  # it never says padding, which is no label
    inputs, labels = toys.BATCHES[0]
    said = np.argmax(model(inputs), axis=-1)
    right = np.where(np.arange(labels.shape[1]) < 1, said, 1 + said % 9) * (labels.numpy() != 0)  # the first of each
    assert np.count_nonzero(right) == 8 and (right[:, 0] != 0).all()
    arguments = {"sample_weight": np.float32([3.0, 1.0]), "verbose": 0}
    measured = model.evaluate(inputs, tf.constant(right, tf.int32), return_dict=True, **arguments)
    assert measured["accuracy"] == pytest.approx((3 + 1) / (3 * 6 + 2))
    assert measured["token_accuracy"] == pytest.approx(2 / 8)  # what is always shown knows no weights
    assert measured["crossentropy"] == pytest.approx(measured["loss"], rel=1e-5)
    shown = model.fit(inputs, tf.constant(right, tf.int32), **arguments).history
    assert shown["accuracy"] == pytest.approx([4 / 20]) and shown["token_accuracy"] == pytest.approx([2 / 8])


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
@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}, {"precision": "float16"}])
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
    model = make_model(metrics=own_metrics())
    (source, target_input), labels = toys.BATCHES[0]
    said = np.argmax(model((source, target_input)), axis=-1)
    right = np.where(np.arange(labels.shape[1]) < 2, said, labels) * (labels.numpy() != 0)  # up to two a row
    batches = [((source, target_input), tf.constant(right, tf.int32)), toys.BATCHES[1]]
    count = sum(int(tf.math.count_nonzero(labels)) for _, labels in batches)
    measured = model.evaluate(toys.dataset_of(batches), verbose=0, return_dict=True)
    assert measured["token_accuracy"] > 0
    check_own_metrics(measured, count)
    check_own_metrics({name: values[0] for name, values in fit(model, batches).items()}, count)


def share_of_word_5(labels, logits):
    """A metric that is a function: whether the label is 5."""
    return tf.cast(labels == 5, tf.float32)


def test_a_metric_may_be_a_name_a_function_or_an_object_and_one_need_not_be_a_list():
    measured = []
    for metrics in ("accuracy", ["acc", "ce", share_of_word_5], keras.metrics.SparseCategoricalAccuracy(name="mine")):
        model = make_model(metrics=metrics)
        measured.append(model.evaluate(toys.dataset_of(toys.BATCHES), verbose=0, return_dict=True))
    first, second, third = measured
    assert first["accuracy"] == second["acc"] == third["mine"] == pytest.approx(first["token_accuracy"], abs=1e-6)
    assert second["ce"] == pytest.approx(second["loss"], rel=1e-5)
    assert second["share_of_word_5"] == pytest.approx(2 / 12)  # the fifth label of the first row, and one more


def test_a_metric_that_keras_does_not_know_is_refused():
    with pytest.raises(ValueError, match="exactness"):
        make_model(metrics=["exactness"])


def test_a_reference_that_cannot_be_named_is_never_answered_exactly(monkeypatch):
    # `<unk>` is 1. The model says the first two references word by word, the third but for its first word.
    model = make_model()
    source, labels = toys.padded([[2, 5]] * 3), toys.padded([[1, 1, 4], [6, 4], [7, 1, 4]])
    said = toys.padded([[1, 1, 4], [6, 4, 0], [6, 1, 4]])
    monkeypatch.setattr(model, "generate_ids", lambda source, max_length: (said[:, None], None))
    assert model.exact_matches(source, labels).numpy().tolist() == [False, True, False]
    assert model.exact_matches(source, tf.cast(labels, tf.int64)).numpy().tolist() == [False, True, False]


def test_without_unk_in_the_vocabulary_its_id_is_a_word_as_any_other(monkeypatch):
    notebook = toys.Vocabulary(NOTEBOOK_TOKENS, "word")
    sizes = {"embedding_dim": 4, "units": 6}
    model = Seq2Seq(Encoder(len(notebook), **sizes), Decoder(len(notebook), **sizes), notebook, notebook)
    said = toys.padded([[1, 2]])
    monkeypatch.setattr(model, "generate_ids", lambda source, max_length: (said[:, None], None))
    assert model.exact_matches(said, said).numpy().tolist() == [True]


# Two replicas


def run_under(strategy):
    """Trains with a regulariser, an added loss and own metrics; returns what is shown and the weights, for JSON."""
    with strategy.scope():
        model = make_model(regular_cell, Tempered, rate=0.1, metrics=own_metrics())
    history = fit(model, toys.UNEQUAL_BATCHES, epochs=2)
    return {
        "shown": {name: [float(value) for value in values] for name, values in history.items()},
        "measured": model.evaluate(toys.dataset_of(toys.UNEQUAL_BATCHES), verbose=0, return_dict=True),
        "weights": [toys.array(weight).tolist() for weight in model.trainable_weights],
    }


RUN_UNDER_TWO = """
sys.path[:0] = sys.argv[1], sys.argv[1] + "/model"
import test_train_step
print(json.dumps(test_train_step.run_under(strategy)))
"""


def test_two_replicas_learn_from_added_losses_and_show_own_metrics_as_one_does():
    ours = json.loads(toys.output_of(toys.TWO_REPLICAS + RUN_UNDER_TWO, toys.ROOT / "tests").splitlines()[-1])
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


# XLA


def test_under_xla_there_is_a_graph_for_each_shape_and_the_numbers_are_those_without():
    short, long = toys.make_batch([[5], [6]], [[7], [8]]), toys.make_batch([[5, 6, 7], [6]], [[7, 8], [8, 8]])
    losses = {}
    for jit_compile in (False, True):
        model = toys.make_model()
        model.compile(keras.optimizers.SGD(0.08), jit_compile=jit_compile)
        traced = []
        step = model.train_step
        model.train_step = lambda batch, step=step, traced=traced: traced.append(batch[1].shape) or step(batch)
        history = model.fit(toys.dataset_of([short, long, short, long]), epochs=2, verbose=0)
        losses[jit_compile] = history.history["loss"]
        if jit_compile:
            assert sorted(map(tuple, traced)) == [tuple(short[1].shape), tuple(long[1].shape)]
    assert losses[True] == pytest.approx(losses[False], rel=1e-5)
    if not KERAS_3:  # Keras's own callbacks ask for it
        assert int(model._train_counter) == 2 * 4


def test_it_is_xla_that_compiles():
    """A function of Python is what XLA cannot compile."""

    def by_python(labels, logits):
        one = tf.ensure_shape(tf.numpy_function(lambda: np.float32(1), [], tf.float32), [])
        return one * token_crossentropy(labels, logits)

    model = toys.make_model()
    for jit_compile in (False, True):
        model.compile(keras.optimizers.SGD(0.08), loss=by_python, jit_compile=jit_compile)
        with pytest.raises(Exception, match="PyFunc") if jit_compile else contextlib.nullcontext():
            model.fit(toys.dataset_of(toys.BATCHES), verbose=0)


def test_data_may_be_given_by_name():
    inputs, labels = toys.BATCHES[0]
    by_place, by_name = (
        toys.compiled_model().fit(*place, **name, verbose=0, shuffle=False)
        for place, name in (((inputs, labels), {}), ((), {"x": inputs, "y": labels}))
    )
    assert by_name.history == by_place.history


def test_measuring_drops_nothing_out():
    kept, dropping = (toys.compiled_model(dropout=dropout) for dropout in (0.0, 0.5))
    for variable, value in zip(dropping.trainable_variables, kept.trainable_variables, strict=True):
        variable.assign(value)
    expected, *again = (model.evaluate(*toys.BATCHES[0], verbose=0) for model in (kept, dropping, dropping))
    assert again == [pytest.approx(expected, rel=1e-6)] * 2


def test_a_gradient_that_is_not_finite_has_no_norm_to_show():
    model = toys.make_model()
    model.compile(keras.optimizers.SGD(0.08), loss=lambda labels, logits: token_crossentropy(labels, logits) * np.inf)
    model.train_on_batch(*toys.BATCHES[0])
    norm = next(metric for metric in model.metrics if metric.name == "gradient_norm")
    assert (float(norm.total), float(norm.count)) == (0, 1)


def test_a_row_without_labels_changes_nothing():
    model, (inputs, labels) = toys.compiled_model(), toys.BATCHES[0]
    twice = tf.nest.map_structure(lambda side: tf.concat([side, side], axis=0), inputs)
    filled = twice, tf.pad(labels, [[0, len(labels)], [0, 0]])
    plain, with_rows = (model.evaluate(*batch, verbose=0, return_dict=True) for batch in ((inputs, labels), filled))
    assert with_rows == pytest.approx(plain, rel=1e-6)


def test_tokens_are_counted_in_source_and_labels_but_not_in_a_row_that_only_fills_up():
    model, ((source, target_input), labels) = toys.compiled_model(), toys.BATCHES[0]
    model.train_on_batch((source, target_input), labels)
    assert float(model.get_metrics_result()["tokens"]) == (4 + 2) + (6 + 2)
    model.reset_metrics()
    model.train_on_batch((source, target_input), tf.concat([labels[:1], tf.zeros_like(labels[1:])], axis=0))
    assert float(model.get_metrics_result()["tokens"]) == 4 + 6
