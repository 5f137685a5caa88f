"""Trains the attentive LSTM of yoyodyne, a PyTorch library for such words, beside `--config base --layers 1`.

    python tests/corpora/yoyodyne.py FOLDER --yoyodyne PROGRAM [--languages hun ice] [--seeds 0 1 2] [--logs FOLDER]

FOLDER has SIGMORPHON's `hun_train.tsv`, `hun_dev.tsv`, `hun_test.tsv`, ...; PROGRAM is the command `yoyodyne` of an
environment of its own (`pip install yoyodyne`). Ours trains first. The other one gets the same files, as many cores,
one, and as much time as ours took, with the sizes of its own `configs/soft_attention_lstm.yaml`
(https://github.com/CUNY-CL/yoyodyne); it keeps the epoch with the best accuracy on the development words, as ours does.
Counted are the test words that are wrong, decoded greedily by both.

With `--features` the files have lemma, form and features such as `V;PST`, as `english_verbs.py` writes them. Ours reads
the features as marked tokens behind the letters, and learns without splices; yoyodyne has a column for them.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from trainings import (
    PRONUNCIATION,
    evaluated,
    mean_of,
    parser_of,
    print_head,
    print_row,
    side_by_side,
    trained,
    words,
    write_pairs,
)

MODEL = {
    "class_path": "yoyodyne.models.SoftAttentionLSTMModel",
    "init_args": {
        "source_encoder": {
            "class_path": "yoyodyne.models.modules.LSTMEncoder",
            "init_args": {"dropout": 0.3, "embedding_size": 300, "hidden_size": 100},
        },
        "decoder_dropout": 0.3,
        "decoder_hidden_size": 100,
        "embedding_size": 300,
        "optimizer": {"class_path": "torch.optim.Adadelta", "init_args": {"lr": 1}},
    },
}


def asked(options: argparse.Namespace, command: str, config: dict, *more: str) -> None:
    """Runs a command of yoyodyne on one core; what it says goes to a file in its folder."""
    folder = Path(config["data"]["model_dir"])
    file = folder / f"{command}.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    alone = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with open(folder / f"{command}.txt", "w", encoding="utf-8") as log:
        arguments = [options.yoyodyne, command, "--config", str(file), *more]
        code = subprocess.run(arguments, env={**os.environ, **alone}, stdout=log, stderr=log).returncode
    if code:
        sys.exit(f"{log.name}: {command} ended with {code}")


def theirs(language: str, seed: int, seconds: float, options: argparse.Namespace) -> tuple[float, float]:
    """Trains yoyodyne's model for so many seconds; returns its words wrong, in percent, and the seconds it took."""
    folder = Path(options.logs, f"yoyodyne-{language}-{seed}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    train, dev, test = words(options.folder, language).values()
    data = {"model_dir": str(folder), "source_sep": "", "target_sep": "" if options.features else " "}
    if options.features:
        data |= {"features_col": 3, "features_sep": ";"}
    config = {
        "seed_everything": seed,
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 1000,
            "max_time": {"seconds": int(seconds)},
            "gradient_clip_val": 3,
            "enable_progress_bar": False,
            "logger": {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(folder)}},
        },
        "model": {**MODEL, "init_args": {**MODEL["init_args"], "features_encoder": options.features}},
        "data": {**data, "train": train, "val": dev},
        "checkpoint": {"dirpath": str(folder), "filename": "best", "monitor": "val_accuracy", "mode": "max"},
    }
    begun = time.perf_counter()
    for old in folder.glob("*.ckpt"):
        old.unlink()
    asked(options, "fit", config)
    took = time.perf_counter() - begun
    answers = folder / "answers.txt"
    config |= {"data": {**data, "predict": test}, "prediction": {"path": str(answers)}}
    asked(options, "predict", config, "--ckpt_path", str(folder / "best.ckpt"))
    right = [line.split("\t")[1] for line in Path(test).read_text(encoding="utf-8").splitlines()]
    given = answers.read_text(encoding="utf-8").splitlines()
    wrong = sum(answer != reference for answer, reference in zip(given, right, strict=True))
    return 100 * wrong / len(right), took


def marked(file: Path, folder: Path) -> str:
    """Writes lemma and features as one source into a file of pairs of the same name; returns its path."""
    pairs = []
    for line in file.read_text(encoding="utf-8").splitlines():
        lemma, form, features = line.split("\t")
        letters, form = (text.replace(" ", "_") for text in (lemma, form))
        pairs.append((" ".join([*letters, *(f"[{feature}]" for feature in features.split(";"))]), " ".join(form)))
    folder.mkdir(parents=True, exist_ok=True)
    write_pairs(folder / file.name, pairs)
    return str(folder / file.name)


def measured(language: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Trains both; returns words wrong, in percent, and seconds of training, of each."""
    model = Path(options.logs, f"{language}-{seed}")
    chosen = ["--config", "base", "--layers", "1", "--seed", str(seed), "--tensorboard", "off"]
    files = words(options.folder, language).values()
    if options.features:
        files = [marked(Path(file), Path(options.logs)) for file in files]
        chosen += ["--source-tokens", "space", "--target-tokens", "space", "--splices", "0", "--epochs", "40"]
    else:
        chosen += PRONUNCIATION
    train, dev, test = files
    chosen += ["--data", train, "--valid", dev]
    seconds = 60 * trained(model, *chosen, *options.common.split())
    wrong = evaluated([model], "--data", test)["word_error_rate"]
    their_wrong, their_seconds = theirs(language, seed, max(seconds, 1), options)
    return {"ours": wrong, "seconds": seconds, "yoyodyne": their_wrong, "its seconds": their_seconds}


def main() -> None:
    parser = parser_of(__doc__, [0, 1, 2], "logs/yoyodyne")
    parser.add_argument("folder", help="the task's files")
    parser.add_argument("--yoyodyne", required=True, help="the program")
    parser.add_argument("--features", action="store_true", help="the files have a column of features")
    parser.add_argument("--languages", nargs="+", default=["hun", "ice"])
    options = parser.parse_args()
    columns = ("ours", "seconds", "yoyodyne", "its seconds")
    print_head("language", *columns)
    jobs = [(language, seed) for language in options.languages for seed in options.seeds]
    with side_by_side(measured, jobs, options) as results:
        for language in options.languages:
            each = [results[language, seed]() for seed in options.seeds]
            print_row(language, *(mean_of([numbers[name] for numbers in each]) for name in columns))


if __name__ == "__main__":
    main()
