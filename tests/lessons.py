"""Runs the lessons, the notebooks of docs/lessons, from top to bottom, and says where their outputs differ.

`python tests/lessons.py [NAME ...]` compares with the outputs that are stored; `--write` stores the new ones instead.
`TF_USE_LEGACY_KERAS=0` does it on Keras 3. Also the code of the solutions is run, each behind its exercises; what it
prints is not stored.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbclient
import nbformat

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "lessons"
FILES = {path.stem: path for path in sorted(FOLDER.glob("*.ipynb"))}
SOLUTION = re.compile(r"<details>.*?</details>", re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.\d*|\.\d+|\d+)(?:e[+-]?\d+)?(?![\w.])")
MACHINE = re.compile(r"^([IWEF]\d{4} |WARNING: All log messages)")  # what TensorFlow says of the computer it runs on
UNITS = 2  # of a number's last digit: so much may it differ from the stored one


def execute(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Runs a notebook in an empty folder and returns it with its outputs; the solutions are run along.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
        AssertionError: a cell warns.
    """
    run = nbformat.from_dict(notebook)
    run.cells = [cell for one in run.cells for cell in (one, *solutions_of(one))]
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            run, timeout=600, kernel_name="python3", record_timing=False, resources={"metadata": {"path": folder}}
        )
        client.execute(env={**os.environ, "TMPDIR": folder})
    run.cells = [cell for cell in run.cells if not cell.metadata.get("solution")]
    for number, cell in enumerate((cell for cell in run.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number
        warned = "".join(output.text for output in cell.outputs if output.get("name") == "stderr")
        said = [line for line in warned.splitlines() if not MACHINE.match(line)]
        assert not said, f"cell {cell.id} warns: {said}"
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
    run.metadata.language_info = {"name": "python"}
    return run


def solutions_of(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Returns the code of a cell's folded solutions, as cells."""
    if cell.cell_type != "markdown":
        return []
    blocks = [block for solution in SOLUTION.findall(cell.source) for block in CODE.findall(solution)]
    return [nbformat.v4.new_code_cell(block, metadata={"solution": True}) for block in blocks]


def printed(cell: nbformat.NotebookNode) -> str:
    """Returns what a cell printed, in one text; a picture counts as one. Lines that name versions are left out."""
    text = ""
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            text += output.text
        else:
            text += "<picture>\n" if "image/png" in output.data else output.data["text/plain"] + "\n"
    return "\n".join(line for line in text.splitlines() if "TensorFlow 2" not in line)


def differences(stored: nbformat.NotebookNode, new: nbformat.NotebookNode) -> list[str]:
    """Returns a line for each cell that prints something else, but for the last digits of its numbers.

    A cell of measurements that follow a longer training may say in its metadata how far its numbers may be off:
    `{"tolerance": 0.1}`. Rounding errors grow in training, and another processor rounds otherwise.
    """
    found = []
    for old, cell in zip(stored.cells, new.cells, strict=True):
        before, after = printed(old), printed(cell)
        if not alike(before, after, old.metadata.get("tolerance", 0.0)):
            found.append(f"cell {old.id} printed\n{after}\nstored is\n{before}")
    return found


def alike(before: str, after: str, tolerance: float = 0.0) -> bool:
    """Says whether two texts are the same but for blanks and for the last digits of numbers with a decimal point."""
    words = [" ".join(NUMBER.sub(" # ", text).split()) for text in (before, after)]
    numbers = [NUMBER.findall(text) for text in (before, after)]
    return words[0] == words[1] and all(
        abs(float(one) - float(other)) <= max(UNITS * last_digit(one), tolerance)
        for one, other in zip(*numbers, strict=True)
    )


def last_digit(number: str) -> float:
    """Returns what one unit of the last digit is worth: 0.01 in "3.14"; 0 in a whole number."""
    mantissa, _, exponent = number.partition("e")
    _, point, decimals = mantissa.partition(".")
    return 10.0 ** (int(exponent or 0) - len(decimals)) * 1.0001 if point else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FILES))
    parser.add_argument("--write", action="store_true", help="store the outputs")
    options = parser.parse_args()
    if not set(options.names) <= set(FILES):
        parser.error(f"the lessons are {', '.join(FILES)}")
    failed = False
    for name in options.names or FILES:
        stored = nbformat.read(FILES[name], as_version=4)
        start, used = time.monotonic(), os.times().children_user
        new = execute(stored)
        seconds, used = time.monotonic() - start, os.times().children_user - used
        found = [] if options.write else differences(stored, new)
        if options.write:
            nbformat.write(new, FILES[name])
        failed |= bool(found)
        print(
            f"{name}: {seconds:.0f} s, {used:.0f} s of a processor, {FILES[name].stat().st_size // 1000} kB",
            *found,
            sep="\n",
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
