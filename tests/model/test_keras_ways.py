"""What the habits of Keras promise: a model is summarised, cloned, saved and trained like any other."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import Beam, Decoder, Encoder, InputError, Seq2Seq, Vocabulary, batches, keras, load, save

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
    for loaded in (load(tmp_path / "own.keras"), keras.models.load_model(tmp_path / "own.keras")):
        assert type(loaded) is Counting and toys.answers(loaded, QUESTIONS) == toys.answers(model, QUESTIONS)


@keras.utils.register_keras_serializable("ways")
class Measuring(Seq2Seq):
    """A model with a metric of its own, as Keras's guides have it: how long the sources of an epoch are."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.source_length = keras.metrics.Mean(name="source_length")

    @property
    def metrics(self):
        return [*super().metrics, self.source_length]

    def train_step(self, batch):
        shown = super().train_step(batch)
        self.source_length.update_state(tf.math.count_nonzero(batch[0][0], axis=1))
        return {**shown, "source_length": self.source_length.result()}


def test_a_metric_that_a_subclass_holds_is_shown_and_reset(tmp_path):
    model = compiled(Measuring)
    assert model.fit(DATA, epochs=2, verbose=0).history["source_length"] == [2.5, 2.5]  # `<q>` and 2, 1, 1, 2 tokens
    model.save(tmp_path / "measuring.keras")
    loaded = load(tmp_path / "measuring.keras")
    assert loaded.fit(DATA, verbose=0).history["source_length"] == [2.5]


def test_parameters_are_those_of_the_layers_alone():
    model = compiled()
    assert model.count_params() == model.encoder.count_params() + model.decoder.count_params()
    assert len(model.weights) == len(model.trainable_weights)


def test_the_names_of_metrics_fit_the_numbers_that_keras_lists():
    model = compiled(metrics=["accuracy"])
    (source, target_input), labels = next(iter(DATA))
    named = model.evaluate(DATA, verbose=0, return_dict=True)
    assert dict(zip(model.metrics_names, model.evaluate(DATA, verbose=0), strict=False)) == named
    named = model.test_on_batch((source, target_input), labels, return_dict=True)
    model.reset_metrics()
    listed = model.test_on_batch((source, target_input), labels)
    assert dict(zip(model.metrics_names, listed, strict=False)) == named
    assert {"loss", "token_accuracy", "accuracy", "exact_match"} == named.keys()
    assert len(model.train_on_batch((source, target_input), labels)) == 3


def test_inside_a_model_of_keras_the_loss_shown_is_that_models():
    source, target_input = (keras.Input((None,), dtype="int32") for _ in range(2))
    inner = make().create_weights()
    outer = keras.Model([source, target_input], inner((source, target_input)))
    outer.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    (source, target_input), labels = next(iter(DATA))
    history = outer.fit([source, target_input], labels, verbose=0).history
    assert history.keys() == {"loss"} and history["loss"][0] > 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_answers_and_learns_on_its_own(copied):
    model = compiled()
    model.fit(DATA, verbose=0)
    twin = copied(model)
    assert twin.generate(QUESTIONS) == model.generate(QUESTIONS)
    before = toys.array(model.encoder.embedding.embeddings)
    twin.fit(DATA, verbose=0)
    np.testing.assert_array_equal(toys.array(model.encoder.embedding.embeddings), before)


def test_a_frozen_encoder_learns_nothing():
    model = make()
    model.encoder.trainable = False
    model.compile("adam")
    before = model.encoder.get_weights()
    model.fit(DATA, epochs=2, verbose=0)
    assert len(model.trainable_weights) == len(model.decoder.trainable_weights)
    for start, end in zip(before, model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(start, end)


def test_batches_come_from_a_generator_or_a_sequence_too():
    parts = [tf.nest.map_structure(lambda ids: ids.numpy(), batch) for batch in DATA]
    base = getattr(keras.utils, "PyDataset", None) or keras.utils.Sequence

    class Parts(base):
        def __len__(self):
            return len(parts)

        def __getitem__(self, number):
            return parts[number]

    expected = compiled().fit(DATA, verbose=0).history["loss"]
    assert compiled().fit((part for part in parts), steps_per_epoch=2, verbose=0).history["loss"] == pytest.approx(
        expected
    )
    assert compiled().fit(Parts(), shuffle=False, verbose=0).history["loss"] == pytest.approx(expected)


def test_export_writes_texts_to_texts(tmp_path):
    model = compiled()
    model.export(tmp_path / "saved")
    answer = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    answers = answer(tf.constant(QUESTIONS))["answers"].numpy()
    assert [text.decode() for text in answers] == model.generate(QUESTIONS)
    with pytest.raises(InputError, match="exists already"):
        model.export(tmp_path / "saved")


READS = r"the model reads \(source, target_input\).* texts are answered by `generate`"
IDS = np.array([[2, 5], [2, 6]])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (IDS, READS),
        ({"source": IDS, "target_input": IDS}, READS),
        (np.array(QUESTIONS), READS),
        ((IDS.astype("float32"), IDS.astype("float32")), "the model reads ids, int32; these are float32"),
    ],
    ids=["the source alone", "by name", "texts", "floats"],
)
def test_what_is_no_pair_of_ids_is_refused(inputs, message):
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind == "U":
        inputs = tf.constant(inputs)
    with pytest.raises(TypeError, match=message):
        compiled().predict(inputs, verbose=0)


def test_what_has_no_meaning_for_one_sequence_of_tokens_is_refused(tmp_path):
    with pytest.raises(ValueError, match="loss_weights is for several"):
        compiled(loss_weights=[0.5])
    with pytest.raises(ValueError, match="give each token its weight: sample_weight"):
        compiled().fit(DATA, class_weight={5: 2.0}, verbose=0)
    with pytest.raises(ValueError, match=r"model\.h5: .* give a name that ends in \.keras"):
        compiled().save(tmp_path / "model.h5")
    for strategy in (5, Beam):
        with pytest.raises(TypeError, match=r"the strategy is .* such as Beam\(width=5\)"):
            compiled().generate(QUESTIONS, strategy)


@pytest.mark.parametrize(
    ("other", "left"),
    [({"units": 4}, r"\[6\], .* from \[4\]"), ({"cell": "lstm"}, r"\[6, 6\]"), ({"num_layers": 2}, r"\[6, 6\]")],
    ids=["units", "cell", "layers"],
)
def test_halves_whose_states_differ_are_refused(other, left):
    halves = {"embedding_dim": 4, "units": 6, "cell": "gru"}
    with pytest.raises(InputError, match=rf"the encoder leaves a state of the sizes .*{left}.*: give both the same"):
        Seq2Seq(Encoder(len(SOURCE), **halves), Decoder(len(TARGET), **{**halves, **other}), SOURCE, TARGET)


@pytest.mark.parametrize("layer", [keras.layers.GRU, keras.layers.GRU(6), keras.layers.RNN(keras.layers.GRUCell(6))])
def test_a_layer_in_place_of_its_cell_is_refused(layer):
    with pytest.raises(ValueError, match=r'the cell is a layer, .*: give its cell, such as cell="gru" or GRUCell'):
        Encoder(len(SOURCE), cell=layer)


def test_lists_of_tokens_are_no_vocabulary():
    with pytest.raises(TypeError, match=r"the target vocabulary is \['<pad>', .*; give a Vocabulary"):
        Seq2Seq(Encoder(len(SOURCE)), Decoder(len(TARGET)), SOURCE, TARGET.tokens)


def test_a_file_of_another_kind_is_refused_by_its_own_name(tmp_path):
    with pytest.raises(InputError, match=r"model\.bin: give a name that ends in \.keras"):
        save(compiled(), tmp_path / "model.bin")
    assert list(tmp_path.iterdir()) == []
