"""Counts the package's lines of code, without docstrings, comments and blank lines, room by room.

`python tests/lines_of_code.py [FOLDER]` prints the sizes; FOLDER is `keras_seq2seq` unless given.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNCOUNTED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(source: str) -> int:
    """Returns how many lines of `source` hold code; a line of a text that spans several lines is one of them."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in UNCOUNTED:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def sizes(package: Path) -> Counter[str]:
    """Returns the lines of code of each folder and each file that stands directly in `package`."""
    counts: Counter[str] = Counter()
    for path in sorted(package.rglob("*.py")):
        counts[path.relative_to(package).parts[0]] += lines_of_code(path.read_text(encoding="utf-8"))
    return counts


def main() -> None:
    package = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "keras_seq2seq"
    counts = sizes(package)
    for name, count in counts.items():
        print(f"{count:6}  {name}")
    print(f"{sum(counts[room] for room in ('data', 'layers', 'model')):6}  data, layers and model")
    print(f"{counts.total():6}  {package.name}")


if __name__ == "__main__":
    main()
