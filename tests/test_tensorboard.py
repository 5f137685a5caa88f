"""The event files read back: what TensorBoard will find in them, on either Keras."""

import collections
import html
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorboard import plugin_util
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from keras_seq2seq import Configuration, InputError, Seq2Seq, Vocabulary, drawings, encode_pairs, keras
from keras_seq2seq.batching import batches, training_batches
from keras_seq2seq.tensorboard import TensorBoard, interval, named_weights, profiled_updates
from keras_seq2seq.vocabulary import SPECIAL

TRAIN = [("b c", "c b"), ("d", "d"), ("e f b", "b f e"), ("f f", "f f")]
VALID = [("c b", "b c"), ("d | e", "e <d>")]  # what Markdown and HTML would swallow
WORDS = Vocabulary([*SPECIAL, "b", "c", "d", "e", "f", "|", "<d>", "never said"], "space")
WEIGHTS = {
    "encoder/embedding/embeddings",
    *(f"{part}/rnn/cell/{name}" for part in ("encoder", "decoder") for name in ("kernel", "recurrent_kernel", "bias")),
    "decoder/projection/kernel",
    "decoder/projection/bias",
}


class Tracked(Seq2Seq):
    """A model that measures its gradients and counts its tokens."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.norm, self.token_count = keras.metrics.Mean(name="gradient_norm"), keras.metrics.Sum(name="tokens")

    @property
    def metrics(self):
        own = [metric for metric in super().metrics if metric.name not in ("gradient_norm", "tokens")]
        return [*own, self.norm, self.token_count]

    def train_step(self, batch):
        self.token_count.update_state(100)
        return super().train_step(batch)

    def _update(self, gradients):
        self.norm.update_state(7.0)
        super()._update(gradients)


def fit(run, epochs=2, valid=VALID, callback=TensorBoard, **options):
    """Trains for epochs of 20 updates and returns the model."""
    config = Configuration(batch_size=2, embedding_dim=4, units=6, learning_rate=0.01, **options)
    encoded = [encode_pairs(pairs, WORDS, WORDS, config) if pairs else None for pairs in (TRAIN, valid)]
    model = Tracked(config, WORDS, WORDS, 8).create_weights()
    model.compile(keras.optimizers.Adam(config.learning_rate))
    model.fit(
        training_batches(encoded[0], config),
        epochs=epochs,
        steps_per_epoch=20,
        validation_data=batches(encoded[1], config) if valid else None,
        callbacks=[callback(run, config, *encoded)],
        verbose=0,
        shuffle=False,
    )
    return model


def read(folder):
    """Returns all that stands in a folder's event files, nothing sampled away."""
    return EventAccumulator(str(folder), collections.defaultdict(int)).Reload()


def points(events, tag):
    """Returns the steps and the values of a scalar, or of whatever else stands under a tag."""
    found = events.Tensors(tag)
    return [point.step for point in found], [tf.make_ndarray(point.tensor_proto) for point in found]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("logs") / "one"
    model = fit(folder)
    return folder, model, read(folder / "train"), read(folder / "validation")


def test_training_and_validation_share_the_names_and_the_axis(run):
    _, _, train, valid = run
    names = {f"epoch/{name}" for name in ("loss", "perplexity", "token_accuracy", "exact_match")}
    for events in (train, valid):
        assert names <= set(events.Tags()["tensors"])
        for name in names:
            assert points(events, name)[0] == [20, 40]
        losses, perplexities = points(events, "epoch/loss")[1], points(events, "epoch/perplexity")[1]
        np.testing.assert_allclose(perplexities, np.exp(losses), rtol=1e-5)


def test_updates_are_points_at_every_tenth(run):
    train = run[2]
    for name in ("loss", "token_accuracy", "learning_rate", "gradient_norm", "tokens_per_second"):
        assert points(train, f"update/{name}")[0] == [10, 20, 30, 40]
    np.testing.assert_allclose(points(train, "update/gradient_norm")[1], 7)
    np.testing.assert_allclose(points(train, "update/learning_rate")[1], 0.01)
    assert min(points(train, "update/tokens_per_second")[1]) > 0


def test_a_point_is_the_mean_since_the_last_one(run):
    """As many labels stand in each ten updates here, so the two halves of an epoch average to its whole."""
    train = run[2]
    halves, wholes = points(train, "update/loss")[1], points(train, "epoch/loss")[1]
    np.testing.assert_allclose(np.mean(np.reshape(halves, (2, 2)), axis=1), wholes, rtol=1e-4)
    assert halves[0] > wholes[0] > halves[1]


def test_every_weight_has_a_histogram_of_itself_and_of_its_gradient(run):
    _, model, train, _ = run
    tags = set(train.Tags()["tensors"])
    assert set(named_weights(model)) == WEIGHTS
    assert len(WEIGHTS) == len(model.trainable_weights)
    assert {f"{kind}/{path}" for kind in ("weights", "gradients") for path in WEIGHTS} <= tags
    assert {"hidden_states/encoder", "hidden_states/decoder"} <= tags
    steps, histograms = points(train, "weights/decoder/projection/kernel")
    assert steps == [0, 20, 40]
    assert histograms[-1][:, 2].sum() == 6 * len(WORDS)  # each entry is counted once
    # Of the validation pairs' 3 + 4 source positions, `<q>` among them, none is padding's.
    assert points(train, "hidden_states/encoder")[1][-1][:, 2].sum() == 6 * (3 + 4)


def test_the_graph_names_its_parts(run):
    graph = GraphDef.FromString(run[2]._graph)
    scopes = {node.name.split("/")[0] for node in graph.node}
    assert {"encoder", "decoder", "loss"} <= scopes


def test_the_table_shows_each_pair_and_survives_markdown(run):
    _, _, _, valid = run
    steps, tables = points(valid, "sentences")
    assert steps == [0, 20, 40]
    rendered = plugin_util.markdown_to_safe_html(tables[0].item())
    assert rendered.count("<tr>") == 1 + len(VALID)
    assert "<td>d | e</td>" in html.unescape(rendered)
    assert "<d>" not in rendered
    assert "<td>e <d></td>" in html.unescape(rendered)
    assert "<strong>" in rendered  # an untrained model says something wrong


def test_wrong_tokens_are_marked():
    assert drawings.mark_wrong("a x c".split(), "a b c".split(), " ", aligned=True) == "a **x** c"
    assert drawings.mark_wrong("a b c".split(), "a b c".split(), " ", aligned=False) == "a b c"
    # One token too many, or too few, does not make the rest wrong.
    assert drawings.mark_wrong("x a b".split(), "a b".split(), " ", aligned=False) == "**x** a b"
    assert drawings.mark_wrong("a c".split(), "a b c".split(), " ", aligned=False) == "a **∅** c"
    rendered = plugin_util.markdown_to_safe_html(drawings.mark_wrong("b*n_n", "b*n**", "", aligned=True))
    assert html.unescape(rendered) == "<p>b*n<strong>_</strong><strong>n</strong></p>"


def test_images_are_drawn(run):
    pytest.importorskip("matplotlib")
    valid = run[3]
    for name in ("loss", "probability", "hidden_states"):
        steps, pictures = points(valid, name)
        assert steps == [0, 20, 40]
        width, height, png = pictures[-1]
        assert int(width) > 200 and int(height) > 100 and png.startswith(b"\x89PNG")


def test_any_token_can_be_drawn(recwarn):
    pytest.importorskip("matplotlib")
    odd = ["$x$", "$", "漢", "\n", "\x00", "😀", "_^{", "\\frac"]
    pictures = [
        drawings.attention(np.eye(8), odd, odd, "$\\undefined$ 漢"),
        drawings.positions(np.ones((1, 8)), np.ones((1, 8)), [odd], ["$_$"], "title", 1.0),
        drawings.hidden_states([("encoder", np.zeros((8, 3)), odd)], "".join(odd)),
    ]
    assert all(picture.std() > 0 for picture in pictures)
    assert not [warning for warning in recwarn if "lyph" in str(warning.message)]


def test_padding_is_hatched():
    pytest.importorskip("matplotlib")
    values = np.full((1, 4), 0.5)
    whole = drawings.positions(values, np.array([[1, 1, 1, 1]]), [[""] * 4], [""], "", 1.0)
    half = drawings.positions(values, np.array([[1, 1, 0, 0]]), [[""] * 2], [""], "", 1.0)
    changed = np.flatnonzero((whole != half).any(axis=(0, 2)))
    assert (half[:, changed, :3].std(axis=-1) < 1).all(axis=0).all()  # shades of grey, where colour was


def test_the_projector_finds_embeddings_and_tokens(run):
    folder, model, _, _ = run
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (shared,) = config.embeddings
    values = np.loadtxt(folder / shared.tensor_path, delimiter="\t")
    np.testing.assert_allclose(values, tf.convert_to_tensor(model.encoder.embedding.embeddings), rtol=1e-4)
    header, *lines = (folder / shared.metadata_path).read_text(encoding="utf-8").splitlines()
    assert header == "token\tcount"
    counts = dict(line.split("\t") for line in lines)
    assert list(counts) == WORDS.tokens
    # On each side, `f` stands once in "e f b" and twice in "f f", and so in the targets.
    assert (counts["f"], counts["<q>"], counts["<a>"], counts["never said"]) == ("6", "4", "4", "0")


def test_two_runs_compare_in_the_hparams_tab(run, tmp_path):
    fit(tmp_path / "two", epochs=1, seed=5)
    for folder, seed in ((run[0], 0), (tmp_path / "two", 5)):
        content = read(folder).SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        session = metadata.parse_session_start_info_plugin_data(content)
        assert session.hparams["seed"].number_value == seed
        assert session.hparams["units"].number_value == 6
        content = read(folder).SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
        metrics = metadata.parse_experiment_plugin_data(content).metric_infos
        assert ("validation", "epoch/exact_match") in {(info.name.group, info.name.tag) for info in metrics}


def test_a_failing_view_stops_nothing_else(tmp_path, capsys):
    class Malformed(TensorBoard):
        def sentences(self):
            raise RuntimeError("a table without legs\nand a long story")

    model = fit(tmp_path / "run", callback=Malformed)
    assert int(model.optimizer.iterations) == 40
    assert capsys.readouterr().out.count("TensorBoard goes on without its sentences: a table without legs\n") == 1
    valid = read(tmp_path / "run" / "validation")
    assert points(valid, "epoch/loss")[0] == [20, 40]
    assert "sentences" not in valid.Tags()["tensors"]


def test_without_matplotlib_there_are_no_images_and_one_line(tmp_path, capsys, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    fit(tmp_path / "run", valid=[])
    said = capsys.readouterr().out
    assert said.count("without its images: matplotlib is not installed: pip install 'keras_seq2seq[images]'") == 1
    assert "sentences" in read(tmp_path / "run" / "train").Tags()["tensors"]


def test_points_thin_out_as_a_run_grows():
    written = [number for number in range(1, 100_001) if number % interval(number, 4) == 0]
    assert written[:11] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14]
    assert len(written) < 4 * np.log2(100_000)


@pytest.mark.parametrize("text", ["", "10", "20,10", "10,10", "a,b", "-1,5", "1,2,3"])
def test_profile_wants_two_rising_updates(text):
    with pytest.raises(InputError, match="first and its last update"):
        profiled_updates(text)


def test_profile_wants_its_plug_in(monkeypatch):
    assert profiled_updates(None) is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install tensorboard-plugin-profile"):
        profiled_updates("10,20")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert profiled_updates("10,20") == (10, 20)
