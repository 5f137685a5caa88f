"""What a configuration asks for, and what is made of it: the learning rate, the optimizer, the loss, the halves."""

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Configuration, Decoder, InputError, encode_pairs, keras
from keras_seq2seq.model.losses import SmoothedCrossentropy
from keras_seq2seq.training.build import (
    build_compiled,
    build_model,
    build_optimizer,
    build_vocabularies,
    decide_xla,
    default_loss,
    learning_rate,
)

# The learning rate


def test_constant_is_a_number():
    assert learning_rate(Configuration(learning_rate=0.3), 100) == 0.3
    assert learning_rate(Configuration(learning_rate=0.3, learning_rate_schedule="plateau"), 100) == 0.3


def test_cosine_falls_to_nothing_at_the_last_update():
    # Half a cosine wave: (1 + cos 0) / 2, (1 + cos 45 degrees) / 2, the middle, the end.
    schedule = learning_rate(Configuration(learning_rate=0.4, learning_rate_schedule="cosine"), 8)
    np.testing.assert_allclose([schedule(step) for step in (0, 2, 4, 8)], [0.4, 0.341421, 0.2, 0.0], atol=1e-6)


# Optimizer and loss


def test_the_optimizer_is_adam_with_the_options_asked_for():
    config = Configuration(learning_rate=0.3, adam_epsilon=1e-5, clip_norm=2.0)
    described = build_optimizer(config, 100).get_config()
    assert described["learning_rate"] == pytest.approx(0.3) and described["epsilon"] == 1e-5
    assert described["global_clipnorm"] == 2.0
    plain = build_optimizer(Configuration(), 100).get_config()
    assert plain["global_clipnorm"] is None


def test_label_smoothing_is_the_loss():
    assert default_loss(Configuration()) is None  # the plain cross-entropy
    loss = default_loss(Configuration(label_smoothing=0.2))
    assert isinstance(loss, SmoothedCrossentropy) and loss.label_smoothing == 0.2


def test_an_own_loss_takes_the_place_of_the_configurations():
    own = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    config = toys.make_config(label_smoothing=0.2)
    for loss, expected in ((None, "SmoothedCrossentropy"), (own, "SparseCategoricalCrossentropy")):
        model = build_compiled(config, toys.WORDS, toys.WORDS, 4, updates=2, loss=loss)
        assert model.get_compile_config()["loss"]["class_name"] == expected
        assert model.max_target_length == 8  # twice the longest target


# Vocabularies and halves


def test_one_vocabulary_for_both_sides_or_one_for_each():
    pairs = [("b c", "d"), ("c", "d d")]
    both, same = build_vocabularies(pairs, Configuration())
    assert both is same and sorted(both.tokens[5:]) == ["b", "c", "d"]
    source, target = build_vocabularies(pairs, Configuration(shared_vocabulary=False, min_count=2))
    assert source.tokens[5:] == ["c"] and target.tokens[5:] == ["d"]
    with pytest.raises(InputError, match="--shared-vocabulary needs the same --source-tokens and --target-tokens"):
        build_vocabularies(pairs, Configuration(source_tokens="char"))


def test_the_halves_have_what_the_configuration_says():
    config = Configuration(
        **{"embedding_dim": 3, "units": 4, "cell": "lstm", "layers": 2, "residual": True, "bidirectional": True},
        **{"attention": "dot", "tie_embeddings": True, "shared_vocabulary": False},
        **{"dropout": 0.1, "embedding_stddev": 0.5, "recurrent_initializer": "orthogonal"},
        **{"seed": 7, "max_length": 9},
    )
    model = build_model(config, toys.WORDS, toys.WORDS, 8)
    both = {
        **{"vocabulary_size": 10, "embedding_dim": 3, "units": 4, "cell": "lstm", "num_layers": 2, "residual": True},
        **{"dropout": 0.1, "embedding_stddev": 0.5, "recurrent_initializer": "orthogonal"},
        **{"trainable_embedding": True, "seed": 7},
    }
    assert model.encoder.get_config() == {**both, "bidirectional": True}
    assert model.decoder.get_config() == {**both, "attention": "dot", "tie_embeddings": True}
    assert (model.max_source_length, model.max_target_length) == (9, 8)
    assert model.decoder.embedding is not model.encoder.embedding
    shared = build_model(Configuration(), toys.WORDS, toys.WORDS, 8)
    assert shared.decoder.embedding is shared.encoder.embedding
    assert isinstance(shared.decoder, Decoder) and shared.decoder.attention is None


# XLA

TEN = [("b c", "d e")] * 10  # of one shape


def decided(updates, own_parts=False, pairs=TEN, **options):
    config = toys.make_config(batch_size=4, length_buckets=2, **options)
    return decide_xla(config, encode_pairs(pairs, toys.WORDS, toys.WORDS), updates, own_parts)


def test_xla_compiles_a_run_that_is_long_enough_to_win(capsys):
    assert not decided(599)
    assert capsys.readouterr().out == ""
    assert decided(600)
    assert capsys.readouterr().out.startswith("XLA: compiles the training step for each of 1 shapes of a batch")
    two_shapes = [*TEN, *[("b c d", "e")] * 10]
    assert not decided(1199, pairs=two_shapes) and decided(1200, pairs=two_shapes)


@pytest.mark.parametrize("option", [{"dropout": 0.1}, {"deterministic": True}, {}], ids=str)
def test_xla_keeps_away_from_dropout_from_fixed_bits_and_from_parts_of_ones_own(option):
    own_parts = not option
    assert not decided(100_000, own_parts, **option)
    assert decided(1, own_parts, jit_compile="on", **option)  # whoever asks for it gets it


def test_on_a_gpu_xla_takes_longer_to_win_and_wins_with_dropout_too(monkeypatch, capsys):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["GPU:0"] if kind == "GPU" else [])
    assert not decided(1999, dropout=0.1)
    assert decided(2000, dropout=0.1)
    assert capsys.readouterr().out.endswith("which takes a minute each\n")
    assert not decided(100_000, deterministic=True)


def test_xla_can_be_switched_off():
    assert not decided(100_000, jit_compile="off")
