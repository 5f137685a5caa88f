"""The two Keras against each other: the same weights give the same loss, gradients and answers."""

import operator

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Beam, keras_version, load, save
from keras_seq2seq.model.losses import label_mask, masked_mean, token_crossentropy

OTHER_KERAS = 5 - keras_version.keras_major()


def cell(where):
    return [f"{where}.cell.{part}" for part in ("kernel", "recurrent_kernel", "bias")]


def dense(where):
    return [f"{where}.kernel", f"{where}.bias"]


EMBEDDINGS = ["encoder.embedding.embeddings", "decoder.embedding.embeddings"]
# Options, and where each weight is to be found, whatever its name and place in `model.weights` may be.
MODELS = {
    "shared": (
        {"shared_vocabulary": True},
        [*EMBEDDINGS[:1], *cell("encoder.rnn"), *cell("decoder.rnn"), *dense("decoder.projection")],
    ),
    "separate": (
        {"shared_vocabulary": False},
        [*EMBEDDINGS, *cell("encoder.rnn"), *cell("decoder.rnn"), *dense("decoder.projection")],
    ),
    "gru": (
        {"cell": "gru", "bidirectional": True, "attention": "dot", "shared_vocabulary": False},
        [
            *(*EMBEDDINGS, *cell("encoder.rnn"), *cell("encoder.backward"), *dense("encoder.bridge_1_1")),
            *(*cell("decoder.rnn"), "decoder.attention.key.kernel", "decoder.combine.kernel"),
            *dense("decoder.projection"),
        ],
    ),
    "lstm": (
        {
            **{
                "cell": "lstm",
                "layers": 2,
                "attention": "additive",
                "tie_embeddings": True,
                "shared_vocabulary": False,
            },
            # Not at work here, but in the file, where both have to look for them in the same places.
            "dropout": 0.1,
        },
        [
            *(*EMBEDDINGS, *cell("encoder.rnn"), *cell("encoder.rnn_2")),
            *(*cell("decoder.rnn"), *cell("decoder.rnn_2")),
            *(*dense("decoder.attention.query"), "decoder.attention.memory.kernel", "decoder.attention.energy.kernel"),
            *("decoder.combine.kernel", *dense("decoder.projection.resize"), "decoder.projection.bias"),
        ],
    ),
}
BATCH = toys.make_batch([[5, 6, 7], [8], [9, 9, 1, 5]], [[9, 8, 7, 6], [6], [5, 1]], extra=1)


def results_of(name, weights, file=None):
    """Returns by name what a model with these weights, or of this file, computes: loss, gradients and answers."""
    options, where = MODELS[name]
    model = load(file) if file else toys.make_model(**options)
    variables = {path: operator.attrgetter(path)(model) for path in where}
    assert len(variables) == len(model.trainable_variables)
    if not file:
        for path, variable in variables.items():
            variable.assign(weights[path])
    inputs, labels = BATCH
    # Keras 3 wraps TensorFlow's variables.
    watched = {path: getattr(variable, "value", None) for path, variable in variables.items()}
    watched = {path: variables[path] if callable(value) else value for path, value in watched.items()}
    with tf.GradientTape() as tape:
        logits = model(inputs)
        loss = masked_mean(token_crossentropy(labels, logits), label_mask(labels))
    gradients = tape.gradient(loss, watched)
    results = {f"gradient of {path}": np.array(tf.convert_to_tensor(gradient)) for path, gradient in gradients.items()}
    ids, log_probabilities = model.generate_ids(inputs[0], Beam(3, 3), max_length=7)
    results |= {"beam": ids.numpy(), "beam's log-probabilities": log_probabilities.numpy()}
    return {**results, "loss": loss.numpy(), "logits": logits.numpy(), "ids": toys.greedy_ids(model, inputs[0], 7)}


IN_THE_OTHER = """
import sys
sys.path[:0] = sys.argv[1], sys.argv[1] + "/model"
import numpy as np, test_parity
for name in test_parity.MODELS:
    weights = dict(np.load(f"weights-{name}.npz"))
    np.savez(f"results-{name}.npz", **test_parity.results_of(name, weights))
    np.savez(f"loaded-{name}.npz", **test_parity.results_of(name, weights, f"{name}.keras"))
print(test_parity.keras_version.keras_major())
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Returns by name what this Keras computes, what the other one does, and what it does with a file of this one."""
    folder, random = tmp_path_factory.mktemp("parity"), np.random.default_rng(0)
    ours = {}
    for name, (options, where) in MODELS.items():
        model = toys.make_model(**options)
        variables = {path: operator.attrgetter(path)(model) for path in where}
        weights = {path: random.normal(size=variable.shape).astype("f") for path, variable in variables.items()}
        np.savez(folder / f"weights-{name}.npz", **weights)
        for path, variable in variables.items():
            variable.assign(weights[path])
        save(model, folder / f"{name}.keras")
        ours[name] = results_of(name, weights)
    said = toys.output_of(IN_THE_OTHER, toys.ROOT / "tests", keras_major=OTHER_KERAS, cwd=folder)
    assert int(said.splitlines()[-1]) == OTHER_KERAS
    return {
        name: (ours[name], *(dict(np.load(folder / f"{kind}-{name}.npz")) for kind in ("results", "loaded")))
        for name in MODELS
    }


@pytest.mark.parametrize("name", MODELS)
def test_both_keras_compute_the_same(both, name):
    ours, theirs, loaded = both[name]
    assert set(ours) == set(theirs) == set(loaded) and len(ours) == len(MODELS[name][1]) + 5
    for what, value in ours.items():
        if "ids" in what or what == "beam":
            np.testing.assert_array_equal(value, theirs[what])
        else:
            np.testing.assert_allclose(value, theirs[what], rtol=1e-4, atol=1e-6, err_msg=what)
        # With a file of ours the other Keras computes what it does with our weights.
        np.testing.assert_allclose(loaded[what], theirs[what], rtol=1e-6, atol=1e-7, err_msg=what)


@pytest.mark.parametrize("name", MODELS)
def test_there_was_something_to_compare(both, name):
    ours, *_ = both[name]
    assert all(np.abs(value).max() > 1e-3 for what, value in ours.items() if what.startswith("gradient"))
    assert len(np.unique(ours["ids"])) > 2
    assert (ours["beam"][:, 0] != ours["beam"][:, 1]).any(axis=1).all()
