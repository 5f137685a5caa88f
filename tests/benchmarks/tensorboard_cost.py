"""What the TensorBoard views cost: epochs with and without them, in turns, in one process.

    python tests/benchmarks/tensorboard_cost.py --data hun_train.tsv --valid hun_dev.tsv --epochs 40

Two models of 256 units, trained alike and as `train` does, take turns epoch by epoch; the first epoch of each, which traces the graphs,
is left out. An epoch's time is all of `fit`'s for it: the updates, the validation and whatever the callback does; the
last one has the views of the end too. How often the views come depends on the number of epochs, and so does the ratio.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_seq2seq import Configuration, keras, keras_version, read_pairs
from keras_seq2seq.data.batching import encode_pairs, example_batches, make_layout, training_batches
from keras_seq2seq.data.corpora import Pair
from keras_seq2seq.tensorboard.callback import TensorBoard
from keras_seq2seq.training.build import build_compiled, build_vocabularies
from keras_seq2seq.training.interruption import Interruptible


def now() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def epochs(config: Configuration, pairs: list[Pair], valid: list[Pair], run: Path | None) -> Iterator[np.ndarray]:
    """Yields the seconds, wall-clock and CPU, of the start and then of each epoch; with a `run`, views go there."""
    keras.utils.set_random_seed(config.seed)
    vocabularies = build_vocabularies(pairs, config)
    examples, measured = (encode_pairs(part, *vocabularies, config.max_length) for part in (pairs, valid))
    shapes = (config.batch_size, config.length_buckets)
    updates, longest = len(make_layout(examples, *shapes).shapes), int(examples.labels.bounding_shape()[1])
    model = build_compiled(config, *vocabularies, longest, config.epochs * updates)
    views = TensorBoard(run, examples, measured) if run else keras.callbacks.Callback()
    views.set_model(model)
    start = now()
    views.on_train_begin()
    yield now() - start
    # `fit` is called for each epoch, so that two models can take turns. Its own start and end are not the run's.
    end, views.on_train_begin, views.on_train_end = views.on_train_end, lambda logs: None, lambda logs: None
    data, validation = training_batches(examples, *shapes, config.seed), example_batches(measured, *shapes)
    for epoch in range(config.epochs):
        start = now()
        options = {"initial_epoch": epoch, "epochs": epoch + 1, "steps_per_epoch": updates, "shuffle": False}
        model.fit(data, validation_data=validation, callbacks=[Interruptible(), views], verbose=0, **options)
        if epoch + 1 == config.epochs:
            end()
        yield now() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--valid", required=True)
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args()
    config = Configuration.from_dict(
        {"data": options.data, "source_tokens": "char", "target_tokens": "space", "epochs": options.epochs}
    )
    print(keras_version.versions())
    pairs, valid = read_pairs(options.data), read_pairs(options.valid)
    with tempfile.TemporaryDirectory() as folder:
        turns = zip(epochs(config, pairs, valid, None), epochs(config, pairs, valid, Path(folder)), strict=True)
        (_, start), _, *measured = turns
        size = sum(file.stat().st_size for file in Path(folder).rglob("*tfevents*"))
    without, with_views = np.sum(measured, axis=0)
    for number, kind in enumerate(("wall-clock", "CPU")):
        each = f"without {without[number] / len(measured):.2f} s, with {with_views[number] / len(measured):.2f} s"
        print(f"{kind} of an epoch: {each}, ratio {with_views[number] / without[number]:.3f}")
    print(f"before the first epoch, once: {start[0]:.1f} s; event files: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
