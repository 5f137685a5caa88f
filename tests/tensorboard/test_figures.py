"""The table's Markdown word by word, and pictures whose pixels say what they show."""

import html
import re

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
    assert tables.mark_wrong(answer.split(), reference.split(), "word", aligned=False) == expected


def test_teacher_forced_tokens_are_compared_place_by_place():
    assert tables.mark_wrong("b c d".split(), "a b c".split(), "word", aligned=True) == "**b** **c** **d**"
    assert tables.mark_wrong("a x c".split(), "a b c".split(), "word", aligned=True) == "a **x** c"
    unknown = "a <unk>".split()
    assert tables.mark_wrong(unknown, unknown, "word", aligned=True) == "a **&#60;unk&#62;**"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # The reference is `the newest of`: its blanks come from the pieces, and bold is what is wrong of a word.
        ("▁the ▁new est ▁of <end>", "the newest of <end>"),
        ("▁the ▁new er ▁of <end>", "the new**er** of <end>"),
        ("▁the ▁low est ▁of <end>", "the **low**est of <end>"),
        ("▁the ▁low er ▁of <end>", "the **lower** of <end>"),
        ("▁the new est ▁of <end>", "the**new**est of <end>"),
        ("▁the ▁new est s ▁of <end>", "the newest**s** of <end>"),
        # What is missing, and what is not named, may be a part of a word.
        ("▁the ▁of <end>", "the **∅** of <end>"),
        ("▁the ▁new ▁of <end>", "the new**∅** of <end>"),
        ("▁the est ▁of <end>", "the **∅**est of <end>"),
        ("▁the ▁new est ▁of", "the newest of**∅**"),
        ("▁the ▁new <unk> ▁of <end>", "the new**<unk>** of <end>"),
        # A blank of its own is a blank, too, and seen where it is wrong.
        ("▁the ▁new est ▁ ▁of <end>", "the newest **␣** of <end>"),
    ],
)
def test_subwords_are_read_as_text(answer, expected):
    reference = "▁the ▁new est ▁of <end>".split()
    marked = tables.mark_wrong(answer.split(), reference, "subword", aligned=False)
    assert html.unescape(marked) == expected
    assert re.sub("</?strong>", "**", rendered(marked)) == f"<p>{expected}</p>"


def test_signs_in_subwords_stay_signs():
    marked = tables.mark_wrong(["▁*", "*", "|", "▁<b>"], ["▁*", "_", "|", "▁<i>"], "subword", aligned=True)
    assert rendered(marked) == "<p>*<strong>*</strong>| <strong><b></strong></p>"
    assert rendered(tables.table(["one"], [[marked]])).count("<td>") == 1


def test_a_right_blank_of_its_own_is_read_as_a_blank():
    pieces = "▁on ▁an ▁ ic ed".split()
    assert tables.mark_wrong(pieces, pieces, "subword", aligned=True) == "on an iced"


def test_after_an_early_end_teacher_forced_subwords_go_on_apart():
    marked = tables.mark_wrong(["▁a", "<end>", "ing", "<end>"], ["▁a", "▁go", "ing", "<end>"], "subword", aligned=True)
    assert html.unescape(marked) == "a **<end>** ing <end>"


def test_tokens_one_by_one_show_their_blanks():
    assert tables.names(["▁new", "est", "▁", "a\tb", "c\n"], "subword") == ["␣new", "est", "␣", "a\\tb", "c\\n"]
    assert tables.names(["▁new", " "], "char") == ["▁new", "␣"]


@pytest.mark.parametrize(
    "text", ["a | b", "<b>bold</b>", "*a* _b_ `c`", "[a](b)", "# 1. - +", "a~~b~~", "&amp;", "\\|"]
)
def test_markdown_shows_a_text_as_it_stands(text):
    assert rendered(tables.escape(text)) == f"<p>{text}</p>"
    assert f"<td>{text}</td>" in rendered(tables.table(["one", "two"], [[tables.escape(text), "b"]]))


def test_marks_survive_next_to_markdown_signs():
    marked = tables.mark_wrong("b*n_n", "b*n**", "char", aligned=True)
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
    left, right = (figures.attention(np.array([weights]), "ab", "c", [""]) for weights in ([1.0, 0.0], [0.0, 1.0]))
    columns = np.flatnonzero((left != right).any(axis=(0, 2)))
    first, second = np.array_split(np.arange(columns.min(), columns.max() + 1), 2)
    rows = np.flatnonzero((left != right).any(axis=(1, 2)))
    assert left[rows][:, first].mean() > left[rows][:, second].mean()
    assert right[rows][:, first].mean() < right[rows][:, second].mean()


def test_hidden_states_stand_side_by_side():
    pytest.importorskip("matplotlib")
    tokens = list("abc")
    still, moved = (
        figures.hidden_states([("encoder", np.zeros((3, 4)), tokens), ("decoder", states, tokens)], ["a sentence"])
        for states in (np.zeros((3, 4)), np.ones((3, 4)))
    )
    columns = np.flatnonzero((still != moved).any(axis=(0, 2)))
    assert columns.min() > 0.4 * still.shape[1]  # the decoder's half alone


def test_any_token_can_be_drawn_without_a_word(recwarn, capfd):
    pytest.importorskip("matplotlib")
    pictures = [
        figures.attention(np.eye(8), ODD, ODD, ["$\\undefined$", "漢"]),
        figures.positions(np.ones((1, 8)), np.ones((1, 8)), [ODD], ["$_$"], "title", 1.0),
        figures.hidden_states([("encoder", np.zeros((8, 3)), ODD)], ["".join(ODD)]),
    ]
    assert all(picture.std() > 0 for picture in pictures)
    assert not [warning for warning in recwarn if "lyph" in str(warning.message)]
    assert capfd.readouterr() == ("", "")


def test_the_font_has_umlauts_and_the_marks():
    pytest.importorskip("matplotlib")
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    assert all(font.get_char_index(ord(letter)) for letter in "äöüßÄÖÜẞ␣…")


@pytest.fixture
def drawn(monkeypatch):
    """Lets the functions return matplotlib's figures, drawn, in place of their pixels."""
    pytest.importorskip("matplotlib")
    pixels = figures._pixels
    monkeypatch.setattr(figures, "_pixels", lambda figure: (pixels(figure), figure)[1])


SENTENCE = [*"␣In ␣den ␣Straßen w ar t en ␣Schülerinnen".split() * 5, "<end>"]  # 41 tokens


def said(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def assert_apart(texts, width, height):
    """Texts do not touch one another and lie within a picture of so many pixels."""
    boxes = [text.get_window_extent() for text in texts]
    assert not any(one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number])
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


def test_attention_grows_with_the_tokens_and_names_each_of_them(drawn):
    figure = figures.attention(np.eye(41), SENTENCE, SENTENCE, ["lang " * 100, "long " * 100])
    width, height = figure.get_size_inches()
    assert (width, height) == (2.5 + 41 * 0.25, 2.0 + 41 * 0.25)
    few = figures.attention(np.eye(10), SENTENCE[:10], SENTENCE[:10], [""])
    np.testing.assert_allclose(few.get_size_inches(), (2.5 + 10 * 0.4, 2.0 + 10 * 0.4))
    axes = figure.axes[0]
    assert said(axes.xaxis) == said(axes.yaxis) == [*"␣In ␣den ␣Straßen w ar t en ␣Schülerinn…".split() * 5, "<end>"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("source", "target")
    labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label]
    assert_apart([*labels, figure._suptitle], width * 80, height * 80)
    # Each sentence has a line of its own, cut to the width of the picture: ten letters an inch, 25 words and one letter.
    assert figure._suptitle.get_text().split("\n") == ["lang " * 25 + "l…", "long " * 25 + "l…"]


def test_what_goes_beyond_the_bound_is_cut_and_an_axis_says_so(drawn):
    tokens = [str(number) for number in range(73)]
    figure = figures.attention(np.eye(73), tokens, tokens[:50], [""])
    axes = figure.axes[0]
    assert said(axes.xaxis) == said(axes.yaxis) == tokens[:50]
    assert axes.images[0].get_array().shape == (50, 50)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("source: the first 50 of 73 tokens", "target")
    figure = figures.hidden_states([("encoder", np.zeros((73, 4)), tokens)], [""])
    assert figure.axes[0].images[0].get_array().shape == (4, 50)
    assert figure.axes[0].get_xlabel() == "encoder: the first 50 of 73 tokens"
    figure = figures.positions(np.zeros((1, 73)), np.ones((1, 73)), [tokens], [""], "", 1.0)
    assert [text.get_text() for text in figure.axes[0].texts] == tokens[:50]
    assert figure.axes[0].get_xlabel() == "position: the first 50 of 73 tokens"


def test_tokens_in_their_cells_do_not_touch(drawn):
    rows = [SENTENCE, ["a", "<end>"]]
    figure = figures.positions(np.zeros((2, 41)), np.ones((2, 41)), rows, ["Straße " * 20, "漢" * 40], "title", 1.0)
    axes = figure.axes[0]
    assert {text.get_rotation() for text in axes.texts} == {90}
    assert_apart([*axes.texts, *axes.get_yticklabels()], *figure.get_size_inches() * 80)
    # A Chinese letter counts as two: 31 places and the mark.
    assert said(axes.yaxis) == ["Straße Straße Straße Straße Str…", "漢" * 15 + "…"]
    # Letters and phones lie as they are read.
    figure = figures.positions(np.zeros((1, 4)), np.ones((1, 4)), [["a", "tʃ", "iː", "<end>"]], [""], "", 1.0)
    assert {text.get_rotation() for text in figure.axes[0].texts} == {0}
    assert_apart(figure.axes[0].texts, *figure.get_size_inches() * 80)


def test_hidden_states_of_two_long_sentences_do_not_touch(drawn):
    parts = [("encoder", np.zeros((41, 128)), SENTENCE), ("decoder", np.zeros((9, 64)), SENTENCE[:9])]
    figure = figures.hidden_states(parts, ["", ""])
    labels = [label for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    assert_apart([label for label in labels if label.get_text()], *figure.get_size_inches() * 80)


def test_a_long_text_makes_no_endless_picture():
    pytest.importorskip("matplotlib")
    tokens = ["token"] * 500
    for picture in (
        figures.positions(np.ones((1, 500)), np.ones((1, 500)), [tokens], ["long " * 500], "title", 1.0),
        figures.attention(np.ones((500, 500)) / 500, tokens, tokens, ["long " * 500]),
        figures.hidden_states([("encoder", np.zeros((500, 300)), tokens)] * 2, ["long " * 500]),
    ):
        assert picture.shape[0] <= 1200 and picture.shape[1] <= 2200
