"""What grows with the number of pairs: seconds to the first update, tokens a second, memory; a row for each number.

    python tests/benchmarks/scale.py [--pairs 10000 100000 1000000]

The pairs are made up, by a seed: words of 3 to 12 letters, and their letters in capitals, about 31 bytes of text. Each
number of pairs has a process of its own, which reads them from a file, learns for some updates and then stops.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEED = 0


def write_pairs(path: Path, count: int) -> None:
    """Writes so many pairs, a line each."""
    draw = random.Random(SEED)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(count):
            word = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(3, 12)))
            file.write(f"{word}\t{' '.join(word.upper())}\n")


def learn(data: str, updates: int) -> None:
    """Learns from a file for some updates; prints seconds to the first one, tokens a second, and memory in MiB."""
    start = time.perf_counter()

    from keras_seq2seq import Configuration, keras, read_pairs, train

    class Clock(keras.callbacks.Callback):
        """Notes when the first update was made, and stops after so many."""

        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                self.first = self.since = time.perf_counter()
            if batch == updates // 5:  # the graph is traced, and warm
                self.since, self.before = time.perf_counter(), self.tokens()
            if batch == updates:
                self.rate = (self.tokens() - self.before) / (time.perf_counter() - self.since)
                self.model.stop_training = True

        def tokens(self):
            return float(self.model.get_metrics_result()["tokens"])

    clock = Clock()
    with tempfile.TemporaryDirectory() as logs:
        config = Configuration.from_dict(
            {
                **{"data": data, "source_tokens": "char", "target_tokens": "space", "cell": "gru", "epochs": 1},
                **{"tensorboard": "off", "jit_compile": "off", "logs": logs, "updates_per_epoch": updates + 1},
            }
        )
        train(config, read_pairs(data), callbacks=[clock])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"measured {clock.first - start:.1f} {clock.rate:.0f} {memory:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.data:
        learn(options.data, options.updates)
        return
    print(
        "| pairs | seconds to the first update | tokens a second | peak memory, MiB | bytes a pair more than before |"
    )
    print("| --- | --- | --- | --- | --- |")
    before = None
    with tempfile.TemporaryDirectory() as folder:
        for count in options.pairs:
            data = Path(folder, "pairs.tsv")
            write_pairs(data, count)
            command = [sys.executable, __file__, "--data", str(data), "--updates", str(options.updates)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            first, rate, memory = output.rpartition("measured ")[2].split()
            grown = f"{(float(memory) - before[1]) * 2**20 / (count - before[0]):.0f}" if before else ""
            print(f"| {count:,} | {first} | {rate} | {memory} | {grown} |", flush=True)
            before = before or (count, float(memory))


if __name__ == "__main__":
    main()
