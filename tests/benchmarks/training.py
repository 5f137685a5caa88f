"""How fast a model is trained, beside the same model in PyTorch; prints ratios of runs that alternate.

    python tests/benchmarks/training.py --train train.tsv --peer torch_seq2seq.py --torch PYTHON
    python tests/benchmarks/training.py --train train.tsv --peer tests/benchmarks/torch_attention.py --attention ...

Characters to tokens, 64/256 units, batches of 128, Adam, gradients clipped at 5. For each cell the two programs take
turns, a few epochs each time. A token is one of the source or a label, `<end>` included, as the peer counts them. The
first epoch of ours, in which graphs are traced and compiled, is shown apart and not counted.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras_seq2seq
from keras_seq2seq import Decoder, Encoder, Seq2Seq, Vocabulary, batches, keras, keras_version

CELLS = {"simple_rnn": "rnn", "gru": "gru", "lstm": "lstm"}  # what the peer calls them


class Clock(keras.callbacks.Callback):
    """Notes how long each epoch takes."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


class Ours:
    """Our model, which goes on learning at each turn."""

    def __init__(self, pairs, cell, options):
        source = Vocabulary.build([source for source, _ in pairs], "char")
        target = Vocabulary.build([target for _, target in pairs], "space")
        sizes = {"embedding_dim": options.embedding, "units": options.units, "cell": cell}
        encoder = Encoder(len(source), bidirectional=options.attention, **sizes)
        decoder = Decoder(len(target), attention="additive" if options.attention else None, **sizes)
        self.model = Seq2Seq(encoder, decoder, source, target)
        self.model.compile(keras.optimizers.Adam(1e-3, global_clipnorm=5.0), jit_compile=not options.no_xla)
        self.data = batches(pairs, source, target, options.batch, seed=0)
        self.tokens = sum(len(source) + len(target.split()) + 1 for source, target in pairs)

    def turn(self, epochs):
        """Learns for some epochs; returns the tokens a second of each."""
        clock = Clock()
        self.model.fit(self.data, epochs=epochs, verbose=0, callbacks=[clock])
        return [self.tokens / seconds for seconds in clock.seconds]


def peers_turn(options, epochs, cell, data):
    """Lets the peer learn from the start; returns the tokens a second of each epoch."""
    command = [options.torch, options.peer, "--train", str(data), "--cell", CELLS[cell], "--epochs", str(epochs)]
    command += ["--embedding", str(options.embedding), "--units", str(options.units), "--batch", str(options.batch)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(rate) for rate in re.findall(r"(\d+) tokens/s", output)]


def spread(rates):
    return f"{statistics.median(rates):8.0f} (from {min(rates):.0f} to {max(rates):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="pairs: source, tab, target")
    parser.add_argument("--peer", help="the peer's program; without it, ours runs alone")
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=CELLS)
    parser.add_argument("--pairs", type=int, default=20_000, help="the first so many of them (default 20000)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="in each turn (default 3)")
    parser.add_argument("--no-xla", action="store_true")
    parser.add_argument("--attention", action="store_true", help="bidirectional, additive: for torch_attention.py")
    options = parser.parse_args()
    pairs = keras_seq2seq.read_pairs(options.train)[: options.pairs]
    print(f"{keras_version.versions()}; XLA {'off' if options.no_xla else 'on'}; {len(pairs)} pairs", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "train.tsv")
        data.write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")
        for cell in options.cells:
            compare(cell, pairs, data, options)


def compare(cell, pairs, data, options):
    """Lets the two programs take turns with one cell, and prints their rates."""
    ours, rates, peers = Ours(pairs, cell, options), [], []
    [first] = ours.turn(1)
    for _ in range(options.turns):
        rates += ours.turn(options.epochs)
        if options.peer:
            peers += peers_turn(options, options.epochs, cell, data)
    seconds = ours.tokens / first - ours.tokens / statistics.median(rates)
    print(f"{cell:10} ours {spread(rates)} tokens/s; tracing and compiling {seconds:.0f} s", flush=True)
    if peers:
        ratio = statistics.median(rates) / statistics.median(peers)
        print(f"{'':10} peer {spread(peers)} tokens/s; ours is {ratio:.2f} times as fast", flush=True)


if __name__ == "__main__":
    main()
