"""docs/lessons: what counts as the same output, links, and (marked slow) that the notebooks still print what they say.

`python -m pytest -m slow tests/test_lessons.py` runs the four lessons; so does `python tests/lessons.py`.
"""

import re

import lessons
import nbformat
import pytest

import keras_seq2seq

NOTEBOOKS = {name: nbformat.read(path, as_version=4) for name, path in lessons.FILES.items()}
EACH = pytest.mark.parametrize("name", NOTEBOOKS)


@pytest.mark.slow
@EACH
def test_a_lesson_prints_what_is_stored(name):
    assert not lessons.differences(NOTEBOOKS[name], lessons.execute(NOTEBOOKS[name]))


def test_there_are_four():
    assert set(NOTEBOOKS) == {"training", "inference", "attention", "your_data"}


@EACH
def test_outputs_are_stored_and_small(name):
    assert lessons.FILES[name].stat().st_size < 600_000
    numbers = [cell.execution_count for cell in NOTEBOOKS[name].cells if cell.cell_type == "code"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert sum(
        "image/png" in output.get("data", {}) for cell in NOTEBOOKS[name].cells for output in cell.get("outputs", [])
    )


@EACH
def test_outputs_name_no_file_of_this_computer_and_no_error(name):
    for cell in NOTEBOOKS[name].cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error" and output.get("name") != "stderr"
        assert not re.search(r"(?<![\w.])/(?:home|root|tmp|usr|work|Users)/|WARNING", lessons.printed(cell))


@EACH
def test_links_lead_somewhere(name):
    links = [link for cell in NOTEBOOKS[name].cells for link in re.findall(r"\]\(([^)\s]+)\)", cell.source)]
    assert links
    for link in links:
        assert (lessons.FOLDER / link.partition("#")[0]).exists(), link


@EACH
def test_every_exercise_has_a_solution(name):
    for cell in NOTEBOOKS[name].cells:
        if "**Exercises**" in cell.source:
            asked, _, answered = cell.source.partition("<details>")
            numbers = [
                re.findall(r"^(\d)\. ", text, re.MULTILINE) for text in (asked.partition("**Exercises**")[2], answered)
            ]
            assert numbers[0] == numbers[1] and len(numbers[0]) >= 2, cell.id


def test_the_reference_has_every_public_name():
    text = (lessons.FOLDER.parent / "api.md").read_text(encoding="utf-8")
    assert {name for name in keras_seq2seq.__all__ if not re.search(rf"(?:keras_seq2seq\.|`){name}\b", text)} == set()


def one_cell(text):
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text=text)])
    return nbformat.v4.new_notebook(cells=[cell])


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("loss 3.12", "loss 3.13"),
        ("[[ 0.10 -0.00]]", "[[0.10   0.00]]"),
        ("TensorFlow 2.21.0, Keras 2.21.0\n1", "TensorFlow 2.30.0, Keras 3.15.1\n1"),
        ("1.5e-03", "1.6e-03"),
    ],
)
def test_the_same_but_for_last_digits(stored, new):
    assert not lessons.differences(one_cell(stored), one_cell(new))


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("loss 3.12", "loss 3.15"),
        ("loss 3.12", "los 3.12"),
        ("7 tokens", "8 tokens"),
        ("[0.1 0.2]", "[0.1 0.2 0.3]"),
        ("yellow", "yellow most"),
        ("", "warned"),
    ],
)
def test_another_output(stored, new):
    assert lessons.differences(one_cell(stored), one_cell(new))


def test_a_cell_may_say_how_far_measured_numbers_may_be_off():
    stored = one_cell("exact match 0.95")
    stored.cells[0].metadata["tolerance"] = 0.1
    assert not lessons.differences(stored, one_cell("exact match 0.88"))
    assert lessons.differences(stored, one_cell("exact match 0.80"))


def test_solutions_are_run_where_they_stand():
    cell = nbformat.v4.new_markdown_cell("1. What is 1 + 1?\n\n<details>\n\n```python\nprint(1 + 1)\n```\n\n</details>")
    assert [solution.source for solution in lessons.solutions_of(cell)] == ["print(1 + 1)\n"]
    assert lessons.solutions_of(nbformat.v4.new_markdown_cell("```python\nprint(2)\n```")) == []
