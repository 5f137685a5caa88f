"""The options together: each value of each one with each value of each other one."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Beam, Configuration, export, keras, load, save
from keras_seq2seq.model.losses import label_mask, token_crossentropy
from keras_seq2seq.training.build import build_compiled

SEED_ONCE = True  # see conftest.py
pytestmark = pytest.mark.filterwarnings("error::UserWarning")  # from a Keras that wonders at what we do

VALUES = {
    "cell": ("simple_rnn", "gru", "lstm"),
    "attention": ("none", "additive", "dot"),
    "layers": (1, 2),
    "residual": (False, True),
    "bidirectional": (False, True),
    "tie_embeddings": (False, True),
    "shared_vocabulary": (True, False),
    "dropout": (0.0, 0.3),
    "label_smoothing": (0.0, 0.1),
    "precision": ("float32", "bfloat16"),
}


def pairs_of(row):
    """Returns the pairs of settings in a row: `{((name, value), (name, value)), ...}`."""
    return set(itertools.combinations(row.items(), 2))


def pairwise(values):
    """Returns rows that hold every pair of settings: each begins with one that is missing and takes in all it can."""
    settings = [[(name, value) for value in options] for name, options in values.items()]
    missing = [pair for one, other in itertools.combinations(settings, 2) for pair in itertools.product(one, other)]
    rows = []
    while missing:
        row = dict(missing[0])
        for name, options in values.items():
            if name not in row:
                gains = {
                    value: sum(set(pair) <= {*row.items(), (name, value)} and (name, value) in pair for pair in missing)
                    for value in options
                }
                row[name] = max(gains, key=gains.get)
        row = {name: row[name] for name in values}
        rows.append(row)
        missing = [pair for pair in missing if pair not in pairs_of(row)]
    return rows


ROWS = pairwise(VALUES)

# Of each cell and each precision one, with attention: a graph takes seconds to make.
EXPORTED = [1, 5, 7]
# How far apart numbers may be that are the same but for rounding.
TOLERANCE = {"float32": 2e-5, "mixed_bfloat16": 0.03}
SOURCES, TARGETS = [[5, 6, 7], [8]], [[9, 8, 7, 6], [6]]
QUESTIONS = ["b", "c d", "f e d c b", "not known", ""]


def tolerance_of(model):
    return TOLERANCE[model.encoder.dtype_policy.name]


def test_the_rows_hold_every_pair():
    settings = [(name, value) for name, options in VALUES.items() for value in options]
    wanted = {pair for pair in itertools.combinations(settings, 2) if pair[0][0] != pair[1][0]}
    assert len(wanted) == 22**2 // 2 - (2 * 3**2 + 8 * 2**2) // 2  # of 22 values, all but those of one option
    assert set().union(*map(pairs_of, ROWS)) == wanted
    assert len(ROWS) <= 15
    assert not set(VALUES) - {field.name for field in dataclasses.fields(Configuration)}


def update(model, batch):
    """Makes one update; returns the loss."""
    return float(model.train_on_batch(*batch, return_dict=True)["loss"])


@pytest.fixture(scope="module", params=range(len(ROWS)))
def trained(request):
    """Returns a model with the options of a row after two updates, its weights before them, and the losses."""
    keras.utils.set_random_seed(1)
    sizes = {"embedding_dim": 4, "units": 6, "learning_rate": 0.02, "clip_norm": 1.0}
    model = build_compiled(Configuration(**sizes, **ROWS[request.param]), toys.WORDS, toys.WORDS, 4, updates=2)
    model.run_eagerly = True
    random = np.random.default_rng(0)
    for weight in model.trainable_weights:  # so far apart that different questions get different answers
        weight.assign(random.normal(size=weight.shape))
    before = [toys.array(weight) for weight in model.trainable_weights]
    losses = [update(model, toys.make_batch(SOURCES, TARGETS)) for _ in range(2)]
    return model, before, losses


def test_two_updates_move_every_weight(trained):
    model, before, losses = trained
    assert all(math.isfinite(loss) and loss > 0 for loss in losses)
    assert int(model.optimizer.iterations) == 2
    for weight, start in zip(model.trainable_weights, before, strict=True):
        assert np.isfinite(toys.array(weight)).all(), weight.name
        assert (toys.array(weight) != start).any(), weight.name
        assert weight.dtype == "float32"


@pytest.mark.parametrize("strategy", [Beam(1), Beam(3, 3)], ids=["greedy", "beam"])
def test_what_is_said_step_by_step_is_what_teacher_forcing_says(trained, strategy):
    model, *_ = trained
    source = toys.padded([[2, *row] for row in SOURCES])
    answers, totals = model.generate_ids(source, strategy)
    for answer, total in zip(tf.unstack(answers, axis=1), tf.unstack(totals, axis=1), strict=True):
        logits = model((source, tf.concat([tf.fill([2, 1], 3), answer[:, :-1]], axis=1)))
        losses = token_crossentropy(answer, logits) * label_mask(answer)
        np.testing.assert_allclose(-tf.reduce_sum(losses, axis=1), total, atol=8 * tolerance_of(model))
        if strategy.width == 1:
            sayable = tf.where(np.isin(range(10), model.suppressed_tokens), -np.inf, logits)
            likeliest = token_crossentropy(tf.argmax(sayable, -1), logits) * label_mask(answer)
            np.testing.assert_allclose(losses, likeliest, atol=tolerance_of(model))


def measure(model, batch):
    """Returns the losses, the memory, the decoder's first state and the answers' log-probabilities of each row."""
    inputs, labels = batch
    memory, _ = model.encoder(inputs[0])
    state, _ = model.encode(inputs[0])
    losses = token_crossentropy(labels, model(inputs)) * label_mask(labels)
    answers, total = model.generate_ids(inputs[0], max_length=4)
    return [losses, memory, tf.concat(state, axis=-1), total], answers


def test_padding_and_company_change_nothing(trained):
    model, *_ = trained
    tolerance = tolerance_of(model)
    lonely, [[said]] = measure(model, toys.make_batch(SOURCES[1:], TARGETS[1:]))
    crowd, answers = measure(model, toys.make_batch(SOURCES, TARGETS, extra=2))
    for alone, together in zip(lonely, crowd, strict=True):
        alone, together = tf.cast(alone[0], tf.float32).numpy(), tf.cast(together[1], tf.float32).numpy()
        together = together[: len(alone)] if alone.ndim else together
        np.testing.assert_allclose(together, alone, rtol=tolerance, atol=tolerance)
    assert not crowd[0][1, 2:].numpy().any()
    if model.encoder.dtype_policy.name == "float32":
        assert answers[1, 0].numpy().tolist() == said.numpy().tolist()


def test_saved_and_loaded_it_answers_the_same_and_goes_on_the_same(trained, tmp_path):
    model, *_ = trained
    save(model, tmp_path / "model.keras")
    copy = load(tmp_path / "model.keras")
    copy.run_eagerly = True
    source = toys.padded([[2, *row] for row in SOURCES])
    for ours, theirs in zip(copy.generate_ids(source, Beam(2, 2)), model.generate_ids(source, Beam(2, 2)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # On with the optimizer's moments and the counters of what is drawn.
    batch = toys.make_batch(SOURCES[::-1], TARGETS)
    before = [toys.array(weight) for weight in model.weights]
    assert update(copy, batch) == pytest.approx(update(model, batch), rel=1e-5)
    for ours, theirs in zip(copy.weights, model.weights, strict=True):
        np.testing.assert_allclose(toys.array(ours), toys.array(theirs), rtol=1e-4, atol=1e-6)
    for weight, value in zip(model.weights, before, strict=True):
        weight.assign(value)


@pytest.mark.parametrize("trained", EXPORTED, indirect=True)
def test_exported_it_answers_the_same(trained, tmp_path):
    model, *_ = trained
    export(model, tmp_path / "saved", Beam(2, 2))
    answer = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"]
    expected = model.generate(QUESTIONS)
    assert [text.decode() for text in answer(tf.constant(QUESTIONS))["answers"].numpy()] == expected
    assert len(set(expected[:-1])) > 1
    if model.encoder.dtype_policy.name == "float32":  # or else rounding decides between tokens that are as good
        assert toys.answers(model, QUESTIONS[:-1]) == expected[:-1]
