"""The documents: links lead somewhere, options and names exist, and none that exists is left out."""

import re
import subprocess
import sys

import pytest
from lines_of_code import ROOT

import keras_seq2seq

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
EACH = pytest.mark.parametrize("name", TEXTS)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def code_blocks(text, language=""):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prose(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text):
    """Returns what GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.*)", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def options_of(*command):
    shown = subprocess.run([sys.executable, *command, "--help"], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(OPTION.findall(shown.stdout)) - {"--help"}


@pytest.fixture(scope="module")
def train_options():
    return options_of("train.py")


def test_the_readme_is_what_a_newcomer_needs():
    assert len(TEXTS["README.md"].splitlines()) <= 250


@EACH
def test_lines_fit_but_for_tables_and_what_programs_print(name):
    lines = [*prose(TEXTS[name]).splitlines(), *"".join(code_blocks(TEXTS[name], "python")).splitlines()]
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


@EACH
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(TEXTS[name])):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = ((ROOT / name).parent / file).resolve() if file else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_page_of_options_has_each_once(train_options):
    rows = [row for row in TEXTS["docs/guides/options.md"].splitlines() if row.startswith("| `--")]
    listed = [option for row in rows for option in OPTION.findall(row.split(" | ")[0])]
    assert sorted(listed) == sorted(option for option in train_options if not option.startswith("--no-"))


def test_commands_have_the_options_that_they_are_shown_with(train_options):
    known = {name: options_of("-m", "keras_seq2seq", name) for name in ("predict", "evaluate", "export")}
    known["train"] = train_options
    commands = re.findall(
        r"(?:keras-seq2seq|python -m keras_seq2seq) (\w+)((?:\\\n|[^\n`|])*)", "\n".join(TEXTS.values())
    )
    assert len(commands) > 20
    for name, rest in commands:
        assert set(OPTION.findall(rest)) <= {*known[name], "--help"}, (name, rest)


@EACH
def test_python_is_python_and_imports_what_there_is(name):
    for code in code_blocks(TEXTS[name], "python"):
        compile(code, name, "exec")
        for names in re.findall(r"^from keras_seq2seq import (.+)$", code, re.MULTILINE):
            assert set(names.split(", ")) <= set(keras_seq2seq.__all__)
        assert set(re.findall(r"keras_seq2seq\.([A-Za-z_]+)", code)) <= set(keras_seq2seq.__all__)
