"""Cutting texts into tokens: by hand, in any company, and once or twice with the same result."""

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from text_toys import HIDDEN

from keras_seq2seq.data.tokenization import clean, tokenize


def cut(text, unit):
    return [token.decode() for token in tokenize(tf.constant([text]), unit).numpy().tolist()[0]]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What's UP, doc?", ["whats", "up", "doc"]),  # an apostrophe belongs to its word
        ("him,but him.But him—but", ["him", "but"] * 3),  # other marks separate, with a blank behind them or without
        ("and/or well-known e-mail", ["and", "or", "well", "known", "e", "mail"]),
        ("535+61 1990-95 12:30", ["535", "61", "1990", "95", "12", "30"]),
        ("3.14 1,000.5 1.2.3.4", ["3.14", "1,000.5", "1.2.3.4"]),  # point and comma between digits belong to the number
        (".5 5. 1,a a,1 1.,2 x.5.6 v2.0.", ["5", "5", "1", "a", "a", "1", "1", "2", "x", "5.6", "v2.0"]),
        ("U.S. AT&T it_is me@home.org", ["u", "s", "at", "t", "it", "is", "me", "home", "org"]),
        ("«don’t» 'quoted' rock'n'roll", ["dont", "quoted", "rocknroll"]),
        ("צה״ל col·lecció Ի՞նչ", ["צהל", "collecció", "ինչ"]),  # marks inside words of Hebrew, Catalan, Armenian
        ("你好，世界", ["你好", "世界"]),
        ("Schöne GRÜSSE", ["schöne", "grüsse"]),  # lower case beyond ASCII
        ("3.14 $5 a+b=c", ["3.14", "5", "a", "b", "c"]),
        ("«Don’t» — ¿qué? 。", ["dont", "qué"]),  # punctuation beyond ASCII
        ("<pad> <END>", ["pad", "end"]),  # no special token survives
        ("e\u0301le\u0300ve", ["e\u0301le\u0300ve"]),  # combining accents stay on their letters
        ("hi 🙂 👨\u200d👩", ["hi", "🙂", "👨\u200d👩"]),  # emoji are no punctuation; a joined one stays whole
        ("שלום, עולם!", ["שלום", "עולם"]),  # right to left: the order of writing
        ("مرحبا، عالم؟", ["مرحبا", "عالم"]),  # with Arabic comma and question mark
        ("Ｆｕｌｌ　ｗｉｄｔｈ！", ["ｆｕｌｌ", "ｗｉｄｔｈ"]),  # the blank and the mark are full-width too
        ("a\0B\tc\nd\u00a0e\u2028f", ["a", "b", "c", "d", "e", "f"]),  # control characters and odd blanks separate
        ("你好 世界", ["你好", "世界"]),  # Chinese is not segmented
        ("", []),
        ("  ", []),
        ("?!", []),
    ],
)
def test_words_by_hand(text, tokens):
    assert cut(text, "word") == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hi, You", ["H", "i", ",", " ", "Y", "o", "u"]),  # nothing that can be seen is changed or dropped
        ("e\u0301", ["e", "\u0301"]),
        ("🙂👨\u200d👩", ["🙂", "👨", "\u200d", "👩"]),
        ("שב", ["ש", "ב"]),
        ("Ａ　", ["Ａ", "\u3000"]),
        ("a\0\t\n", ["a", "\0", "\t", "\n"]),
        ("<a>", ["<", "a", ">"]),
        ("", []),
    ],
)
def test_characters_by_hand(text, tokens):
    assert cut(text, "char") == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What's UP,  doc?", ["What's", "UP,", "doc?"]),
        (" AH0 B \t\r\n K\f\v", ["AH0", "B", "K"]),
        ("e\u0301 🙂 שלום Ｆ", ["e\u0301", "🙂", "שלום", "Ｆ"]),
        ("a\0b a\u00a0b a\u3000b", ["a\0b", "a\u00a0b", "a\u3000b"]),  # split at ASCII's blanks alone
        ("<end>", ["<end>"]),
        ("", []),
    ],
)
def test_space_separated_tokens_by_hand(text, tokens):
    assert cut(text, "space") == tokens


@pytest.mark.parametrize(("unit", "tokens"), [("char", ["a", "\ufffd", "b"]), ("space", ["a\ufffdb"])])
def test_invalid_bytes_become_the_replacement_character(unit, tokens):
    assert cut(b"a\xffb", unit) == tokens


@pytest.mark.parametrize("unit", ["word", "char", "space"])
def test_a_text_is_cut_the_same_in_any_company_and_inside_a_graph(unit):
    texts = ["", "Hi 🙂!", "a\0b c"]
    together = tf.function(lambda rows: tokenize(rows, unit))(tf.constant(texts)).numpy().tolist()
    assert [[token.decode() for token in row] for row in together] == [cut(text, unit) for text in texts]


# Marks that cannot be seen


@pytest.mark.parametrize("mark", HIDDEN)
@pytest.mark.parametrize("unit", ["word", "char", "space"])
def test_an_invisible_mark_makes_no_other_token(mark, unit):
    assert cut(f"{mark}ba{mark}na {mark} b{mark}", unit) == cut("bana  b", unit)


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
@pytest.mark.parametrize("unit", ["word", "char", "space"])
def test_joiners_stay(joiner, unit):
    # In Persian and in Indian scripts they change the word, and they make one emoji of several.
    assert "".join(cut(f"a{joiner}b", unit)) == f"a{joiner}b"


def test_marks_are_dropped_before_normalizing():
    assert clean(tf.constant(["e\u200b\u0301"]), "NFC").numpy().tolist() == ["\u00e9".encode()]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_cutting_words_a_second_time_changes_nothing(text):
    tokens = cut(text, "word")
    assert cut(" ".join(tokens), "word") == tokens
