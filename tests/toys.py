"""Small worlds that several test files share: processes, vocabularies and models one can follow by hand."""

import json
import os
import random
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf

from keras_seq2seq import Configuration, Vocabulary, keras, keras_version
from keras_seq2seq.data.batching import add_question
from keras_seq2seq.data.vocabulary import SPECIAL
from keras_seq2seq.training.build import build_model, default_loss

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 600  # seconds until a process counts as hung; nothing here comes near it


def environment(keras_major="same", **changes):
    """Returns the variables of a new process: the Keras of this one, 2, 3, or none chosen (None)."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1", **changes}
    if keras_major is None:
        variables.pop(keras_version.SWITCH, None)
    elif keras_major != "same":
        variables[keras_version.SWITCH] = "1" if keras_major == 2 else "0"
    return variables


def worker_configurations(count):
    """Returns a `TF_CONFIG` for each of so many workers, which meet at free ports of this machine."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    cluster = {"worker": [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]}
    for one in sockets:
        one.close()
    return [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(count)]


def run_python(code, *arguments, keras_major="same", cwd=None, **changes):
    """Runs `code` in a fresh Python and returns the finished process; the caller judges it."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment(keras_major, **changes),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def output_of(code, *arguments, **options):
    """Runs `code` in a fresh Python and returns what it printed; it has to succeed."""
    done = run_python(code, *arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Begins a program for `run_python` that has two replicas, each on a device of its own.
TWO_REPLICAS = """
import json, sys, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
"""

# Options of a training of these words with all that has to be saved for it to go on as if nothing had been.
RESUMED = "--deterministic --source-tokens char --target-tokens space --units 24 --embedding-dim 8 --batch-size 16"
RESUMED += " --inspect 0 --dropout 0.2 --learning-rate-schedule plateau --plateau-patience 1"
RESUMED += " --early-stopping val_loss:50"


def write_words_to_reverse(folder):
    """Writes `train.tsv` and `valid.tsv`, 40 pairs: a word, and its letters in reverse."""
    draw = random.Random(0)
    words = sorted({"".join(draw.choices("abcdef", k=draw.randint(2, 9))) for _ in range(400)})
    lines = [f"{word}\t{' '.join(reversed(word))}\n" for word in words]
    (folder / "train.tsv").write_text("".join(lines[40:]), encoding="utf-8")
    (folder / "valid.tsv").write_text("".join(lines[:40]), encoding="utf-8")


def contents(file):
    """Returns the configuration and all arrays, weights and optimizer, of a `.keras` file."""
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
        arrays = {}
        with archive.open("model.weights.h5") as weights, h5py.File(weights) as store:
            store.visititems(lambda name, item: arrays.update({name: item[()]}) if hasattr(item, "shape") else None)
    return config["config"], arrays


def differences(one, other):
    """Returns what two `.keras` files of a run do not share to the bit, of its counters and all its arrays."""
    (config, arrays), (other_config, other_arrays) = contents(one), contents(other)
    if config["progress"] != other_config["progress"] or arrays.keys() != other_arrays.keys():
        return ["other counters, or other arrays"]
    return [name for name, array in arrays.items() if array.tobytes() != other_arrays[name].tobytes()]


class Clock:
    """Tells the time that a test sets, in the place of a module's `time`."""

    now = 100.0

    def perf_counter(self):
        return self.now


def array(variable):
    """Returns a variable of either Keras as a NumPy array."""
    return np.array(tf.convert_to_tensor(variable))


def numpy_rnn(model, tokens, state):
    """Runs the SimpleRNN of an encoder or decoder over one row by hand; returns the outputs `(time, units)`."""
    embeddings = array(model.embedding.embeddings)
    cell = model.rnn.cell
    kernel, recurrent_kernel, bias = map(array, (cell.kernel, cell.recurrent_kernel, cell.bias))
    outputs = []
    for token in tokens:
        state = np.tanh(embeddings[token] @ kernel + state @ recurrent_kernel + bias)
        outputs.append(state)
    return np.array(outputs)


WORDS = Vocabulary([*SPECIAL, *"b c d e f".split()], "space")  # b: 5, ..., f: 9


def make_config(**options):
    """Returns the configuration of a small model."""
    return Configuration(**{"embedding_dim": 4, "units": 6, "embedding_stddev": 0.5, **options})


def make_model(seed=1, vocabulary=WORDS, max_target_length=8, **options):
    """Returns a small model with weights that `seed` decides, wide enough apart that no two logits are close."""
    keras.utils.set_random_seed(seed)
    return build_model(make_config(**options), vocabulary, vocabulary, max_target_length)


def compiled_model(learning_rate=0.08, optimizer=None, **options):
    """Returns such a model, ready for plain gradient descent, with the loss and the clipping that the options name."""
    config = make_config(**options)
    model = make_model(**options)
    clip = config.clip_norm or None
    model.compile(optimizer or keras.optimizers.SGD(learning_rate, global_clipnorm=clip), loss=default_loss(config))
    return model


def padded(rows, extra=0):
    """Returns rows of ids as one int32 tensor, with `extra` more columns of padding."""
    time = max(map(len, rows)) + extra
    return tf.constant([list(row) + [0] * (time - len(row)) for row in rows], tf.int32)


def make_batch(sources, targets, extra=0):
    """Returns `((source, target_input), labels)` from rows of word ids, the special tokens put around them."""
    return (
        (
            padded([[2, *source] for source in sources], extra),
            padded([[3, *target] for target in targets], extra),
        ),
        padded([[*target, 4] for target in targets], extra),
    )


# A long and a short pair in the first batch, two short ones in the second: 8 labels and 4, 4 rows in all.
BATCHES = [
    make_batch([[5, 6, 7], [8]], [[9, 8, 7, 6, 5], [6]]),
    make_batch([[6], [9, 9]], [[5], [7]]),
]

# For two replicas: the first has an odd row more than the second, more labels, or all there is.
UNEQUAL_BATCHES = [
    make_batch([[6], [9, 9], [5]], [[5, 5, 5], [7, 7], [6]]),
    make_batch([[5, 6, 7], [8], [5, 5], [6]], [[9, 8, 7, 6, 5], [6, 6, 7, 8], [7], [8]]),
    make_batch([[6, 6]], [[7]]),
]


def dataset_of(batches):
    """Returns a dataset of batches of different shapes."""
    spec = tf.TensorSpec([None, None], tf.int32)
    return tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=((spec, spec), spec)).apply(
        tf.data.experimental.assert_cardinality(len(batches))
    )


def greedy_ids(model, source, max_length):
    """Returns what the model says by itself: ids `(batch, max_length)`."""
    return model.generate_ids(source, max_length=max_length)[0][:, 0].numpy()


def answers(model, texts):
    """Returns what `model.generate` does, without tracing a graph for it: quicker for a handful of texts."""
    source = add_question(model.source_vocabulary.encode(tf.constant(texts)), model.source_vocabulary).to_tensor()
    ids = greedy_ids(model, source, model.max_target_length)
    return [text.decode() for text in model.target_vocabulary.decode(tf.constant(ids)).numpy()]
