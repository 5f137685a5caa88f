"""Trains `--config sentences`, and what is simpler, on Multi30k's German and English; prints how good the answers are.

    python tests/corpora/multi30k.py FOLDER [--seeds 0 1 2] [--rows sentences gru simple_rnn] [--logs FOLDER]

FOLDER has `train.de-en.tsv`, `val.de-en.tsv` and `test2016.de-en.tsv`: source, tab, target. For each row: BLEU, chrF,
the share of answers that are the reference, and the perplexity of a token, on the test set with a beam of 5. BLEU is
that of sacreBLEU, in lower case (13a tokens); with the package spacy there is a second one, over spaCy's tokens in lower
case, which is how the PyTorch chapters measure. A run that was stopped goes on where it was, and one that has finished
is measured alone. As many run at a time as `--jobs` says, each on one core.
"""

import argparse
import shlex
from pathlib import Path

from sacrebleu import BLEU
from trainings import evaluated, mean_of, parser_of, print_head, print_row, run, side_by_side, trained

ROWS = {
    "sentences": "",
    "gru": "--attention none",
    "simple_rnn": "--attention none --cell simple_rnn --no-bidirectional",
}
COLUMNS = ("BLEU", "BLEU, spaCy", "chrF", "exact match", "perplexity", "minutes")


def measured(row: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Trains one model, if it is not there, and returns its numbers by the names of the columns."""

    def file(split: str) -> str:
        return str(Path(options.folder, f"{split}.de-en.tsv"))

    model = Path(options.logs, f"{row}-{seed}")
    data = ["--data", file("train"), "--valid", file("val"), "--seed", str(seed)]
    minutes = trained(model, "--config", "sentences", *data, *shlex.split(f"{ROWS[row]} {options.common}"))

    test = Path(file(options.split)).read_text(encoding="utf-8").splitlines()
    sources, references = zip(*(line.split("\t") for line in test), strict=True)
    asked = model.with_name(f"{model.name}.sources.txt")
    asked.write_text("\n".join(sources) + "\n", encoding="utf-8")
    answers = run("-m", "keras_seq2seq", "predict", str(model), "--beam", "5", "--input", str(asked)).split("\n")[:-1]
    scores = evaluated([model], "--beam", "5", "--data", file(options.split))
    numbers = {
        "BLEU": BLEU(lowercase=True).corpus_score(answers, [references]).score,
        "chrF": scores["chrf"],
        "exact match": 100 * scores["exact_match"],
        "perplexity": scores["perplexity"],
        "minutes": minutes,
    }
    spacy = spacy_tokens()
    if spacy:
        cut, right = (
            [" ".join(token.text for token in spacy(text.lower())) for text in side] for side in (answers, references)
        )
        numbers["BLEU, spaCy"] = BLEU(tokenize="none", force=True).corpus_score(cut, [right]).score
    return numbers


def spacy_tokens():
    """Returns spaCy's English tokenizer; None where it is not installed."""
    try:
        import spacy
    except ImportError:
        return None
    return spacy.blank("en").tokenizer


def main() -> None:
    parser = parser_of(__doc__, [0, 1, 2], "logs/multi30k")
    parser.add_argument("folder", help="the files")
    parser.add_argument("--split", default="test2016", help="what is measured: test2016 or val")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    options = parser.parse_args()
    print_head("row", "options", *COLUMNS)
    jobs = [(row, seed) for row in options.rows for seed in options.seeds]
    with side_by_side(measured, jobs, options) as results:
        for row in options.rows:
            each = [results[row, seed]() for seed in options.seeds]
            cells = [mean_of([numbers[name] for numbers in each if name in numbers]) for name in COLUMNS]
            print_row(row, f"`{ROWS[row]}`", *cells)


if __name__ == "__main__":
    main()
