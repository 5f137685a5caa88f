"""Error rates by hand, test data from files, and the measures of a model that knows its answers."""

import dataclasses
import json
import math
import re
import subprocess
import sys

import hypothesis
import pytest
import tensorflow as tf
import toys
from hypothesis import strategies as some
from text_toys import WORD_PAIRS, word_model

from keras_seq2seq import InputError, Seq2Seq, batches, evaluate
from keras_seq2seq.data.corpora import read_references
from keras_seq2seq.model.evaluation import edit_distances, error_rates, overlap_scores

BANANA, WATER = (source for source, _ in WORD_PAIRS)
YELLOW, HYDROGEN = (target for _, target in WORD_PAIRS)

SEED_ONCE = True  # see conftest.py


# Edit distances


@pytest.mark.parametrize(
    ("answer", "reference", "distance"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a c", 1),  # delete b
        ("a c", "a b c", 1),  # insert b
        ("a b c", "a x c", 1),  # replace b
        ("a b", "b a", 2),  # there is no swapping
        ("k i t t e n", "s i t t i n g", 3),
        ("", "a b c", 3),
        ("a b c", "", 3),
        ("", "", 0),
        ("ab", "a b", 2),  # tokens, not characters: replace one, insert one
        ("a A", "a a", 1),
        ("é 👨\u200d👩\u200d👧", "é 👨\u200d👩\u200d👧", 0),
    ],
)
def test_distances_by_hand(answer, reference, distance):
    assert edit_distances([answer.split()], [reference.split()]) == [distance]
    # Also among rows of other lengths, to either side.
    company = [["x"] * 20, []]
    rows = [company[0], answer.split(), company[1]]
    assert edit_distances(rows, [company[0], reference.split(), company[1]]) == [0, distance, 0]


def levenshtein(answer, reference):
    """Counts by the definition: what the first tokens cost, and whether the last two are the same."""
    costs = list(range(len(reference) + 1))
    for number, said in enumerate(answer, start=1):
        before, costs = costs, [number]
        for column, right in enumerate(reference):
            costs.append(min(before[column] + (said != right), before[column + 1] + 1, costs[column] + 1))
    return costs[-1]


@hypothesis.given(
    some.lists(some.tuples(*[some.lists(some.sampled_from(["a", "b", "ab", "", "é"]), max_size=6)] * 2), min_size=1)
)
def test_distances_are_levenshteins(pairs):
    answers, references = zip(*pairs, strict=True)
    assert edit_distances(answers, references) == [levenshtein(*pair) for pair in pairs]


# Error rates


def rates(*rows):
    """Returns the rates of rows `(answer, references)`, tokens between blanks."""
    answers, references = zip(*rows, strict=True)
    return error_rates([answer.split() for answer in answers], [[r.split() for r in row] for row in references])


def test_the_rates_by_hand():
    found = rates(
        ("a b c", ["a b c"]),  # right: 0 of 3
        ("a b", ["x y z", "a b"]),  # the second reference is met: 0 of 2
        ("a b c d", ["a b", "a b c"]),  # off by 2 and by 1: 1 of 3
        ("", ["a b"]),  # all is missing: 2 of 2
    )
    assert found == {"exact_match": 0.5, "word_error_rate": 50.0, "token_error_rate": 100 * 3 / 10}


@pytest.mark.parametrize("references", [["a b c", "a"], ["a", "a b c"]])
def test_of_two_references_equally_near_the_shorter_one_counts(references):
    # One insertion, or one deletion; 1 of 1, not 1 of 3, in whatever order they stand.
    assert rates(("a b", references))["token_error_rate"] == 100


def test_a_nearer_reference_counts_though_it_be_longer():
    assert rates(("a b c d", ["x", "a b c d e"]))["token_error_rate"] == 100 / 5


def test_the_token_error_rate_may_be_above_100():
    # Three tokens too many for one: the rate is over the references.
    assert rates(("a b c d", ["a"])) == {"exact_match": 0, "word_error_rate": 100, "token_error_rate": 300}


def test_rates_are_over_all_rows_not_means_of_rows():
    # 1 of 1 and 0 of 9: 10 percent, not 50.
    assert rates(("b", ["a"]), ("a " * 9, ["a " * 9]))["token_error_rate"] == 10


WORDS = some.lists(some.sampled_from("ab"), min_size=1, max_size=4)


@hypothesis.given(some.lists(some.tuples(WORDS, some.lists(WORDS, min_size=1, max_size=3)), min_size=1, max_size=5))
def test_the_rates_are_those_of_the_definition(rows):
    # SIGMORPHON's: the share of words none of whose references is met. CMUdict's: the nearest reference of each word,
    # all distances over all lengths.
    wrong = sum(answer not in references for answer, references in rows)
    nearest = [min((levenshtein(answer, r), len(r)) for r in references) for answer, references in rows]
    found = error_rates([answer for answer, _ in rows], [references for _, references in rows])
    assert found == pytest.approx(
        {
            "exact_match": 1 - wrong / len(rows),
            "word_error_rate": 100 * wrong / len(rows),
            "token_error_rate": 100 * sum(d for d, _ in nearest) / sum(length for _, length in nearest),
        }
    )


# Test data


@pytest.fixture
def file_of(tmp_path):
    """Returns a function that writes bytes to a file and returns its path."""

    def write(content):
        path = tmp_path / "test.tsv"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("content", "references"),
    [
        (b"a\tb\n", {"a": ["b"]}),
        (b"a\tb\nx\ty\na\tc\na\tb\n", {"a": ["b", "c"], "x": ["y"]}),  # a comes back, with another answer and its first
        (b"\xef\xbb\xbfa\tb\r\n\r\n  \nd\te\r\n", {"a": ["b"], "d": ["e"]}),  # from Windows
        (b"a \tb\na\tc\n", {"a ": ["b"], "a": ["c"]}),  # blanks belong to a source
    ],
)
def test_references(file_of, content, references):
    for further in (False, True):
        found = read_references(file_of(content), further=further)
        assert found == references
        assert list(found) == list(references)  # in the order of the file


@pytest.mark.parametrize(
    ("content", "references"),
    [
        (b"a\tb\tc d\te\n", {"a": ["b", "c d", "e"]}),
        (b"a\tb\nx\ty\na\tc\td\n", {"a": ["b", "c", "d"], "x": ["y"]}),  # a comes back
        (b"a\tb\tb\na\tb\tc\n", {"a": ["b", "c"]}),  # said once
    ],
)
def test_further_columns_are_answers_where_that_is_asked_for(file_of, content, references):
    path = file_of(content)
    assert read_references(path, further=True) == references
    with pytest.raises(
        InputError, match=r"line \d: [34] columns .*; with --references further columns are further references"
    ):
        read_references(path)


def test_a_third_column_may_be_anything_but_an_answer(file_of):
    path = file_of(b"run\tran\tV;PST\n")
    with pytest.raises(InputError) as caught:
        read_references(path)
    assert str(caught.value) == (
        f"{path}, line 1: 3 columns ('run', 'ran', 'V;PST'); expected source, tab, target; with --references further "
        "columns are further references, with --columns 1,2 they are ignored"
    )


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"a\tb\nno tab\n", 2, "1 column ('no tab'); expected source, tab, target"),
        (b"a\t\n", 1, "the target is empty"),
        (b"\n\ta\n", 2, "the source is empty"),
        (b"a\tb\t\n", 1, "the target is empty"),  # a tab too many
        (b"a\tb\t \tc\n", 1, "the target is empty"),
        (b"a\tb\n\nc\td\te\xff\n", 3, "not UTF-8 (byte 6: 0xff)"),
    ],
)
def test_bad_lines_are_named(file_of, content, line, reason):
    path = file_of(content)
    with pytest.raises(InputError, match=re.escape(f"{path}, line {line}: {reason}")) as caught:
        read_references(path, further=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_is_refused(file_of, content):
    path = file_of(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: is empty")):
        read_references(path)


def test_references_of_two_files_and_of_chosen_columns(tmp_path):
    files = {"de": "ja\nnein\nja\n", "en": "yes\nno\nsure\n", "tabs": "1\tja\tyes\n2\tnein\tno\n3\tja\tsure\n"}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    expected = {"ja": ["yes", "sure"], "nein": ["no"]}
    assert read_references(tmp_path / "de", tmp_path / "en") == expected
    assert read_references(tmp_path / "tabs", columns=(2, 3)) == expected


def test_further_references_are_columns_of_one_file_that_nobody_left_out(tmp_path):
    for name in ("de", "en"):
        (tmp_path / name).write_text("a\tb\tc\n")
    with pytest.raises(InputError) as caught:
        read_references(tmp_path / "de", columns=(1, 2), further=True)
    assert str(caught.value) == "--references reads the columns that --columns leaves out; give one of the two"
    with pytest.raises(InputError) as caught:
        read_references(tmp_path / "de", tmp_path / "en", further=True)
    assert str(caught.value) == (
        "--references is for one file of tab-separated columns; leave it out with two parallel files"
    )


# A model

PERFECT = {BANANA: [YELLOW], WATER: [HYDROGEN]}
# The first answer is near its first reference: one word more than its four. The second is met by its second.
IMPERFECT = {BANANA: ["yellow most of time", "the"], WATER: ["water", HYDROGEN]}
MEASURES = "sources references loss perplexity token_accuracy exact_match word_error_rate token_error_rate".split()


@pytest.fixture(scope="module")
def model():
    """Returns a model that knows PERFECT by heart and is not compiled, as one that comes from the other Keras."""
    model = Seq2Seq.from_config(word_model().get_config())
    model.set_weights(word_model().get_weights())
    return model


@pytest.fixture(scope="module")
def perfect(model):
    return evaluate(model, PERFECT)


@pytest.fixture(scope="module")
def imperfect(model):
    return evaluate(model, IMPERFECT)


def test_a_model_that_knows_its_answers_by_heart(perfect):
    assert list(perfect)[: len(MEASURES)] == MEASURES
    assert (perfect["sources"], perfect["references"]) == (2, 2)
    assert (perfect["exact_match"], perfect["word_error_rate"], perfect["token_error_rate"]) == (1, 0, 0)
    assert perfect["token_accuracy"] == 1
    assert 1 < perfect["perplexity"] < 1.01


def test_measures_against_references_by_hand(imperfect):
    assert (imperfect["sources"], imperfect["references"]) == (2, 4)
    assert (imperfect["exact_match"], imperfect["word_error_rate"]) == (0.5, 50)
    assert imperfect["token_error_rate"] == pytest.approx(100 * 1 / (4 + 3))


def test_the_loss_is_the_mean_surprise_of_all_tokens_of_all_references(model, imperfect):
    pairs = [(source, target) for source, targets in IMPERFECT.items() for target in targets]
    tokens, _ = model.score(*zip(*pairs, strict=True))
    surprises = [-log_probability for row in tokens for log_probability in row]
    assert len(surprises) == 5 + 2 + 2 + 4  # their words, and <end> for each
    # The pairs fall into batches of different lengths: each token counts the same, in whichever it stands.
    mean = sum(surprises) / len(surprises)
    assert imperfect["loss"] == pytest.approx(mean, rel=1e-5)
    assert imperfect["perplexity"] == pytest.approx(math.exp(mean), rel=1e-4)
    # Right are the tokens that are likeliest behind the reference's own: those of HYDROGEN, for example.
    assert 4 / 13 <= imperfect["token_accuracy"] < 1


def test_measured_is_what_keras_measures(imperfect):
    # Which pads all pairs to the same length, and is compiled.
    model = word_model()
    pairs = [(source, target) for source, targets in IMPERFECT.items() for target in targets]
    one_batch = batches(pairs, model.source_vocabulary, model.target_vocabulary, len(pairs), length_buckets=1)
    assert len(one_batch) == 1
    expected = model.evaluate(one_batch, verbose=0, return_dict=True)
    for name in ("loss", "token_accuracy"):
        assert imperfect[name] == pytest.approx(expected[name], rel=1e-5)


def test_the_answers_measured_are_those_of_the_strategy(model, perfect):
    @dataclasses.dataclass(frozen=True)
    class Silent:
        """Ends every answer at once."""

        width = 1

        def __call__(self, task):
            batch = tf.shape(task.rows)[0]
            return tf.fill([batch, 1, task.max_length], task.end), tf.zeros([batch, 1])

    silent = evaluate(model, PERFECT, Silent())
    assert (silent["exact_match"], silent["token_error_rate"]) == (0, 100)
    assert silent["loss"] == perfect["loss"]  # nobody decodes for that


def test_what_was_too_long_to_train_on_is_measured(model):
    # The model reads six words and was trained to say as many: of the second source it reads BANANA alone, for its
    # answer and for the loss; of the first reference every word counts.
    long_target, long_source = YELLOW + " of the time" * 4, BANANA + " water molecules" * 3
    found = evaluate(model, {BANANA: [long_target], long_source: [YELLOW]})
    assert (found["references"], found["exact_match"]) == (2, 0.5)
    assert found["token_error_rate"] == pytest.approx(100 * 12 / (17 + 5))
    tokens, _ = model.score([BANANA, BANANA], [long_target, YELLOW])
    assert found["loss"] == pytest.approx(-sum(map(sum, tokens)) / (18 + 6), rel=1e-5)


@pytest.mark.parametrize("unit", ["word", "char", "space"])
def test_what_the_model_cannot_name_is_one_wrong_token(model, monkeypatch, unit):
    # As text, `<unk>` has five characters; as a word, no angle brackets.
    monkeypatch.setattr(model.target_vocabulary, "unit", unit)
    monkeypatch.setattr(model, "generate", lambda sources, strategy: ["<unk>"])
    found = evaluate(model, {BANANA: ["unk" if unit == "word" else "u"]})
    assert (found["exact_match"], found["token_error_rate"]) == (0, 100)


def test_pairs_are_no_references(model):
    with pytest.raises(TypeError, match=r"give each source with its answers, .* as `read_references` returns them"):
        evaluate(model, [(BANANA, "yellow")])


@pytest.mark.parametrize("references", [{}, {BANANA: []}])
def test_nothing_to_measure(model, references):
    with pytest.raises(InputError, match="there is nothing to measure"):
        evaluate(model, references)


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ({BANANA: [YELLOW], math.nan: [YELLOW]}, "source 2 is nan; give a string"),
        ({BANANA: [YELLOW, None]}, "answer to 'what is the color of banana': 2 is None; give a string"),
        ({"a" * 99: ["\ud83d"]}, f"answer to '{'a' * 39}: 1 is '\\ud83d'; give a string that can be written as UTF-8"),
    ],
)
def test_what_is_no_text_is_named(model, references, message):
    with pytest.raises(InputError, match="^" + re.escape(message)):
        evaluate(model, references)


def test_one_answer_is_not_a_list_of_answers(model):
    # It would be taken for its characters.
    with pytest.raises(TypeError, match="list of texts"):
        evaluate(model, {BANANA: YELLOW})


@pytest.mark.parametrize(
    ("references", "named"),
    [({BANANA: [YELLOW], "?!": ["yes"]}, "'?!', 'yes'"), ({BANANA: [YELLOW, "..."]}, f"{BANANA!r}, '...'")],
)
def test_a_side_without_a_token_is_named(model, references, named):
    with pytest.raises(InputError, match=re.escape(named)):
        evaluate(model, references)


# BLEU and chrF


def test_without_sacrebleu_its_measures_are_left_out(model, perfect, imperfect, monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    # All others are the same, and do not depend on what was measured in between.
    assert evaluate(model, PERFECT) == {name: perfect[name] for name in MEASURES}


def test_with_sacrebleu_perfect_answers_get_100(perfect):
    pytest.importorskip("sacrebleu")
    assert list(perfect) == [*MEASURES, "bleu", "bleu_signature", "chrf", "chrf_signature"]
    assert (perfect["bleu"], perfect["chrf"]) == pytest.approx((100, 100))


def test_each_source_may_have_its_own_number_of_references():
    pytest.importorskip("sacrebleu")
    found = overlap_scores([YELLOW, HYDROGEN], [["green", YELLOW, "the oxygen"], [HYDROGEN]])
    assert (found["bleu"], found["chrf"]) == pytest.approx((100, 100))


def test_bleu_by_hand():
    pytest.importorskip("sacrebleu")
    # "yellow most of the time" and "hydrogen and oxygen". Right are 7 of 8 words, 4 of 6 pairs, 1 of 4 triples and none
    # of 2 quadruples, which is smoothed to half of one.
    found = overlap_scores([YELLOW, HYDROGEN], [["yellow most in the time"], [HYDROGEN]])
    assert found["bleu"] == pytest.approx(100 * (7 / 8 * 4 / 6 * 1 / 4 * 0.5 / 2) ** (1 / 4))


def sacrebleu_says(tmp_path, answers, *references):
    """Returns what the command `sacrebleu` prints of texts without any option that changes a number: name to (score, signature)."""
    files = []
    for number, texts in enumerate([*references, answers]):
        files.append(tmp_path / str(number))
        files[-1].write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", *files[:-1], "-i", files[-1], *"-m bleu chrf -w 4 -f json".split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=toys.PATIENCE)
    return {
        found["name"].lower().removesuffix("2"): (found["score"], found["signature"])
        for found in json.loads(done.stdout)
    }


# What our tokens leave out: capital letters, punctuation.
SAID = ["yellow, Most of the time!", "Hydrogen & oxygen <unk>"]
RIGHT = [
    ["Yellow most of the time.", "it's yellow most of the time"],
    ["hydrogen, and oxygen", "Hydrogen & oxygen; no more"],
]


def test_bleu_and_chrf_are_those_of_the_command(tmp_path, model, monkeypatch):
    pytest.importorskip("sacrebleu")
    monkeypatch.setattr(model, "generate", lambda sources, strategy: SAID)
    for references in (RIGHT, [choices[:1] for choices in RIGHT]):
        found = evaluate(model, dict(zip((BANANA, WATER), references, strict=True)))
        expected = sacrebleu_says(tmp_path, SAID, *zip(*references, strict=True))
        assert set(expected) == {"bleu", "chrf"}
        for name, (score, signature) in expected.items():
            assert found[name] == pytest.approx(score, abs=5e-5)
            assert 0 < score < 100
            assert found[f"{name}_signature"] == signature
            assert signature.startswith(f"nrefs:{len(references[0])}|case:mixed|")


def test_they_are_those_of_the_command_where_numbers_of_references_differ(tmp_path):
    pytest.importorskip("sacrebleu")
    # The command wants as many for each text. One that comes twice changes nothing.
    found = overlap_scores(SAID, [RIGHT[0], RIGHT[1][:1]])
    expected = sacrebleu_says(tmp_path, SAID, (RIGHT[0][0], RIGHT[1][0]), (RIGHT[0][1], RIGHT[1][0]))
    for name, (score, _) in expected.items():
        assert found[name] == pytest.approx(score, abs=5e-5)
        assert found[f"{name}_signature"].startswith("nrefs:var|case:mixed|")


def test_nothing_is_said_of_texts_that_look_cut_into_tokens(capfd):
    pytest.importorskip("sacrebleu")
    overlap_scores(["hydrogen and oxygen ."] * 200, [[HYDROGEN]] * 200)
    assert capfd.readouterr() == ("", "")
