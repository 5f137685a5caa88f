"""What the TensorBoard views cost: epochs with and without them, in turns, in one process.

    python tests/benchmarks/tensorboard_cost.py --data hun_train.tsv [--valid hun_dev.tsv] [--epochs 20]

Two models of 256 units, trained alike, take turns epoch by epoch; the first epoch of each (tracing) is left out.
An epoch's time is all of `fit`'s for it: the updates, the validation and whatever the callback does. Which epochs
have histograms and images follows from their number, so the ratio holds for a run of that many epochs. What comes
once in a run, before its first epoch, is printed by itself.
"""

import argparse
import tempfile
import time
from pathlib import Path

from keras_seq2seq import Configuration, Seq2Seq, framework, keras, read_pairs
from keras_seq2seq.batching import batches, encode_pairs, make_buckets, training_batches
from keras_seq2seq.tensorboard import TensorBoard
from keras_seq2seq.training import build_vocabularies


def trained_by_epochs(config: Configuration, pairs: list, valid: list, run: Path | None):
    """Yields the seconds of one epoch after the other, then those of the start; with a `run`, the views write there."""
    vocabularies = build_vocabularies(pairs, config)
    examples, measured = (encode_pairs(part, *vocabularies, config) for part in (pairs, valid))
    model = Seq2Seq(config, *vocabularies).create_weights()
    model.compile(keras.optimizers.Adam(config.learning_rate))
    views = TensorBoard(run, config, examples, measured) if run else keras.callbacks.Callback()
    views.set_model(model)
    start = time.perf_counter()
    views.on_train_begin()
    yield time.perf_counter() - start
    # `fit` is called for each epoch, so that two models can take turns: its own first and last calls are not wanted.
    views.on_train_begin = views.on_train_end = lambda logs=None: None
    data, validation = training_batches(examples, config), batches(measured, config)
    updates = make_buckets(examples, config).batch_count
    for epoch in range(config.epochs):
        start = time.perf_counter()
        model.fit(
            data,
            initial_epoch=epoch,
            epochs=epoch + 1,
            steps_per_epoch=updates,
            validation_data=validation,
            callbacks=[views],
            verbose=0,
            shuffle=False,
        )
        yield time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--valid", help="default: the first 450 training pairs")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    pairs = read_pairs(options.data)
    valid = read_pairs(options.valid) if options.valid else pairs[:450]
    config = Configuration.from_dict(
        {"data": options.data, "source_tokens": "char", "target_tokens": "space", "epochs": options.epochs}
    )
    print(framework.versions())
    with tempfile.TemporaryDirectory() as folder:
        turns = zip(
            trained_by_epochs(config, pairs, valid, None),
            trained_by_epochs(config, pairs, valid, Path(folder, "run")),
            strict=True,
        )
        (_, begin), _, *epochs = turns
        without, with_views = (sum(side) for side in zip(*epochs, strict=True))
        size = sum(file.stat().st_size for file in Path(folder).rglob("*events*"))
    print(f"without: {without / len(epochs):.2f} s an epoch; with: {with_views / len(epochs):.2f} s")
    print(f"ratio over epochs 2 to {options.epochs}: {with_views / without:.3f}")
    print(f"before the first epoch, once: {begin:.1f} s; event files: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
