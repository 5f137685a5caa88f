"""Learns the pronunciations of CMUdict's English words, with attention and without, on the literature's split.

    python tests/corpora/cmudict.py FOLDER [--rows attention none] [--common "--jit-compile on"]

FOLDER has `train.tsv`, word, tab, phones, and `test_references.tsv` with further pronunciations in further columns.
About 5 % of the training words, chosen by a hash, are held out: they decide which epoch is kept. Counted are the words
whose answer is none of the pronunciations, and the phones wrong in the one that is nearest, with a beam of 5.

`small`, the default, is for a CPU: an epoch of the other two takes one core 11 to 15 minutes.
"""

import argparse
import shlex
import statistics
from pathlib import Path

from trainings import evaluated, parser_of, print_head, print_row, side_by_side, trained

COMMON = "--config base --splices 0 --valid-share 0.05 --source-tokens char --target-tokens space --tensorboard off"
ROWS = {
    "attention": "--cell lstm --units 512 --batch-size 256 --length-buckets 5 --epochs 30",
    "none": "--attention none --units 512 --batch-size 256 --length-buckets 5 --epochs 30",
    "small": "--layers 1 --units 384 --epochs 10",
}


def measured(row: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Trains one model; returns shares of words and phones wrong, in percent, and the minutes of training."""
    model = Path(options.logs, f"{row}-{seed}")
    chosen = shlex.split(f"{COMMON} {ROWS[row]} --seed {seed} {options.common}")
    minutes = trained(model, "--data", str(Path(options.folder, "train.tsv")), *chosen)
    test = str(Path(options.folder, "test_references.tsv"))
    scores = evaluated([model], "--data", test, "--references", "--beam", "5")
    return {"words": scores["word_error_rate"], "phones": scores["token_error_rate"], "minutes": minutes}


def main() -> None:
    parser = parser_of(__doc__, [0], "logs/cmudict")
    parser.add_argument("folder", help="the two files")
    parser.add_argument("--rows", nargs="+", default=["small"], choices=ROWS)
    options = parser.parse_args()
    print_head("row", "options", "words wrong", "phones wrong", "minutes")
    jobs = [(row, seed) for row in options.rows for seed in options.seeds]
    with side_by_side(measured, jobs, options) as results:
        for row in options.rows:
            each = [results[row, seed]() for seed in options.seeds]
            cells = (", ".join(f"{numbers[name]:.2f}" for numbers in each) for name in ("words", "phones"))
            minutes = f"{statistics.mean(numbers['minutes'] for numbers in each):.0f}"
            print_row(row, f"`{ROWS[row]}`", *cells, minutes)


if __name__ == "__main__":
    main()
