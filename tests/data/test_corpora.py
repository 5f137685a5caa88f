"""Text pairs from files and packages: what is read, and that every error names the file and the line."""

import builtins
import json
import re
import sys
import types

import pytest

from keras_seq2seq import read_pairs
from keras_seq2seq.cli import main
from keras_seq2seq.data.corpora import NOTEBOOK, chatterbot, check_pairs, columns_of, hold_out, read_corpus
from keras_seq2seq.errors import InputError
from keras_seq2seq.training import loop


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes bytes to a file and returns its path."""

    def write(content, name="pairs.tsv"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


# Good files


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a b\tc\nd\te f\n", [("a b", "c"), ("d", "e f")]),
        (b"a\tb", [("a", "b")]),  # no line end after the last line
        (b"a\tb\r\nc\td\r\n", [("a", "b"), ("c", "d")]),  # CRLF
        (b"\xef\xbb\xbfa\tb\n", [("a", "b")]),  # a byte order mark
        (b"a\tb\n\xef\xbb\xbfc\td\n", [("a", "b"), ("\ufeffc", "d")]),  # elsewhere it is text
        (b"\n\na\tb\n   \n\r\nc\td\n\n", [("a", "b"), ("c", "d")]),  # blank lines
        ("a\u2028b\tc\x0cd\u0085e\n".encode(), [("a\u2028b", "c\x0cd\u0085e")]),  # line ends to Python, not to us
        ("Grüße\t你好 🙂\n".encode(), [("Grüße", "你好 🙂")]),
        (b" a \t b \n", [(" a ", " b ")]),  # blanks around a side belong to it
    ],
)
def test_good_files(write, content, expected):
    assert read_pairs(write(content)) == expected


def test_the_path_may_be_a_string(write):
    assert read_pairs(str(write(b"a\tb\n"))) == [("a", "b")]


# Bad files


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"a\tb\nno tab\n", 2, "1 column ('no tab'); expected source, tab, target"),
        (
            b"a\tb\nrun\tran\tV;PST\n",
            2,
            "3 columns ('run', 'ran', 'V;PST'); expected source, tab, target; choose the source's and the target's column, "
            "as by --columns 1,2",
        ),
        (b"a\tb\t\n", 1, "3 columns ('a', 'b', ''); expected"),  # a tab too many
        (b"1\t2\t3\t4\t5\t6\n", 1, "6 columns ('1', '2', '3', '4', '5', ...); expected"),
        (
            b"twenty characters ok\t" + b"x" * 21 + b"\tc\n",
            1,
            f"3 columns ('twenty characters ok', '{'x' * 20}...', 'c');",
        ),
        ("é\u2028\r\t\x1b\t\n".encode(), 1, "3 columns ('é\\u2028\\r', '\\x1b', '');"),  # nothing that breaks the line
        (b"\n\na\tb\n\tc\n", 4, "the source is empty"),
        (b"a\tb\nc\t\n", 2, "the target is empty"),
        (b"a\t  \n", 1, "the target is empty"),  # blanks are no text
        (b"a\t\r\n", 1, "the target is empty"),  # neither is half a line end
        (b"\xef\xbb\xbf\tb\n", 1, "the source is empty"),  # nor a byte order mark
        (b"a\tb\nc\td\xff\n", 2, "not UTF-8 (byte 4: 0xff)"),
        ("Grüße\tHallo\n".encode("latin-1"), 1, "not UTF-8 (byte 3: 0xfc)"),
        (b"a\tb\n\xe2\x82\n", 2, "not UTF-8 (byte 1: 0xe2)"),  # a character cut short
    ],
)
def test_bad_lines_are_named(write, content, line, reason):
    path = write(content)
    with pytest.raises(InputError, match=re.escape(f"{path}, line {line}: {reason}")) as caught:
        read_pairs(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b" \r\n\t\n"])
def test_an_empty_file_is_named(write, content):
    path = write(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: is empty; expected one pair a line")):
        read_pairs(path)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n", "\u00a0\n\u3000\n".encode()])
def test_a_file_of_nothing_to_be_seen_is_empty_too(write, content):
    # A byte order mark alone is what Windows's editor saves of nothing; the others are no-break and wide blanks.
    path = write(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: is empty")):
        read_pairs(path)


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'no.tsv'}: cannot be read (No such file")):
        read_pairs(tmp_path / "no.tsv")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}: cannot be read (Is a directory)")):
        read_pairs(tmp_path)


# Chosen columns


def test_chosen_columns_are_read_and_the_others_ignored(write):
    path = write(b"Run!\tLauf!\tCC-BY 2.0\n\nGo.\tGeh.\t\n")  # a sentence, its translation, who wrote it
    assert read_pairs(path, columns=(1, 2)) == [("Run!", "Lauf!"), ("Go.", "Geh.")]
    assert read_pairs(path, columns=(2, 1)) == [("Lauf!", "Run!"), ("Geh.", "Go.")]


def test_lines_need_not_be_equally_long_beside_the_chosen_columns(write):
    path = write(b"1\ta\t2\tb\n3\tc\t4\td\tmore\tand more\n")
    assert read_pairs(path, columns=(2, 4)) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(
    ("content", "columns", "reason"),
    [
        (
            b"a\tb\tc\nd\te\n",
            (1, 3),
            "line 2: 2 columns ('d', 'e'); expected 3 or more, for --columns 1,3; complete or remove the line",
        ),
        (
            b"a\tb\nno tab\n",
            (2, 1),
            "line 2: 1 column ('no tab'); expected 2 or more, for --columns 2,1; complete or remove the line",
        ),
        (b"a\tb\t\n", (3, 1), "line 1: the source is empty; give it text or remove the line"),
        (b"a\tb\t \n", (1, 3), "line 1: the target is empty; give it text or remove the line"),
    ],
)
def test_a_line_without_a_chosen_column_is_named(write, content, columns, reason):
    path = write(content)
    with pytest.raises(InputError) as caught:
        read_pairs(path, columns=columns)
    assert str(caught.value) == f"{path}, {reason}"


@pytest.mark.parametrize("columns", [(0, 1), (2, 2), (1, -1)])
def test_the_columns_are_two_and_counted_from_one(write, columns):
    with pytest.raises(InputError) as caught:
        read_pairs(write(b"a\tb\n"), columns=columns)
    assert str(caught.value) == (
        f"columns is {columns}; give the source's and the target's column, two counted from 1, as in 2,1"
    )


@pytest.mark.parametrize("text", ["", "1", "1,1", "0,1", "1,2,3", "a,b", "1, 2", "-1,2", "1," + "9" * 5000])
def test_the_option_is_two_numbers(text):
    with pytest.raises(InputError) as caught:
        columns_of(text)
    assert str(caught.value) == (
        f"--columns is '{text}'; give the source's and the target's column, two counted from 1, as in 2,1"
    )


def test_the_option_is_read_as_numbers():
    assert (columns_of("2,1"), columns_of("1,30")) == ((2, 1), (1, 30))


# Two parallel files


@pytest.mark.parametrize(
    ("sources", "targets", "expected"),
    [
        (b"Hallo Welt\nja\n", b"hello world\nyes\n", [("Hallo Welt", "hello world"), ("ja", "yes")]),
        (b"ja", b"yes\n", [("ja", "yes")]),  # no line end after the last line
        (b"\xef\xbb\xbfja\r\nnein\r\n", b"yes\nno\n", [("ja", "yes"), ("nein", "no")]),  # one from Windows
        (b"\nja\n  \nnein\n\n", b"\nyes\n\r\nno\n\n", [("ja", "yes"), ("nein", "no")]),  # blank in both
        (" ja\u2028 \n".encode(), "ye\u0085s\n".encode(), [(" ja\u2028 ", "ye\u0085s")]),  # line ends to Python alone
    ],
)
def test_two_files_are_read_line_by_line(write, sources, targets, expected):
    assert read_pairs(write(sources, "de"), write(targets, "en")) == expected


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        (
            b"ja\nnein\nvielleicht\n",
            b"yes\nno\n",
            "{de} has 3 lines, {en} has 2; line n of the second has to be the target of line n of the first",
        ),
        (b"ja\n", b"", "{de} has 1 line, {en} has 0; line n of the second has to be the target of line n of the first"),
        (
            b"ja\n\n",
            b"yes\nno\n",
            "{de}, line 2: is blank, and that of {en} is not; give it text or remove the line from both",
        ),
        (
            b"ja\nnein\n",
            b"yes\n \n",
            "{en}, line 2: is blank, and that of {de} is not; give it text or remove the line from both",
        ),
        (
            b"ja\nnein\tno\n",
            b"a\tb\n",
            "{de}, line 2: has a tab; of two parallel files each line is one text; write a blank, or give a file of pairs alone",
        ),
        (
            b"ja\nnein\n",
            b"yes\tyeah\n",
            "{en}, line 1: has a tab; of two parallel files each line is one text; write a blank, or give a file of pairs alone",
        ),
        (b"\n", b" \n", "{de} and {en}: are empty; expected one text a line"),
        (b"", b"", "{de} and {en}: are empty; expected one text a line"),
        (b"ja\n", b"y\xffs\n", "{en}, line 1: not UTF-8 (byte 2: 0xff); save it as UTF-8"),
    ],
)
def test_lines_that_do_not_belong_together_are_named(write, sources, targets, message):
    de, en = write(sources, "de"), write(targets, "en")
    with pytest.raises(InputError) as caught:
        read_pairs(de, en)
    assert str(caught.value) == message.format(de=de, en=en)


def test_a_missing_second_file_is_named(write, tmp_path):
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'en'}: cannot be read (No such file")):
        read_pairs(write(b"ja\n", "de"), tmp_path / "en")


def test_two_files_have_no_columns(write):
    with pytest.raises(InputError) as caught:
        read_pairs(write(b"ja\n", "de"), write(b"yes\n", "en"), columns=(1, 2))
    assert str(caught.value) == (
        "--columns is for one file of tab-separated columns; leave it out with two parallel files"
    )


# Held out

PAIRS = [(f"source {number // 2}", f"target {number}") for number in range(2000)]  # each source has two targets


def test_no_source_stands_on_both_sides_and_none_gets_lost():
    train, valid = hold_out(PAIRS, 0.2, "word")
    assert not {source for source, _ in train} & {source for source, _ in valid}
    assert sorted(train + valid) == sorted(PAIRS)
    assert train == [pair for pair in PAIRS if pair in set(train)]  # the order of the file is kept


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_share_is_about_right(share):
    _, valid = hold_out(PAIRS, share, "word")
    # A source is held out with this chance: four standard deviations of 1,000 such throws.
    assert len(valid) / len(PAIRS) == pytest.approx(share, abs=4 * (share * (1 - share) / 1000) ** 0.5)


def test_a_source_keeps_its_side_when_the_corpus_grows_or_is_shuffled():
    _, valid = hold_out(PAIRS, 0.2, "word")
    _, of_half = hold_out(PAIRS[::-2], 0.2, "word")
    assert set(of_half) == set(valid) & set(PAIRS[::-2])
    _, more = hold_out(PAIRS, 0.3, "word")
    assert set(valid) < set(more)


@pytest.mark.parametrize(
    ("unit", "same", "other"),
    [
        ("word", ["Tom runs!", "Tom runs.", "tom  runs"], "Tom ran"),
        ("space", ["Tom runs.", " Tom  runs. "], "tom runs."),
        ("char", ["Tom", "To\u200bm"], "Tom "),
        ("subword", ["Tom runs.", " Tom  runs. "], "tom runs."),
    ],
)
def test_what_is_one_source_to_the_model_has_one_side(unit, same, other):
    sides, others = set(), set()
    for number in range(100):
        pairs = [(f"{number} {text}", "x") for text in [*same, other]]
        _, valid = hold_out([*pairs, *PAIRS[:50]], 0.5, unit)
        held = [pair in valid for pair in pairs]
        assert len(set(held[:-1])) == 1
        sides.add(held[0])
        others.add(held[-1] == held[0])
    assert sides == others == {True, False}


def test_two_spellings_of_a_source_have_one_side_where_they_are_normalized():
    pairs = [(f"{number} {text}", "x") for number in range(100) for text in ("\u00e9", "e\u0301")]
    for normalize, split in (("none", True), ("NFC", False)):
        _, valid = hold_out(pairs, 0.5, "word", normalize)
        held = [pair in valid for pair in pairs]
        assert (held[::2] != held[1::2]) == split


@pytest.mark.parametrize("odd", [("c", float("nan")), ("c", None), (3, "d"), "cd", ("c",), ("c", "d", "e"), None])
def test_a_pair_that_is_not_two_texts_is_named(odd):
    with pytest.raises(InputError, match=re.escape(f"pair 2 of the training pairs is {odd!r}; expected two texts")):
        check_pairs([("a", "b"), odd], "training")


def test_half_a_character_is_named():
    with pytest.raises(InputError, match=r"pair 1 of the given pairs: 'b\\ud800' is not UTF-8"):
        check_pairs([("a", "b\ud800")])


def test_nothing_is_held_out_unless_asked_for():
    assert hold_out(PAIRS, 0.0, "word") == (PAIRS, [])


@pytest.mark.parametrize(("pairs", "share"), [(PAIRS[:2], 0.001), (PAIRS[:2], 0.999)])
def test_an_empty_side_is_refused(pairs, share):
    with pytest.raises(InputError, match=f"--valid-share {share} of 2 pairs leaves one side empty"):
        hold_out(pairs, share, "word")


# What the options of a run name


def test_the_options_name_the_pairs(write, monkeypatch):
    runs = []
    monkeypatch.setattr(loop, "train", lambda config, *pairs: runs.append(pairs))
    train, valid = map(str, (write(b"a\tb\n", "train.tsv"), write(b"c\td\n", "valid.tsv")))
    for options in ([], ["--data", train], ["--data", train, "--valid", valid], ["--valid", valid]):
        main.train(options)
    assert runs == [(NOTEBOOK, []), ([("a", "b")], []), ([("a", "b")], [("c", "d")]), (NOTEBOOK, [("c", "d")])]


def test_the_options_name_two_files_or_columns(write, monkeypatch):
    runs = []
    monkeypatch.setattr(loop, "train", lambda config, *pairs: runs.append(pairs))
    tabs, de, en = map(str, (write(b"a\tb\tc\n", "tabs"), write(b"ja\n", "de"), write(b"yes\n", "en")))
    for options in (
        ["--data", de, en],
        ["--data", de, en, "--valid", en, de],
        ["--data", tabs, "--columns", "3,1"],
        ["--valid", tabs, "--columns", "1,2"],
    ):
        main.train(options)
    assert runs == [
        ([("ja", "yes")], []),
        ([("ja", "yes")], [("yes", "ja")]),
        ([("c", "a")], []),
        (NOTEBOOK, [("a", "b")]),
    ]


def test_the_notebooks_pairs_are_not_handed_out_themselves():
    read_corpus("notebook").clear()
    assert read_corpus("notebook") == NOTEBOOK and len(NOTEBOOK) == 2


@pytest.mark.parametrize(("missing", "present"), [("yaml", "chatterbot_corpus"), ("chatterbot_corpus", "yaml")])
def test_a_missing_package_is_one_line_that_says_what_to_install(monkeypatch, missing, present):
    monkeypatch.setitem(sys.modules, present, types.ModuleType(present))
    real_import = builtins.__import__

    def import_others(name, *arguments, **options):
        if name.split(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", import_others)
    with pytest.raises(InputError) as caught:
        chatterbot()
    assert str(caught.value) == (
        f"--corpus chatterbot needs the package {missing}: pip install chatterbot-corpus pyyaml"
    )


def test_chatterbot_pairs_by_hand(monkeypatch, tmp_path):
    # Stands in for both packages, with JSON, which is YAML too.
    yaml, package, corpus = map(types.ModuleType, ("yaml", "chatterbot_corpus", "chatterbot_corpus.corpus"))
    yaml.safe_load = json.loads
    corpus.DATA_DIRECTORY = str(tmp_path)
    for module in (yaml, package, corpus):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    (tmp_path / "english").mkdir()
    conversations = {
        "b.yml": [["Hi", "Hello\n  there", "Bye"], ["alone"]],
        "a.yml": [["What is 6 times 7?", 42], ["", "an answer to nothing"]],
        "notes.txt": "not a conversation",
    }
    for name, content in conversations.items():
        (tmp_path / "english" / name).write_text(json.dumps({"conversations": content}), encoding="utf-8")
    assert chatterbot() == [("What is 6 times 7?", "42"), ("Hi", "Hello there"), ("Hello there", "Bye")]


def test_chatterbot_pairs_follow_one_another():
    pytest.importorskip("yaml")
    pytest.importorskip("chatterbot_corpus")
    pairs = chatterbot()
    assert len(pairs) > 1000
    for source, target in pairs:
        for side in (source, target):
            assert side and side == " ".join(side.split())  # text on one line, without tabs
    assert read_corpus("chatterbot") == pairs
    # Of three statements in a row, the middle one is an answer and then a question.
    sources = {source for source, _ in pairs}
    assert any(target in sources for _, target in pairs)
