"""Mixed precision: what stays float32, and a loss that is scaled so that float16 can hold its gradients."""

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import keras, keras_version, load, save
from keras_seq2seq.model.losses import label_mask, masked_mean, token_crossentropy
from keras_seq2seq.model.precision import layers_of_precision, optimizer_for, scaled_loss
from keras_seq2seq.training.build import build_compiled

KERAS_3 = keras_version.keras_major() == 3
FACTOR = [1.0]


@keras.utils.register_keras_serializable("test_precision")
def steep(labels, logits):
    """The loss, so many times: a gradient of float16 ends at 65504, where a float32 would hold more."""
    return FACTOR[0] * token_crossentropy(labels, logits)


@pytest.fixture
def overflow():
    """Returns a function that makes one update with a loss too steep for float16."""

    def update(model):
        FACTOR[0] = 1e10
        try:
            model.train_on_batch(*toys.BATCHES[0])
        finally:
            FACTOR[0] = 1.0

    return update


def weights_of(model):
    return [toys.array(weight) for weight in model.trainable_weights]


def scale_of(model):
    return float(scaled_loss(model.optimizer, tf.constant(1.0)))


def half_model(**options):
    """Returns a model as `train` makes it, with float16."""
    keras.utils.set_random_seed(1)
    config = toys.make_config(precision="float16", **options)
    model = build_compiled(config, toys.WORDS, toys.WORDS, 4, updates=10, loss=steep)
    model.run_eagerly = True
    return model


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_layers_compute_in_16_bits_and_weights_and_logits_stay_float32(precision):
    model = toys.make_model(precision=precision, cell="lstm", attention="additive", tie_embeddings=True)
    (source, target_input), _ = toys.BATCHES[0]
    state, (keys, memory, mask) = model.encode(source)
    assert {part.dtype for part in [*state, keys, memory]} == {tf.as_dtype(precision)}
    logits = model((source, target_input))
    seen = model.decoder.inspect(target_input, state, (keys, memory, mask))
    np.testing.assert_array_equal(seen["logits"], logits)
    first, _ = model.decoder.step(target_input[:, 0], state, (keys, memory, mask))
    np.testing.assert_allclose(first, logits[:, 0], atol=1e-6)
    weights = seen["attention"]
    assert logits.dtype == weights.dtype == tf.float32
    assert {np.dtype(toys.array(weight).dtype) for weight in model.trainable_weights} == {np.dtype("float32")}
    # The logits are no 16-bit numbers in disguise: rounding changes them.
    assert (tf.cast(tf.cast(logits, precision), tf.float32) != logits).numpy().any()
    exact = toys.make_model(cell="lstm", attention="additive", tie_embeddings=True)((source, target_input))
    np.testing.assert_allclose(logits, exact, atol=0.02)
    assert (logits != exact).numpy().any()


def test_the_precision_ends_with_the_model():
    with pytest.raises(ZeroDivisionError), layers_of_precision("bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
        1 / 0  # noqa: B018
    assert keras.layers.Dense(1).compute_dtype == "float32"


def test_a_precision_that_was_chosen_for_all_other_models_is_not_ours():
    with layers_of_precision("bfloat16"):
        model = toys.make_model()
    (source, _), _ = toys.BATCHES[0]
    assert {part.dtype for part in model.encode(source)[0]} == {tf.float32}


def test_a_step_that_overflows_is_skipped_and_halves_the_scale(overflow):
    model = half_model()
    scale, before = scale_of(model), weights_of(model)
    assert scale > 1000
    overflow(model)
    assert scale_of(model) == scale / 2
    for weight, start in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(weight, start)

    measured = model.train_on_batch(*toys.BATCHES[0], return_dict=True)
    assert np.isfinite(measured["loss"]) and scale_of(model) == scale / 2
    for weight, start in zip(weights_of(model), before, strict=True):
        assert np.isfinite(weight).all() and (weight != start).any()


@pytest.mark.parametrize("clip_norm", [0.0, 0.1])
def test_gradients_are_measured_and_clipped_as_if_nothing_had_been_scaled(clip_norm):
    exact = toys.make_model()
    inputs, labels = toys.BATCHES[0]
    with tf.GradientTape() as tape:
        loss = masked_mean(token_crossentropy(labels, exact(inputs)), label_mask(labels))
    variables = [weight.value if KERAS_3 else weight for weight in exact.trainable_weights]
    gradients = tape.gradient(loss, variables)
    norm = float(tf.linalg.global_norm([tf.convert_to_tensor(gradient) for gradient in gradients]))

    model = toys.make_model(precision="float16")
    # With a learning rate of 1, the change is the gradient itself.
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=clip_norm or None)
    model.compile(optimizer_for("float16", optimizer), run_eagerly=True)
    before = weights_of(model)
    model.train_on_batch(*toys.BATCHES[0])
    assert float(model.get_metrics_result()["gradient_norm"]) == pytest.approx(norm, rel=0.02)
    change = [after - start for after, start in zip(weights_of(model), before, strict=True)]
    assert np.sqrt(sum((part**2).sum() for part in change)) == pytest.approx(clip_norm or norm, rel=0.02)


def test_it_is_saved_and_goes_on(tmp_path, overflow):
    model = half_model()
    scale = scale_of(model)
    overflow(model)
    model.train_on_batch(*toys.BATCHES[0])
    save(model, tmp_path / "model.keras")
    copy = load(tmp_path / "model.keras")
    copy.run_eagerly = True
    # Keras 2 does not save the scale.
    assert [scale_of(model), scale_of(copy)] == [scale / 2, scale / 2 if KERAS_3 else scale]
    for one in (model, copy):
        one.train_on_batch(*toys.BATCHES[1])
    for ours, theirs in zip(weights_of(copy), weights_of(model), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
