"""Which Keras a process gets: every import order in a process of its own, and what is refused."""

import builtins
import json
import os
import sys

import pytest
import toys

from keras_seq2seq import keras_version

# Prints what a user's own `from tensorflow import keras` means after the imports under test, and ours.
REPORT = """
import json, sys
import keras_seq2seq
from tensorflow import keras
from tensorflow.keras.layers import Dense
import tensorflow as tf
ours = keras_seq2seq.keras
print(json.dumps({
    "ours": ours.__name__,
    "major": keras_seq2seq.keras_version.keras_major(),
    "same": keras.Model is ours.Model and Dense is ours.layers.Dense and tf.keras.optimizers.Adam is ours.optimizers.Adam,
    "base": issubclass(keras_seq2seq.Seq2Seq, keras.Model),
}))
"""
MAJOR = keras_version.keras_major()
MINE, OTHER = ("tf_keras", "keras") if MAJOR == 2 else ("keras", "tf_keras")


# Each leads to one Keras. The suite runs on both, so each run takes the orders that lead to its own.
ORDERS = [
    ("", None, 2),  # only us: our default, although TensorFlow's own is Keras 3
    ("import tf_keras", None, 2),  # Keras 2 by name is a choice, too
    ("import tensorflow", 2, 2),
    ("import tensorflow", 3, 3),
    ("import tensorflow", None, 3),  # TensorFlow has settled on its default: we follow
    # ... and an `import tf_keras` changes that no more once `tf.keras` has been used.
    ("import tensorflow as tf; tf.keras.layers.Dense(1); import tf_keras", None, 3),
]


@pytest.mark.parametrize(("first", "switch", "major"), [order for order in ORDERS if order[2] == MAJOR])
def test_import_orders(first, switch, major):
    printed = toys.output_of(f"{first}\n{REPORT}", keras_major=switch)
    assert json.loads(printed.splitlines()[-1]) == {"ours": MINE, "major": major, "same": True, "base": True}


# We come first: the switch is honoured, and strangers are refused.
REFUSALS = """
import importlib, sys
mine, other = sys.argv[1:]
vocabulary = keras_seq2seq.Vocabulary(["<pad>", "<unk>", "<q>", "<a>", "<end>", "x"], "space")
model = keras_seq2seq.Seq2Seq(keras_seq2seq.Encoder(6), keras_seq2seq.Decoder(6), vocabulary, vocabulary)
foreign, own = importlib.import_module(other), importlib.import_module(mine)

def sentence_about(action):
    try:
        action()
    except TypeError as error:
        return str(error)
    return "accepted"

print(json.dumps({
    "foreign optimizer": sentence_about(lambda: model.compile(foreign.optimizers.Adam())),
    "foreign callback": sentence_about(lambda: model.fit([], callbacks=[own.callbacks.History(), foreign.callbacks.History()])),
    "foreign layer": sentence_about(lambda: keras_seq2seq.Decoder(6, embedding=foreign.layers.Embedding(6, 5))),
    "own optimizer": sentence_about(lambda: model.compile(own.optimizers.Adam())),
    "optimizer by name": sentence_about(lambda: model.compile("sgd")),
    "own layer": sentence_about(lambda: keras_seq2seq.Decoder(6, embedding=own.layers.Embedding(6, 5))),
}))
"""


@pytest.fixture(scope="module")
def refusals():
    """Returns the report of such a process, and what was said about each thing."""
    *_, report, sentences = toys.output_of(REPORT + REFUSALS, MINE, OTHER, keras_major=MAJOR).splitlines()
    return json.loads(report), json.loads(sentences)


def test_the_switch_is_honoured_where_we_come_first(refusals):
    assert refusals[0] == {"ours": MINE, "major": MAJOR, "same": True, "base": True}


@pytest.mark.parametrize(("role", "name"), [("optimizer", "Adam"), ("callback", "History"), ("layer", "Embedding")])
def test_things_of_the_other_keras_are_refused_in_one_sentence(refusals, role, name):
    sentence = refusals[1][f"foreign {role}"]
    assert f"{name} belongs to Keras {5 - MAJOR} ({OTHER})" in sentence
    assert f"runs on Keras {MAJOR} ({MINE})" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("thing", ["own optimizer", "optimizer by name", "own layer"])
def test_things_of_our_keras_are_taken(refusals, thing):
    assert refusals[1][thing] == "accepted"


def test_another_backend_is_refused_though_it_is_not_even_installed(monkeypatch):
    # Keras imports its backend before we can ask which. Whoever reads the error should not learn of a missing jax,
    # but that TensorFlow is needed.
    def without_jax(name, *arguments, **options):
        if name == "keras":
            raise ModuleNotFoundError("No module named 'jax'", name="jax")
        return real_import(name, *arguments, **options)

    real_import = builtins.__import__
    monkeypatch.setenv(keras_version.SWITCH, "0")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(builtins, "__import__", without_jax)
    with pytest.raises(
        keras_version.OtherBackend,
        match=r"needs Keras on TensorFlow, .* jax .*: unset KERAS_BACKEND or set it to tensorflow",
    ):
        keras_version._import_keras()


def test_ctrl_c_is_no_reason_to_show_what_was_kept_quiet(monkeypatch, capfd):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")  # to be put back behind us
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    for error, shown in ((KeyboardInterrupt, ""), (ZeroDivisionError, "it starts\n")):
        with pytest.raises(error), keras_version.quiet_start():
            os.write(2, b"it starts\n")
            raise error
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
        assert capfd.readouterr().err == shown


def test_a_missing_keras_is_not_blamed_on_the_backend(monkeypatch):
    monkeypatch.setenv(keras_version.SWITCH, "0")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setitem(sys.modules, "keras", None)  # Python's way of saying that it cannot be imported
    with pytest.raises(ImportError, match="keras") as caught:
        keras_version._import_keras()
    assert "KERAS_BACKEND" not in str(caught.value)


def test_another_backend_that_is_installed_is_refused(monkeypatch):
    keras_3 = pytest.importorskip("keras")
    monkeypatch.setenv(keras_version.SWITCH, "0")
    monkeypatch.setattr(keras_3.backend, "backend", lambda: "torch")
    with pytest.raises(ImportError, match="runs on torch here: unset KERAS_BACKEND or set it to tensorflow"):
        keras_version._import_keras()


def test_keras_2_has_no_backend_to_choose(monkeypatch):
    monkeypatch.setenv(keras_version.SWITCH, "1")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert keras_version._import_keras().__name__ == "tf_keras"


def test_choosing_a_keras_comes_too_late_once_tensorflow_is_imported():
    with pytest.raises(RuntimeError, match="before TensorFlow is imported"):
        keras_version.use_keras(2)


def test_versions_name_tensorflow_keras_and_devices():
    import tensorflow as tf

    version = keras_version.keras.__version__
    assert keras_version.versions().startswith(f"TensorFlow {tf.__version__}, Keras {MAJOR} ({MINE} {version}), CPU:0")


# A model of stock parts that answers once, and what AutoGraph has rewritten for it.
ANSWER = """
import inspect, re, sys
import keras_seq2seq as package
CELL
words = package.Vocabulary.build(["a b c"], "word")
options = {"cell": cell, "units": 4, "embedding_dim": 2}
model = package.Seq2Seq(package.Encoder(len(words), **options), package.Decoder(len(words), **options), words, words)
model.compile("adam")
model.fit(package.batches([("a b", "b c")], words, words), verbose=0)
model.generate(["a b"])
rewritten = [module for name, module in sys.modules.items() if name.startswith("__autograph_generated")]
print(*[re.findall(r"def tf__(\\w+)", inspect.getsource(module))[0] for module in rewritten])
"""
OWN_CELL = """
import keras_seq2seq as package
import tensorflow as tf

@package.keras.utils.register_keras_serializable("tests")
class Halving(package.keras.layers.SimpleRNNCell):
    def call(self, inputs, states, training=False):
        if tf.reduce_mean(inputs) > 0:
            inputs = inputs / 2
        return super().call(inputs, states, training=training)
"""


def rewritten(cell, folder=None):
    """Returns the names of the functions that were rewritten."""
    return toys.output_of(ANSWER.replace("CELL", cell), cwd=folder).splitlines()[-1].split()


def test_autograph_rewrites_no_function_of_ours_but_those_it_is_given():
    assert set(rewritten("cell = 'gru'")) <= {"answer", "train_function"}


@pytest.mark.skipif(MAJOR == 3, reason="Keras 3 rewrites no layer")
def test_a_condition_over_tensors_in_a_layer_of_ones_own_works_where_keras_rewrites_layers(tmp_path):
    (tmp_path / "own.py").write_text(OWN_CELL)  # it is read again to be rewritten
    assert "call" in rewritten("from own import Halving as cell", tmp_path)
