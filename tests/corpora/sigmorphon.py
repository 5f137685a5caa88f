"""Trains every language of SIGMORPHON 2020's first task, and sets its words wrong beside the task's own LSTM.

    python tests/corpora/sigmorphon.py FOLDER [--languages hun ice] [--seeds 0 1] [--logs FOLDER] [--jobs 2]

FOLDER has `hun_train.tsv`, `hun_dev.tsv`, `hun_test.tsv`, ...: word, tab, phones between blanks. All languages are
trained by `--config base --layers 1`. What differs is decided by the program, from the training and development words:

- Where more than one development word in twenty has a character that is rare in training, and Unicode's decomposition
  (NFD) makes that fewer, words are read decomposed: Hangul's syllables become jamo.
- With the first seed, one model learns with splices, and one without them, as long. The one that is better on the
  development words, with a beam of 5, decides for the other seeds; the test words are asked of it alone.

A run that was stopped goes on where it was, and one that has finished is measured alone. As many languages are trained
at a time as `--jobs` says, each on one core. With several seeds, their models as an ensemble have a column.
"""

import argparse
import concurrent.futures
import os
import statistics
import unicodedata
from collections import Counter
from pathlib import Path

from trainings import evaluated, trained

# Words wrong on the test sets, in percent, of the task's LSTM, tuned for each language: Gorman et al., 2020, "The
# SIGMORPHON 2020 Shared Task on Multilingual Grapheme-to-Phoneme Conversion", table 2.
PUBLISHED = {
    **{"ady": 28.00, "arm": 14.67, "bul": 31.11, "dut": 16.44, "fre": 6.22, "geo": 26.44, "gre": 18.89, "hin": 6.67},
    **{"hun": 5.33, "ice": 10.00, "jpn": 7.56, "kor": 46.89, "lit": 19.11, "rum": 10.67, "vie": 4.67},
}
CANDIDATES = {"splices": (), "no splices": ("--splices", "0", "--epochs", "40")}  # about as many updates
SPLITS = ("train", "dev", "test")
RARE = 5  # characters seen fewer times are learnt badly


def words_of(path: Path) -> list[str]:
    """Returns the first column of a file."""
    return [line.split("\t")[0] for line in path.read_text(encoding="utf-8").splitlines()]


def normalization(train: list[str], dev: list[str]) -> str:
    """Returns how the words of a language are read best: `"none"` or `"NFD"`."""

    def with_rare(form: str) -> float:
        count = Counter(character for word in train for character in unicodedata.normalize(form, word))
        rare = [any(count[character] < RARE for character in unicodedata.normalize(form, word)) for word in dev]
        return sum(rare) / max(len(rare), 1)

    composed = with_rare("NFC")
    return "NFD" if composed > 0.05 and with_rare("NFD") < composed else "none"


def measured(language: str, options: argparse.Namespace) -> dict:
    """Trains a language's models; returns what was chosen, and the shares of words wrong, in percent."""

    def file(split: str) -> Path:
        return Path(options.folder, f"{language}_{split}.tsv")

    form = normalization(words_of(file("train")), words_of(file("dev")))
    data = ["--data", str(file("train")), "--valid", str(file("dev")), "--normalize", form]
    common = ["--config", "base", "--layers", "1", "--tensorboard", "off", *options.common.split()]
    common += ["--source-tokens", "char", "--target-tokens", "space", *data]
    minutes = []

    def model_of(candidate: str, seed: int) -> Path:
        folder = Path(options.logs, f"{language}-{candidate.replace(' ', '-')}-{seed}")
        minutes.append(trained(folder, *common, "--seed", str(seed), *CANDIDATES[candidate]))
        return folder

    def wrong(models: list[Path], split: str) -> float:
        return evaluated(models, "--beam", "5", "--data", str(file(split)))["word_error_rate"]

    dev = {candidate: wrong([model_of(candidate, options.seeds[0])], "dev") for candidate in CANDIDATES}
    chosen = min(dev, key=dev.__getitem__)
    models = [model_of(chosen, seed) for seed in options.seeds]
    return {
        "read": form,
        "dev": dev,
        "chosen": chosen,
        "test": [wrong([model], "test") for model in models],
        "ensemble": wrong(models, "test") if len(models) > 1 else None,
        "minutes": sum(minutes[:2]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the task's files")
    parser.add_argument("--languages", nargs="+", help="default: all that have their three files there")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--common", default="", help="more options of all trainings")
    parser.add_argument("--logs", default="logs/sigmorphon", help="folder of the runs (default: logs/sigmorphon)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at a time")
    options = parser.parse_args()
    found = {split: {path.name[:3] for path in Path(options.folder).glob(f"???_{split}.tsv")} for split in SPLITS}
    languages = options.languages or sorted(set.intersection(*found.values()))
    if not languages:
        parser.error(f"{options.folder} has no language's files, such as hun_train.tsv, hun_dev.tsv and hun_test.tsv")
    print("| language | read | dev: splices, none | test | mean | task's LSTM | ensemble | minutes of both |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = dict(zip(languages, pool.map(lambda language: row(language, options), languages), strict=True))
    known = [language for language in languages if language in PUBLISHED]
    if known:
        means = [statistics.mean(statistics.mean(results[language]["test"]) for language in known)]
        means.append(statistics.mean(PUBLISHED[language] for language in known))
        if len(options.seeds) > 1:
            means.append(statistics.mean(results[language]["ensemble"] for language in known))
        print("| macro | | | |", " | ".join(f"{mean:.2f}" for mean in means), "| |")


def row(language: str, options: argparse.Namespace) -> dict:
    """Measures a language, prints its row as soon as that is done, and returns the numbers."""
    numbers = measured(language, options)
    dev = ", ".join(f"{wrong:.2f}" for wrong in numbers["dev"].values())
    test = ", ".join(f"{wrong:.2f}" for wrong in numbers["test"])
    published = f"{PUBLISHED[language]:.2f}" if language in PUBLISHED else ""
    ensemble = "" if numbers["ensemble"] is None else f"{numbers['ensemble']:.2f}"
    cells = [language, numbers["read"], f"{dev}: {numbers['chosen']}", test, f"{statistics.mean(numbers['test']):.2f}"]
    print("|", " | ".join([*cells, published, ensemble, f"{numbers['minutes']:.0f}"]), "|", flush=True)
    return numbers


if __name__ == "__main__":
    main()
