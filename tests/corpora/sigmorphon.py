"""Trains every language of SIGMORPHON 2020's first task, and sets its words wrong beside the task's own LSTM.

    python tests/corpora/sigmorphon.py FOLDER [--languages hun ice] [--seeds 0 1] [--logs FOLDER] [--jobs 2]

FOLDER has `hun_train.tsv`, `hun_dev.tsv`, `hun_test.tsv`, ...: word, tab, phones between blanks. All languages are
trained by `--config base --layers 1`. What differs is decided by the program, from the training and development words:

- Where more than one development word in twenty has a character that is rare in training, and Unicode's decomposition
  (NFD) makes that fewer, words are read decomposed: Hangul's syllables become jamo.
- With the first seed, one model learns with splices, and one without them, as long. The one that is better on the
  development words, with a beam of 5, decides for the other seeds; the test words are asked of it alone.

A run that was stopped goes on where it was, and one that has finished is measured alone. As many languages are trained
at a time as `--jobs` says, each on one core. The models of all seeds have a column as an ensemble.
"""

import argparse
import statistics
import unicodedata
from collections import Counter
from pathlib import Path

from trainings import PRONUNCIATION, evaluated, parser_of, print_head, print_row, side_by_side, trained, words

# Words wrong on the test sets, in percent, of the task's LSTM, tuned for each language: Gorman et al., 2020, "The
# SIGMORPHON 2020 Shared Task on Multilingual Grapheme-to-Phoneme Conversion", table 2.
PUBLISHED = {
    **{"ady": 28.00, "arm": 14.67, "bul": 31.11, "dut": 16.44, "fre": 6.22, "geo": 26.44, "gre": 18.89, "hin": 6.67},
    **{"hun": 5.33, "ice": 10.00, "jpn": 7.56, "kor": 46.89, "lit": 19.11, "rum": 10.67, "vie": 4.67},
}
CANDIDATES = {"splices": (), "no splices": ("--splices", "0", "--epochs", "40")}  # about as many updates
SPLITS = ("train", "dev", "test")
RARE = 5  # characters seen fewer times are learnt badly


def words_of(path: str) -> list[str]:
    """Returns the first column of a file."""
    return [line.split("\t")[0] for line in Path(path).read_text(encoding="utf-8").splitlines()]


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
    files = words(options.folder, language)
    form = normalization(words_of(files["train"]), words_of(files["dev"]))
    data = ["--data", files["train"], "--valid", files["dev"], "--normalize", form]
    common = ["--config", "base", "--layers", "1", "--tensorboard", "off", *options.common.split()]
    common += [*PRONUNCIATION, *data]
    minutes = []

    def model_of(candidate: str, seed: int) -> Path:
        folder = Path(options.logs, f"{language}-{candidate.replace(' ', '-')}-{seed}")
        minutes.append(trained(folder, *common, "--seed", str(seed), *CANDIDATES[candidate]))
        return folder

    def wrong(models: list[Path], split: str) -> float:
        return evaluated(models, "--beam", "5", "--data", files[split])["word_error_rate"]

    dev = {candidate: wrong([model_of(candidate, options.seeds[0])], "dev") for candidate in CANDIDATES}
    chosen = min(dev, key=dev.__getitem__)
    models = [model_of(chosen, seed) for seed in options.seeds]
    test = [wrong([model], "test") for model in models]
    return {
        "read": form,
        "dev": dev,
        "chosen": chosen,
        "test": test,
        "mean": statistics.mean(test),
        "ensemble": wrong(models, "test"),
        "minutes": sum(minutes[:2]),
    }


def main() -> None:
    parser = parser_of(__doc__, [0, 1], "logs/sigmorphon")
    parser.add_argument("folder", help="the task's files")
    parser.add_argument("--languages", nargs="+", help="default: all that have their three files there")
    options = parser.parse_args()
    found = {split: {path.name[:3] for path in Path(options.folder).glob(f"???_{split}.tsv")} for split in SPLITS}
    complete = set.intersection(*found.values())
    languages = options.languages or sorted(complete)
    if not languages or not complete.issuperset(languages):
        missing = ", ".join(sorted(set(languages) - complete)) or "any language"
        parser.error(f"{options.folder} has no files of {missing}, such as hun_train.tsv, hun_dev.tsv and hun_test.tsv")
    head = ("language", "read", "dev: splices, none", "test", "mean", "task's LSTM", "ensemble", "minutes of both")
    print_head(*head)
    with side_by_side(measured, [(language,) for language in languages], options) as results:
        for language in languages:
            print_row(*row(language, results[language,]()))
        known = [(PUBLISHED[language], results[language,]()) for language in languages if language in PUBLISHED]
    if known:
        single, ensemble = (statistics.mean(numbers[name] for _, numbers in known) for name in ("mean", "ensemble"))
        print_row(
            "macro",
            "",
            "",
            "",
            f"{single:.2f}",
            f"{statistics.mean(lstm for lstm, _ in known):.2f}",
            f"{ensemble:.2f}",
            "",
        )


def row(language: str, numbers: dict) -> list[str]:
    """Returns the cells of a language's row."""
    dev, test = (", ".join(f"{wrong:.2f}" for wrong in each) for each in (numbers["dev"].values(), numbers["test"]))
    published = f"{PUBLISHED[language]:.2f}" if language in PUBLISHED else ""
    chosen = f"{dev}: {numbers['chosen']}"
    means = [f"{numbers['mean']:.2f}", published, f"{numbers['ensemble']:.2f}"]
    return [language, numbers["read"], chosen, test, *means, f"{numbers['minutes']:.0f}"]


if __name__ == "__main__":
    main()
