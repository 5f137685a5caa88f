"""Changes the package's source in small ways, one at a time, and runs the tests: each change has to make one fail.

    python tests/robustness/mutations.py [--modules model/losses ...] [--folder FOLDER]

It needs cosmic-ray (`pip install cosmic-ray`), whose changes these are: `+` becomes `-`, `<` becomes `<=`, a number
grows or shrinks by 1, a condition is turned round, a loop does not begin. They are made in a copy of the working tree.
The changes that no test has noticed are printed. A program that was stopped goes on where it was, given its folder. A
change is judged by the tests of its own file and of those that use it, on Keras 2: hours for all.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = {  # of what an answer and a loss are made of
    "data/batching": "data/test_batching",
    "layers/attention": "layers/test_attention layers/test_recurrent layers/test_decoder",
    "layers/decoder": "layers/test_decoder layers/test_recurrent layers/test_attention model/test_decoding",
    "layers/dropout": "layers/test_dropout layers/test_recurrent layers/test_encoder",
    "layers/encoder": "layers/test_encoder layers/test_recurrent",
    "layers/recurrence": "layers/test_recurrence layers/test_recurrent",
    "model/decoding": "model/test_decoding model/test_strategies",
    "model/losses": "model/test_losses model/test_train_step model/test_deserialization",
    "model/train_step": "model/test_train_step model/test_losses model/test_keras_ways model/test_precision",
}
# Of an arithmetic operator one replacement is enough, of a sign that it is left out; of a comparison, its border and its
# opposite.
KEPT = "ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Add|Div_Mul|FloorDiv_Mul|Mod_Add|Pow_Mul|BitAnd_BitOr)"
KEPT += "|ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt"
KEPT += "|Is_IsNot|IsNot_Is|In_NotIn|NotIn_In)|ReplaceUnaryOperator_Delete_(USub|Invert|Not)"
SETTINGS = """[cosmic-ray]
module-path = "keras_seq2seq/{module}.py"
timeout = 600.0
excluded-modules = []
test-command = "{command}"
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = ['core/(?!({kept})$)Replace(Binary|Comparison|Unary)']
"""


def survivors(module: str, folder: Path) -> tuple[Counter, list[str]]:
    """Makes every change to a module; returns how many had which outcome, and those that no test has noticed.

    Args:
        module: `model/losses`, for example.
        folder: has the copy of the working tree; what has been tried is kept there.
    """
    tree, session = folder / "tree", (folder / f"{module.replace('/', '-')}.sqlite").resolve()
    files = " ".join(f"tests/{name}.py" for name in TESTS[module].split())
    command = f"pytest -x -q -p no:cacheprovider -n 0 {files}"
    settings = session.with_suffix(".toml")
    settings.write_text(
        SETTINGS.format(module=module, command=f"{sys.executable} -m {command}", kept=KEPT), encoding="utf-8"
    )
    # A file that is changed twice within a second has to be compiled again.
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "TF_USE_LEGACY_KERAS": "1"}

    def run(*arguments: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=tree, env=environment, stdout=subprocess.PIPE, text=True
        )
        if ended.returncode:
            sys.exit(f"{module}: python -m {' '.join(arguments)} ended with {ended.returncode}\n{ended.stdout}")
        return ended.stdout

    source = Path("keras_seq2seq", f"{module}.py")
    shutil.copyfile(ROOT / source, tree / source)  # one that was stopped may have left its change behind
    if not session.exists():
        run(*command.split())  # without a change they pass
        run("cosmic_ray.cli", "init", str(settings), str(session))
        run("cosmic_ray.tools.filters.operators_filter", str(session), str(settings))
    run("cosmic_ray.cli", "exec", str(settings), str(session))
    outcomes, unnoticed = Counter(), []
    for line in run("cosmic_ray.cli", "dump", str(session)).splitlines():
        _, result = json.loads(line)
        if result["worker_outcome"] != "skipped":
            outcomes[result["test_outcome"]] += 1
            if result["test_outcome"] == "survived":
                unnoticed.append(result["diff"])
    return outcomes, unnoticed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", nargs="+", default=list(TESTS), choices=TESTS)
    parser.add_argument("--folder", type=Path, default=Path("logs/mutations"), help="default: logs/mutations")
    options = parser.parse_args()
    tree = options.folder / "tree"
    if not tree.exists():
        for room in ("keras_seq2seq", "tests"):
            shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(ROOT / "pyproject.toml", tree / "pyproject.toml")
    for module in options.modules:
        outcomes, unnoticed = survivors(module, options.folder)
        print(f"{module}: {sum(outcomes.values())} changes, {len(unnoticed)} not noticed", flush=True)
        for change in unnoticed:
            print(change, flush=True)


if __name__ == "__main__":
    main()
