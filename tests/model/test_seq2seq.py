"""The model: padding changes nothing, a step is the step of the formula, however and wherever it is made."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import toys
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq import Beam, Configuration, Greedy, Sampling, batches, keras, keras_version
from keras_seq2seq.data.batching import teacher_forcing
from keras_seq2seq.data.corpora import NOTEBOOK
from keras_seq2seq.model.losses import label_mask, masked_mean, token_crossentropy
from keras_seq2seq.training.build import build_model, build_vocabularies

KERAS_3 = keras_version.keras_major() == 3


def weights_of(model):
    # Keras 2 counts the metrics' totals among `get_weights`.
    return [toys.array(weight) for weight in model.trainable_weights]


def assert_same_weights(ours, theirs, **tolerance):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


def loss_of(model, batch):
    """Returns the loss of one batch, by the formula."""
    inputs, labels = batch
    return float(masked_mean(token_crossentropy(labels, model(inputs)), label_mask(labels)))


def label_count(batch):
    return int(tf.reduce_sum(label_mask(batch[1])))


# Padding and company

# Each value of each option with each value of each other one.
CONFIGURATIONS = [
    {"shared_vocabulary": True, "recurrent_initializer": "glorot_uniform", "embedding_stddev": 0.0},
    {"shared_vocabulary": True, "recurrent_initializer": "orthogonal", "embedding_stddev": 0.5},
    {"shared_vocabulary": False, "recurrent_initializer": "glorot_uniform", "embedding_stddev": 0.5},
    {"shared_vocabulary": False, "recurrent_initializer": "orthogonal", "embedding_stddev": 0.0},
]
TOKENS = st.lists(st.integers(1, 9).filter(lambda token: token not in (2, 3, 4)), min_size=1, max_size=4)
PAIRS = st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=3)


@pytest.fixture(scope="module", params=CONFIGURATIONS, ids=lambda options: "-".join(map(str, options.values())))
def measure(request):
    """Returns a function from a batch to the losses, the encoder's state and the greedy answer of its rows."""
    model = toys.make_model(**request.param)
    ids = tf.TensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[((ids, ids), ids)])
    def measure(batch):
        inputs, labels = batch
        losses = token_crossentropy(labels, model(inputs)) * label_mask(labels)
        [state] = model.encoder(inputs[0])[1]
        return losses, state, model.generate_ids(inputs[0], max_length=5)[0][:, 0]

    return lambda batch: [result.numpy() for result in measure(batch)]


@settings(max_examples=40)
@given(pair=st.tuples(TOKENS, TOKENS), company=PAIRS, extra=st.integers(0, 3))
def test_padding_and_company_change_nothing(measure, pair, company, extra):
    source, target = pair
    [lonely_losses], [lonely_state], [lonely_answer] = measure(toys.make_batch([source], [target]))
    crowd = toys.make_batch(*zip(*company, pair, strict=True), extra=extra)
    *_, losses = (results := measure(crowd))[0]
    np.testing.assert_allclose(losses[: len(target) + 1], lonely_losses, rtol=1e-4, atol=1e-5)
    assert lonely_losses.all() and not losses[len(target) + 1 :].any()
    np.testing.assert_allclose(results[1][-1], lonely_state, rtol=1e-4, atol=1e-5)
    assert results[2][-1].tolist() == lonely_answer.tolist()


def test_one_vocabulary_means_one_embedding():
    shared, separate = toys.make_model(), toys.make_model(shared_vocabulary=False)
    assert shared.decoder.embedding is shared.encoder.embedding
    assert separate.decoder.embedding is not separate.encoder.embedding
    assert len(separate.trainable_variables) == len(shared.trainable_variables) + 1


def test_shapes():
    model = toys.make_model()
    (source, target_input), labels = toys.BATCHES[0]
    logits = model((source, target_input))
    assert logits.shape == (*labels.shape, len(toys.WORDS)) and logits.dtype == tf.float32
    assert toys.greedy_ids(model, source, 5).shape == (2, 5)


def test_it_is_built_from_the_start():
    # Before any training: `create_weights` has made a first forward pass.
    model = toys.make_model()
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    assert "encoder" in "\n".join(lines) and model.count_params() > 0


# A training step


def one_update(model, batch, optimizer):
    """Makes one update; returns the reported loss and the change of all weights, as one vector."""
    before = weights_of(model)
    model.compile(optimizer, run_eagerly=True)
    history = model.fit(toys.dataset_of([batch]), epochs=1, verbose=0, shuffle=False).history
    change = [after - start for after, start in zip(weights_of(model), before, strict=True)]
    return history["loss"][0], np.concatenate([part.ravel() for part in change])


def test_the_steps_loss_is_keras_loss_on_the_same_logits():
    model = toys.make_model()
    inputs, labels = toys.BATCHES[0]
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)(labels, model(inputs))
    reported, _ = one_update(model, toys.BATCHES[0], keras.optimizers.SGD(0.1))
    assert reported == pytest.approx(float(expected), rel=1e-5)


def gradient_of(model, batch):
    """Returns the gradient of the loss by the formula, as one vector."""
    inputs, labels = batch
    with tf.GradientTape() as tape:
        loss = masked_mean(token_crossentropy(labels, model(inputs)), label_mask(labels))
    weights = [weight.value if KERAS_3 else weight for weight in model.trainable_weights]
    return np.concatenate([np.array(tf.convert_to_tensor(g)).ravel() for g in tape.gradient(loss, weights)])


@pytest.mark.parametrize("clip_norm", [0.0, 0.1, 100.0])
def test_an_update_follows_the_gradient_and_is_clipped_to_the_norm(clip_norm):
    model = toys.make_model()
    gradient = gradient_of(model, toys.BATCHES[0])
    norm = np.linalg.norm(gradient)
    assert 0.1 < norm < 100  # so that the first limit bites and the second does not
    # With a learning rate of 1, SGD's change is the negative gradient itself.
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=clip_norm or None)
    _, change = one_update(model, toys.BATCHES[0], optimizer)
    np.testing.assert_allclose(change, -gradient * (0.1 / norm if clip_norm == 0.1 else 1), rtol=1e-3, atol=1e-6)
    if clip_norm == 0.1:
        assert np.linalg.norm(change) == pytest.approx(0.1, rel=1e-4)


def test_padding_gets_no_gradient():
    model = toys.make_model()
    before = toys.array(model.encoder.embedding.embeddings)
    one_update(model, toys.BATCHES[0], keras.optimizers.SGD(1.0))
    change = toys.array(model.encoder.embedding.embeddings) - before
    assert not change[0].any() and change[5].any()


def test_the_loss_of_an_epoch_is_weighted_by_labels_not_by_batches():
    # A wide and a narrow batch, 8 and 4 labels; the learning rate is too small to change a loss.
    model = toys.make_model()
    losses, counts = [loss_of(model, batch) for batch in toys.BATCHES], [label_count(batch) for batch in toys.BATCHES]
    assert counts == [8, 4]
    weighted = float(np.average(losses, weights=counts))
    assert abs(weighted - np.mean(losses)) > 1e-3  # or else the test could not tell

    model.compile(keras.optimizers.SGD(1e-9), run_eagerly=True)
    history = model.fit(toys.dataset_of(toys.BATCHES), epochs=1, verbose=0, shuffle=False).history
    assert history["loss"] == [pytest.approx(weighted, rel=1e-5)]
    measured = model.evaluate(toys.dataset_of(toys.BATCHES), verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(weighted, rel=1e-5)


def test_token_accuracy_is_the_share_of_labels_that_are_right():
    model = toys.make_model()
    right = sum(
        int(((np.argmax(model(inputs), -1) == labels.numpy()) & (labels.numpy() != 0)).sum())
        for inputs, labels in toys.BATCHES
    )
    # Relabel one more so that there is something to count, whatever the untrained model says.
    (inputs, labels), other = toys.BATCHES
    said = np.argmax(model(inputs), -1)
    relabelled = labels.numpy()
    wrong = np.argwhere((relabelled != 0) & (said != relabelled) & (said != 0))[:2]
    for row, time in wrong:
        relabelled[row, time] = said[row, time]
    assert len(wrong) == 2
    model.compile("sgd", run_eagerly=True)
    dataset = toys.dataset_of([(inputs, tf.constant(relabelled)), other])
    measured = model.evaluate(dataset, verbose=0, return_dict=True)
    assert measured["token_accuracy"] == pytest.approx((right + 2) / 12, rel=1e-5)


def test_metrics_start_anew_with_every_epoch():
    model = toys.make_model()
    model.compile(keras.optimizers.SGD(1e-9), run_eagerly=True)
    losses = model.fit(toys.dataset_of(toys.BATCHES[:1]), epochs=3, verbose=0, shuffle=False).history["loss"]
    assert losses == pytest.approx([loss_of(model, toys.BATCHES[0])] * 3, rel=1e-5)


# However it is run


def trained_and_measured(measure=True, **mode):
    """Trains three epochs from the same weights; returns all that was reported and the final weights."""
    model = toys.make_model()
    model.compile(keras.optimizers.Adam(0.05, global_clipnorm=1.0), **mode)
    # Of one shape, so that XLA compiles once.
    batches = [toys.make_batch([[5, 6], [8]], [[9, 8], [6]]), toys.make_batch([[6], [9, 5]], [[5, 5], [7]])]
    dataset = tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(lambda *parts: tf.stack(parts), *batches))
    history = model.fit(
        dataset, epochs=3, validation_data=dataset if measure else None, verbose=0, shuffle=False
    ).history
    return history, weights_of(model)


@pytest.fixture(scope="module")
def eagerly():
    return trained_and_measured(run_eagerly=True)


# One of them without measuring, which takes seconds to trace.
@pytest.mark.parametrize("mode", [{}, {"steps_per_execution": 2, "measure": False}, {"jit_compile": True}], ids=str)
def test_every_way_to_run_gives_the_same_numbers(mode, eagerly):
    history, weights = trained_and_measured(**mode)
    expected, expected_weights = eagerly
    names = {"loss", "token_accuracy"} | (
        {"val_loss", "val_token_accuracy", "val_exact_match"} if "measure" not in mode else set()
    )
    assert set(history) == names
    for name in names:
        assert history[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-5), name
    assert expected["loss"][-1] < expected["loss"][0]  # something has been learnt
    assert_same_weights(weights, expected_weights, rtol=1e-2, atol=1e-4)


def test_ids_may_be_int64_as_numpys_are():
    model = toys.compiled_model()
    (source, target_input), labels = tf.nest.map_structure(lambda ids: ids.numpy().astype("int64"), toys.BATCHES[0])
    assert model.evaluate((source, target_input), labels, verbose=0) == pytest.approx(
        model.evaluate(*toys.BATCHES[0], verbose=0)
    )


# Something to learn


@pytest.fixture(scope="module")
def learnt():
    """Returns a model that has learnt the notebook's two answers, the batch, and the measures before and after."""
    keras.utils.set_random_seed(0)
    config = Configuration(learning_rate=0.02, embedding_stddev=0.5)
    source_vocabulary, target_vocabulary = build_vocabularies(NOTEBOOK, config)
    model = build_model(config, source_vocabulary, target_vocabulary, max_target_length=12)
    model.compile(keras.optimizers.Adam(config.learning_rate))
    dataset = batches(NOTEBOOK, source_vocabulary, target_vocabulary, length_buckets=1)
    before = model.evaluate(dataset, verbose=0, return_dict=True)
    model.fit(dataset.repeat(), steps_per_epoch=60, epochs=1, verbose=0, shuffle=False)
    [batch] = dataset
    return model, batch, before, model.evaluate(dataset, verbose=0, return_dict=True)


def test_a_toy_is_learnt(learnt):
    model, _, before, after = learnt
    assert before["exact_match"] == 0.0 and before["loss"] > 0.8 * math.log(21)  # about as good as a guess
    assert after["exact_match"] == 1.0 and after["token_accuracy"] == 1.0 and after["loss"] < 0.1
    assert model.generate([source for source, _ in NOTEBOOK]) == [target for _, target in NOTEBOOK]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda labels: labels, 1.0),
        (lambda labels: np.where([[1, 0, 0, 0, 0, 0], [0] * 6], 1, labels), 0.5),  # another first token in one answer
        (lambda labels: np.where([[0] * 6, [0, 0, 0, 1, 1, 0]], [9, 9, 9, 9, 4, 0], labels), 0.5),  # one that goes on
        (
            lambda labels: np.where([[0, 0, 1, 1, 1, 1], [0] * 6], [4, 4, 4, 0, 0, 0], labels),
            0.5,
        ),  # one that ends early
        (lambda labels: labels[::-1], 0.0),  # the answers changed round
    ],
    ids=["right", "other token", "longer", "shorter", "swapped"],
)
def test_exact_match_by_hand(learnt, change, expected):
    model, (inputs, labels), _, _ = learnt
    changed = change(labels.numpy()).astype(np.int32)
    measured = model.evaluate(toys.dataset_of([(inputs, tf.constant(changed))]), verbose=0, return_dict=True)
    assert measured["exact_match"] == expected


def test_exact_match_is_decided_without_teacher_forcing(learnt):
    # The decoder's input is what a teacher would say; the answer must not depend on it.
    model, ((source, target_input), labels), _, _ = learnt
    dataset = toys.dataset_of([((source, tf.ones_like(target_input)), labels)])
    assert model.evaluate(dataset, verbose=0, return_dict=True)["exact_match"] == 1.0


def test_padding_never_wins_where_there_is_a_label(learnt):
    model, (inputs, labels), _, _ = learnt
    predicted = np.argmax(model(inputs), axis=-1)
    assert (predicted[labels.numpy() != 0] != 0).all()
    # Nor would it without the ban on saying it.
    (state, prepared), token = model.encode(inputs[0]), tf.fill([2], 3)
    for time in range(4):  # "hydrogen and oxygen <end>", the shorter answer
        logits, state = model.decoder.step(token, state, prepared)
        token = tf.argmax(logits, axis=-1, output_type=tf.int32)
        assert token.numpy().tolist() == labels[:, time].numpy().tolist()


# Nothing to learn

WORD_COUNT, ROWS, STEPS, LENGTH = 20, 32, 100, 4


@pytest.fixture(scope="module")
def on_random_words():
    """Trains on random words, new ones in every batch; returns the losses on words never seen: with `<end>`, without."""
    vocabulary = toys.Vocabulary([*toys.SPECIAL, *map(str, range(WORD_COUNT))], "space")
    words = np.random.default_rng(0).integers(5, 5 + WORD_COUNT, [(STEPS + 10) * ROWS, LENGTH], np.int32)
    model = toys.make_model(vocabulary=vocabulary, embedding_dim=8, units=16)
    start = model.get_weights()
    model.compile(keras.optimizers.Adam(0.03))
    losses = {}
    published = toys.Vocabulary([*toys.SPECIAL[:4], *map(str, range(WORD_COUNT + 1))], "space")
    for name, known in (("with", vocabulary), ("without", published)):
        target_input, labels = teacher_forcing(tf.RaggedTensor.from_tensor(words), known)
        # Only the words count: where `<a>` and `<end>` stand is no secret.
        labels = tf.where(labels.to_tensor() >= 5, labels.to_tensor(), 0)
        rows = ((tf.fill([len(words), 1], 2), target_input.to_tensor()), labels)
        dataset = tf.data.Dataset.from_tensor_slices(rows).batch(ROWS, drop_remainder=True)
        model.set_weights(start)
        model.fit(dataset.take(STEPS), verbose=0, shuffle=False)
        losses[name] = np.mean([loss_of(model, batch) for batch in dataset.skip(STEPS)])
    return losses


def test_random_words_cannot_be_foretold(on_random_words):
    # Whatever falls below ln 20 here has seen the answer: a leak from the labels into the decoder's input.
    assert on_random_words["with"] > 0.9 * math.log(WORD_COUNT)


def test_as_published_they_can_be_copied(on_random_words):
    assert on_random_words["without"] < 0.5 * math.log(WORD_COUNT)


# Wherever it is run

CLIP_NORM = 0.8


def run_under(strategy, measure=True, **mode):
    """Trains two epochs under a strategy; returns losses, weights and measures, ready for JSON."""
    with strategy.scope():
        model = toys.make_model()
        # Unlike Adam, plain SGD shows a gradient that is too large or too small by some factor.
        model.compile(keras.optimizers.SGD(0.3, global_clipnorm=CLIP_NORM), **mode)
    dataset = toys.dataset_of(toys.UNEQUAL_BATCHES)
    losses = model.fit(dataset, epochs=2, verbose=0, shuffle=False).history["loss"]
    results = {"losses": losses, "weights": [weight.tolist() for weight in weights_of(model)]}
    return {**results, "measures": model.evaluate(dataset, verbose=0, return_dict=True)} if measure else results


@pytest.fixture(scope="module")
def one_replica():
    return run_under(tf.distribute.get_strategy(), run_eagerly=True)


def assert_same_run(ours, theirs):
    assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-5)
    assert_same_weights(ours["weights"], theirs["weights"], rtol=1e-4, atol=1e-5)


def test_the_limit_of_the_norm_bites_in_some_batches_only():
    # Clipping hides a wrong factor, not clipping hides a norm that one replica took of its own part.
    norms = [np.linalg.norm(gradient_of(toys.make_model(), batch)) for batch in toys.UNEQUAL_BATCHES]
    assert min(norms) < 0.9 * CLIP_NORM and max(norms) > 1.1 * CLIP_NORM


RUN_UNDER_TWO = """
sys.path[:0] = sys.argv[1], sys.argv[1] + "/model"
import test_seq2seq
print(json.dumps(test_seq2seq.run_under(strategy)))
"""


def test_two_replicas_make_the_steps_of_one(one_replica):
    printed = toys.output_of(toys.TWO_REPLICAS + RUN_UNDER_TWO, toys.ROOT / "tests")
    ours = json.loads(printed.splitlines()[-1])
    assert_same_run(ours, one_replica)
    assert ours["measures"] == pytest.approx(one_replica["measures"], rel=1e-5)


def test_the_main_job_runs_under_two_replicas_and_is_watched(tmp_path):
    code = (
        toys.TWO_REPLICAS
        + """
from keras_seq2seq import Configuration, train
from keras_seq2seq.data.corpora import NOTEBOOK
with strategy.scope():
    train(Configuration(logs=sys.argv[2], run="one", epochs=2), NOTEBOOK)
"""
    )
    printed = toys.output_of(code, toys.ROOT / "tests", tmp_path)
    assert "--- update 10 -" in printed and "answer:" in printed and "goes on without scalars" not in printed
    assert list(tmp_path.glob("one/train/events*"))


TWO_WORKERS = """
import sys
sys.path[:0] = sys.argv[1], sys.argv[1] + "/model"
import json, tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
assert strategy.num_replicas_in_sync == 2
import test_seq2seq
print(json.dumps(test_seq2seq.run_under(strategy, measure=False)))
"""


@pytest.mark.skipif(KERAS_3, reason="Keras 3 cannot train under MultiWorkerMirroredStrategy; see the next test")
def test_two_processes_make_the_steps_of_one(one_replica):
    workers = []
    try:
        for task in toys.worker_configurations(2):
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-c", TWO_WORKERS, str(toys.ROOT / "tests")],
                    env=toys.environment(TF_CONFIG=task),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        outputs = [worker.communicate(timeout=toys.PATIENCE) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    for worker, (printed, errors) in zip(workers, outputs, strict=True):
        assert worker.returncode == 0, errors
        assert_same_run(json.loads(printed.splitlines()[-1]), one_replica)


@pytest.mark.skipif(not KERAS_3, reason="Keras 2 can")
def test_keras_3_refuses_workers_in_one_sentence():
    done = toys.run_python("""
import tensorflow as tf
from keras_seq2seq import Decoder, Encoder, Seq2Seq, Vocabulary
vocabulary = Vocabulary(["<pad>", "<unk>", "<q>", "<a>", "<end>", "x"], "space")
with tf.distribute.MultiWorkerMirroredStrategy().scope():
    Seq2Seq(Encoder(6), Decoder(6), vocabulary, vocabulary)
""")
    assert done.stderr.strip().splitlines()[-1] == (
        "NotImplementedError: Keras 3 cannot train under MultiWorkerMirroredStrategy: "
        "use Keras 2 (TF_USE_LEGACY_KERAS=1)."
    )


@pytest.mark.parametrize("strategy", [Greedy(), Sampling(seed=1), Beam(3, 2)])
def test_answers_are_the_same_in_a_graph_that_knows_the_batch_size(strategy):
    model, source = toys.make_model(attention="dot"), toys.padded([[2, 5, 6], [2, 7]])
    generate = tf.function(lambda source: model.generate_ids(source, strategy), autograph=False)
    for inside, outside in zip(generate(source), model.generate_ids(source, strategy), strict=True):
        np.testing.assert_allclose(inside, outside, rtol=1e-5)
