"""Trains recurrent networks on SCAN, the simple split and the split by length, and counts commands answered rightly.

    python tests/corpora/scan.py FOLDER [--rows lstm simple_rnn] [--splits simple length] [--seeds 0] [--logs FOLDER]

FOLDER has the published simple split, `tasks_train_simple.txt` and `tasks_test_simple.txt`. The split by length comes
from the package's own `--corpus scan`: up to 22 actions to learn, more of them to test. Both as in Lake and Baroni,
2018, https://arxiv.org/abs/1711.00350. One command in twenty of those to learn chooses the epoch that is kept.
"""

import shlex
from pathlib import Path

from trainings import evaluated, mean_of, parser_of, print_head, print_row, side_by_side, trained, write_pairs

from keras_seq2seq.data.scan import scan

COMMON = "--config small --source-tokens space --target-tokens space --valid-share 0.05 --best val_exact_match"
COMMON += " --units 200 --embedding-dim 200 --clip-norm 5 --epochs 30 --learning-rate-schedule cosine"
ROWS = {
    "lstm": "--cell lstm --layers 2 --dropout 0.2",
    "lstm, attention": "--cell lstm --layers 2 --dropout 0.2 --attention additive",
    "simple_rnn": "--cell simple_rnn",
    "simple_rnn, attention": "--cell simple_rnn --attention additive",
}
SPLITS = ("simple", "length")
SHORT = 22  # actions, at most, of what is learnt in the split by length


def commands(split: str, folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Returns the commands to learn and those to test, with their actions, by "train" and "test"."""
    if split == "length":
        parts: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
        for command, actions in scan():
            parts["train" if len(actions.split()) <= SHORT else "test"].append((command, actions))
        return parts
    texts = {part: (folder / f"tasks_{part}_simple.txt").read_text(encoding="utf-8") for part in ("train", "test")}
    return {
        part: [tuple(line.removeprefix("IN: ").split(" OUT: ")) for line in text.splitlines()]
        for part, text in texts.items()
    }


def measured(row: str, split: str, seed: int, options) -> dict[str, float]:
    """Trains one model; returns the share of test commands answered rightly, in percent, and minutes of training."""
    files = {part: Path(options.logs, f"{split}_{part}.tsv") for part in ("train", "test")}
    model = Path(options.logs, f"{split}-{row.replace(', ', '-')}-{seed}")
    chosen = shlex.split(f"{COMMON} {ROWS[row]} --seed {seed} --tensorboard off {options.common}")
    minutes = trained(model, "--data", str(files["train"]), *chosen)
    right = evaluated([model], "--data", str(files["test"]))["exact_match"]
    return {"right": 100 * right, "minutes": minutes}


def main() -> None:
    parser = parser_of(__doc__, [0], "logs/scan")
    parser.add_argument("folder", type=Path, help="the published split")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--splits", nargs="+", default=list(SPLITS), choices=SPLITS)
    options = parser.parse_args()
    Path(options.logs).mkdir(parents=True, exist_ok=True)
    for split in options.splits:
        for part, pairs in commands(split, options.folder).items():
            write_pairs(Path(options.logs, f"{split}_{part}.tsv"), pairs)
    print_head("model", *(cell for split in options.splits for cell in (f"{split} split: right", "minutes")))
    jobs = [(row, split, seed) for row in options.rows for split in options.splits for seed in options.seeds]
    with side_by_side(measured, jobs, options) as results:
        for row in options.rows:
            cells = []
            for split in options.splits:
                each = [results[row, split, seed]() for seed in options.seeds]
                cells += [mean_of([numbers[name] for numbers in each]) for name in ("right", "minutes")]
            print_row(row, *cells)


if __name__ == "__main__":
    main()
