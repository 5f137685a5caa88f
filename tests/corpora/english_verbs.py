"""Writes forms of English verbs: `vrb_train.tsv`, `vrb_dev.tsv`, `vrb_test.tsv`, each 1,000 lines of lemma, form, features.

    python tests/corpora/english_verbs.py FOLDER

The verbs are those of lemminflect (`pip install lemminflect`), the names of the features those of UniMorph. The order
is drawn with seed 0; a lemma may be in several files, each time with other features.
"""

import argparse
import gzip
import random
from importlib.resources import files
from pathlib import Path

FEATURES = ("V;PST", "V;V.PTCP;PST", "V;V.PTCP;PRS", "V;3;SG;PRS")  # in the order of the package's columns


def verbs() -> list[tuple[str, str, str]]:
    """Returns lemma, form and features of each form of each verb."""
    table = files("lemminflect") / "resources" / "infl_lu.csv.gz"
    found = []
    for line in gzip.decompress(table.read_bytes()).decode().splitlines():
        lemma, kind, *forms = line.split(",")
        if kind == "verb" and lemma.isalpha() and lemma.islower():
            # Of several spellings the first one; some verbs lack forms.
            found += [(lemma, form.split("/")[0], name) for form, name in zip(forms, FEATURES, strict=False) if form]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the three files")
    folder, rows = parser.parse_args().folder, verbs()
    folder.mkdir(parents=True, exist_ok=True)
    random.Random(0).shuffle(rows)
    for number, split in enumerate(("train", "dev", "test")):
        lines = ["\t".join(row) + "\n" for row in rows[1000 * number : 1000 * (number + 1)]]
        (folder / f"vrb_{split}.tsv").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
