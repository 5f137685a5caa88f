"""Long runs: answers for a million lines from a pipe, and an hour of training with everything that is watched.

    python tests/robustness/endurance.py [--lines 1000000] [--minutes 60]

First a model learns to reverse the letters of 360 words. `keras-seq2seq predict` is then given that many lines, the
words over and over: every answer has to stand in its place. Then training goes on for so many minutes with TensorBoard's
views. Both print what memory was taken after a tenth of the work and at the end; training also how large the event
files are, and how often its step was traced.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from keras_seq2seq import Configuration, keras, read_pairs, train

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))  # for the helpers of the tests

import toys  # noqa: E402

MODEL = {"source_tokens": "char", "target_tokens": "space", "shared_vocabulary": False, "units": 128, "inspect": 0}


def megabytes(process: int | str) -> float:
    """Returns the memory that a process holds now, in MiB."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def answer(lines: int, words: list[str], run: Path) -> None:
    """Asks for so many answers through a pipe; says how fast they came, and whether each is the right line's."""
    command = [sys.executable, "-m", "keras_seq2seq", "predict", str(run)]
    asked = "\n".join(words) + "\n"
    right = subprocess.run(command, input=asked, capture_output=True, text=True, env=toys.environment()).stdout
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=toys.environment()
    )

    def write() -> None:
        process.stdin.writelines(f"{word}\n" for word in itertools.islice(itertools.cycle(words), lines))
        process.stdin.close()

    threading.Thread(target=write).start()
    begun, early, wrong, count = time.perf_counter(), 0.0, 0, 0
    for count, (given, expected) in enumerate(zip(process.stdout, itertools.cycle(right.splitlines())), start=1):
        wrong += given.rstrip("\n") != expected
        if count == lines // 10:
            early = megabytes(process.pid)
        if count == lines:
            late = megabytes(process.pid)
    rate = count / (time.perf_counter() - begun)
    process.wait()
    print(f"answers: {count} of {lines} lines, {wrong} out of place; {rate:.0f} lines/s", flush=True)
    print(f"memory of predict: {early:.0f} MiB after a tenth, {late:.0f} MiB at the end", flush=True)


class Watch(keras.callbacks.Callback):
    """Ends training after so many seconds, and notes the memory after a tenth of them and at the end."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.early, self.late, self.epochs = seconds, 0.0, 0.0, 0
        self.traces = self.early_traces = 0

    def on_train_begin(self, logs=None):
        self.begun, step = time.perf_counter(), self.model.train_step

        def traced(*arguments):  # Python comes here only where a graph is made
            self.traces += 1
            return step(*arguments)

        self.model.train_step = traced

    def on_epoch_end(self, epoch, logs=None):
        self.epochs, self.late = epoch + 1, megabytes("self")
        passed = time.perf_counter() - self.begun
        if passed > self.seconds / 10 and not self.early:
            self.early, self.early_traces = self.late, self.traces
        self.model.stop_training = passed > self.seconds


def endure(minutes: float, pairs: list, valid: list, logs: Path) -> None:
    """Trains for so many minutes with every view, and says what grew."""
    watch = Watch(60 * minutes)
    with open(os.devnull, "w") as nowhere:
        printed, sys.stdout = sys.stdout, nowhere
        try:
            config = Configuration(
                logs=str(logs), run="long", epochs=1_000_000, updates_per_epoch=0, batch_size=32, **MODEL
            )
            train(config, pairs, valid, callbacks=[watch])
        finally:
            sys.stdout = printed
    size = sum(path.stat().st_size for path in (logs / "long").rglob("*tfevents*")) / 2**20
    updates = int(watch.model.optimizer.iterations)
    print(f"training: {watch.epochs} epochs, {updates} updates; event files {size:.1f} MiB")
    print(f"its step was traced {watch.early_traces} times in a tenth, {watch.traces} in all")
    print(f"memory of training: {watch.early:.0f} MiB after a tenth, {watch.late:.0f} MiB at the end")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        toys.write_words_to_reverse(folder)
        pairs, valid = read_pairs(folder / "train.tsv"), read_pairs(folder / "valid.tsv")
        endure(options.minutes, pairs, valid, folder / "logs")
        answer(options.lines, [source for source, _ in pairs], folder / "logs" / "long")


if __name__ == "__main__":
    main()
