"""Learns to add numbers of up to three digits, beside the network of Keras's own example of that, in as many epochs.

    python tests/corpora/addition.py [--epochs 30] [--seeds 0 1 2] [--logs FOLDER]

50,000 different sums, made by a seed: the last 5,000 are not learnt. Counted are whole answers. Ours reads `12+345`
with an LSTM of 128 units and writes `357` with another one; so does the example (`addition_example.py`), which reads
`   543+21`, backwards, and writes all four characters at once: https://keras.io/examples/nlp/addition_rnn
"""

import argparse
import random
import re
import shlex
from pathlib import Path

from trainings import (
    ROOT,
    evaluated,
    mean_of,
    parser_of,
    print_head,
    print_row,
    run,
    side_by_side,
    trained,
    write_pairs,
)

OURS = "--config small --cell lstm --units 128 --embedding-dim 16 --batch-size 32 --length-buckets 1"
OURS += " --learning-rate-schedule cosine --source-tokens char --target-tokens char --best val_exact_match --tensorboard off"
ROWS = ("ours", "ours, attention", "the example")
HELD_OUT = 0.1


def sums(count: int, seed: int) -> list[tuple[str, str]]:
    """Returns different sums of two numbers of one to three digits; a + b and b + a are one."""
    draw = random.Random(seed)

    def number() -> int:
        return int("".join(draw.choice("0123456789") for _ in range(draw.randint(1, 3))))

    seen: dict[tuple[int, int], tuple[str, str]] = {}
    while len(seen) < count:
        first, second = number(), number()
        seen.setdefault((min(first, second), max(first, second)), (f"{first}+{second}", str(first + second)))
    return list(seen.values())


def measured(row: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Trains one model; returns the share of sums that it gets right, in percent, and the minutes of training."""
    train, test = (str(Path(options.logs, f"{part}.tsv")) for part in ("train", "test"))
    if row == "the example":
        here = str(ROOT / "tests" / "corpora" / "addition_example.py")
        printed = run(here, train, test, "--epochs", str(options.epochs), "--seed", str(seed))
        return {name: float(re.search(rf"^{name}: (.*)$", printed, re.MULTILINE)[1]) for name in ("right", "minutes")}
    attention = "additive" if "attention" in row else "none"
    chosen = f"{OURS} --attention {attention} --epochs {options.epochs} --seed {seed} {options.common}"
    model = Path(options.logs, f"{row.replace(', ', '-')}-{seed}")
    minutes = trained(model, "--data", train, "--valid-share", "0.02", *shlex.split(chosen))
    return {"right": 100 * evaluated([model], "--data", test)["exact_match"], "minutes": minutes}


def main() -> None:
    parser = parser_of(__doc__, [0], "logs/addition")
    parser.add_argument("--sums", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    Path(options.logs).mkdir(parents=True, exist_ok=True)
    pairs = sums(options.sums, seed=0)
    learnt = len(pairs) - int(HELD_OUT * len(pairs))
    for part, some in (("train", pairs[:learnt]), ("test", pairs[learnt:])):
        write_pairs(Path(options.logs, f"{part}.tsv"), some)
    print_head("network", "sums right, in percent", "minutes")
    with side_by_side(measured, [(row, seed) for row in ROWS for seed in options.seeds], options) as results:
        for row in ROWS:
            each = [results[row, seed]() for seed in options.seeds]
            print_row(row, *(mean_of([numbers[name] for numbers in each]) for name in ("right", "minutes")))


if __name__ == "__main__":
    main()
