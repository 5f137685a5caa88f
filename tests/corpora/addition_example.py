"""The network of Keras's example of addition, for `addition.py` to compare with; prints the share of sums right.

    python tests/corpora/addition_example.py train.tsv test.tsv [--epochs 30] [--seed 0]

Keras's layers and its `fit` alone, nothing of this package but its choice of Keras: characters as one-hot vectors, an
LSTM that reads the sum backwards, its last output repeated for each character of the answer, an LSTM, a softmax:
https://keras.io/examples/nlp/addition_rnn
"""

import argparse
import time
from pathlib import Path

import numpy as np

from keras_seq2seq.keras_version import keras

CHARACTERS = " +0123456789"
QUESTION, ANSWER, UNITS = 7, 4, 128  # characters of a sum and of its answer, filled up by blanks


def read(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns sums and answers as one-hot vectors: `(sums, 7, 12)` and `(sums, 4, 12)`, float32."""
    pairs = [line.split("\t") for line in Path(path).read_text(encoding="utf-8").splitlines()]
    texts = [(source.ljust(QUESTION)[::-1] for source, _ in pairs), (target.ljust(ANSWER) for _, target in pairs)]
    sums, answers = (np.array([[CHARACTERS.index(one) for one in text] for text in side]) for side in texts)
    one_hot = np.eye(len(CHARACTERS), dtype=np.float32)
    return one_hot[sums], one_hot[answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.LSTM(UNITS),
            layers.RepeatVector(ANSWER),
            layers.LSTM(UNITS, return_sequences=True),
            layers.Dense(len(CHARACTERS), activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam")
    (sums, answers), (test_sums, test_answers) = read(options.train), read(options.test)
    start = time.perf_counter()
    model.fit(sums, answers, batch_size=32, epochs=options.epochs, verbose=0)
    minutes = (time.perf_counter() - start) / 60
    right = np.all(model.predict(test_sums, verbose=0).argmax(-1) == test_answers.argmax(-1), axis=1)
    print(f"right: {100 * right.mean():.2f}\nminutes: {minutes:.2f}")


if __name__ == "__main__":
    main()
