"""What is seen of a small model, held against what is worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import encode_pairs
from keras_seq2seq.model.parts import named_weights
from keras_seq2seq.tensorboard.diagnostics import exact_match, look, tokens_of

PAIRS = [("b c d", "f e"), ("e", "c")]


@pytest.fixture(scope="module")
def model():
    return toys.make_model()


@pytest.fixture(scope="module")
def seen(model):
    return look(model, encode_pairs(PAIRS, toys.WORDS, toys.WORDS))


def test_inputs_and_labels_are_those_of_teacher_forcing(seen):
    np.testing.assert_array_equal(seen["source"], [[2, 5, 6, 7], [2, 8, 0, 0]])
    np.testing.assert_array_equal(seen["target_input"], [[3, 9, 8], [3, 6, 0]])
    np.testing.assert_array_equal(seen["labels"], [[9, 8, 4], [6, 4, 0]])


def test_losses_and_states_are_those_of_a_forward_pass_by_hand(model, seen):
    kernel, bias = toys.array(model.decoder.projection.kernel), toys.array(model.decoder.projection.bias)
    rows = (([2, 5, 6, 7], [3, 9, 8], [9, 8, 4]), ([2, 8], [3, 6], [6, 4]))
    for row, (source, target_input, labels) in enumerate(rows):
        encoder = toys.numpy_rnn(model.encoder, source, np.zeros(6))
        decoder = toys.numpy_rnn(model.decoder, target_input, encoder[-1])
        np.testing.assert_allclose(seen["encoder"][row, : len(source)], encoder, atol=1e-5)
        np.testing.assert_allclose(seen["decoder"][row, : len(target_input)], decoder, atol=1e-5)
        logits = decoder @ kernel + bias
        surprise = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
        np.testing.assert_allclose(seen["loss"][row, : len(labels)], surprise, atol=1e-5)
        np.testing.assert_array_equal(seen["predicted"][row, : len(labels)], logits.argmax(axis=1))


def test_the_answer_is_that_of_greedy_decoding(model, seen):
    said = toys.greedy_ids(model, tf.constant(seen["source"]), max_length=6)  # twice the longest labels
    np.testing.assert_array_equal(seen["generated"], said)


def test_the_gradient_is_the_slope_of_the_loss(seen):
    model, weight, step = toys.make_model(), "decoder/projection/bias", 1e-2
    bias, examples = named_weights(model)[weight], encode_pairs(PAIRS, toys.WORDS, toys.WORDS)
    start = toys.array(bias)

    def mean_loss(change):
        bias.assign(start + change)
        now = look(model, examples)
        return now["loss"][now["labels"] != 0].mean()

    slope = (mean_loss(step * np.eye(len(start))[9]) - mean_loss(-step * np.eye(len(start))[9])) / (2 * step)
    assert slope == pytest.approx(seen[f"gradients/{weight}"][9], rel=1e-2)
    np.testing.assert_array_equal(seen[f"weights/{weight}"], start)


def test_attention_is_seen_where_there_is_any(seen):
    assert "attention" not in seen
    model = toys.make_model(attention="dot")
    examples = encode_pairs(PAIRS, toys.WORDS, toys.WORDS)
    weights = look(model, examples)["attention"]
    padded = (examples.source.to_tensor() == 0).numpy()
    assert weights.shape == (2, 3, 4) and padded.any()
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-6)
    assert (weights.transpose(0, 2, 1)[padded] == 0).all()
    assert (weights.transpose(0, 2, 1)[~padded] > 0).all()


def test_hidden_states_are_those_of_the_top_level_not_its_memory_cells():
    model = toys.make_model(cell="lstm", layers=2)
    examples = encode_pairs(PAIRS[:1], toys.WORDS, toys.WORDS)
    state, prepared = model.encode(examples.source.to_tensor())
    for token in tf.unstack(examples.target_input.to_tensor(), axis=1):
        _, state = model.decoder.step(token, state, prepared)
    _, _, hidden, _ = state
    np.testing.assert_allclose(look(model, examples)["decoder"][:, -1], hidden, rtol=1e-5, atol=1e-6)


def test_exact_match_counts_whole_answers():
    # A model that says `c <end>`, whatever it is asked: having read `<a>` (3) one unit lights up, and another for `c` (6).
    model = toys.make_model()
    embeddings, says = np.zeros((10, 4)), np.zeros((6, 10))
    embeddings[3, 0] = embeddings[6, 1] = 1
    says[0, 6] = says[1, 4] = 5
    weights = {
        "encoder/embedding/embeddings": embeddings,
        "decoder/rnn/cell/kernel": np.eye(4, 6),
        "decoder/projection/kernel": says,
    }
    for path, weight in named_weights(model).items():
        weight.assign(weights.get(path, np.zeros(weight.shape)))
    pairs = [("b", "c"), ("d", "c"), ("b", "d"), ("b", "c b")]
    assert exact_match(model, encode_pairs(pairs, toys.WORDS, toys.WORDS)) == 0.5


def test_tokens_are_those_under_the_mask():
    ids = np.array([[5, 4, 0], [9, 9, 9]])
    assert tokens_of(ids, ids != 0, toys.WORDS) == [["b", "<end>"], ["f", "f", "f"]]
