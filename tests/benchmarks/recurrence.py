"""How fast the loop of `layers/recurrence.py` is, beside Keras's own loop and its fused layers; ratios of one run.

    python tests/benchmarks/recurrence.py [--batch 128] [--time 12] [--units 256]

One forward and backward pass over padded batches of embeddings, each way in turns, on the first GPU where there is one,
else on the CPU. `keras.layers.RNN(cell)` is what an own cell runs in. `keras.layers.GRU` and `LSTM` are what Keras runs
on cuDNN on a GPU; on a CPU they are another loop. The package uses its loop on both: compiled by XLA, it is the fastest
of all on a GPU too, and an export asks the same loop on either.
"""

import argparse
import statistics
import time

import tensorflow as tf

from keras_seq2seq import keras, keras_version
from keras_seq2seq.layers import recurrence

CELLS = {"simple_rnn": "SimpleRNN", "gru": "GRU", "lstm": "LSTM"}
WARM = 5  # turns that are not counted


def ways(name, options):
    """Returns by name: a function from inputs and mask to outputs `(batch, time, units)`, its layer, and options."""
    cell = getattr(keras.layers, CELLS[name] + "Cell")(options.units)
    cell.build((None, options.embedding))
    by_keras = keras.layers.RNN(getattr(keras.layers, CELLS[name] + "Cell")(options.units), return_sequences=True)
    fused = getattr(keras.layers, CELLS[name])(options.units, return_sequences=True)
    own = (lambda inputs, mask: recurrence.run(cell, inputs, mask, None)[0], cell)
    return {
        "own loop": (*own, {}),
        "own, unrolled": (*own, {"fixed": True}),
        "own, unrolled, XLA": (*own, {"fixed": True, "jit_compile": True}),
        "keras.layers.RNN": (lambda inputs, mask: by_keras(inputs, mask=mask), by_keras, {}),
        f"keras.layers.{CELLS[name]}": (lambda inputs, mask: fused(inputs, mask=mask), fused, {}),
    }


def timed(batch, way, layer, fixed=False, jit_compile=None):
    """Returns a function that makes one pass and returns its seconds."""

    @tf.function(jit_compile=jit_compile)
    def learn(inputs, mask):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(way(inputs, mask) ** 2)
        return tape.gradient(loss, weights)

    way(*batch)  # makes the weights
    weights = [weight if isinstance(weight, tf.Variable) else weight.value for weight in layer.trainable_variables]
    free = [tf.TensorSpec([None, None, batch[0].shape[-1]]), tf.TensorSpec([None, None], tf.bool)]
    learn = learn.get_concrete_function(*(batch if fixed else free))

    def run():
        start = time.perf_counter()
        [gradient.numpy() for gradient in learn(*batch)]
        return time.perf_counter() - start

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--time", type=int, default=12)
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    print(keras_version.versions())
    inputs = tf.random.stateless_normal([options.batch, options.time, options.embedding], [0, 0])
    lengths = tf.random.stateless_uniform([options.batch], [1, 0], options.time // 2, options.time + 1, tf.int32)
    batch = (inputs, tf.sequence_mask(lengths, options.time))
    for name in CELLS:
        runs = {called: timed(batch, way, layer, **how) for called, (way, layer, how) in ways(name, options).items()}
        seconds = {called: [] for called in runs}
        for turn in range(WARM + options.repeats):
            for called, run in runs.items():
                lasted = run()
                seconds[called] += [lasted] if turn >= WARM else []
        medians = {called: statistics.median(values) for called, values in seconds.items()}
        for called, median in medians.items():
            ratio = f"{median / medians['own loop']:.2f} times the own loop's time"
            print(f"{name:10} {called:18} {1e3 * median:7.1f} ms  {ratio}", flush=True)


if __name__ == "__main__":
    main()
