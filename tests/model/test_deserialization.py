"""A stranger's file is only data: it runs nothing, imports nothing, and what is wrong with it is one line."""

import io
import json
import random
import sys
import zipfile

import h5py
import numpy as np
import pytest
import toys

from keras_seq2seq import InputError, Seq2Seq, keras, keras_version, load, save
from keras_seq2seq.layers.attention import AdditiveAttention
from keras_seq2seq.model.deserialization import check_weights, compile_options
from keras_seq2seq.model.losses import SmoothedCrossentropy, token_crossentropy
from keras_seq2seq.training.build import build_model

PACKAGE = "tf_keras" if keras_version.keras_major() == 2 else "keras"
QUESTIONS = ["b", "c d", "f e d c b"]


@keras.utils.register_keras_serializable("own")
class Slow(keras.optimizers.SGD):
    """An optimizer of one's own."""


@keras.utils.register_keras_serializable("own")
class Quiet(Seq2Seq):
    """A model of one's own."""


def parts_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_parts(path, parts):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Returns the parts of a trained model's file, by their names."""
    path = tmp_path_factory.mktemp("whole") / "model.keras"
    model = toys.make_model(shared_vocabulary=False)
    model.compile(keras.optimizers.Adam(0.02))
    save(model, path)
    return parts_of(path)


@pytest.fixture(scope="module")
def own_parts(tmp_path_factory):
    """Returns the parts of a file whose cell, attention and loss are objects, and described as such."""
    path = tmp_path_factory.mktemp("own") / "model.keras"
    cell = keras.layers.GRUCell(6, kernel_regularizer=keras.regularizers.L2(0.01))
    config = toys.make_config(shared_vocabulary=False)
    model = build_model(config, toys.WORDS, toys.WORDS, 8, cell=cell, attention=AdditiveAttention(6))
    model.compile(keras.optimizers.Adam(0.02), loss=SmoothedCrossentropy(0.1))
    save(model, path)
    return parts_of(path)


@pytest.fixture
def file_with(parts, tmp_path):
    """Returns what writes a file like the whole one: with a changed description, or with other parts."""

    def write(change=None, **others):
        described = json.loads(parts["config.json"])
        if change:
            change(described)
        return write_parts(tmp_path / "changed.keras", {**parts, "config.json": json.dumps(described), **others})

    return write


def refusal(path):
    """Returns the one line that `load` answers."""
    with pytest.raises(InputError) as caught:
        load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


# What would run code


def functional(layer, *arguments, **options):
    """Returns the description of a functional model that calls a layer with plain values while it is built."""
    source = {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None, "name": "i"}
    source |= {"config": {"batch_input_shape": [None, 1], "dtype": "float32", "name": "i"}, "inbound_nodes": []}
    call = ["_CONSTANT_VALUE", -1, *arguments, options]
    nodes = [[call]] if layer["class_name"] == "Lambda" else [call]
    config = {"name": "m", "trainable": True, "layers": [source, {**layer, "name": "l", "inbound_nodes": nodes}]}
    config |= {"input_layers": [["i", 0, 0]], "output_layers": [["i", 0, 0]]}
    module = f"{PACKAGE}.src.engine.functional" if PACKAGE == "tf_keras" else "keras.src.models.functional"
    return {"module": module, "class_name": "Functional", "registered_name": "Functional", "config": config}


def shell_command(canary):
    function = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    options = {"name": "l", "function": function, "function_type": "function", "module": None, "arguments": {}}
    options |= {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None}
    layer = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None, "config": options}
    return functional(layer, f"touch {canary}")


def written_file(canary):
    module = f"{PACKAGE}.src.layers.core.tf_op_layer"
    layer = {"module": module, "class_name": "TFOpLambda", "registered_name": "TFOpLambda"}
    return functional({**layer, "config": {"name": "l", "function": "io.write_file"}}, str(canary), contents="x")


def imported_module(canary):
    canary.with_name("strange.py").write_text(f"open({str(canary)!r}, 'w')")
    return {"module": "strange", "class_name": "Adam", "registered_name": None, "config": {}}


def imported_registered_class(canary):
    canary.with_name("strange.py").write_text(f"open({str(canary)!r}, 'w')")
    return {"module": "strange", "class_name": "Adam", "registered_name": "strange>Adam", "config": {}}


ATTACKS = [shell_command, written_file, imported_module, imported_registered_class]


def at(*way):
    """Returns what puts an attack to the end of this way through the description of a model."""

    def put(described, attack):
        for step in way[:-1]:
            described = described[step]
        described[way[-1]] = attack

    return put


COMPILED, ENCODER, DECODER = "compile_config", ("config", "encoder", "config"), ("config", "decoder", "config")
PLACES = {
    "optimizer": at(COMPILED, "optimizer"),
    "learning rate": at(COMPILED, "optimizer", "config", "learning_rate"),
    "inner optimizer": lambda described, attack: described[COMPILED].update(
        optimizer={"class_name": "LossScaleOptimizer", "config": {"inner_optimizer": attack}}
    ),
    "epsilon": at(COMPILED, "optimizer", "config", "epsilon"),
    "loss": at(COMPILED, "loss"),
    "smoothing of the loss": at(COMPILED, "loss", "config", "label_smoothing"),
    "metrics": at(COMPILED, "metrics"),
    "jit_compile": at(COMPILED, "jit_compile"),
    "encoder": at("config", "encoder"),
    "name of the encoder": at("config", "encoder", "registered_name"),
    "decoder": at("config", "decoder"),
    "cell of the encoder": at(*ENCODER, "cell"),
    "cell of the decoder": at(*DECODER, "cell"),
    "name of a cell": at(*ENCODER, "cell", "registered_name"),
    "units of a cell": at(*ENCODER, "cell", "config", "units"),
    "activation of a cell": at(*ENCODER, "cell", "config", "activation"),
    "initializer of a cell": at(*ENCODER, "cell", "config", "kernel_initializer"),
    "regularizer of a cell": at(*ENCODER, "cell", "config", "kernel_regularizer"),
    "constraint of a cell": at(*ENCODER, "cell", "config", "kernel_constraint"),
    "dtype policy of a cell": at(*ENCODER, "cell", "config", "dtype"),
    "cells in a cell": lambda described, attack: described["config"]["encoder"]["config"].update(
        cell={"class_name": "StackedRNNCells", "config": {"cells": [attack]}}
    ),
    "attention": at(*DECODER, "attention"),
    "units of the attention": at(*DECODER, "attention", "config", "units"),
    "embedding": at(*DECODER, "embedding"),
    "units": at(*ENCODER, "units"),
    "seed": at(*ENCODER, "seed"),
    "dtype policy of the encoder": at(*ENCODER, "dtype"),
    "dtype policy": at("config", "policy"),
    "vocabulary": at("config", "source_vocabulary"),
    "token": lambda described, attack: described["config"]["source_vocabulary"]["tokens"].append(attack),
    "what Keras builds": at("build_config"),
}
# Without its loss a model answers all the same; metrics, and what Keras would build, are not read.
NOT_NEEDED = ("loss", "smoothing of the loss", "metrics", "what Keras builds")
# Names of modules are not read: here Keras's own Adam is where it may be, or harmless.
ADAM = ("optimizer", "inner optimizer", "epsilon", "seed")
BY_KERAS = ("embedding", "what Keras builds")  # what is wrong there, Keras's own loading says in its own way


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_in_a_file_is_run_or_imported(own_parts, tmp_path, monkeypatch, attack, place):
    monkeypatch.syspath_prepend(tmp_path)
    canary, described = tmp_path / "canary", json.loads(own_parts["config.json"])
    PLACES[place](described, attack(canary))
    path = write_parts(tmp_path / "changed.keras", {**own_parts, "config.json": json.dumps(described)})
    may_load = place in NOT_NEEDED or (place in ADAM and attack is imported_module)
    try:
        toys.answers(load(path), QUESTIONS)
        assert may_load
    except InputError as error:
        assert "\n" not in str(error) and str(path) in str(error)
        assert place not in NOT_NEEDED
    try:
        toys.answers(keras.models.load_model(path), QUESTIONS)
        assert may_load
    except Exception as error:
        assert isinstance(error, InputError) or place in BY_KERAS, error
        assert place not in NOT_NEEDED or place in BY_KERAS
    assert not canary.exists() and "strange" not in sys.modules


@pytest.mark.parametrize("attack", [shell_command, written_file])
def test_the_attacks_would_work(tmp_path, attack):
    """On Keras 2, Keras itself runs them; where it does not, the tests above would prove little."""
    if keras_version.keras_major() == 3:
        pytest.skip("Keras 3 refuses both")
    canary = tmp_path / "canary"
    with pytest.raises(Exception):  # noqa: B017 - whatever Keras makes of the answer
        keras.saving.deserialize_keras_object(attack(canary))
    assert canary.exists()


def test_a_loss_that_is_not_known_is_asked_for_only_when_it_is_needed(file_with):
    model = load(file_with(lambda described: described[COMPILED].update(loss={"class_name": "Own", "config": {}})))
    assert len(model.generate(QUESTIONS)) == 3
    with pytest.raises(
        InputError, match=r"trained with a loss of its own \(.*'Own'.*\): compile it with that loss again"
    ):
        model.fit(toys.dataset_of(toys.BATCHES), verbose=0)
    model.compile("adam", loss=SmoothedCrossentropy(0.1), run_eagerly=True)
    model.fit(toys.dataset_of(toys.BATCHES), verbose=0, shuffle=False)


# What is known here


def test_optimizers_schedules_and_registered_ones_are_built_as_they_were(tmp_path):
    schedules = keras.optimizers.schedules
    for optimizer in (
        keras.optimizers.SGD(0.5, momentum=0.9, nesterov=True),
        keras.optimizers.AdamW(schedules.ExponentialDecay(0.5, 10, 0.9), weight_decay=0.01, clipnorm=2.0),
        keras.optimizers.RMSprop(schedules.PiecewiseConstantDecay([1, 3], [0.5, 0.25, 0.125])),
        Slow(schedules.CosineDecay(0.5, 10)),
        keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam(schedules.PolynomialDecay(0.5, 10))),
    ):
        model = toys.make_model()
        model.compile(optimizer)
        model.fit(toys.dataset_of(toys.BATCHES), verbose=0, shuffle=False)
        save(model, tmp_path / "model.keras")
        copy = load(tmp_path / "model.keras")
        assert type(copy.optimizer) is type(optimizer)
        assert copy.optimizer.get_config() == optimizer.get_config()
        for mine, saved in zip(copy.optimizer.variables, optimizer.variables, strict=True):
            np.testing.assert_array_equal(toys.array(mine), toys.array(saved))


@keras.utils.register_keras_serializable("own")
def doubled(labels, logits):
    return 2 * token_crossentropy(labels, logits)


@pytest.mark.parametrize(
    "loss",
    [
        None,
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        SmoothedCrossentropy(0.3),
        doubled,
    ],
    ids=["none", "name", "keras", "smoothed", "function"],
)
def test_a_model_is_trained_further_with_the_loss_it_was_trained_with(tmp_path, loss):
    model = toys.make_model()
    model.compile(keras.optimizers.SGD(0.5), loss=loss, run_eagerly=True)
    save(model, tmp_path / "model.keras")
    copy = load(tmp_path / "model.keras")
    for one in (model, copy):
        one.train_on_batch(*toys.BATCHES[0])
    for mine, saved in zip(copy.trainable_weights, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(toys.array(mine), toys.array(saved))


def test_what_is_compiled_otherwise_is_kept(tmp_path):
    model = toys.make_model()
    model.compile("adam", run_eagerly=True)
    save(model, tmp_path / "model.keras")
    assert load(tmp_path / "model.keras").run_eagerly


def test_a_registered_kind_of_our_model_comes_back_as_itself(tmp_path):
    keras.utils.set_random_seed(1)
    plain = toys.make_model()
    model = Quiet(plain.encoder, plain.decoder, toys.WORDS, toys.WORDS, max_target_length=8).create_weights()
    save(model, tmp_path / "model.keras")
    copy = load(tmp_path / "model.keras")
    assert type(copy) is Quiet and toys.answers(copy, QUESTIONS) == toys.answers(model, QUESTIONS)


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (None, "its training is not described"),
        ({"optimizer": None}, "its optimizer is not described"),
        ({"optimizer": "dense"}, "'dense' is not known here"),
        ({"optimizer": {"class_name": "Adam", "config": []}}, "its optimizer is not described"),
        ({"optimizer": {"class_name": "Dense", "config": {}}}, "'Dense' is not known here"),
        ({"optimizer": {"class_name": ["Adam"], "config": {}}}, r"\['Adam'\] is not known here"),
        ({"optimizer": {"class_name": "Adam", "config": {"beta": 1}}}, "optimizer Adam cannot be made"),
        ({"optimizer": {"class_name": "Adam", "config": {"epsilon": {}}}}, "epsilon is not described as Keras"),
        ({"optimizer": {"class_name": "Adam", "config": {"epsilon": [[]]}}}, "epsilon is described as list"),
        (
            {"optimizer": {"class_name": "CosineDecay", "config": {"initial_learning_rate": 1, "decay_steps": 2}}},
            "its optimizer 'CosineDecay' is not known here",
        ),
        ({"optimizer": {"registered_name": "own>Slow"}}, "its optimizer is not described"),
        ({"optimizer": {"class_name": "Adam", "config": {}, "registered_name": "own>None"}}, "needs 'None': import"),
        ({"optimizer": {"class_name": "Adam", "config": {}, "registered_name": []}}, "import the file"),
        ({"optimizer": {"class_name": "Quiet", "config": {}, "registered_name": "own>Quiet"}}, "'Quiet' is not known"),
        (
            {"optimizer": {"class_name": "SGD", "config": {}}, "jit_compile": {"class_name": "SGD"}},
            "its jit_compile is",
        ),
    ],
)
def test_training_that_is_described_wrongly(described, reason):
    with pytest.raises(InputError, match=reason):
        compile_options(described)


# Descriptions


def change_model(**values):
    return lambda described: described["config"].update(values)


def change_half(role, **values):
    return lambda described: described["config"][role]["config"].update(values)


def change_vocabulary(change):
    return lambda described: change(described["config"]["target_vocabulary"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_model(max_target_length="9"), "max_target_length is '9'; it must be a whole number from 1"),
        (change_model(max_target_length=0), "max_target_length is 0; it must be a whole number from 1"),
        (change_model(encoder=[]), "not described by names and values"),
        (change_model(policy="half"), "its policy is 'half'; expected one of: float32, mixed_bfloat16"),
        (change_half("encoder", unit=3), "its encoder Encoder cannot be made"),
        (change_half("encoder", cell="rnn"), "the cell is 'rnn'; choose one of: simple_rnn, gru, lstm"),
        (change_half("encoder", cell={}), "its encoder's cell is not described as Keras does it"),
        (change_half("encoder", dropout=1), "dropout is 1; it must be a number from 0 to below 1"),
        (change_half("decoder", attention="own"), "the attention is 'own'; choose one of: additive, dot"),
        (
            change_half("decoder", attention={"registered_name": "own>Slow"}),
            "give an object of a class derived from `Attention`",
        ),
        (change_half("encoder", units=2**31 - 1), "its weights are fewer than those of the model"),
        (change_half("encoder", units=2**31 - 1, cell={}), "its weights are fewer than those of the model"),
        (change_half("decoder", units=5, num_layers=10**9), "its weights are fewer than those of the model"),
        (change_half("encoder", embedding_dim=10**6), "its weights are fewer than those of the model"),
        (change_half("decoder", vocabulary_size=10**6), "its weights are fewer than those of the model"),
        (change_half("decoder", vocabulary_size=9), "the decoder has 9 ids, but the target vocabulary 10 tokens"),
        (change_model(format=4), "was saved by another version of keras_seq2seq (format 4, not 5)"),
        (change_model(format="new"), "was saved by another version of keras_seq2seq (format new, not 5)"),
        (change_half("encoder", cell={"registered_name": "os>system"}), "the model needs 'system': import the file"),
        (change_model(progress=3), "its progress is not described"),
        (change_model(frozen="encoder"), "its frozen layers are not a list of names"),
        (change_model(more=1), "its model has an unknown key 'more'; the valid ones are: format, encoder"),
        (
            lambda described: described["config"].pop("target_vocabulary"),
            "its model is described without target_vocabulary",
        ),
        (lambda described: described.pop("config"), "its model is not described by names and values"),
        (lambda described: described.update(registered_name=None), "holds another kind of model (Seq2Seq)"),
        (lambda described: described.update(registered_name="own>Slow"), "holds another kind of model (Seq2Seq)"),
        (change_vocabulary(lambda it: it["tokens"].pop(0)), "the first token of a vocabulary must be <pad>"),
        (change_vocabulary(lambda it: it["tokens"].remove("<a>")), "has no <a>, which begins every target"),
        (change_vocabulary(lambda it: it["tokens"].append(7)), "token 10 of a vocabulary is 7; it must be a text"),
        (change_vocabulary(lambda it: it["tokens"].append("\ud800")), "is '\\ud800'; it must be a text of UTF-8"),
        (change_vocabulary(lambda it: it["tokens"].append("b")), "must differ; these do not: ['b']"),
        (change_vocabulary(lambda it: it["tokens"].append("new")), "has 10 ids, but the target vocabulary 11 tokens"),
        (change_vocabulary(lambda it: it.update(unit="letter")), "the kind of tokens is 'letter'; choose one of"),
        (change_vocabulary(lambda it: it.update(tokens="abc")), "the tokens of a vocabulary must be a list"),
        (change_vocabulary(lambda it: it.update(table=1)), "its vocabulary has an unknown key 'table'"),
    ],
)
def test_a_description_that_is_wrong_is_one_line(file_with, change, reason):
    assert reason in refusal(file_with(change))


def test_a_file_that_would_unpack_to_more_than_it_is_worth(tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 2**24)
    assert "unpacks to more than 64 times its size" in refusal(path)


# Weights


def hdf5(write):
    """Returns a file of weights that `write` fills."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        write(file)
    return content.getvalue()


def test_shapes_are_known_before_numbers_are_read():
    content = hdf5(lambda file: file.create_dataset("encoder/vars/0", data=np.zeros((2, 3))))
    assert check_weights(content) == {"encoder/vars/0": (2, 3)}


def itself(file):
    file["here"] = file["/"]


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda file: file.update({"a": h5py.ExternalLink("/etc/passwd", "/")}), "lead to other places"),
        (lambda file: file.update({"a": h5py.SoftLink("/b")}), "lead to other places"),
        (lambda file: file.create_dataset("a", (9,), "u1", external=[("/etc/passwd", 0, 9)]), "lead to other places"),
        (lambda file: file.create_virtual_dataset("a", h5py.VirtualLayout((9,), "u1")), "lead to other places"),
        (itself, "lead to other places"),
        (lambda file: file.update({"a": "text"}), "'a', which is not numbers"),
        (lambda file: file.create_dataset("a", (10**6, 10**6), "f4", chunks=(1, 1)), "claim to be more than there are"),
    ],
)
def test_weights_that_are_no_plain_numbers(file_with, write, reason):
    assert reason in refusal(file_with(**{"model.weights.h5": hdf5(write)}))


def test_weights_without_those_of_the_optimizer(file_with, parts):
    def copy_all_but_the_optimizer(file):
        with h5py.File(io.BytesIO(parts["model.weights.h5"])) as whole:
            for name in set(whole) - {"optimizer"}:
                whole.copy(name, file)

    path = file_with(**{"model.weights.h5": hdf5(copy_all_but_the_optimizer)})
    assert "its weights are not those of the optimizer" in refusal(path)


# Whatever else may be wrong

ODD = [None, -1, 0, 2**31 - 1, 2**70, float("inf"), 1.5, True, "", "x", "\ud800", [], [1], {}, {"a": 1}]


def damaged(parts, draw):
    """Returns the parts of a file, one of them changed: in some of its bytes, or in one of its values."""
    name = draw.choice(list(parts))
    if name.endswith(".json") and draw.random() < 0.7:
        described, places = json.loads(parts[name]), []

        def visit(thing):
            if isinstance(thing, dict | list):
                for key in list(thing) if isinstance(thing, dict) else range(len(thing)):
                    places.append((thing, key))
                    visit(thing[key])

        visit(described)
        thing, key = draw.choice(places)
        if draw.random() < 0.3:
            del thing[key]
        else:
            thing[key] = draw.choice(ODD)
        return {**parts, name: json.dumps(described)}
    content = bytearray(parts[name])
    for _ in range(draw.choice([1, 1, 2, 8])):
        content[draw.randrange(len(content))] = draw.randrange(256)
    return {**parts, name: bytes(content[: draw.choice([len(content), draw.randrange(len(content))])])}


def check_damaged(parts, path, count, seed):
    """Loads `count` damaged files: each answers, or is refused in one line; returns how many did."""
    draw, loaded = random.Random(seed), 0
    for _ in range(count):
        write_parts(path, damaged(parts, draw))
        try:
            model = load(path)
        except InputError as error:
            assert "\n" not in str(error) and str(path) in str(error)
            continue
        loaded += 1
        model.max_target_length = min(model.max_target_length, 8)
        toys.answers(model, QUESTIONS)
    return loaded


def test_damaged_files_answer_or_are_refused_in_one_line(parts, tmp_path):
    assert 5 < check_damaged(parts, tmp_path / "damaged.keras", 60, seed=0) < 55


@pytest.mark.slow
def test_many_damaged_files_answer_or_are_refused_in_one_line(parts, tmp_path):
    check_damaged(parts, tmp_path / "damaged.keras", 3000, seed=1)
