"""Text <-> ids: tokens cut by hand, the order of the ids, and text that comes back as it went in."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_seq2seq import Vocabulary
from keras_seq2seq.data.vocabulary import NOTEBOOK_TOKENS, SPECIAL, tokenize


def cut(text, unit):
    return [token.decode() for token in tokenize(tf.constant([text]), unit).numpy().tolist()[0]]


def vocabulary_of(words, unit="space"):
    """Returns a vocabulary whose words begin at id 5."""
    return Vocabulary([*SPECIAL, *words], unit)


def encoded(vocabulary, *texts):
    return vocabulary.encode(tf.constant(texts, tf.string)).to_list()


def decoded(vocabulary, *rows):
    return [text.decode() for text in vocabulary.decode(tf.constant(rows, tf.int32)).numpy()]


# Cutting


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What's UP, doc?", ["whats", "up", "doc"]),
        ("Schöne GRÜSSE", ["schöne", "grüsse"]),  # lower case beyond ASCII
        ("3.14 $5 a+b=c", ["314", "5", "abc"]),
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
        ("Hi, You", ["H", "i", ",", " ", "Y", "o", "u"]),  # nothing is changed or dropped
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


# Building


def test_the_order_of_the_ids():
    # c three times, b and d twice, a once; b before d, since ties go by the alphabet.
    vocabulary = Vocabulary.build(["d c b", "c d c", "a b"], "space")
    assert vocabulary.tokens == ["<pad>", "<unk>", "<q>", "<a>", "<end>", "c", "b", "d", "a"]
    assert len(vocabulary) == 9


def test_special_tokens_have_the_first_ids():
    vocabulary = Vocabulary.build(["x"], "space")
    assert [vocabulary.id_of(token) for token in ("<pad>", "<unk>", "<q>", "<a>", "<end>")] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({}, ["c", "b", "d", "a"]),
        ({"min_count": 2}, ["c", "b", "d"]),
        ({"min_count": 4}, []),
        ({"max_size": 2}, ["c", "b"]),  # the special ones are not counted
        ({"max_size": 100}, ["c", "b", "d", "a"]),
        ({"min_count": 3, "max_size": 2}, ["c"]),
    ],
)
def test_rare_tokens_are_left_to_unk(limits, kept):
    assert Vocabulary.build(["d c b", "c d c", "a b"], "space", **limits).tokens[5:] == kept


def test_special_tokens_in_the_text_are_not_collected_twice():
    assert Vocabulary.build(["<pad> <end> x <unk> <q> <a>"], "space").tokens == [*SPECIAL, "x"]


def test_it_is_built_from_any_iterable():
    assert Vocabulary.build((text for text in ("b", "a b")), "space").tokens[5:] == ["b", "a"]


@pytest.mark.parametrize("unit", ["char", "space"])
def test_a_nul_at_a_tokens_end_belongs_to_it(unit):
    # NumPy's strings end before their last NULs, which would make one token of two.
    vocabulary = Vocabulary.build(["a\0 a \0"], unit)
    assert decoded(vocabulary, *encoded(vocabulary, "a\0 a \0")) == ["a\0 a \0"]
    assert vocabulary.tokens[5:] == (["\0", " ", "a"] if unit == "char" else ["\0", "a", "a\0"])


# Ids


def test_encoding_by_hand():
    vocabulary = vocabulary_of(["b", "c", "Hi"])
    assert encoded(vocabulary, "c b", "", "Hi b zz hi") == [[6, 5], [], [7, 5, 1, 1]]
    assert vocabulary.encode(tf.constant(["c b"])).dtype == tf.int32


def test_an_empty_batch_can_be_encoded_and_decoded():
    vocabulary = vocabulary_of(["b"])
    assert encoded(vocabulary) == []
    assert vocabulary.decode(tf.zeros([0, 3], tf.int32)).numpy().tolist() == []


@pytest.mark.parametrize("token", SPECIAL)
def test_a_special_token_in_a_text_is_unknown_text(token):
    # Whoever asks about "<end>" must not be able to end the question, or to hide text as padding.
    assert encoded(vocabulary_of(["b"]), f"b {token} b") == [[5, 1, 5]]


def test_keras_own_name_for_unknown_is_an_ordinary_token():
    assert encoded(vocabulary_of(["[UNK]", "b"]), "b [UNK] zz") == [[6, 5, 1]]


def test_the_notebooks_vocabulary_has_the_notebooks_ids():
    vocabulary = Vocabulary(NOTEBOOK_TOKENS, "word")
    assert len(vocabulary) == 19
    assert encoded(vocabulary, "What is the color of banana?") == [[1, 2, 3, 4, 5, 6]]
    assert (vocabulary.id_of("<q>"), vocabulary.id_of("<a>")) == (17, 18)
    assert vocabulary.id_of("<unk>") is None and vocabulary.id_of("<end>") is None
    # Nothing ends an answer there; only the special tokens are left out.
    assert decoded(vocabulary, [18, 7, 8, 0, 5]) == ["yellow most of"]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ([5, 6, 7], "b c d"),
        ([5, 4, 6, 7], "b"),  # it stops at the first <end>
        ([4, 5], ""),
        ([3, 5, 2, 6, 0, 0], "b c"),  # <a>, <q> and <pad> are left out
        ([5, 1, 6], "b <unk> c"),  # <unk> stays
        ([0, 0], ""),
    ],
)
def test_decoding_by_hand(row, text):
    assert decoded(vocabulary_of(["b", "c", "d"]), row) == [text]
    # Characters are put together without a blank.
    assert decoded(vocabulary_of(["b", "c", "d"], "char"), row) == [text.replace(" ", "")]


def test_rows_are_decoded_each_for_itself():
    vocabulary = vocabulary_of(["b", "c"])
    assert decoded(vocabulary, [5, 6, 4], [4, 6, 5], [6, 0, 0]) == ["b c", "", "c"]
    assert vocabulary.decode(tf.zeros([2, 0], tf.int32)).numpy().tolist() == [b"", b""]


# Text that comes back

# Any text without surrogates, which UTF-8 cannot hold; NUL, emoji and unassigned characters included.
CHARACTERS = st.characters(exclude_categories=["Cs"])
WORDS = st.text(CHARACTERS.filter(lambda character: character not in " \t\n\r\f\v"), min_size=1)


@given(st.text(CHARACTERS, min_size=1))
def test_characters_come_back(text):
    vocabulary = Vocabulary.build([text], "char")
    ids = encoded(vocabulary, text)
    assert len(ids[0]) == len(text) and min(ids[0]) >= len(SPECIAL)
    assert decoded(vocabulary, *ids) == [text]


@given(st.lists(WORDS.filter(lambda word: word not in SPECIAL), min_size=1))
def test_space_separated_tokens_come_back(words):
    vocabulary = Vocabulary.build([" ".join(words)], "space")
    ids = encoded(vocabulary, "  ".join(words))
    assert len(ids[0]) == len(words) and min(ids[0]) >= len(SPECIAL)
    assert decoded(vocabulary, *ids) == [" ".join(words)]


@given(st.text(CHARACTERS))
def test_cutting_words_a_second_time_changes_nothing(text):
    tokens = cut(text, "word")
    assert cut(" ".join(tokens), "word") == tokens


def test_a_vocabulary_comes_back_from_its_configuration():
    vocabulary = vocabulary_of(["b", "\0", "🙂"], "char")
    copy = Vocabulary.from_config(vocabulary.get_config())
    assert (copy.tokens, copy.unit) == (vocabulary.tokens, "char")
    assert encoded(copy, "🙂\0b?") == [[7, 6, 5, 1]]


def test_it_can_be_made_while_a_graph_is_traced():
    # As in a model that is built under tf.function: the tables must outlive that graph.
    made = []

    @tf.function
    def trace():
        made.append(vocabulary_of(["b"]))
        return tf.constant(0)

    trace()
    assert encoded(made[0], "b") == [[5]]
    inside = tf.function(lambda texts: made[0].decode(made[0].encode(texts).to_tensor()))
    np.testing.assert_array_equal(inside(tf.constant(["b b"])).numpy(), [b"b b"])


# Bad vocabularies


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ([], "first token of a vocabulary must be <pad>"),
        (["a", "<pad>"], "first token of a vocabulary must be <pad>"),
        ([*SPECIAL, "a", "b", "a"], r"tokens of a vocabulary must differ; these do not: \['a'\]"),
        (["<pad>", "<unk>", "<pad>"], "tokens of a vocabulary must differ"),
        (["<pad>", "a", "<unk>", "b"], "<unk>"),  # every id would be right but that of an unknown token
    ],
)
def test_bad_vocabularies_are_refused(tokens, reason):
    with pytest.raises(ValueError, match=reason):
        Vocabulary(tokens, "space")


def test_an_unknown_unit_is_refused():
    with pytest.raises(ValueError, match="words"):
        Vocabulary([*SPECIAL, "a"], "words")
