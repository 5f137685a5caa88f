"""`train` takes parts of one's own, all at once: those of the examples."""

import re

import toys

from keras_seq2seq import NOTEBOOK, Configuration, load, train


def test_train_takes_each_part_by_its_argument(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(toys.ROOT / "docs" / "examples")
    from own_attention import CosineAttention
    from own_callback import Answer
    from own_cell import MinimalGatedCell
    from own_loss import focal_loss
    from own_metric import confidence

    config = Configuration(learning_rate=0.01, epochs=15, inspect=0, tensorboard="off", logs=str(tmp_path), run="mine")
    model = train(
        config,
        NOTEBOOK,
        callbacks=[Answer("what makes up water molecules")],
        metrics=[confidence],
        loss=focal_loss,
        cell=MinimalGatedCell,
        attention=CosineAttention(config.units),
    )
    for found in (model, load(tmp_path / "mine")):
        assert type(found.encoder.rnn.cell) is type(found.decoder.rnn.cell) is MinimalGatedCell
        assert type(found.decoder.attention) is CosineAttention
        assert toys.answers(found, [question for question, _ in NOTEBOOK]) == [answer for _, answer in NOTEBOOK]
        assert found.get_compile_config()["loss"] == {"registered_name": "Custom>focal_loss"}
    printed = capsys.readouterr().out
    names, *epochs = (line.split() for line in re.findall(r"^ *epoch .*|^ *\d+/15 .*", printed, re.MULTILINE))
    shown = [float(line[names.index("confidence")]) for line in epochs]
    assert len(shown) == 15 and shown[0] < 0.3 < 0.7 < shown[-1]
    assert re.findall(r"^(5|10|15) (.*)$", printed, re.MULTILINE)[-1] == ("15", "hydrogen and oxygen")
