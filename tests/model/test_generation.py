"""Text in, text out from Python: lists of strings, odd strings, and how likely an answer is."""

import concurrent.futures
import dataclasses
import gc
import math
import random
import weakref

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import toys
from hypothesis import strategies as some
from text_toys import ACCENT, CHAR_PAIRS, FAMILY, WORD_PAIRS, char_model, word_model

from keras_seq2seq import GREEDY, Beam, Configuration, Greedy, InputError, Sampling
from keras_seq2seq.model import generation
from keras_seq2seq.model.decoding import TokenByToken
from keras_seq2seq.model.generation import GRAPHS
from keras_seq2seq.training.build import build_model, build_vocabularies

BANANA, WATER = (source for source, _ in WORD_PAIRS)
YELLOW, HYDROGEN = (target for _, target in WORD_PAIRS)
BEAM = Beam(width=5, nbest=5)
SAMPLING = Sampling(temperature=5.0, seed=3)  # hot enough to draw different answers
STRATEGIES = [GREEDY, BEAM, SAMPLING]
# How answers are searched for changes nothing about the texts: few graphs, few seconds.
FEW = [GREEDY, BEAM]

SEED_ONCE = True  # see conftest.py


def published_model(**options):
    """Returns an untrained model with the notebook's own vocabulary, which has no `<unk>` and no `<end>`."""
    config = Configuration(as_published=True, **options)
    return build_model(config, *build_vocabularies(WORD_PAIRS, config), max_target_length=4)


def chances(answers):
    """Returns the log-probabilities of one text's answers."""
    return [answer.log_probability for answer in answers]


# Lists


def test_sixteen_threads_may_ask_one_model():
    model = char_model()
    asked = [[source for source, _ in CHAR_PAIRS][number % 4 :] for number in range(16)]
    strategies = [STRATEGIES[number % 3] for number in range(16)]
    expected = [model.generate(texts, strategy) for texts, strategy in zip(asked, strategies, strict=True)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for _ in range(3):
            assert list(pool.map(model.generate, asked, strategies)) == expected


@pytest.mark.parametrize("texts", [[], [BANANA], [WATER, BANANA], (BANANA, WATER)], ids=len)
def test_one_answer_for_each_text_in_order(texts):
    assert word_model().generate(texts) == [dict(WORD_PAIRS)[text] for text in texts]


def test_more_texts_than_a_batch_holds_keep_their_order():
    sources = [source for source, _ in CHAR_PAIRS] * 40  # 320, and 128 to a batch
    random.Random(0).shuffle(sources)
    assert char_model().generate(sources) == [dict(CHAR_PAIRS)[source] for source in sources]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_the_batch_size_changes_nothing(strategy):
    texts = ["cat", "tack", "kit", "a", "", "ttt", FAMILY, "acca", "tat"]
    expected = char_model().generate_nbest(texts, strategy)
    assert len({answers[0][0] for answers in expected}) > 3  # something could get mixed up
    for batch_size in (1, 4):
        found = char_model().generate_nbest(texts, strategy, batch_size=batch_size)
        assert [[a.text for a in answers] for answers in found] == [[a.text for a in answers] for answers in expected]
        for some_answers, same_answers in zip(found, expected, strict=True):
            assert chances(some_answers) == pytest.approx(chances(same_answers), abs=1e-4)


def test_a_part_of_something_longer_is_drawn_as_the_whole():
    texts = ["cat", "tack", "kit", "acca", "tat"]
    whole = char_model().generate_nbest(texts, SAMPLING)
    parts = [
        *char_model().generate_nbest(texts[:2], SAMPLING),
        *char_model().generate_nbest(texts[2:], SAMPLING, 128, 2),
    ]
    assert [answers[0][0] for answers in parts] == [answers[0][0] for answers in whole]


def test_equal_texts_in_different_rows_are_drawn_differently():
    assert len(set(char_model().generate(["cat"] * 20, SAMPLING))) > 5


@pytest.mark.parametrize("ask", ["generate", "generate_nbest"])
def test_a_string_is_not_a_list_of_texts(ask):
    # It would be taken for a list of its characters.
    with pytest.raises(TypeError, match="list"):
        getattr(word_model(), ask)(BANANA)


@pytest.mark.parametrize("bad", [None, 7, math.nan, b"cat", "caf\udce9", ["cat"]], ids=repr)
def test_what_is_no_text_is_named(bad):
    model = word_model()
    for call, name in (
        (lambda: model.generate([BANANA, bad]), "text"),
        (lambda: model.generate_nbest([BANANA, bad], BEAM), "text"),
        (lambda: model.score([BANANA, bad], [YELLOW, HYDROGEN]), "source"),
        (lambda: model.score([BANANA, WATER], [YELLOW, bad]), "target"),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value) == f"{name} 2 is {bad!r}; give a string that can be written as UTF-8"


def test_of_a_long_text_that_is_none_the_beginning_is_shown():
    with pytest.raises(InputError, match=r"^text 1 is 'x{59}; give") as caught:
        word_model().generate(["x" * 10_000 + "\ud800"])
    assert "\n" not in str(caught.value)


def test_any_iterable_of_texts_will_do():
    assert word_model().generate(text for text in (BANANA, WATER)) == [YELLOW, HYDROGEN]
    assert word_model().generate(np.array([BANANA, WATER])) == [YELLOW, HYDROGEN]


# Odd texts


NOTHING = ["", " ", " \t \n", "\u3000\u00a0", "?!... —", "\0"]


@pytest.mark.parametrize("strategy", FEW, ids=repr)
def test_nothing_asked_nothing_answered(strategy):
    # Beside a text that is something, and among themselves.
    something, *nothing = word_model().generate_nbest([BANANA, *NOTHING], strategy)
    assert something[0][0] == YELLOW
    assert nothing == [[("", 0.0, 0.0)]] * len(NOTHING)
    assert word_model().generate_nbest(NOTHING, strategy) == nothing


def test_where_blanks_are_characters_they_ask_something():
    assert char_model().generate(["", "\t \t"]) == ["", "TAB"]
    assert char_model().generate([" "]) != [""]


def test_words_are_recognised_however_they_are_written():
    texts = [
        "What IS the color of (banana)?",
        "what\tis the\u3000color  of banana\r\n",
        "«what» is the color, of banana!",
    ]
    assert word_model().generate(texts) == [YELLOW] * 3


def test_all_unknown_words_are_the_same_word():
    one, other, left_out = word_model().generate_nbest(
        ["what is the smell of bananas", "what is the taste of 香蕉", "what is the of"], BEAM
    )
    assert [answer.text for answer in one] == [answer.text for answer in other]
    assert chances(one) == pytest.approx(chances(other), abs=1e-5)
    # It is a word nevertheless.
    assert chances(one) != pytest.approx(chances(left_out), abs=1e-4)


def test_an_unknown_word_does_not_stop_a_model_without_a_word_for_it():
    # The 2018 dictionary has no <unk>.
    answers = published_model().generate(["what is love", "love", BANANA])
    assert [isinstance(answer, str) for answer in answers] == [True] * 3


def test_without_a_word_for_it_an_unknown_word_is_passed_over_from_either_side():
    model = published_model(bidirectional=True)
    with_love, without = (model.score([text], [YELLOW])[1] for text in ("what love is the color", "what is the color"))
    assert with_love == pytest.approx(without, abs=1e-6)


def test_no_answer_has_a_token_that_only_begins_sentences():
    model = word_model()
    assert [model.target_vocabulary.tokens[number] for number in model.suppressed_tokens] == ["<pad>", "<q>", "<a>"]
    assert published_model().suppressed_tokens == [0]
    # Wilder than this no draw is: each token has the same chance.
    ids, _ = model.generate_ids(tf.fill([500, 3], 2), Sampling(temperature=1e6), max_length=8)
    assert not np.isin(ids, model.suppressed_tokens[1:]).any()


def test_of_a_long_text_the_first_tokens_are_read():
    # The model reads six words: the whole question, here.
    cut, long, five, seven = word_model().generate_nbest(
        [BANANA, BANANA + " water molecules" * 5000, "what is the color of", "what is the color of water banana"], BEAM
    )
    assert cut[0][0] == YELLOW
    assert [answer.text for answer in long] == [answer.text for answer in cut]
    assert chances(long) == pytest.approx(chances(cut), abs=1e-5)
    # The sixth word is read, the seventh is not.
    [six] = word_model().generate_nbest(["what is the color of water"], BEAM)
    assert chances(six) == pytest.approx(chances(seven), abs=1e-5)
    assert chances(six) != pytest.approx(chances(five), abs=1e-4)


def test_a_character_may_be_many_bytes():
    assert char_model().generate([ACCENT, FAMILY]) == ["\u0301E é", "👨\u200d👩\u200d👧 ×"]
    # Composed, é is another character, which this model has not seen: nobody normalises behind the user's back.
    composed, unknown = char_model().generate_nbest(["é", "☃"])
    assert composed == unknown


@hypothesis.settings(max_examples=12)
@hypothesis.given(texts=some.lists(some.text(some.characters(exclude_categories=["Cs"])), max_size=5))
def test_any_text_gets_an_answer(texts):
    for model in (word_model(), char_model()):
        answers = model.generate(texts)
        assert len(answers) == len(texts)
        known = {"<unk>", *model.target_vocabulary.tokens[5:]}
        assert {token for answer in answers for token in answer.split()} <= known


# Speed


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_a_strategy_is_traced_once_whatever_the_batches(strategy):
    model = char_model()
    model._graphs().of_strategy.cache_clear()  # an export has traced it too, in a graph of its own
    for batch_size in (2, 128):
        for length in (0, 7, 40):
            model.generate(["c" * length, "a", "cat"] * 2, strategy, batch_size=batch_size)
    assert model.text_function(strategy).experimental_get_tracing_count() == 1
    twin = type(strategy)(**vars(strategy))
    assert model.text_function(twin) is model.text_function(strategy)


def test_of_many_strategies_the_graphs_of_those_used_last_are_kept():
    # Each graph is some megabytes: a hundred seeds are not to keep a hundred of them.
    model = toys.make_model()
    strategies = [Sampling(seed=seed) for seed in range(GRAPHS + 3)]
    graphs = [weakref.ref(model.text_function(strategy)) for strategy in strategies]
    kept = model.text_function(strategies[3])  # now the one used last
    model.text_function(GREEDY)
    gc.collect()
    assert [graph() is not None for graph in graphs] == [False] * 3 + [True] + [False] + [True] * (GRAPHS - 2)
    assert model.text_function(strategies[3]) is kept


@dataclasses.dataclass
class NotFrozen(TokenByToken):
    unknown: int = 1

    def choose(self, log_probabilities, time, rows):
        return tf.argmax(log_probabilities, axis=-1, output_type=tf.int32)


class NoDataclass(TokenByToken):
    def choose(self, log_probabilities, time, rows):
        return tf.argmax(log_probabilities, axis=-1, output_type=tf.int32)


@dataclasses.dataclass(frozen=True)
class ListOfTokens(Greedy):
    tokens: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, eq=False)
class NeverEqual(TokenByToken):
    unknown: int = 1


@pytest.mark.parametrize("make", [NotFrozen, NoDataclass, ListOfTokens, NeverEqual], ids=lambda make: make.__name__)
def test_a_strategy_that_would_be_traced_at_each_call_is_refused(make):
    with pytest.raises(
        TypeError, match=rf"strategy {make.__name__} .*@dataclasses\.dataclass\(frozen=True\)"
    ) as caught:
        word_model().generate([BANANA], make())
    assert "hashable" in str(caught.value) and "\n" not in str(caught.value)


class NoUnknown(Greedy):
    """Says every word but `<unk>`."""

    def choose(self, log_probabilities, time, rows):
        return super().choose(tf.tensor_scatter_nd_update(log_probabilities, [[0, 1]], [-math.inf]), time, rows)


def test_a_class_derived_from_a_strategy_is_a_strategy_of_its_own():
    model = toys.make_model()
    for answer, bias in (("b", 90.0), ("<unk>", 100.0)):
        number = model.target_vocabulary.tokens.index(answer)
        model.decoder.projection.bias.assign(model.decoder.projection.bias + bias * tf.one_hot(number, len(toys.WORDS)))
    assert model.generate(["c"]) == [" ".join(["<unk>"] * 8)]
    assert model.generate(["c"], NoUnknown()) == [" ".join(["b"] * 8)]
    assert model.text_function(NoUnknown()) is model.text_function(NoUnknown())


@dataclasses.dataclass(frozen=True)
class SaysB:
    """A whole strategy of one's own, without a score."""

    width = 1

    def __call__(self, task):
        batch = tf.shape(task.rows)[0]
        return tf.tile([[[5, 4, 0]]], [batch, 1, 1]), tf.fill([batch, 1], -2.0)


def test_without_a_score_of_its_own_a_strategy_orders_by_log_probability():
    assert toys.make_model().generate_nbest(["c", ""], SaysB()) == [[("b", -2.0, -2.0)], [("", 0.0, 0.0)]]


def test_a_graph_that_was_traced_follows_the_weights():
    model = word_model()
    before = model.generate_nbest([BANANA])[0][0]
    bias = model.decoder.projection.bias
    known_by_heart = tf.identity(bias)
    end = model.target_vocabulary.tokens.index("<end>")
    bias.assign(known_by_heart + 100 * tf.one_hot(end, len(known_by_heart)))
    assert model.generate([BANANA]) == [""]  # ends at once
    bias.assign(known_by_heart)
    assert model.generate_nbest([BANANA])[0][0] == before


# How likely


@pytest.mark.parametrize("length_penalty", [0, 0.6, 1])
def test_the_best_answers_come_first_and_differ(length_penalty):
    for answers in char_model().generate_nbest(["cat", "kit", "acca"], Beam(5, 5, length_penalty)):
        assert len(answers) == len({answer.text for answer in answers}) == 5
        # Each piece of an answer is a token, and so is <end>, which the longest answers do without.
        lengths = [min(len(answer.text.split()) + 1, char_model().max_target_length) for answer in answers]
        normalised = [p / ((5 + n) / 6) ** length_penalty for n, p in zip(lengths, chances(answers), strict=True)]
        scores = [answer.score for answer in answers]
        assert scores == pytest.approx(normalised, rel=1e-5)
        assert scores == sorted(scores, reverse=True)


def test_token_by_token_the_score_is_the_log_probability():
    for strategy in (GREEDY, SAMPLING):
        for [answer] in char_model().generate_nbest(["cat", "kit", "acca"], strategy):
            assert answer.score == answer.log_probability < 0


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_the_log_probability_of_an_answer_is_what_the_model_scores_it_with(strategy):
    model = char_model()
    sources = ["cat", "kit", "", "acca", FAMILY, "tat"]
    # Left out: the answers that stopped at the limit (they have no <end>, and a score always counts one), those with
    # <unk> (which a reference cannot name) and what was answered to nothing.
    answers = [
        (source, text, p)
        for source, said in zip(sources, model.generate_nbest(sources, strategy), strict=True)
        for text, p, _ in said
        if source and "<unk>" not in text and len(text.split()) < model.max_target_length
    ]
    assert len(answers) >= 3
    _, sums = model.score([source for source, _, _ in answers], [text for _, text, _ in answers])
    assert sums == pytest.approx([p for _, _, p in answers], abs=1e-4)


def test_scores_by_token_add_up_and_know_what_was_learnt_by_heart():
    tokens, sums = word_model().score([BANANA, BANANA, WATER], [YELLOW, "yellow most", HYDROGEN])
    assert [len(row) for row in tokens] == [6, 3, 4]  # five words and <end>, two and <end>, three and <end>
    assert sums == pytest.approx([sum(row) for row in tokens])
    assert all(log_probability <= 0 for row in tokens for log_probability in row)
    # Beginning like what was learnt is likely; ending there is not.
    assert tokens[1][:2] == pytest.approx(tokens[0][:2], abs=1e-5)
    assert sums[0] > math.log(0.95) and tokens[1][2] < math.log(0.05)


def test_scores_do_not_depend_on_the_company():
    model = char_model()
    together = model.score(["cat", "tack"], ["K AE T", "T"])
    for number, (source, target) in enumerate([("cat", "K AE T"), ("tack", "T")]):
        [alone], [total] = model.score([source], [target])
        assert together[0][number] == pytest.approx(alone, abs=1e-5)
        assert together[1][number] == pytest.approx(total, abs=1e-5)


def test_the_batch_size_changes_no_score():
    sources, targets = ["cat", "tack", FAMILY], ["K AE T", "T", "K T T AE K"]
    model = char_model()
    together, one_by_one = (model.score(sources, targets, batch_size) for batch_size in (128, 1))
    assert together[1] == pytest.approx(one_by_one[1], abs=1e-5)
    assert [len(row) for row in together[0]] == [len(row) for row in one_by_one[0]] == [4, 2, 6]


def test_batches_are_of_similar_length_and_padding_does_not_make_them_long(monkeypatch):
    monkeypatch.setattr(generation, "TOKENS", 8)
    # Three rows of up to 2 are 6 tokens, with the row of 3 it were 12; the row of 50 has to stand alone.
    lengths = np.array([3, 1, 2, 50, 2])
    assert list(generation._of_similar_length(lengths, 128)) == [[1, 2, 4], [0], [3]]
    assert list(generation._of_similar_length(lengths, 2)) == [[1, 2], [4, 0], [3]]
    assert list(generation._of_similar_length(np.array([], int), 2)) == []


def test_one_long_answer_among_short_ones_is_scored_alone(monkeypatch):
    # Padded to its length, a hundred short ones would take gigabytes with a large vocabulary.
    model, sizes = char_model(), []
    targets = ["K AE T"] * 100 + ["T " * 300] + ["K"] * 100
    expected = [model.score(["cat"], [target])[1][0] for target in ("K AE T", "T " * 300, "K")]
    measure = model._graphs().teacher_forced
    monkeypatch.setattr(
        model._graphs(), "teacher_forced", lambda *batch: sizes.append(batch[2].shape.as_list()) or measure(*batch)
    )
    _, sums = model.score(["cat"] * len(targets), targets)
    assert sizes == [[128, 4], [72, 2], [1, 301]]
    assert sums == pytest.approx([expected[0]] * 100 + [expected[1]] + [expected[2]] * 100, rel=1e-5)


def test_scores_are_of_one_target_for_each_source():
    with pytest.raises(ValueError, match="1 sources, but 3 targets"):
        word_model().score([BANANA], [YELLOW, YELLOW, HYDROGEN])
    for sides in ((BANANA, [YELLOW]), ([BANANA], YELLOW)):
        with pytest.raises(TypeError, match="list of texts"):
            word_model().score(*sides)


def test_no_texts_have_no_scores():
    assert word_model().score([], []) == ([], [])


def test_a_model_whose_numbers_have_run_away_says_so():
    # Where weights are NaN no answer is the likeliest. An index out of range, or no answer at all, would not tell.
    bias = word_model().decoder.projection.bias
    known_by_heart = tf.identity(bias)
    bias.assign(known_by_heart * math.nan)
    try:
        with pytest.raises(InputError, match="numbers are NaN"):
            word_model().generate_nbest([BANANA])
    finally:
        bias.assign(known_by_heart)
