"""Text <-> ids: the order of the ids, and text that comes back as it went in."""

import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from text_toys import HIDDEN

from keras_seq2seq import InputError, Vocabulary
from keras_seq2seq.data.vocabulary import NOTEBOOK_TOKENS, SPECIAL


def vocabulary_of(words, unit="space"):
    """Returns a vocabulary whose words begin at id 5."""
    return Vocabulary([*SPECIAL, *words], unit)


def encoded(vocabulary, *texts):
    return vocabulary.encode(tf.constant(texts, tf.string)).to_list()


def decoded(vocabulary, *rows):
    return [text.decode() for text in vocabulary.decode(tf.constant(rows, tf.int32)).numpy()]


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


def test_one_text_is_not_read_letter_by_letter():
    for read in (lambda text: Vocabulary.build(text, "word"), vocabulary_of(["b"]).encode):
        with pytest.raises(TypeError, match="this takes a list of texts; put the one text into a list"):
            read("b c")


def test_it_shows_its_size_and_kind():
    assert repr(vocabulary_of(["b", "c"])) == "<Vocabulary of 7 tokens, space>"


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


def test_lists_of_ids_are_decoded_too():
    assert vocabulary_of(["b", "c"]).decode([[5, 6], [6, 0]]).numpy().tolist() == [b"b c", b"c"]


def test_rows_are_decoded_each_for_itself():
    vocabulary = vocabulary_of(["b", "c"])
    assert decoded(vocabulary, [5, 6, 4], [4, 6, 5], [6, 0, 0]) == ["b c", "", "c"]
    assert vocabulary.decode(tf.zeros([2, 0], tf.int32)).numpy().tolist() == [b"", b""]


# Text that comes back

# Any text without surrogates, which UTF-8 cannot hold, or invisible marks; NUL, emoji and unassigned ones included.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters=HIDDEN)
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


def test_a_vocabulary_comes_back_from_its_configuration():
    vocabulary = vocabulary_of(["b", "\0", "🙂"], "char")
    copy = Vocabulary.from_config(vocabulary.get_config())
    assert (copy.tokens, copy.unit) == (vocabulary.tokens, "char")
    assert encoded(copy, "🙂\0b?") == [[7, 6, 5, 1]]


def test_a_description_from_before_normalization_is_read_and_written_as_before():
    before = {"tokens": [*SPECIAL, "b"], "unit": "space"}
    vocabulary = Vocabulary.from_config(before)
    assert vocabulary.normalize == "none"
    assert vocabulary.get_config() == before


@pytest.mark.parametrize("unit", ["word", "char", "space", "subword"])
@pytest.mark.parametrize("normalize", ["NFC", "NFD", "NFKC"])
def test_one_text_in_two_spellings_has_the_same_ids(unit, normalize):
    whole, apart = "\u00e9 \ud55c", "e\u0301 \u1112\u1161\u11ab"  # é and a Hangul syllable, in one piece and in parts
    vocabulary = Vocabulary.build([apart], unit, normalize=normalize)
    copy = Vocabulary.from_config(vocabulary.get_config())
    rows = encoded(copy, whole, apart)
    assert rows[0] == rows[1] and min(rows[0]) >= len(SPECIAL)
    assert decoded(copy, rows[0]) == [whole]  # jamo are put together again


def test_parts_of_letters_are_tokens_after_nfd():
    vocabulary = Vocabulary.build(["\u00e9"], "char", normalize="NFD")
    assert vocabulary.tokens[5:] == ["e", "\u0301"]
    assert vocabulary.get_config()["normalize"] == "NFD"


def test_compatible_spellings_are_one_after_nfkc():
    vocabulary = Vocabulary.build(["\uff21 \ufb01"], "space", normalize="NFKC")  # full-width A, ligature fi
    assert vocabulary.tokens[5:] == ["A", "fi"]


def test_without_normalization_spellings_differ():
    vocabulary = Vocabulary.build(["\u00e9"], "space")
    assert encoded(vocabulary, "\u00e9", "e\u0301") == [[5], [1]]


def test_an_unknown_normalization_is_refused():
    with pytest.raises(InputError, match="the normalization is 'nfc'; choose one of: none, NFC, NFD, NFKC"):
        Vocabulary([*SPECIAL, "a"], "space", "nfc")


def test_normalizing_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(InputError, match=r"need the packages tensorflow-text, .*pip install '\.\[subwords\]'"):
        Vocabulary.build(["a"], "word", normalize="NFC")
    with pytest.raises(InputError, match="need the packages tensorflow-text"):
        Vocabulary.from_config({"tokens": [*SPECIAL, "a"], "unit": "word", "normalize": "NFC"})


@pytest.mark.parametrize(("unit", "tokens"), [("word", ["ab", "c"]), ("char", list("Ab, C")), ("space", ["Ab,", "C"])])
def test_texts_are_cut_whether_their_tokens_are_known_or_not(unit, tokens):
    assert vocabulary_of(["b"], unit).tokens_of(["Ab, C", ""]) == [tokens, []]


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
