"""What the habits of Keras promise: a model is summarised, cloned, saved and trained like any other."""

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Decoder, Encoder, Seq2Seq, Vocabulary, batches, keras, load

PAIRS = [("b c", "f e"), ("e", "c"), ("c", "b b"), ("f b", "d")]
SOURCE, TARGET = (Vocabulary.build(texts, "space") for texts in zip(*PAIRS, strict=True))
DATA = batches(PAIRS, SOURCE, TARGET, batch_size=2, length_buckets=1)
QUESTIONS = [source for source, _ in PAIRS]


@keras.utils.register_keras_serializable("ways")
class Counting(Seq2Seq):
    """A model of one's own: the label of a step that was made is looked at, and nothing else changes."""

    def train_step(self, batch):
        return {**super().train_step(batch), "labels": tf.math.count_nonzero(batch[1])}


def make(model_class=Seq2Seq):
    keras.utils.set_random_seed(1)
    halves = {"embedding_dim": 4, "units": 6, "cell": "simple_rnn"}
    return model_class(Encoder(len(SOURCE), **halves), Decoder(len(TARGET), **halves), SOURCE, TARGET)


def compiled(model_class=Seq2Seq, **options):
    model = make(model_class)
    model.compile(**{"optimizer": "adam", **options})
    return model


def test_a_summary_shows_the_layers():
    lines = []
    compiled().summary(expand_nested=True, print_fn=lambda line, **_: lines.append(line))
    assert "Encoder" in "\n".join(lines) and "Decoder" in "\n".join(lines)


def test_a_clone_has_the_same_parts_and_weights_of_its_own():
    model = compiled()
    clone = keras.models.clone_model(model)
    assert type(clone) is Seq2Seq and clone.encoder is not model.encoder
    shapes = [[weight.shape for weight in one.get_weights()] for one in (model, clone)]
    assert shapes[0] == shapes[1]


def test_weights_alone_are_saved_and_loaded(tmp_path):
    model, other = compiled(), compiled()
    model.fit(DATA, verbose=0)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    for mine, theirs in zip(other.trainable_weights, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(toys.array(mine), toys.array(theirs))


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop", "adamw", "nadam", "adagrad", "adamax", "ftrl"])
def test_stock_optimizers_by_name(name):
    model = compiled(optimizer=name, run_eagerly=True)
    before = model.get_weights()
    model.train_on_batch(*next(iter(DATA)))
    assert any((one != other).any() for one, other in zip(model.get_weights(), before, strict=True))


def test_stock_callbacks(tmp_path):
    stock = keras.callbacks
    model = compiled(metrics=["accuracy"])
    model.fit(
        DATA,
        validation_data=DATA,
        epochs=2,
        verbose=0,
        callbacks=[
            stock.ModelCheckpoint(str(tmp_path / "best.keras"), save_best_only=True),
            stock.CSVLogger(str(tmp_path / "log.csv")),
            stock.ReduceLROnPlateau(patience=1),
            stock.LearningRateScheduler(lambda epoch, rate: rate / 2),
            stock.EarlyStopping(monitor="val_accuracy", mode="max", patience=5),
            stock.TensorBoard(str(tmp_path / "logs")),
            stock.BackupAndRestore(str(tmp_path / "backup")),
            stock.TerminateOnNaN(),
        ],
    )
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    assert {"loss", "accuracy", "val_loss", "val_exact_match"} <= set(header.split(",")) and len(rows) == 2
    assert list((tmp_path / "logs").rglob("*tfevents*"))
    for best in (load(tmp_path / "best.keras"), keras.models.load_model(tmp_path / "best.keras")):
        assert len(toys.answers(best, QUESTIONS)) == 4
    assert float(tf.convert_to_tensor(model.optimizer.learning_rate)) == pytest.approx(0.001 / 4)


def test_what_was_backed_up_is_restored(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise RuntimeError("killed")

    def backup():
        return keras.callbacks.BackupAndRestore(str(tmp_path / "backup"), delete_checkpoint=False)

    with pytest.raises(RuntimeError, match="killed"):
        compiled().fit(DATA, epochs=2, verbose=0, callbacks=[backup(), Stop()])
    resumed, whole = compiled(), compiled()
    resumed.fit(DATA, epochs=2, verbose=0, callbacks=[backup()])
    whole.fit(DATA, epochs=2, verbose=0)
    assert int(resumed.optimizer.iterations) == int(whole.optimizer.iterations) == 4
    for mine, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_several_steps_an_execution_are_the_same_steps():
    one, two = compiled(), compiled(steps_per_execution=2)
    for model in (one, two):
        model.fit(DATA, epochs=2, verbose=0)
    for mine, theirs in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_arrays_are_as_good_as_a_dataset():
    inputs, labels = next(iter(batches(PAIRS, SOURCE, TARGET, batch_size=4, length_buckets=1)))
    model, other = compiled(), compiled()
    model.fit([side.numpy() for side in inputs], labels.numpy(), batch_size=4, shuffle=False, verbose=0)
    other.fit(tf.data.Dataset.from_tensors((inputs, labels)), verbose=0)
    for mine, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_model_of_ones_own_is_trained_saved_and_loaded_as_itself(tmp_path):
    model = compiled(Counting)
    history = model.fit(DATA, verbose=0).history
    assert history["labels"] == [5]  # of the last batch: `b b <end>` and `d <end>`
    model.save(tmp_path / "own.keras")
    for copy in (load(tmp_path / "own.keras"), keras.models.load_model(tmp_path / "own.keras")):
        assert type(copy) is Counting and toys.answers(copy, QUESTIONS) == toys.answers(model, QUESTIONS)
