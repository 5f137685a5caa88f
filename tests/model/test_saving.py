"""One file holds the whole model: for this process, a fresh one and the other Keras; and nothing breaks it."""

import json
import re
import shutil
import threading
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import toys

from keras_seq2seq import keras, keras_version, load, save
from keras_seq2seq.errors import InputError

OTHER_KERAS = 5 - keras_version.keras_major()
QUESTIONS = ["b", "c d", "f e d c b", "not known", "f"]


def train(model, updates):
    """Trains on; returns the weights."""
    model.fit(toys.dataset_of(toys.BATCHES[:1]).repeat(updates), steps_per_epoch=updates, verbose=0, shuffle=False)
    return [toys.array(weight) for weight in model.trainable_weights]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("saving")


@pytest.fixture(scope="module")
def trained():
    model = toys.make_model(shared_vocabulary=False, max_target_length=7)
    model.compile(keras.optimizers.Adam(0.02), run_eagerly=True)
    train(model, 5)
    return model


@pytest.fixture(scope="module")
def file(folder, trained):
    """Returns the path of the trained model's file."""
    save(trained, folder / "model.keras")
    return folder / "model.keras"


# The same process


def test_a_loaded_model_is_the_saved_one(trained, file):
    copy = load(file)
    assert copy is not trained
    assert copy.generate(QUESTIONS) == trained.generate(QUESTIONS)
    assert int(copy.optimizer.iterations) == 5
    assert copy.get_config() == trained.get_config() and copy.max_target_length == 7
    assert copy.source_vocabulary.get_config() == trained.source_vocabulary.get_config()
    assert copy.source_vocabulary.tokens == toys.WORDS.tokens


def test_the_answers_were_worth_comparing(trained):
    assert len(set(toys.answers(trained, QUESTIONS))) > 2


def test_a_run_is_loaded_by_its_folder(trained, file):
    for path in (file.parent, str(file.parent), str(file)):
        for ours, theirs in zip(load(path).trainable_weights, trained.trainable_weights, strict=True):
            np.testing.assert_array_equal(toys.array(ours), toys.array(theirs))


def test_training_goes_on_as_if_nothing_had_happened(file):
    # With Adam's moments; starting those anew would make other, larger steps.
    whole = toys.make_model(shared_vocabulary=False)
    whole.compile(keras.optimizers.Adam(0.02), run_eagerly=True)
    expected = train(whole, 8)
    resumed = load(file)
    assert resumed.optimizer is not None and int(resumed.optimizer.iterations) == 5
    resumed.run_eagerly = True
    for ours, theirs in zip(train(resumed, 3), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert int(resumed.optimizer.iterations) == 8


def test_a_model_can_be_saved_before_it_is_trained_or_compiled(tmp_path):
    model = toys.make_model()
    save(model, tmp_path / "fresh.keras")
    assert toys.answers(load(tmp_path / "fresh.keras"), QUESTIONS) == toys.answers(model, QUESTIONS)


def test_a_shared_embedding_stays_shared(tmp_path):
    model = toys.make_model(shared_vocabulary=True)
    save(model, tmp_path / "shared.keras")
    copy = load(tmp_path / "shared.keras")
    assert copy.decoder.embedding is copy.encoder.embedding
    assert toys.answers(copy, QUESTIONS) == toys.answers(model, QUESTIONS)


# Other processes

# Nothing but the package has been imported when Keras itself loads the model.
FRESH = """
import json, sys
import keras_seq2seq
path, questions = sys.argv[1], json.loads(sys.argv[2])
from tensorflow import keras
by_keras = keras.models.load_model(path)
by_us = keras_seq2seq.load(path)
same = all((one == other).all() for one, other in zip(by_keras.get_weights(), by_us.get_weights()))
print(json.dumps([type(by_keras).__name__, by_keras.generate(questions), int(by_keras.optimizer.iterations), same]))
"""


def test_a_fresh_process_knows_the_model_after_importing_us(trained, file):
    printed = toys.output_of(FRESH, file, json.dumps(QUESTIONS))
    assert json.loads(printed.splitlines()[-1]) == ["Seq2Seq", trained.generate(QUESTIONS), 5, True]


# Answers with our models, and saves models of its own with the answers they should give.
IN_THE_OTHER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import keras_seq2seq, toys
*paths, questions = sys.argv[2:]
questions, answers = json.loads(questions), []
for path in paths:
    answers.append(toys.answers(keras_seq2seq.load(path), questions))
for shared in (True, False):
    model = toys.make_model(seed=3, shared_vocabulary=shared)
    model.compile(keras_seq2seq.keras.optimizers.Adam(0.02), run_eagerly=True)
    model.fit(toys.dataset_of(toys.BATCHES[:1]), verbose=0, shuffle=False)
    keras_seq2seq.save(model, f"{shared}.keras")
    answers.append(toys.answers(model, questions))
print(json.dumps([keras_seq2seq.keras_version.keras_major(), answers]))
"""


@pytest.fixture(scope="module")
def exchanged(trained, file, folder):
    """Returns what the other Keras says with a shared and with a separate model of ours, and with its own two."""
    shared = toys.make_model(shared_vocabulary=True)
    save(shared, folder / "ours.keras")
    printed = toys.output_of(
        IN_THE_OTHER,
        toys.ROOT / "tests",
        folder / "ours.keras",
        file,
        json.dumps(QUESTIONS),
        keras_major=OTHER_KERAS,
        cwd=folder,
    )
    major, answers = json.loads(printed.splitlines()[-1])
    assert major == OTHER_KERAS
    return [toys.answers(shared, QUESTIONS), toys.answers(trained, QUESTIONS)], answers


def test_the_other_keras_says_the_same_with_our_models(exchanged):
    ours, theirs = exchanged
    assert theirs[:2] == ours


@pytest.mark.parametrize(("shared", "number"), [(True, 2), (False, 3)])
def test_we_say_the_same_with_models_of_the_other_keras(exchanged, folder, shared, number):
    _, theirs = exchanged
    model = load(folder / f"{shared}.keras")
    assert toys.answers(model, QUESTIONS) == theirs[number]
    # It comes without its optimizer; compiled anew it can be trained further.
    model.compile(keras.optimizers.Adam(0.02), run_eagerly=True)
    train(model, 1)


def test_any_thread_may_save(tmp_path):
    model = toys.compiled_model()
    thread = threading.Thread(target=save, args=(model, tmp_path / "model.keras"))
    thread.start()
    thread.join()
    assert toys.answers(load(tmp_path / "model.keras"), QUESTIONS) == toys.answers(model, QUESTIONS)


# Broken files


def refusal(path):
    """Returns the one line that `load` answers."""
    with pytest.raises(InputError) as caught:
        load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(file, tmp_path, share):
    content = file.read_bytes()
    cut = tmp_path / "cut.keras"
    cut.write_bytes(content[: int(len(content) * share)])
    assert "is not a whole .keras file" in refusal(cut)


def test_a_damaged_file_is_refused(file, tmp_path):
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        start = archive.getinfo("model.weights.h5").header_offset
    for position in range(start + 200, start + 260):  # inside the weights
        content[position] ^= 0xFF
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(content)
    assert "is not a whole .keras file" in refusal(damaged)


@pytest.mark.parametrize(("offset", "value"), [(6, 84), (8, 1)])  # needs version 8.4 to be unpacked; is encrypted
def test_a_file_that_cannot_be_unpacked_is_refused(file, tmp_path, offset, value):
    content = bytearray(file.read_bytes())
    for entry in (found.start() for found in re.finditer(b"PK\x01\x02", content)):  # of the archive's list of parts
        content[entry + offset] = value
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(content)
    assert "is not a whole .keras file" in refusal(damaged)


@pytest.mark.parametrize("missing", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_file_without_one_of_its_parts_is_refused(file, tmp_path, missing):
    partial = tmp_path / "partial.keras"
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(partial, "w") as archive:
        for name in whole.namelist():
            if name != missing:
                archive.writestr(name, whole.read(name))
    assert "is not a whole .keras file" in refusal(partial)


def test_weights_that_are_no_weights_are_refused(file, tmp_path):
    odd = tmp_path / "odd.keras"
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(odd, "w") as archive:
        for name in whole.namelist():
            archive.writestr(name, b"not HDF5" if name == "model.weights.h5" else whole.read(name))
    assert "is not a whole .keras file" in refusal(odd)


@pytest.mark.parametrize("content", [b"", b"source\ttarget\n", b"PK\x03\x04 and so on"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "other.keras"
    path.write_bytes(content)
    assert "is not a whole .keras file; it may be cut short or of another kind" in refusal(path)


def test_another_keras_model_is_refused(tmp_path):
    model = keras.Sequential([keras.layers.Dense(1)])
    model(tf.zeros([1, 2]))
    model.save(tmp_path / "dense.keras")
    assert "holds another kind of model (Sequential), not ours" in refusal(tmp_path / "dense.keras")


def test_what_is_not_there_is_said_to_be_missing(tmp_path):
    assert "there is no such file" in refusal(tmp_path / "none.keras")
    with pytest.raises(InputError, match="there is no such file; give a run's folder"):
        load(tmp_path)  # a folder without a model


# Saving that fails


def test_a_failed_save_leaves_the_old_file_and_nothing_else(trained, file, tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    shutil.copy(file, path)

    def half_a_save(unfinished, *_, **__):
        with open(unfinished, "wb") as half:
            half.write(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trained, "save", half_a_save)
    with pytest.raises(OSError, match="No space left"):
        save(trained, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.keras"]
    assert path.read_bytes() == file.read_bytes()


def test_a_save_replaces_the_old_file_and_leaves_nothing_else(trained, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"old")
    save(trained, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.keras"]
    assert toys.answers(load(path), QUESTIONS) == toys.answers(trained, QUESTIONS)
