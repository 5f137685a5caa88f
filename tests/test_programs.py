"""The programs under `tests/` that are run by hand, each once in a tiny size: they still fit the package."""

import importlib.util
import re
import sys
import unicodedata

import pytest
import toys

from keras_seq2seq import keras_version

PROGRAMS = [
    *("benchmarks/predict", "benchmarks/recurrence", "benchmarks/scale", "benchmarks/tensorboard_cost"),
    *("benchmarks/torch_attention", "benchmarks/training"),
    *("corpora/ablation", "corpora/addition", "corpora/addition_example", "corpora/cmudict", "corpora/english_verbs"),
    *("corpora/multi30k", "corpora/notebook", "corpora/scan", "corpora/sigmorphon", "corpora/yoyodyne"),
    *("robustness/endurance", "robustness/kills", "robustness/mutations"),
]
NUMBER = r"-?\d+(?:\.\d+)?"


@pytest.fixture
def run(monkeypatch, capsys):
    """Returns a function that runs a program in this process, which has TensorFlow already, and gives its output."""
    monkeypatch.setenv("PYTHONPATH", str(toys.ROOT))  # for the commands that it starts
    monkeypatch.setenv(keras_version.SWITCH, "1" if keras_version.keras_major() == 2 else "0")
    monkeypatch.chdir(toys.ROOT)

    def run(name, *arguments):
        # As Python does for the script that it starts.
        monkeypatch.syspath_prepend((toys.ROOT / "tests" / name).parent)
        spec = importlib.util.spec_from_file_location(name.replace("/", "_"), toys.ROOT / "tests" / f"{name}.py")
        program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(program)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        program.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def words(tmp_path):
    """Returns a folder with the three files of a tiny corpus of words."""
    for split in ("train", "dev", "test"):
        lines = [f"{a}{b}\t{a.upper()} {b.upper()}\n" for a in "xyz" for b in "xyz"]
        (tmp_path / f"toy_{split}.tsv").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def test_none_is_left_out():
    folders = [toys.ROOT / "tests" / name for name in ("benchmarks", "corpora", "robustness")]
    found = [
        path.relative_to(toys.ROOT / "tests").with_suffix("")
        for folder in folders
        for path in folder.glob("*.py")
        if "__main__" in path.read_text(encoding="utf-8")
    ]
    assert sorted(path.as_posix() for path in found) == PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_says_how_to_use_it(run, name, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(name, "--help")
    assert stopped.value.code == 0 and "usage: " in capsys.readouterr().out


@pytest.mark.slow  # half a minute, in processes of their own
def test_the_speed_of_answering(run, words):
    (words / "peer.py").write_text("print('greedy 100 sentences/s')\n", encoding="utf-8")
    sizes = ["--words", 20, "--epochs", 1, "--repeats", 1, "--peer", words / "peer.py"]
    printed = run("benchmarks/predict", "--train", words / "toy_train.tsv", *sizes)
    for name in ("greedy", "beam 5"):
        assert re.search(rf"^generate, {name}: {NUMBER} words/s, traced 1 time\(s\)$", printed, re.MULTILINE)
    assert re.search(rf"^PyTorch peer, greedy: 100 words/s; ours is {NUMBER} times as fast$", printed, re.MULTILINE)
    timed = rf"^import tensorflow: {NUMBER} s; load and answer one: {NUMBER} s, {NUMBER} times$"
    assert re.search(timed, printed, re.MULTILINE)


def test_the_speed_of_the_loop(run):
    printed = run("benchmarks/recurrence", *"--batch 2 --time 3 --embedding 2 --units 3 --repeats 2".split())
    for cell, name in (("simple_rnn", "SimpleRNN"), ("gru", "GRU"), ("lstm", "LSTM")):
        for way in ("own loop", "own, unrolled", "own, unrolled, XLA", "keras.layers.RNN", f"keras.layers.{name}"):
            assert re.search(
                rf"^{cell} +{way} +{NUMBER} ms  {NUMBER} times the own loop's time$", printed, re.MULTILINE
            )


def test_the_speed_of_training(run, words):
    (words / "peer.py").write_text("print('epoch 1 100 tokens/s')\n", encoding="utf-8")
    tiny = ["--cells", "gru", "--pairs", 6, "--batch", 3, "--embedding", 2, "--units", 3, "--turns", 1, "--epochs", 1]
    printed = run("benchmarks/training", "--train", words / "toy_train.tsv", *tiny, "--peer", words / "peer.py")
    rate = rf"{NUMBER} \(from {NUMBER} to {NUMBER}\) tokens/s"
    assert re.search(rf"^gru +ours +{rate}; tracing and compiling {NUMBER} s$", printed, re.MULTILINE)
    assert re.search(rf"^ +peer +{rate}; ours is {NUMBER} times as fast$", printed, re.MULTILINE)


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="needs PyTorch, which nothing else here does")
def test_the_peer_with_attention(run, words):
    tiny = ["--embedding", 2, "--units", 3, "--batch", 4, "--epochs", 1]
    printed = run("benchmarks/torch_attention", "--train", words / "toy_train.tsv", *tiny)
    assert re.fullmatch(rf"epoch 1 loss {NUMBER} \d+ tokens/s\n", printed)


def test_what_grows_with_the_pairs(run):
    head, _, row = run("benchmarks/scale", "--pairs", 300, "--updates", 5).splitlines()
    assert head.startswith("| pairs | seconds to the first update | tokens a second | peak memory, MiB |")
    assert re.fullmatch(rf"\| 300 \| {NUMBER} \| {NUMBER} \| {NUMBER} \|  \|", row)


def test_what_tensorboard_costs(run, words):
    files = ["--data", words / "toy_train.tsv", "--valid", words / "toy_dev.tsv"]
    printed = run("benchmarks/tensorboard_cost", *files, "--epochs", 2)
    for kind in ("wall-clock", "CPU"):
        assert re.search(rf"^{kind} of an epoch: without {NUMBER} s, with {NUMBER} s, ratio {NUMBER}$", printed, re.M)
    assert re.search(rf"^before the first epoch, once: {NUMBER} s; event files: {NUMBER} MB$", printed, re.MULTILINE)


def test_the_notebooks_numbers(run):
    printed = run("corpora/notebook", "--seeds", 2)
    # Whatever the seeds learn: how many of them, ten losses beside the published ones, and what only depends on the port.
    assert re.search(r"^  \d of 2 after 50 updates, .*\d of 2 after 200 updates$", printed, re.MULTILINE)
    assert len(re.findall(rf"^ *\d+  +{NUMBER}  +{NUMBER}  +{NUMBER}  +[+]?{NUMBER} std$", printed, re.MULTILINE)) == 10
    assert "pad losses at update 0: 2.944439 to 2.944439 (ln 19 = 2.944439)" in printed


@pytest.mark.slow  # half a minute, in processes of their own
def test_the_table_of_what_differs_from_base(run, words):
    tiny = "--epochs 1 --layers 1 --units 4 --embedding-dim 4 --splices 0 --no-bidirectional --attention none"
    ask = ["--languages", "toy", "--rows", "--cell simple_rnn", "--common", tiny, "--logs", words / "logs"]
    printed = run("corpora/ablation", words, *ask)
    head, _, row = printed.splitlines()
    assert head == "| changed | toy, beam 5 (greedy) | minutes |"
    assert re.fullmatch(rf"\| `--cell simple_rnn` \| {NUMBER} \({NUMBER}\) \| \d+ to \d+ \|", row)
    assert run("corpora/ablation", words, *ask) == printed  # the run is there: it is measured alone


@pytest.mark.slow  # a minute, in processes of their own
def test_the_table_of_all_languages(run, tmp_path):
    for split, words in (("train", "기 거 니 너 " * 3), ("dev", "기 너"), ("test", "거")):
        lines = [f"{word}\t{' '.join(unicodedata.normalize('NFD', word))}\n" for word in words.split()]
        (tmp_path / f"kor_{split}.tsv").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "abc_train.tsv").write_text("x\tX\n", encoding="utf-8")  # of which there is no more: left out
    tiny = "--units 4 --embedding-dim 4 --no-bidirectional --attention none --updates-per-epoch 1"
    ask = ["--common", tiny, "--logs", tmp_path / "logs"]
    printed = run("corpora/sigmorphon", tmp_path, *ask)
    _, _, korean, macro = printed.splitlines()
    dev, test = rf"{NUMBER}, {NUMBER}: (?:no )?splices", rf"{NUMBER}, {NUMBER} \| {NUMBER}"
    assert re.fullmatch(rf"\| kor \| NFD \| {dev} \| {test} \| 46\.89 \| {NUMBER} \| \d+ \|", korean)
    assert re.fullmatch(rf"\| macro(?: \| ){{4}}{NUMBER} \| 46\.89 \| {NUMBER} \|  \|", macro)
    # Stopped before the first epoch of one run, which leaves an empty folder: it is trained again, the others are not.
    for file in (tmp_path / "logs" / "kor-splices-0").iterdir():
        file.unlink()
    assert run("corpora/sigmorphon", tmp_path, *ask) == printed


def test_a_language_that_is_not_there(run, words, capsys):
    with pytest.raises(SystemExit):
        run("corpora/sigmorphon", words, "--languages", "toy", "dut")
    assert f"{words} has no files of dut, such as hun_train.tsv" in capsys.readouterr().err


@pytest.mark.slow  # half a minute, in processes of their own
def test_addition(run, tmp_path):
    tiny = "--units 4 --embedding-dim 4 --updates-per-epoch 1"
    ask = ["--sums", 300, "--epochs", 1, "--common", tiny, "--logs", tmp_path]
    printed = run("corpora/addition", *ask)
    for row in ("ours", "ours, attention", "the example"):
        assert re.search(rf"^\| {row} \| {NUMBER} \| {NUMBER} \|$", printed, re.MULTILINE)
    files = [(tmp_path / f"{part}.tsv").read_text(encoding="utf-8").splitlines() for part in ("train", "test")]
    assert [len(lines) for lines in files] == [270, 30]
    numbers = [tuple(map(int, re.split(r"[+\t]", line))) for lines in files for line in lines]
    assert all(first + second == total for first, second, total in numbers)
    assert len({frozenset(both) for *both, _ in numbers}) == 300  # none is learnt and tested, in either order


@pytest.mark.slow  # half a minute, in processes of their own
def test_the_words_of_cmudict(run, tmp_path):
    words = [f"{a}{b}\t{a.upper()} {b.upper()}" for a in "abcdefgh" for b in "stuvwxyz"]
    (tmp_path / "train.tsv").write_text("\n".join(words), encoding="utf-8")
    (tmp_path / "test_references.tsv").write_text("as\tA S\tA Z\nbt\tB T\n", encoding="utf-8")
    tiny = "--units 4 --embedding-dim 4 --layers 1 --no-bidirectional --epochs 1 --updates-per-epoch 1"
    printed = run("corpora/cmudict", tmp_path, "--rows", "none", "--common", tiny, "--logs", tmp_path / "logs")
    assert re.fullmatch(rf"\| none \| `.*` \| {NUMBER} \| {NUMBER} \| \d+ \|", printed.splitlines()[2])


@pytest.mark.slow  # a minute, in processes of their own
def test_the_commands_of_scan(run, tmp_path):
    for part, verbs in (("train", "walk look run"), ("test", "jump")):
        lines = [f"IN: {verb}{times} OUT: {verb}\n" for verb in verbs.split() for times in ("", " twice", " thrice")]
        (tmp_path / f"tasks_{part}_simple.txt").write_text("".join(lines), encoding="utf-8")
    tiny = "--units 4 --embedding-dim 4 --epochs 1 --updates-per-epoch 1 --valid-share 0.5"
    ask = ["--rows", "simple_rnn", "--splits", "simple", "--common", tiny, "--logs", tmp_path / "logs"]
    printed = run("corpora/scan", tmp_path, *ask)
    assert re.fullmatch(rf"\| simple_rnn \| {NUMBER} \| {NUMBER} \|", printed.splitlines()[2])
    written = (tmp_path / "logs" / "simple_test.tsv").read_text(encoding="utf-8")
    assert written == "jump\tjump\njump twice\tjump\njump thrice\tjump\n"


def test_the_lengths_of_scan(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(toys.ROOT / "tests" / "corpora")
    import scan

    parts = scan.commands("length", tmp_path)
    assert {part: len(pairs) for part, pairs in parts.items()} == {"train": 16_990, "test": 3_920}  # as published


PEER = f"""#!{sys.executable}
import json, pathlib, sys
config = json.loads(pathlib.Path(sys.argv[3]).read_text())
if sys.argv[1] == "fit":
    pathlib.Path(config["checkpoint"]["dirpath"], "best.ckpt").touch()
else:
    lines = pathlib.Path(config["data"]["predict"]).read_text().splitlines()
    answers = [line.split("\\t")[1] for line in lines]
    pathlib.Path(config["prediction"]["path"]).write_text("\\n".join(["wrong", "wrong", "wrong", *answers[3:]]))
"""


@pytest.mark.slow  # a minute, in processes of their own
@pytest.mark.parametrize("features", [False, True])
def test_the_peer_for_words(run, words, features):
    (words / "peer").write_text(PEER, encoding="utf-8")
    (words / "peer").chmod(0o755)
    tiny = "--units 4 --embedding-dim 4 --splices 0 --epochs 1 --updates-per-epoch 1"
    ask = ["--yoyodyne", words / "peer", "--languages", "toy", "--seeds", 0, "--common", tiny, "--logs", words / "logs"]
    if features:
        for file in words.glob("toy_*.tsv"):
            lines = file.read_text(encoding="utf-8").splitlines()
            file.write_text("".join(f"{line}\tV;PST\n" for line in lines), encoding="utf-8")
        ask.append("--features")
    row = run("corpora/yoyodyne", words, *ask).splitlines()[2]
    assert re.fullmatch(rf"\| toy \| {NUMBER} \| {NUMBER} \| 33\.3 \| {NUMBER} \|", row)  # 3 of 9
    if features:
        pairs = (words / "logs" / "toy_test.tsv").read_text(encoding="utf-8")
        assert pairs.startswith("x x [V] [PST]\tX _ X\nx y [V] [PST]\tX _ Y\n")


def test_forms_of_english_verbs(run, tmp_path):
    pytest.importorskip("lemminflect")
    run("corpora/english_verbs", tmp_path)
    rows = [
        line.split("\t")
        for split in ("train", "dev", "test")
        for line in (tmp_path / f"vrb_{split}.tsv").read_text(encoding="utf-8").splitlines()
    ]
    assert len(rows) == len({tuple(row) for row in rows}) == 3000
    assert ["winch", "winches", "V;3;SG;PRS"] in rows


def test_what_the_table_of_all_languages_finds_out_by_itself(monkeypatch):
    monkeypatch.syspath_prepend(toys.ROOT / "tests" / "corpora")
    import sigmorphon

    assert sigmorphon.normalization(["ba", "ab"] * 5, ["ab", "ba"]) == "none"
    assert sigmorphon.normalization(["가나"] * 5, ["나가"]) == "none"  # each is known
    # Of its jamo, each is known; of its syllables, one is not. In letters that do not decompose, nothing is gained.
    assert sigmorphon.normalization(["가너"] * 5, ["거가"]) == "NFD"
    assert sigmorphon.normalization(["ba", "ab"] * 5, ["ac"]) == "none"


@pytest.mark.slow  # half a minute, in processes of their own
def test_translation(run, tmp_path):
    pytest.importorskip("tensorflow_text")
    for split in ("train", "val", "test2016"):
        lines = [f"Ein {a} {b}.\tA {b} {a}.\n" for a in ("Hund", "Mann", "Haus") for b in ("rot", "alt", "neu")]
        (tmp_path / f"{split}.de-en.tsv").write_text("".join(lines), encoding="utf-8")
    tiny = "--subwords 40 --embedding-dim 4 --units 4 --epochs 2 --updates-per-epoch 2 --batch-size 3 --tensorboard off"
    ask = ["--common", tiny, "--rows", "gru", "--seeds", 0, 1, "--logs", tmp_path / "logs"]
    first = run("corpora/multi30k", tmp_path, *ask)
    head, _, row = first.splitlines()
    assert head == "| row | options | BLEU | BLEU, spaCy | chrF | exact match | perplexity | minutes |"
    number = rf"{NUMBER} \({NUMBER} to {NUMBER}\)"
    assert re.fullmatch(
        rf"\| gru \| `--attention none` \| {number} \| (?:{number})? \| {' . '.join([number] * 4)} \|", row
    )
    assert run("corpora/multi30k", tmp_path, *ask) == first  # the runs are there: they are measured alone


@pytest.mark.slow  # a minute, in processes of their own
def test_killed_trainings(run, capsys):
    with pytest.raises(SystemExit) as ended:
        run("robustness/kills", "--kills", 3, "--each", 2)
    printed = capsys.readouterr().out
    assert ended.value.code == 0, printed
    assert len(re.findall(r"^run-[02]: .*: ended as the one left alone$", printed, re.MULTILINE)) == 2
    assert re.search(r" and 0 wrong$", printed)


@pytest.mark.slow  # half a minute, in processes of their own
def test_long_runs(run):
    printed = run("robustness/endurance", "--lines", 1000, "--minutes", 0.05)
    assert re.search(rf"^answers: 1000 of 1000 lines, 0 out of place; {NUMBER} lines/s$", printed, re.MULTILINE)
    assert re.search(rf"^training: \d+ epochs, \d+ updates; event files {NUMBER} MiB$", printed, re.MULTILINE)
    assert re.search(r"^its step was traced (\d+) times in a tenth, \1 in all$", printed, re.MULTILINE)
    for what in ("predict", "training"):
        assert re.search(rf"^memory of {what}: {NUMBER} MiB after a tenth, {NUMBER} MiB at the end$", printed, re.M)
