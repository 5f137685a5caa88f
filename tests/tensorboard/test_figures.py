"""The table's Markdown word by word, and pictures whose pixels say what they show."""

import html

import numpy as np
import pytest
from tensorboard import plugin_util

from keras_seq2seq.tensorboard import figures, tables

ODD = ["$x$", "$", "漢", "\n", "\x00", "😀", "_^{", "\\frac"]


def rendered(markdown):
    return html.unescape(plugin_util.markdown_to_safe_html(markdown))


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("a b c", "a b c", "a b c"),
        ("a x c", "a b c", "a **x** c"),
        # One token too many, or too few, does not make the rest wrong.
        ("x a b", "a b", "**x** a b"),
        ("a c", "a b c", "a **∅** c"),
        ("", "a", "**∅**"),
        # What was not named is not right.
        ("a <unk> c", "a <unk> c", "a **&#60;unk&#62;** c"),
    ],
)
def test_wrong_tokens_of_an_answer_are_marked(answer, reference, expected):
    assert tables.mark_wrong(answer.split(), reference.split(), " ", aligned=False) == expected


def test_teacher_forced_tokens_are_compared_place_by_place():
    assert tables.mark_wrong("b c d".split(), "a b c".split(), " ", aligned=True) == "**b** **c** **d**"
    assert tables.mark_wrong("a x c".split(), "a b c".split(), " ", aligned=True) == "a **x** c"
    unknown = "a <unk>".split()
    assert tables.mark_wrong(unknown, unknown, " ", aligned=True) == "a **&#60;unk&#62;**"


@pytest.mark.parametrize(
    "text", ["a | b", "<b>bold</b>", "*a* _b_ `c`", "[a](b)", "# 1. - +", "a~~b~~", "&amp;", "\\|"]
)
def test_markdown_shows_a_text_as_it_stands(text):
    assert rendered(tables.escape(text)) == f"<p>{text}</p>"
    assert f"<td>{text}</td>" in rendered(tables.table(["one", "two"], [[tables.escape(text), "b"]]))


def test_marks_survive_next_to_markdown_signs():
    marked = tables.mark_wrong("b*n_n", "b*n**", "", aligned=True)
    assert rendered(marked) == "<p>b*n<strong>_</strong><strong>n</strong></p>"


def test_what_cannot_be_seen_is_made_visible():
    assert tables.visible("a b") == "a b"
    assert tables.visible("  ") == "␣␣"
    assert tables.visible("a\tb\n\x00") == "a\\tb\\n\\x00"


def test_padding_is_grey_and_hatched():
    pytest.importorskip("matplotlib")
    values = np.full((1, 4), 0.5)
    whole = figures.positions(values, np.array([[1, 1, 1, 1]]), [[""] * 4], [""], "", 1.0)
    half = figures.positions(values, np.array([[1, 1, 0, 0]]), [[""] * 2], [""], "", 1.0)
    changed = (whole != half).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert columns.min() > np.flatnonzero(_coloured(half).any(axis=0)).min()  # the left half has kept its colour
    inside = np.s_[rows[0] + 1 : rows[-1], columns[0] + 1 : columns[-1]]  # the black frame lies over the outermost
    assert changed[inside].all() and _coloured(whole)[inside].all() and not _coloured(half)[inside].any()
    assert len(np.unique(half[inside].reshape(-1, 4), axis=0)) > 1  # hatched, not merely grey


def _coloured(pixels):
    return np.ptp(pixels[..., :3].astype(int), axis=-1) > 8


def test_a_higher_value_is_darker():
    pytest.importorskip("matplotlib")
    pictures = [
        figures.positions(np.array([[value]]), np.ones((1, 1)), [[""]], [""], "", 1.0) for value in (0.0, 0.5, 1.0)
    ]
    places = (pictures[0] != pictures[2]).any(axis=2)
    shades = [picture[places][:, :3].mean() for picture in pictures]
    assert shades[0] > shades[1] > shades[2]


def test_attention_is_bright_where_the_target_looked():
    pytest.importorskip("matplotlib")
    left, right = (figures.attention(np.array([weights]), "ab", "c", "") for weights in ([1.0, 0.0], [0.0, 1.0]))
    columns = np.flatnonzero((left != right).any(axis=(0, 2)))
    first, second = np.array_split(np.arange(columns.min(), columns.max() + 1), 2)
    rows = np.flatnonzero((left != right).any(axis=(1, 2)))
    assert left[rows][:, first].mean() > left[rows][:, second].mean()
    assert right[rows][:, first].mean() < right[rows][:, second].mean()


def test_hidden_states_stand_side_by_side():
    pytest.importorskip("matplotlib")
    tokens = list("abc")
    still, moved = (
        figures.hidden_states([("encoder", np.zeros((3, 4)), tokens), ("decoder", states, tokens)], "a sentence")
        for states in (np.zeros((3, 4)), np.ones((3, 4)))
    )
    columns = np.flatnonzero((still != moved).any(axis=(0, 2)))
    assert columns.min() > 0.4 * still.shape[1]  # the decoder's half alone


def test_any_token_can_be_drawn(recwarn):
    pytest.importorskip("matplotlib")
    pictures = [
        figures.attention(np.eye(8), ODD, ODD, "$\\undefined$ 漢"),
        figures.positions(np.ones((1, 8)), np.ones((1, 8)), [ODD], ["$_$"], "title", 1.0),
        figures.hidden_states([("encoder", np.zeros((8, 3)), ODD)], "".join(ODD)),
    ]
    assert all(picture.std() > 0 for picture in pictures)
    assert not [warning for warning in recwarn if "lyph" in str(warning.message)]


def test_a_long_text_makes_no_endless_picture():
    pytest.importorskip("matplotlib")
    tokens = ["token"] * 500
    for picture in (
        figures.positions(np.ones((1, 500)), np.ones((1, 500)), [tokens], ["long " * 500], "title", 1.0),
        figures.attention(np.ones((500, 500)) / 500, tokens, tokens, "long " * 500),
        figures.hidden_states([("encoder", np.zeros((500, 300)), tokens)], "long " * 500),
    ):
        assert picture.shape[0] <= 1000 and picture.shape[1] <= 1600
