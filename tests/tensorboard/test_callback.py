"""The event files read back: what TensorBoard will find in them, on either Keras."""

import html
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import toys
from google.protobuf import text_format
from tensorboard import plugin_util
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from keras_seq2seq import Configuration, InputError, Vocabulary, encode_pairs, keras, train
from keras_seq2seq.data.batching import example_batches
from keras_seq2seq.data.vocabulary import SPECIAL
from keras_seq2seq.model.parts import named_weights
from keras_seq2seq.tensorboard import callback, diagnostics, figures, summaries
from keras_seq2seq.tensorboard.callback import EVERY, FIRST, TensorBoard, check_profiler, interval

# Two batches of equally many labels; and what Markdown and HTML would swallow.
PAIRS = [("b c", "f e"), ("e", "c"), ("c", "b b"), ("f b", "d")]
VALID = [("c b", "b c"), ("d | e", "e <d>")]
WORDS = Vocabulary([*SPECIAL, *"b c d e f | <d>".split(), "never said"], "space")
UPDATES = 70  # of an epoch, so that the second one goes beyond the first 100
LOOKS = [UPDATES, 2 * UPDATES, 3 * UPDATES]  # after epochs 1 and 2, and at the end


def fit(model, run, epochs, initial_epoch=0, updates=UPDATES, valid=VALID, profile=None):
    """Trains on the two batches, over and over, and returns what Keras reports."""
    examples = encode_pairs(PAIRS, WORDS, WORDS)
    valid = encode_pairs(valid, WORDS, WORDS) if valid else None
    return model.fit(
        example_batches(examples, 2, 1).repeat(),
        epochs=epochs,
        initial_epoch=initial_epoch,
        steps_per_epoch=updates,
        validation_data=example_batches(valid, 2, 1) if valid else None,
        callbacks=[TensorBoard(run, examples, valid, profile, {"units": 6, "data": ["a.de", "a.en"], "valid": None})],
        verbose=0,
        shuffle=False,
    ).history


def new_model(learning_rate=0.02, eagerly=True, metrics=(), **options):
    """Returns a model to train; a handful of updates takes less time than tracing one."""
    model = toys.make_model(vocabulary=WORDS, **options)
    clip_norm = toys.make_config(**options).clip_norm or None
    model.compile(keras.optimizers.SGD(learning_rate, global_clipnorm=clip_norm), metrics=metrics, run_eagerly=eagerly)
    return model


def read(folder):
    """Returns all that stands in a folder's event files, nothing sampled away."""
    return EventAccumulator(str(folder), {"tensors": 0}).Reload()


def points(events, tag):
    """Returns the steps and the values of a scalar, or of whatever else stands under a tag."""
    found = events.Tensors(tag)
    return [point.step for point in found], [tf.make_ndarray(point.tensor_proto) for point in found]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Trains three epochs, the last two as a resumed run does: with a callback and event files of its own."""
    folder = tmp_path_factory.mktemp("logs") / "one"
    model = new_model(eagerly=False)
    history = fit(model, folder, epochs=1)
    for name, values in fit(model, folder, epochs=3, initial_epoch=1).items():
        history[name] += values
    return folder, model, history, read(folder / "train"), read(folder / "validation")


def test_by_epoch_training_and_validation_share_names_and_axis(run):
    _, _, history, *splits = run
    for events, prefix in zip(splits, ("", "val_"), strict=True):
        for name in ("loss", "token_accuracy"):
            steps, values = points(events, f"epoch/{name}")
            assert steps == [UPDATES, 2 * UPDATES, 3 * UPDATES]
            np.testing.assert_allclose(values, history[prefix + name], rtol=1e-5)
        np.testing.assert_allclose(points(events, "epoch/perplexity")[1], np.exp(history[prefix + "loss"]), rtol=1e-5)
    np.testing.assert_allclose(points(splits[1], "epoch/exact_match")[1], history["val_exact_match"])
    assert points(splits[0], "epoch/exact_match")[0] == LOOKS


def test_by_update_the_axis_goes_on_over_a_stop(run):
    expected = [*range(1, FIRST + 1), *range(FIRST + EVERY, 3 * UPDATES + 1, EVERY)]
    for name in ("loss", "token_accuracy", "gradient_norm", "learning_rate", "tokens_per_second"):
        assert points(run[3], f"update/{name}")[0] == expected


def test_what_a_killed_process_wrote_after_the_last_saved_epoch_is_left_out(tmp_path):
    """The first epoch is saved, the second one written for TensorBoard when the process dies: it is trained again."""
    model = new_model()
    fit(model, tmp_path, epochs=1, updates=3)
    saved = model.get_weights()
    fit(model, tmp_path, epochs=2, initial_epoch=1, updates=3)
    model.set_weights(saved)
    model.optimizer.iterations.assign(3)
    time.sleep(1)  # files of events are read in the order of their seconds, and no process starts again in less
    fit(model, tmp_path, epochs=3, initial_epoch=1, updates=3)
    for split in ("train", "validation"):
        assert points(read(tmp_path / split), "epoch/loss")[0] == [3, 6, 9]
    assert points(read(tmp_path / "train"), "update/loss")[0] == [*range(1, 10)]


@pytest.mark.parametrize("epochs", [3, 100])
def test_a_run_killed_after_its_last_epoch_was_saved_lacks_no_point(tmp_path, monkeypatch, epochs):
    """The third epoch is the last one: it was planned so, or a callback, which reports a number too, says so."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2
            logs["half"] = epoch / 2

    monkeypatch.setattr(TensorBoard, "on_train_end", lambda self, logs=None: None)
    config = Configuration(inspect=0, epochs=epochs, updates_per_epoch=10, logs=str(tmp_path), run="one")
    train(config, PAIRS, VALID, callbacks=[Stop()])
    run = tmp_path / "one"
    events = read(run / "train")
    assert points(events, "epoch/exact_match")[0] == [10, 20, 30]
    assert points(events, "epoch/half") == ([10, 20, 30], [0, 0.5, 1])
    assert points(read(run / "validation"), "hidden_states")[0] == [10, 30]


def test_a_point_is_the_mean_since_the_last_one(run):
    _, _, history, train, _ = run
    # Each of the first epoch's updates has a point, and as many labels as any other.
    losses = points(train, "update/loss")[1]
    assert np.mean(losses[:UPDATES]) == pytest.approx(history["loss"][0], rel=1e-4)
    # The second epoch: 30 points of one update, 2 of twenty.
    second = losses[UPDATES : UPDATES + 32]
    assert np.average(second, weights=[1] * 30 + [20] * 2) == pytest.approx(history["loss"][1], rel=1e-4)
    assert losses[0] > losses[UPDATES] > losses[-1]


def test_the_gradient_norm_is_that_of_the_gradient(tmp_path):
    model = new_model(learning_rate=1.0, clip_norm=0.01)  # clipping comes after the measuring
    weights = [toys.array(weight) for weight in model.trainable_weights]
    fit(model, tmp_path, epochs=1, updates=1)
    change = [toys.array(after) - before for after, before in zip(model.trainable_weights, weights, strict=True)]
    assert np.sqrt(sum((part**2).sum() for part in change)) == pytest.approx(0.01, rel=1e-3)
    events = read(tmp_path / "train")
    assert points(events, "update/gradient_norm")[1][0] > 0.1
    assert points(events, "update/learning_rate")[1][0] == 1.0


class LabelsSeen(keras.metrics.Sum):
    """Has a total and no count."""

    def update_state(self, labels, logits, sample_weight):
        return super().update_state(sample_weight)


def test_a_metric_of_ones_own_that_is_no_mean_is_shown_by_epoch(tmp_path, capsys):
    model = new_model(metrics=[LabelsSeen(name="labels_seen")])
    fit(model, tmp_path, epochs=1, updates=3)
    assert "TensorBoard goes on" not in capsys.readouterr().out
    events = read(tmp_path / "train")
    assert points(events, "epoch/labels_seen")[1] == [15] and points(events, "update/loss")[0] == [1, 2, 3]


def test_points_get_rarer_as_a_run_grows():
    intervals = {1: 1, 100: 1, 101: 20, 9_999: 20, 10_000: 40, 19_999: 40, 20_000: 80, 40_000: 160}
    assert {update: interval(update) for update in intervals} == intervals


def test_every_weight_has_a_histogram_of_itself_and_of_its_gradient(run):
    _, model, _, train, _ = run
    tags = set(train.Tags()["tensors"])
    assert {f"{kind}/{path}" for kind in ("weights", "gradients") for path in named_weights(model)} <= tags
    steps, histograms = points(train, "weights/decoder/projection/kernel")
    assert steps == LOOKS
    assert histograms[-1][:, 2].sum() == 6 * len(WORDS)  # each entry is counted once
    # Of the validation pairs' 3 + 4 source positions, `<q>` among them, none is padding's.
    assert points(train, "hidden_states/encoder")[1][-1][:, 2].sum() == 6 * (3 + 4)


def test_the_table_shows_each_pair_and_survives_markdown(run):
    steps, tables = points(run[4], "sentences")
    assert steps == LOOKS
    rendered = plugin_util.markdown_to_safe_html(tables[0].item())
    assert rendered.count("<tr>") == 1 + len(VALID)
    assert "<td>d | e</td>" in html.unescape(rendered)
    assert "<d>" not in rendered
    assert "<td>e <d></td>" in html.unescape(rendered)
    assert "<strong>" in rendered  # after one epoch it says something wrong


def test_in_the_table_what_is_not_named_is_wrong(monkeypatch):
    # "x" and "y" are in no vocabulary; the model says `<unk>` for both, with a teacher and without.
    model = new_model()
    examples = encode_pairs([("b", "x y")], WORDS, WORDS)
    ids, tables = np.array([[1, 1, 4]]), []
    monkeypatch.setattr(tf.summary, "text", lambda name, table: tables.append(table))
    summaries.sentences({"labels": ids, "predicted": ids, "generated": ids}, model, examples)
    wrong = "**&#60;unk&#62;** **&#60;unk&#62;** &#60;end&#62;"
    assert tables[0].splitlines()[-1] == f"| b | x y | {wrong} | {wrong} |"


def test_subwords_are_shown_as_text_and_their_blanks_as_marks(tmp_path, monkeypatch):
    # Any pair of neighbours that becomes one is a piece, too. The last two would break a table of tabs and lines.
    pieces = Vocabulary([*SPECIAL, "▁n", "▁ne", "▁new", *"▁news", "t\te", "\n"], "subword")
    examples = encode_pairs([("new", "new news")], pieces, pieces)
    model = toys.make_model(vocabulary=pieces, attention="dot")
    new, blank, s, end = (pieces.tokens.index(token) for token in ("▁new", "▁", "s", "<end>"))
    np.testing.assert_array_equal(examples.labels.to_tensor(), [[new, new, s, end]])
    seen = diagnostics.look(model, examples)
    seen["predicted"], seen["generated"] = np.array([[new, new, blank, end]]), np.array([[new, s, end]])

    tables, drawn = [], {}
    monkeypatch.setattr(tf.summary, "text", lambda name, table: tables.append(table))
    summaries.sentences(seen, model, examples)
    assert html.unescape(tables[0].splitlines()[-1]) == "| new | new news | new new **␣** <end> | **∅** news <end> |"

    monkeypatch.setattr(tf.summary, "image", lambda name, pixels: None)
    monkeypatch.setattr(figures, "attention", lambda *given: drawn.update(given=given) or np.zeros((1, 1, 4)))
    summaries.images(seen, model, examples)
    weights, read, written, title = drawn["given"]
    assert (read, written, title) == (["<q>", "␣new"], ["␣new", "␣new", "s", "<end>"], ("new", "new news"))
    assert weights.shape == (4, 2)

    summaries.embeddings(model, examples, tmp_path)
    _, *lines = (tmp_path / "shared_tokens.tsv").read_text(encoding="utf-8").splitlines()
    counts = dict(line.split("\t") for line in lines)
    assert list(counts) == [*SPECIAL, "␣n", "␣ne", "␣new", *"␣news", "t\\te", "\\n"]
    assert (counts["␣new"], counts["s"], counts["␣"]) == ("3", "1", "0")


def test_the_graph_is_there_once(run):
    assert {"encoder", "decoder", "loss"} <= {
        node.name.split("/")[0] for node in GraphDef.FromString(run[3]._graph).node
    }


def test_images_are_drawn(run):
    for name in ("loss", "probability", "hidden_states"):
        steps, pictures = points(run[4], name)
        assert steps == [LOOKS[0], LOOKS[-1]]  # after epoch 1, not 2, and at the end
        width, height, png = pictures[-1]
        assert int(width) > 200 and int(height) > 100 and png.startswith(b"\x89PNG")
    assert "attention" not in run[4].Tags()["tensors"]


def test_the_projector_finds_embeddings_and_tokens(run):
    folder, model = run[0] / "train", run[1]
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (shared,) = config.embeddings
    values = np.loadtxt(folder / shared.tensor_path, delimiter="\t")
    np.testing.assert_allclose(values, toys.array(model.encoder.embedding.embeddings), rtol=1e-4)
    header, *lines = (folder / shared.metadata_path).read_text(encoding="utf-8").splitlines()
    assert header == "token\tcount"
    counts = dict(line.split("\t") for line in lines)
    assert list(counts) == WORDS.tokens
    # `b` stands in "b c", "f b" and twice in "b b".
    assert (counts["b"], counts["<q>"], counts["<a>"], counts["never said"]) == ("4", "4", "4", "0")


def test_a_large_vocabulary_is_cut_to_its_most_frequent_tokens(tmp_path, monkeypatch):
    monkeypatch.setattr(summaries, "POINTS", 7)
    model = new_model(shared_vocabulary=False)
    summaries.embeddings(model, encode_pairs(PAIRS, WORDS, WORDS), tmp_path)
    for side in ("source", "target"):
        assert (tmp_path / f"{side}_tokens.tsv").read_text(encoding="utf-8").split("\n")[-2].startswith("c\t")
        assert np.loadtxt(tmp_path / f"{side}_embedding.tsv").shape == (7, 4)


def test_the_hparams_tab_has_one_session_a_run(run):
    folder = run[0]
    assert len(list(folder.glob("*tfevents*"))) == 1  # the resumed run's has replaced the first one's
    events = read(folder)
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    session = metadata.parse_session_start_info_plugin_data(content)
    assert session.hparams["units"].number_value == 6
    embedding, cell, projection = len(WORDS) * 4, (4 + 6 + 1) * 6, (6 + 1) * len(WORDS)
    assert session.hparams["parameters"].number_value == embedding + 2 * cell + projection
    assert session.hparams["data"].string_value == "a.de a.en"  # two parallel files
    assert session.hparams["valid"].string_value == ""
    content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == api_pb2.STATUS_SUCCESS


def test_a_failing_view_stops_nothing_else(tmp_path, capsys, monkeypatch):
    def malformed(*_):
        raise RuntimeError("a table without legs\nand a long story")

    monkeypatch.setattr(summaries, "sentences", malformed)
    model = new_model()
    fit(model, tmp_path, epochs=2, updates=3)
    assert int(model.optimizer.iterations) == 6
    assert capsys.readouterr().out == "\nTensorBoard goes on without sentences: a table without legs\n"
    tags = read(tmp_path / "validation").Tags()["tensors"]
    assert "epoch/loss" in tags and "loss" in tags and "sentences" not in tags


def test_even_without_any_view_training_goes_on(tmp_path, capsys):
    (tmp_path / "train").write_text("no folder")
    (tmp_path / "validation").write_text("no folder")
    model = new_model()
    fit(model, tmp_path, epochs=1, updates=3)
    assert int(model.optimizer.iterations) == 3
    said = capsys.readouterr().out.split()
    assert said.count("TensorBoard") == len([word for word in said if word == "without"]) > 3


def test_without_matplotlib_there_are_no_images_and_one_line(tmp_path, capsys, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    fit(new_model(), tmp_path, epochs=2, updates=3, valid=None)
    assert capsys.readouterr().out == (
        "\nTensorBoard goes on without images: matplotlib is not installed: pip install 'keras_seq2seq[images]'\n"
    )
    tags = read(tmp_path / "train").Tags()["tensors"]
    assert "sentences" in tags and "loss" not in tags


def test_the_profiler_sees_the_updates_asked_for(tmp_path, monkeypatch):
    model, seen = new_model(), []
    monkeypatch.setattr(
        tf.profiler.experimental, "start", lambda path: seen.append((path, int(model.optimizer.iterations)))
    )
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: seen.append(int(model.optimizer.iterations)))
    monkeypatch.setattr(callback.TensorBoard, "observe", lambda self: None)
    fit(model, tmp_path, epochs=2, updates=3, profile=(2, 4))
    assert seen == [(str(tmp_path / "train"), 1), 4]  # once update 1 is done, before update 2; after update 4


def test_profile_wants_its_plug_in(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install tensorboard-plugin-profile"):
        check_profiler()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    check_profiler()
