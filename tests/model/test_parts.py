"""The parts of a model by name, and which are frozen: with the next `compile`, and in its file."""

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import keras, load
from keras_seq2seq.model.parts import freeze, frozen_layers, named_parts, named_weights


def test_weights_are_named_by_attributes_without_collisions():
    model = toys.make_model()
    rnn = ("kernel", "recurrent_kernel", "bias")
    assert set(named_weights(model)) == {
        "encoder/embedding/embeddings",  # shared with the decoder, and named once
        *(f"{part}/rnn/cell/{name}" for part in ("encoder", "decoder") for name in rnn),
        *("decoder/projection/kernel", "decoder/projection/bias"),
    }
    assert len(named_weights(toys.make_model(shared_vocabulary=False))) == len(named_weights(model)) + 1


def test_layers_in_a_list_are_numbered():
    class Stack(keras.Model):
        def __init__(self):
            super().__init__()
            self.floors = [keras.layers.Dense(2), keras.layers.Dense(3)]

        def call(self, inputs):
            return self.floors[1](self.floors[0](inputs))

    stack = Stack()
    stack(tf.ones((1, 2)))
    assert {"floors/0", "floors/0/kernel", "floors/1", "floors/1/bias"} <= {path for path, _ in named_parts(stack)}
    assert named_weights(stack)["floors/1/kernel"].shape == (2, 3)


def test_what_is_frozen_is_named_from_the_outside_in():
    model = toys.make_model(shared_vocabulary=False)
    assert frozen_layers(model) == []
    model.encoder.embedding.trainable = False
    model.decoder.rnn.trainable = False
    assert frozen_layers(model) == ["encoder/embedding", "decoder/rnn", "decoder/rnn/cell"]


def test_freezing_names_those_that_are_frozen_and_thaws_the_others():
    model = toys.make_model()
    model.decoder.rnn.trainable = False
    frozen = ["encoder", "encoder/embedding", "encoder/rnn", "encoder/rnn/cell", "decoder/projection"]
    freeze(model, frozen)
    # The embedding too, which is the decoder's as well, and the decoder as a whole is not frozen.
    assert frozen_layers(model) == frozen
    assert {path.rpartition("/")[0] for path in named_weights(model)} == {"decoder/rnn/cell"}


@pytest.mark.parametrize("load_it", [load, keras.models.load_model], ids=["ours", "keras"])
def test_a_model_with_a_frozen_embedding_goes_on_from_its_file(load_it, tmp_path):
    model = toys.make_model(shared_vocabulary=False)
    model.encoder.embedding.trainable = False
    model.compile(keras.optimizers.Adam(0.05))
    start = toys.array(model.encoder.embedding.embeddings)
    model.fit(toys.dataset_of(toys.BATCHES), epochs=2, verbose=0)
    model.save(tmp_path / "frozen.keras")
    loaded = load_it(tmp_path / "frozen.keras")
    for one in (model, loaded):  # with the moments of the optimizer, or the losses would differ
        losses = one.fit(toys.dataset_of(toys.BATCHES), epochs=2, verbose=0).history["loss"]
        np.testing.assert_array_equal(toys.array(one.encoder.embedding.embeddings), start)
        if one is model:
            expected = losses
    assert losses == pytest.approx(expected, rel=1e-6)


def test_what_is_frozen_after_training_counts_from_the_next_compile(tmp_path):
    model = toys.compiled_model()
    model.fit(toys.dataset_of(toys.BATCHES), verbose=0)
    model.encoder.trainable = False
    model.save(tmp_path / "later.keras")
    loaded = load(tmp_path / "later.keras")
    assert len(loaded.trainable_weights) == len(loaded.weights) and int(loaded.optimizer.iterations) == 2
    model.compile("adam")
    model.save(tmp_path / "now.keras")
    assert frozen_layers(load(tmp_path / "now.keras")) == frozen_layers(model) != []


def test_a_model_that_was_never_compiled_is_frozen_in_its_file_too(tmp_path):
    model = toys.make_model()
    model.decoder.trainable = False
    model.save(tmp_path / "model.keras")
    assert not load(tmp_path / "model.keras").decoder.trainable
    assert not keras.models.clone_model(model).decoder.trainable
