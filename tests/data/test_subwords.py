"""Subwords: pieces learnt and cut by hand, text that comes back as it went in, and what is refused."""

import gc
import sys

import pytest
import sentencepiece
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from text_toys import HIDDEN

from keras_seq2seq import InputError, Vocabulary, keras
from keras_seq2seq.data.subwords import learn_pieces, model_of
from keras_seq2seq.data.vocabulary import SPECIAL

HUGS = ["hug hug hug pug pun hugs"]


def built(texts, size=8000, **options):
    return Vocabulary.build(texts, "subword", subwords=size, **options)


def encoded(vocabulary, *texts):
    return vocabulary.encode(tf.constant(texts, tf.string)).to_list()


def decoded(vocabulary, *rows):
    return [text.decode() for text in vocabulary.decode(tf.constant(rows, tf.int32)).numpy()]


# Learning


def test_the_most_frequent_pair_is_merged_first():
    # Neighbours: u and g five times, then h behind a blank (▁) and h before ug four times; the shorter of the two comes
    # first, and then the word. The characters follow by how often there are: u 6, ▁ 6, g 5, h 4, p 2, n 1, s 1.
    assert learn_pieces(HUGS, 10) == ["ug", "▁h", "▁hug", "u", "▁", "g", "h", "p", "n", "s"]


def test_fewer_pieces_are_learnt_where_there_is_nothing_left_to_merge():
    assert learn_pieces(["ab"], 8000) == ["ab", "▁ab", "▁a", "a", "b", "▁"]


def test_the_same_texts_give_the_same_pieces():
    texts = [f"{number} times {number * 7}" for number in range(300)]
    assert learn_pieces(texts, 100) == learn_pieces(iter(texts), 100)


def test_pieces_stand_behind_the_special_tokens():
    vocabulary = built(HUGS, 10)
    assert vocabulary.tokens == [*SPECIAL, "ug", "▁h", "▁hug", "u", "▁", "g", "h", "p", "n", "s"]


def test_every_piece_is_kept_however_rare():
    # One that is always merged in training may be needed for another word.
    assert len(built(HUGS, 10, min_count=5, max_size=2)) == 15


def test_a_character_in_a_million_is_learnt_and_a_long_text_too():
    vocabulary = built(["ab " * 40_000 + "ж"], 10)
    assert "ж" in vocabulary.tokens
    assert vocabulary.tokens_of(["ж"]) == [["▁ж"]]


def test_a_text_with_a_mark_of_sentencepieces_own_is_learnt_all_the_same():
    vocabulary = built(["a\tb", "c\u2585d", "e\0f"])
    assert set("abcdef") < set(vocabulary.tokens)
    assert not set("\t\u2585\0") & set(vocabulary.tokens)


def test_nothing_is_printed(capfd):
    vocabulary = built(HUGS, 10)
    vocabulary.encode(tf.constant(["hug"]))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("texts", [[], [""]])
def test_no_text_is_refused(texts):
    with pytest.raises(InputError, match="no subwords can be learnt: there is no text"):
        built(texts)


def test_fewer_pieces_than_characters_are_refused():
    with pytest.raises(InputError, match="--subwords is 3, but the texts have 4 different characters; give 4 or more"):
        built(["abc"], 3)
    assert len(built(["abc"], 4)) == 9


def test_a_size_that_sentencepiece_cannot_read_is_one_line():
    with pytest.raises(InputError, match=r"no subwords can be learnt .*2147483648"):
        built(["abc"], 2**31 - 1)


# Cutting and putting together


def test_cutting_by_hand():
    vocabulary = built(HUGS, 10)
    assert vocabulary.tokens_of(["hugs pun bug", "", "Hug "]) == [
        ["▁hug", "s", "▁", "p", "u", "n", "▁", "b", "ug"],
        [],
        ["▁", "H", "ug", "▁"],  # capitals are letters of their own
    ]
    assert encoded(vocabulary, "hugs bug") == [[7, 14, 9, 1, 5]]  # b is unknown


def test_characters_that_are_unknown_together_are_one_token():
    vocabulary = built(HUGS, 10)
    assert decoded(vocabulary, *encoded(vocabulary, "hug xyz")) == ["hug <unk>"]


def test_pieces_given_by_hand_are_merged_in_their_order():
    first, second = (Vocabulary([*SPECIAL, *pieces, *"▁abc"], "subword") for pieces in (["ab", "bc"], ["bc", "ab"]))
    assert first.tokens_of(["abc"]) == [["▁", "ab", "c"]]
    assert second.tokens_of(["abc"]) == [["▁", "a", "bc"]]


@pytest.mark.parametrize(
    "text",
    [
        "Hug, don't pun!",
        "  two  blanks  ",
        " ",
        "hug\nhug e\u0301 \u00e9",
        "👨\u200d👩 שלום 你好，世界。",
        "<pad> <unk><end>",
    ],
)
def test_texts_of_known_characters_come_back(text):
    vocabulary = built([text, *HUGS])
    [ids] = encoded(vocabulary, text)
    assert min(ids) >= len(SPECIAL)
    assert decoded(vocabulary, ids) == [text]


# But for invisible marks, and those that SentencePiece uses itself.
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=f"{HIDDEN}\t\0\u2581\u2585"), min_size=1))
def test_any_text_comes_back(text):
    vocabulary = built([text])
    assert decoded(vocabulary, *encoded(vocabulary, text)) == [text]


def test_sentencepieces_own_blank_is_read_as_one():
    vocabulary = built(["a\u2581b"])
    assert decoded(vocabulary, *encoded(vocabulary, "a\u2581b")) == ["a b"]


@pytest.mark.parametrize("token", SPECIAL)
def test_a_text_like_a_special_token_never_has_its_id(token):
    # Learnt or not: `<end>` in the middle of words is frequent enough to become one piece.
    for vocabulary in (built([f"x{token}y " * 50]), built(HUGS, 10)):
        for text in (token, f"x{token}", f"x{token}y", f"hug{token}hug"):
            assert not {0, 2, 3, 4} & set(encoded(vocabulary, text)[0])


def test_invisible_marks_change_nothing():
    vocabulary = built([f"hu{HIDDEN}gs hug pun"])
    assert vocabulary.tokens == built(["hugs hug pun"]).tokens
    assert encoded(vocabulary, f"h{HIDDEN}ug") == encoded(vocabulary, "hug")


def test_a_graph_cuts_as_python_does():
    vocabulary = built(HUGS, 10)
    there_and_back = tf.function(lambda texts: vocabulary.decode(vocabulary.encode(texts).to_tensor()))
    assert there_and_back(tf.constant(["hugs", "", "a pun"])).numpy().tolist() == [b"hugs", b"", b"<unk> pun"]


# Saved descriptions


def test_a_vocabulary_comes_back_from_its_configuration():
    vocabulary = built(HUGS, 10)
    config = vocabulary.get_config()
    assert config == {"tokens": vocabulary.tokens, "unit": "subword"}  # the pieces and their order are the whole model
    copy = Vocabulary.from_config(config)
    assert encoded(copy, "hugs pun bug") == encoded(vocabulary, "hugs pun bug")


def test_an_empty_piece_is_refused():
    with pytest.raises(InputError, match="a subword of a vocabulary is empty"):
        Vocabulary.from_config({"tokens": [*SPECIAL, "a", ""], "unit": "subword"})


INSTALL = r"^subword tokens .* tensorflow-text, .* sentencepiece: pip install '\.\[subwords\]'"


def test_learning_without_sentencepiece_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(InputError, match=INSTALL):
        built(HUGS)
    assert Vocabulary([*SPECIAL, "a"], "subword").tokens_of(["a"]) == [["▁", "a"]]  # what is learnt needs it no more


def test_without_tensorflow_text_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(InputError, match=INSTALL):
        built(iter(lambda: pytest.fail("no text is read before that"), None))
    with pytest.raises(InputError, match=INSTALL):
        Vocabulary.from_config({"tokens": [*SPECIAL, "a"], "unit": "subword"})


# The model that is made of pieces


def test_it_cuts_as_the_model_that_was_learnt():
    # By SentencePiece's own Python package, which reads the bytes without tensorflow-text.
    words = ["".join(chr(97 + (number * factor) % 7) for factor in range(1, 9)) for number in range(200)]
    processor = sentencepiece.SentencePieceProcessor(model_proto=model_of(learn_pieces(words, 60)))
    vocabulary = built(words, 60)
    assert processor.encode(words, out_type=str) == vocabulary.tokens_of(words)
    assert [processor.id_to_piece(number) for number in range(1, 61)] == vocabulary.tokens[5:]
    assert [processor.get_score(number) for number in range(1, 61)] == [-rank for rank in range(60)]


def test_a_piece_of_any_length_is_written():
    long = "ab" * 10_000
    vocabulary = Vocabulary([*SPECIAL, "ab", *("ab" * 2**power for power in range(1, 12)), long, "▁"], "subword")
    assert vocabulary.tokens_of(["ab" * 2048]) == [["▁", "ab" * 2048]]


def test_the_pieces_outlast_a_new_seed_and_another_vocabulary():
    # TensorFlow forgets what its eager operations hold when a seed is set.
    vocabulary = Vocabulary.build(["new newer lower"], "subword", subwords=20)
    before = vocabulary.tokens_of(["newer"])
    tf.random.set_seed(1)
    assert vocabulary.tokens_of(["newer"]) == before
    twin = Vocabulary(vocabulary.tokens, "subword")
    del twin
    gc.collect()
    keras.utils.set_random_seed(2)
    assert vocabulary.tokens_of(["newer"]) == before
