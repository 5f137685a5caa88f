"""Trains `--config base` and what differs from it by an option or two on SIGMORPHON's words, and counts wrong ones.

`python tests/corpora/ablation.py FOLDER` prints the table of `docs/results.md` from the task's files `hun_train.tsv`,
`hun_dev.tsv`, ... in FOLDER: for each row, the share of words wrong on the development sets, with a beam of 5 and
greedily. `--split test --seeds 0 1 2 --rows "" --common ""` measures the configuration itself. A training takes minutes;
as many run at a time as `--jobs` says, each on one core. A run that was stopped goes on where it was, and one that has
finished is measured alone.
"""

import argparse
import re
import shlex
import statistics
from pathlib import Path

from trainings import PRONUNCIATION, evaluated, parser_of, print_head, print_row, side_by_side, trained, words

ROWS = [
    "",
    "--layers 2",
    "--layers 2 --no-residual",
    "--attention none",
    "--attention additive",
    "--no-bidirectional",
    "--cell simple_rnn",
    "--cell lstm",
    "--embedding-stddev 0 --recurrent-initializer glorot_uniform",  # Keras's own
    "--tie-embeddings",
    "--dropout 0",
    "--label-smoothing 0",
    "--learning-rate-schedule constant",
    "--learning-rate-schedule plateau",
    "--clip-norm 0",
    "--splices 5 --epochs 4",  # 1.2 times the updates
    "--config small --epochs 40 --best val_exact_match",
]
COMMON = "--layers 1 --splices 0 --epochs 20"  # half of the updates


def wrong_words(row: str, language: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Trains one model; returns the shares of words wrong, in percent, and the minutes of its epochs."""
    files = words(options.folder, language)
    model = Path(options.logs, re.sub(r"\W+", "-", f"{language} {seed} {row}").strip("-"))
    data = ["--data", files["train"], "--valid", files["dev"], *PRONUNCIATION]
    changes = shlex.split(f"--tensorboard off --seed {seed} {options.common} {row}")
    minutes = trained(model, "--config", "base", *data, *changes)
    asked = ["--data", files[options.split]]
    beam, greedy = (evaluated([model], *asked, *more)["word_error_rate"] for more in (["--beam", "5"], []))
    return {"beam": beam, "greedy": greedy, "minutes": minutes}


def main() -> None:
    parser = parser_of(__doc__, [0], "logs/ablation")
    parser.set_defaults(common=COMMON)
    parser.add_argument("folder", help="the task's files")
    parser.add_argument("--languages", nargs="+", default=["hun", "ice"])
    parser.add_argument("--split", default="dev", help="what is measured: dev or test")
    parser.add_argument("--rows", nargs="+", default=ROWS, help="options on top of --config base, a row each")
    options = parser.parse_args()
    print_head("changed", *(f"{language}, beam 5 (greedy)" for language in options.languages), "minutes")
    jobs = [(row, language, seed) for row in options.rows for language in options.languages for seed in options.seeds]
    with side_by_side(wrong_words, jobs, options) as results:
        for row in options.rows:
            cells, minutes = [], []
            for language in options.languages:
                measured = [results[row, language, seed]() for seed in options.seeds]
                each = ", ".join(f"{one['beam']:.2f} ({one['greedy']:.2f})" for one in measured)
                mean = statistics.mean(one["beam"] for one in measured)
                cells.append(f"{each}: mean {mean:.2f}" if len(measured) > 1 else each)
                minutes += [one["minutes"] for one in measured]
            print_row(f"`{row}`", *cells, f"{min(minutes):.0f} to {max(minutes):.0f}")


if __name__ == "__main__":
    main()
