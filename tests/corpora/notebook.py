"""Measures the notebook's two pairs over 20 seeds: `python tests/corpora/notebook.py`.

First the default run: for how many seeds both answers are exact after 50, 100, 150 and 200 updates. Then the run
as published: for updates 0, 10, ..., 90, the published batch loss, our mean and standard deviation, and by how many
standard deviations they differ. Exit code 1 if any is beyond two, or if 100 updates do not teach 19 of 20 seeds.
`TF_USE_LEGACY_KERAS=0` does it on Keras 3; `--seeds 2` is quick, and says little.
"""

import argparse
import sys

import numpy as np

from keras_seq2seq import Configuration, Seq2Seq, batches, keras, keras_version
from keras_seq2seq.data.corpora import NOTEBOOK
from keras_seq2seq.data.vocabulary import NOTEBOOK_TOKENS, Vocabulary
from keras_seq2seq.model.losses import label_mask, masked_mean, token_crossentropy
from keras_seq2seq.training.build import build_model

PUBLISHED = [3.01610, 2.51557, 2.03873, 1.60385, 1.24046, 0.94522, 0.71593, 0.54041, 0.40938, 0.31408]
PUBLISHED_SENTENCES = ["<a> yellow most of the time", "<a> hydrogen and oxygen"]


def start_afresh(compiled: Seq2Seq, seed: int) -> None:
    """Gives a compiled model new weights and its optimizer a new start, without tracing it again."""
    keras.utils.set_random_seed(seed)
    compiled.set_weights(Seq2Seq.from_config(compiled.get_config()).get_weights())
    for variable in variables_of(compiled.optimizer):
        variable.assign(np.zeros(variable.shape))


def published_run(compiled: Seq2Seq, batch: tuple) -> tuple[list[float], list[str], np.ndarray]:
    """Returns the losses of one run, its sentences at update 90 and its pad losses at update 0."""
    inputs, labels = batch
    mask, losses = label_mask(labels), []
    for update in range(91):
        if update % 10 == 0:
            logits = compiled(inputs)
            crossentropy = token_crossentropy(labels, logits)
            losses.append(float(masked_mean(crossentropy, mask)))
            if update == 0:
                pads = crossentropy.numpy()[mask.numpy() == 0]
        compiled.train_on_batch(inputs, labels)
    tokens = np.array(compiled.target_vocabulary.tokens)
    kept = mask.numpy() > 0
    sentences = [" ".join(tokens[row[real]]) for row, real in zip(np.argmax(logits, -1), kept, strict=True)]
    return losses, sentences, pads


def updates_to_learn(compiled: Seq2Seq, batch: tuple) -> list[bool]:
    """Says whether both answers are exact after 50, 100, 150 and 200 updates."""
    exact = []
    for _ in range(4):
        for _ in range(50):
            compiled.train_on_batch(*batch)
        exact.append(compiled.generate([source for source, _ in NOTEBOOK]) == [target for _, target in NOTEBOOK])
    return exact


def prepare(options: dict, vocabulary: Vocabulary) -> tuple[Seq2Seq, tuple]:
    """Returns a compiled model and the two pairs as one batch."""
    config = Configuration.from_dict(options)
    batch = next(iter(batches(NOTEBOOK, vocabulary, vocabulary, batch_size=2, length_buckets=1)))
    model = build_model(config, vocabulary, vocabulary, max_target_length=12)
    model.compile(keras.optimizers.Adam(config.learning_rate, epsilon=config.adam_epsilon))
    model.train_on_batch(*batch)  # makes the optimizer's variables
    return model, batch


def variables_of(optimizer: keras.optimizers.Optimizer) -> list:
    """Returns the optimizer's step counter and moments, but not its learning rate."""
    variables = optimizer.variables
    variables = variables() if callable(variables) else variables
    return [variable for variable in variables if "learning_rate" not in variable.name]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many, at least 2 (default 20)")
    seeds = parser.parse_args().seeds
    print(keras_version.versions())
    model, batch = prepare({}, Vocabulary.build([text for pair in NOTEBOOK for text in pair], "word"))
    exact = []
    for seed in range(seeds):
        start_afresh(model, seed)
        exact.append(updates_to_learn(model, batch))
    learnt = np.sum(exact, axis=0)
    print("default run, seeds with both answers exact:")
    print("  " + ", ".join(f"{count} of {seeds} after {50 * (i + 1)} updates" for i, count in enumerate(learnt)))

    model, batch = prepare({"as_published": True}, Vocabulary(NOTEBOOK_TOKENS, "word"))
    runs = []
    for seed in range(seeds):
        start_afresh(model, seed)
        runs.append(published_run(model, batch))
    losses = np.array([losses for losses, _, _ in runs])
    right = sum(sentences == PUBLISHED_SENTENCES for _, sentences, _ in runs)
    pads = np.array([pads for _, _, pads in runs])
    print("update  published    mean     std   distance")
    distances = (np.array(PUBLISHED) - losses.mean(0)) / losses.std(0, ddof=1)
    for row in zip(range(0, 100, 10), PUBLISHED, losses.mean(0), losses.std(0, ddof=1), distances, strict=True):
        print("{:6}  {:9.4f}  {:6.4f}  {:6.4f}  {:+6.2f} std".format(*row))
    print(f"pad losses at update 0: {pads.min():.6f} to {pads.max():.6f} (ln 19 = {np.log(19):.6f})")
    print(f"sentences at update 90 as published: {right} of {seeds} seeds")
    return int(learnt[1] < 0.95 * seeds or np.abs(distances).max() > 2 or not np.allclose(pads, np.log(19), atol=1e-5))


if __name__ == "__main__":
    sys.exit(main())
