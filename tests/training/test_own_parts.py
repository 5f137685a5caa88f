"""The README's Python: files of one's own parts and training by hand, run as they are printed there."""

import re
import runpy

import pytest
import toys

from keras_seq2seq import keras, load
from keras_seq2seq.training import loop

CODE = re.findall(r"```python\n(.*?)```", (toys.ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
FILES = {name: code for code in CODE for name in re.findall(r"\A# (own_\w+\.py)", code)}
KNOWN = [["what makes up water molecules"], ["hydrogen and oxygen"]]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Returns a function that runs one of the files in an empty folder and returns the model it saved."""

    def run(name):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(loop, "TensorBoard", lambda *_: keras.callbacks.Callback())  # half of the time
        (tmp_path / name).write_text(FILES[name], encoding="utf-8")
        runpy.run_path(name, run_name="__main__")
        [saved] = tmp_path.glob("logs/*/model.keras")
        return load(saved)

    return run


def test_there_is_one_for_each_part_and_none_is_long():
    parts = ["cell", "attention", "decoding", "corpus", "metric", "callback", "loss"]
    assert sorted(FILES) == sorted(f"own_{part}.py" for part in parts)
    for code in FILES.values():
        assert len(code.splitlines()) <= 25


def test_a_cell(run):
    model = run("own_cell.py")
    assert type(model.encoder.rnn.cell).__name__ == type(model.decoder.rnn.cell).__name__ == "MinimalGatedCell"
    assert model.generate(KNOWN[0]) == KNOWN[1]


def test_an_attention(run):
    model = run("own_attention.py")
    assert type(model.decoder.attention).__name__ == "CosineAttention"
    assert model.generate(KNOWN[0]) == KNOWN[1]


def test_a_decoding_strategy(run, capsys):
    run("own_decoding.py")
    [answer] = eval(capsys.readouterr().out.splitlines()[-1])
    assert answer and "<unk>" not in answer.split()


def test_a_corpus_reader(run, capsys):
    run("own_corpus.py")
    assert capsys.readouterr().out.splitlines()[-1] == "['Budapest']"


def test_a_metric(run, capsys):
    run("own_metric.py")
    shares = [float(share) for share in re.findall(r"top_3: ([\d.e+-]+)", capsys.readouterr().out)]
    assert len(shares) == 10 and shares[0] < shares[-1] == 1.0


def test_a_callback(run, capsys):
    run("own_callback.py")
    lines = re.findall(r"^(\d+) (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert [number for number, _ in lines] == [str(number) for number in range(1, 11)]
    assert lines[-1][1] == "hydrogen and oxygen"


def test_a_loss(run):
    model = run("own_loss.py")
    assert model.generate(KNOWN[0]) == KNOWN[1]


def test_training_and_training_further_from_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "TensorBoard", lambda *_: keras.callbacks.Callback())
    for name in ("pairs.tsv", "valid.tsv", "more.tsv"):
        (tmp_path / name).write_text("ab\tA B\nba\tB A\n")
    [first, further] = sorted((code for code in CODE if "read_pairs(" in code), key=lambda code: "further" in code)
    exec(first)
    exec(further.replace("logs/RUN", "logs/mine"))
    assert int(load(tmp_path / "further.keras").optimizer.iterations) == 5  # a batch an epoch, from a fresh optimizer
