"""How fast a model answers, beside `import tensorflow` and beside a PyTorch peer; prints ratios of one run.

    python tests/benchmarks/predict.py --train hun_train.tsv [--peer torch_seq2seq.py --torch PYTHON]

It trains a SimpleRNN of 64/256 units on character pairs for a few epochs, then
- answers a file of 10,000 words (`--words`) with `generate` (and, with --peer, lets the peer answer the same file with a
  model of the same size, trained as long, with `--test`);
- answers one word with `python -m keras_seq2seq predict` in a new process, against `import tensorflow` alone.
"""

import argparse
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras_seq2seq
from keras_seq2seq import GREEDY, Beam, keras_version

ROOT = Path(__file__).resolve().parents[2]


def seconds(command: list[str], repeats: int) -> float:
    """Returns the median wall-clock time of a command over some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--peer", help="the peer's program")
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--words", type=int, default=10_000, help="how many to answer (default 10000)")
    parser.add_argument("--epochs", type=int, default=10, help="of the training (default 10)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each command that is timed (default 5)")
    options = parser.parse_args()
    lines = Path(options.train).read_text(encoding="utf-8").splitlines()
    print(keras_version.versions())

    with tempfile.TemporaryDirectory() as folder:
        test = Path(folder, "test.tsv")
        test.write_text("\n".join(itertools.islice(itertools.cycle(lines), options.words)) + "\n", encoding="utf-8")
        words = [line.split("\t")[0] for line in test.read_text(encoding="utf-8").splitlines()]
        train = [sys.executable, str(ROOT / "train.py"), "--data", options.train, "--logs", folder, "--run", "model"]
        train += ["--source-tokens", "char", "--target-tokens", "space", "--epochs", str(options.epochs)]
        subprocess.run(train, check=True, capture_output=True)

        model = keras_seq2seq.load(Path(folder, "model"))
        rates = {}
        for name, strategy in (("greedy", GREEDY), ("beam 5", Beam(5))):
            model.generate(words[:1], strategy)  # traces the graph
            start = time.perf_counter()
            model.generate(words, strategy)
            rates[name] = options.words / (time.perf_counter() - start)
            traces = model.text_function(strategy).experimental_get_tracing_count()
            print(f"generate, {name}: {rates[name]:.0f} words/s, traced {traces} time(s)")
        if options.peer:
            command = [options.torch, options.peer, "--train", options.train, "--test", str(test)]
            command += ["--epochs", str(options.epochs)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rate = float(re.search(r"greedy (\d+) sentences/s", output).group(1))
            print(f"PyTorch peer, greedy: {rate:.0f} words/s; ours is {rates['greedy'] / rate:.2f} times as fast")

        imported = seconds([sys.executable, "-c", "import tensorflow"], options.repeats)
        ask = [sys.executable, "-m", "keras_seq2seq", "predict", str(Path(folder, "model")), words[0]]
        answered = seconds(ask, options.repeats)
        print(
            f"import tensorflow: {imported:.2f} s; load and answer one: {answered:.2f} s, {answered / imported:.2f} times"
        )


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
