"""Ensembles: the mean of the members' probabilities, worked out by hand, in all that a model is asked for."""

import json
import math
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import toys

import keras_seq2seq
from keras_seq2seq import Beam, Ensemble, InputError, Sampling, Seq2Seq, Vocabulary, keras
from keras_seq2seq.data.vocabulary import SPECIAL
from keras_seq2seq.model.ensemble import log_of_mean

SEED_ONCE = True  # see conftest.py

END, B, C, D, F = 4, 5, 6, 7, 9


def logits_of(probabilities):
    """Returns the logits `(10,)` of a distribution over the tokens that it names; all others are impossible."""
    with np.errstate(divide="ignore"):
        return np.log(np.array([probabilities.get(token, 0) for token in range(10)], np.float32))


@keras.utils.register_keras_serializable("toy")
class Nothing(keras.layers.Layer):
    """An encoder that reads nothing."""

    def call(self, source, training=False):
        return tf.zeros([*tf.unstack(tf.shape(source)), 1]), []


@keras.utils.register_keras_serializable("toy")
class ByToken(keras.layers.Layer):
    """A decoder that goes by the previous token alone, so it has no state."""

    def __init__(self, table):
        super().__init__()
        self.table = np.stack([logits_of(table.get(token, {END: 1})) for token in range(10)])

    def prepare(self, state, memory, memory_mask):
        return state, ()

    def call(self, target_input, state, prepared, training=False):
        return tf.gather(self.table, target_input)

    def step(self, token, state, prepared):
        return tf.gather(self.table, token), state


@keras.utils.register_keras_serializable("toy")
class ByTime(keras.layers.Layer):
    """A decoder that goes by the number of the step, which is in its state beside a part that it has no use for."""

    def __init__(self, steps):
        super().__init__()
        self.table = np.stack([*map(logits_of, steps), *[logits_of({END: 1})] * 8])

    def prepare(self, state, memory, memory_mask):
        batch = tf.shape(memory)[0]
        return [tf.zeros([batch, 3]), tf.zeros([batch], tf.int32)], memory_mask

    def call(self, target_input, state, prepared, training=False):
        times = tf.range(tf.shape(target_input)[1])
        return tf.gather(self.table, tf.broadcast_to(times, tf.shape(target_input)))

    def step(self, token, state, prepared):
        unused, time = state
        return tf.gather(self.table, time), [unused, time + 1]


def model_of(decoder, **options):
    return Seq2Seq(Nothing(), decoder, toys.WORDS, toys.WORDS, **{"max_target_length": 6, **options})


# At the start (id 3) the one likes b, the other d, and both find c the second best. By hand, the mean says
#     b 0.3, c 0.4, d 0.3; then <end> behind b 0.7, behind c 0.6, behind d 0.45, and else f; behind f always <end>.
BY_TOKEN = {3: {B: 0.5, C: 0.4, D: 0.1}, B: {END: 1}, C: {END: 0.8, F: 0.2}, D: {END: 0.5, F: 0.5}}
BY_TIME = [{B: 0.1, C: 0.4, D: 0.5}, {END: 0.4, F: 0.6}]
ANSWERS = {"c": 0.24, "b": 0.21, "d f": 0.165, "c f": 0.16, "d": 0.135, "b f": 0.09}


@pytest.fixture(scope="module")
def pair():
    return [model_of(ByToken(BY_TOKEN)), model_of(ByTime(BY_TIME))]


@pytest.fixture(scope="module")
def by_hand(pair):
    return Ensemble(pair)


def test_the_mean_is_one_of_probabilities():
    one, other = logits_of({B: 0.5, C: 0.5}) + 3, logits_of({C: 0.1, D: 0.9}) - 5  # logits are only relative
    mean = np.exp(log_of_mean([tf.constant(one), tf.constant(other)]))
    assert mean[[B, C, D]] == pytest.approx([0.25, 0.3, 0.45])
    assert mean.sum() == pytest.approx(1)


def test_a_probability_too_small_for_a_float_is_no_zero():
    logits = tf.constant([[0.0, -200.0]])
    assert log_of_mean([logits, logits]).numpy()[0].tolist() == [0, -200]


def test_the_answer_may_be_none_of_the_members(pair, by_hand):
    assert [model.generate(["b"]) for model in pair] == [["b"], ["d f"]]
    [[answer]] = by_hand.generate_nbest(["b"])
    assert (answer.text, answer.log_probability) == ("c", pytest.approx(math.log(0.24)))


def test_a_beam_finds_every_answer_in_order(by_hand):
    [found] = by_hand.generate_nbest(["b"], Beam(6, 6, length_penalty=0))
    assert [answer.text for answer in found] == list(ANSWERS)
    assert [math.exp(answer.log_probability) for answer in found] == pytest.approx(list(ANSWERS.values()))
    assert [answer.score for answer in found] == [answer.log_probability for answer in found]


def test_given_answers_are_scored(by_hand):
    tokens, sums = by_hand.score(["b"] * 6, list(ANSWERS))
    assert np.exp(sums) == pytest.approx(list(ANSWERS.values()))
    assert np.exp(tokens[2]) == pytest.approx([0.3, 0.55, 1])


def test_draws_are_from_the_mean(by_hand):
    mean = model_of(ByTime([{B: 0.3, C: 0.4, D: 0.3}]))  # behind the first token it ends, which is not compared
    drawn = [model.generate(["b"] * 60, Sampling(seed=1)) for model in (by_hand, mean)]
    assert [answer[0] for answer in drawn[0]] == [answer[0] for answer in drawn[1]]
    assert {answer[0] for answer in drawn[0]} == {"b", "c", "d"}


def test_it_is_evaluated(by_hand):
    results = keras_seq2seq.evaluate(by_hand, {"b": ["c"], "c": ["d f"]})
    assert results["loss"] == pytest.approx(-(math.log(0.24) + math.log(0.165)) / 5)
    assert results["exact_match"] == 0.5


# Members of the package's own kinds, and of others

SOURCE = toys.padded([[2, 5, 6, 7], [2, 9]])
KINDS = [
    {},
    {"cell": "gru", "attention": "dot", "layers": 2},
    {"cell": "lstm", "attention": "additive", "bidirectional": True, "tie_embeddings": True, "embedding_dim": 6},
]


def members_of(*kinds):
    return [toys.make_model(seed, **kind) for seed, kind in enumerate(kinds)]


def transformer(monkeypatch):
    monkeypatch.syspath_prepend(toys.ROOT / "docs" / "examples")
    import transformer

    size = len(toys.WORDS)
    halves = transformer.TransformerEncoder(size, size=8), transformer.TransformerDecoder(size, size=8, max_length=8)
    return Seq2Seq(*halves, toys.WORDS, toys.WORDS, max_target_length=8)


def require_consistent(ensemble, members):
    """Requires that a step and all steps at once give the mean of what each member gives by itself."""
    ids, log_probabilities = ensemble.generate_ids(SOURCE, Beam(3, 3), max_length=4)
    for labels, found in zip(tf.unstack(ids, axis=1), tf.unstack(log_probabilities, axis=1), strict=True):
        target_input = tf.concat([tf.fill([2, 1], 3), labels[:, :-1]], axis=1)
        mean = sum(tf.nn.softmax(model((SOURCE, target_input))) for model in members) / len(members)
        together = tf.nn.softmax(ensemble((SOURCE, target_input)))
        np.testing.assert_allclose(together, mean, atol=1e-6)
        gained = tf.gather(tf.math.log(mean), labels, batch_dims=2)
        summed = tf.reduce_sum(tf.where(labels != 0, gained, 0.0), axis=1)
        np.testing.assert_allclose(found, summed, atol=1e-4)


def test_members_may_be_of_different_kinds():
    members = members_of(*KINDS)
    require_consistent(Ensemble(members), members)


def test_members_may_be_ones_own(monkeypatch):
    members = [transformer(monkeypatch), *members_of(KINDS[1])]
    require_consistent(Ensemble(members), members)


def test_members_may_be_ensembles():
    one, *others = members_of(*KINDS)
    members = [one, Ensemble(others)]
    require_consistent(Ensemble(members), members)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_one_member_alone_gives_its_own_numbers(kind):
    [member] = members_of(kind)
    texts, strategy = ["b c", "d", ""], Beam(3, 3)
    for own, found in zip(
        member.generate_nbest(texts, strategy), Ensemble([member]).generate_nbest(texts, strategy), strict=True
    ):
        assert [answer.text for answer in found] == [answer.text for answer in own]
        assert [answer.score for answer in found] == pytest.approx([answer.score for answer in own], rel=1e-6)


def test_each_member_computes_in_its_own_precision():
    member, (other,) = toys.make_model(5, precision="bfloat16", cell="gru", attention="dot"), members_of(KINDS[1])
    scores = [model.score(["b"], ["c d"])[0] for model in (member, other, Ensemble([member, other]))]
    assert scores[2] == pytest.approx(np.log((np.exp(scores[0]) + np.exp(scores[1])) / 2))


def test_it_follows_its_members():
    member, other = members_of(*KINDS[:2])
    ensemble = Ensemble([member, other])
    before = ensemble.score(["b"], ["c"])[1]
    for weight in member.weights:
        weight.assign(tf.zeros_like(weight))
    assert ensemble.score(["b"], ["c"])[1] != pytest.approx(before)


def test_it_reads_and_says_no_more_than_each_member_may():
    sizes = [(7, 5), (4, 6)]
    ensemble = Ensemble(
        [model_of(ByToken({}), max_source_length=reads, max_target_length=says) for reads, says in sizes]
    )
    assert (ensemble.max_source_length, ensemble.max_target_length) == (4, 5)


CLIENT = """
import json, sys

for package in ("keras", "tf_keras", "keras_seq2seq"):
    sys.modules[package] = None  # import raises ImportError
import tensorflow as tf

signatures = tf.saved_model.load(sys.argv[1]).signatures
texts = tf.constant(["b c", "d"])
found = signatures["beam"](texts)
greedy = [text.decode() for text in signatures["serving_default"](texts)["answers"].numpy()]
answers = [[text.decode() for text in row] for row in found["answers"].numpy()]
print(json.dumps([greedy, answers, found["scores"].numpy().tolist()]))
"""


def test_it_is_exported(tmp_path):
    ensemble, beam = Ensemble(members_of(*KINDS)), Beam(3, 2)
    keras_seq2seq.export(ensemble, tmp_path / "saved", beam)
    greedy, texts, scores = json.loads(toys.output_of(CLIENT, tmp_path / "saved"))
    expected = ensemble.generate_nbest(["b c", "d"], beam)
    assert greedy == ensemble.generate(["b c", "d"])
    assert texts == [[answer.text for answer in answers] for answers in expected]
    for found, answers in zip(scores, expected, strict=True):
        assert found == pytest.approx([answer.score for answer in answers], abs=1e-4)


# What is refused


OTHERS = {
    "kind of tokens": Vocabulary(toys.WORDS.tokens, "word"),
    "list of tokens": Vocabulary([*SPECIAL, *"c b d e f".split()], "space"),
}


@pytest.mark.parametrize("part", OTHERS)
@pytest.mark.parametrize("side", ["source", "target"])
def test_other_vocabularies_are_refused_by_side_and_name(pair, side, part):
    vocabularies = {"source_vocabulary": toys.WORDS, "target_vocabulary": toys.WORDS}
    other = Seq2Seq(Nothing(), ByToken({}), **{**vocabularies, f"{side}_vocabulary": OTHERS[part]})
    with pytest.raises(InputError) as caught:
        Ensemble([*pair, other], ["logs/a", "logs/b", "logs/c"])
    assert str(caught.value) == (
        f"logs/c: its {side} vocabulary has another {part} than that of logs/a; train all members on the same data "
        "with the same kinds of tokens"
    )
    with pytest.raises(InputError, match=f"^member 2: its {side} vocabulary has another {part} than that of member 1;"):
        Ensemble([pair[0], other])


def test_other_normalization_is_refused(pair):
    pytest.importorskip("tensorflow_text")
    other = Seq2Seq(Nothing(), ByToken({}), Vocabulary(toys.WORDS.tokens, "space", "NFC"), toys.WORDS)
    with pytest.raises(InputError, match=r"^member 3: its source vocabulary has another normalization"):
        Ensemble([*pair, other])


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ([], "an ensemble needs a member at least"),
        (["logs/a"], "member 1 is 'logs/a'; give models, as `load` returns them"),
    ],
    ids=str,
)
def test_members_are_models(members, line):
    with pytest.raises(InputError) as caught:
        Ensemble(members)
    assert str(caught.value) == line


@pytest.mark.parametrize("method", ["fit", "train_on_batch"])
def test_it_is_not_trained(by_hand, method):
    with pytest.raises(InputError, match="an ensemble is not trained: train its members, each by itself"):
        getattr(by_hand, method)(toys.dataset_of(toys.BATCHES), epochs=1)


@pytest.mark.parametrize("save", [keras_seq2seq.save, Ensemble.save], ids=["ours", "keras"])
def test_it_is_not_saved_and_nothing_is_overwritten(by_hand, tmp_path, save):
    (tmp_path / "model.keras").write_text("mine")
    with pytest.raises(InputError, match=r"^an ensemble is not saved as one file: keep its members' files, or export"):
        save(by_hand, tmp_path / "model.keras")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("model.keras", "mine")]


def test_no_file_makes_a_half_of_an_ensemble(tmp_path):
    # Its sizes would be looked for where they are not, and not be held against the weights.
    keras_seq2seq.save(toys.make_model(), tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole, zipfile.ZipFile(tmp_path / "made.keras", "w") as made:
        for name in whole.namelist():
            content = whole.read(name)
            if name == "config.json":
                description = json.loads(content)
                description["config"]["encoder"] = {
                    "class_name": "EnsembleEncoder",
                    "registered_name": "keras_seq2seq>EnsembleEncoder",
                    "config": {"members": [description["config"]["encoder"]]},
                }
                content = json.dumps(description)
            made.writestr(name, content)
    with pytest.raises(InputError, match=r"is not a whole \.keras file"):
        keras_seq2seq.load(tmp_path / "made.keras")
