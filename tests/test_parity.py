"""The two Keras against each other: the same weights give the same loss, gradients and answers."""

import operator

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import framework
from keras_seq2seq.losses import label_mask, masked_mean, token_crossentropy

OTHER_KERAS = 5 - framework.keras_major()

# Where each weight is to be found, whatever its name and place in `model.weights` may be.
WEIGHTS = [
    "encoder.embedding.embeddings",
    "encoder.rnn.cell.kernel",
    "encoder.rnn.cell.recurrent_kernel",
    "encoder.rnn.cell.bias",
    "decoder.rnn.cell.kernel",
    "decoder.rnn.cell.recurrent_kernel",
    "decoder.rnn.cell.bias",
    "decoder.projection.kernel",
    "decoder.projection.bias",
]
BATCH = toys.make_batch([[5, 6, 7], [8], [9, 9, 1, 5]], [[9, 8, 7, 6], [6], [5, 1]], extra=1)


def results_of(shared, weights):
    """Returns by name what a model with these weights computes: loss, logits, gradients and answers."""
    model = toys.make_model(shared_vocabulary=shared)
    variables = {name: operator.attrgetter(name)(model) for name in weights}
    assert len(variables) == len(model.trainable_variables)
    for name, variable in variables.items():
        variable.assign(weights[name])
    inputs, labels = BATCH
    # Keras 3 wraps TensorFlow's variables.
    watched = {name: getattr(variable, "value", None) for name, variable in variables.items()}
    watched = {name: variables[name] if callable(value) else value for name, value in watched.items()}
    with tf.GradientTape() as tape:
        logits = model(inputs)
        loss = masked_mean(token_crossentropy(labels, logits), label_mask(labels))
    gradients = tape.gradient(loss, watched)
    results = {f"gradient of {name}": np.array(tf.convert_to_tensor(gradient)) for name, gradient in gradients.items()}
    return {**results, "loss": loss.numpy(), "logits": logits.numpy(), "ids": toys.greedy_ids(model, inputs[0], 7)}


IN_THE_OTHER = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, test_parity
for shared, weights, results in zip((True, False), sys.argv[2:4], sys.argv[4:6]):
    np.savez(results, **test_parity.results_of(shared, dict(np.load(weights))))
print(test_parity.framework.keras_major())
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Returns for a shared and for two embeddings what this Keras and the other one compute."""
    folder, random = tmp_path_factory.mktemp("parity"), np.random.default_rng(0)
    weights = {}
    for shared in (True, False):
        names = WEIGHTS if shared else [*WEIGHTS, "decoder.embedding.embeddings"]
        model = toys.make_model(shared_vocabulary=shared)
        shapes = {name: operator.attrgetter(name)(model).shape for name in names}
        weights[shared] = {name: random.normal(size=shape).astype("f") for name, shape in shapes.items()}
        np.savez(folder / f"weights-{shared}.npz", **weights[shared])
    files = [folder / f"{kind}-{shared}.npz" for kind in ("weights", "results") for shared in (True, False)]
    said = toys.output_of(IN_THE_OTHER, toys.ROOT / "tests", *files, keras_major=OTHER_KERAS)
    assert int(said.splitlines()[-1]) == OTHER_KERAS
    return {
        shared: (results_of(shared, weights[shared]), dict(np.load(folder / f"results-{shared}.npz")))
        for shared in (True, False)
    }


@pytest.mark.parametrize("shared", [True, False])
def test_both_keras_compute_the_same(both, shared):
    ours, theirs = both[shared]
    assert set(ours) == set(theirs) and len(ours) == len(WEIGHTS) + (3 if shared else 4)
    np.testing.assert_array_equal(ours["ids"], theirs["ids"])
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_there_was_something_to_compare(both):
    for shared in (True, False):
        ours, _ = both[shared]
        assert all(np.abs(value).max() > 1e-3 for name, value in ours.items() if name.startswith("gradient"))
        assert len(np.unique(ours["ids"])) > 2
