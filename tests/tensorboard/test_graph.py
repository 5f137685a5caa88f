"""The graph that TensorBoard shows: whole, and named as in the code."""

import pytest
import tensorflow as tf
import toys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef

from keras_seq2seq import encode_pairs, keras
from keras_seq2seq.tensorboard.graph import graph, readable


@pytest.mark.parametrize(("shared", "attention"), [(True, "none"), (False, "none"), (False, "dot")])
def test_the_graph_is_named_by_attributes(shared, attention, tmp_path):
    model = toys.make_model(shared_vocabulary=shared, attention=attention)
    examples = encode_pairs([("b c", "d"), ("e", "f")], toys.WORDS, toys.WORDS)
    with tf.summary.create_file_writer(str(tmp_path)).as_default(step=0):
        graph(model, examples)
    found = GraphDef.FromString(EventAccumulator(str(tmp_path)).Reload()._graph)
    names = [node.name for node in found.node]
    assert len(set(names)) == len(names)
    inputs = {"source", "target_input", "labels"}
    assert {name.split("/")[0] for name in names} == {*inputs, "source_mask", "encoder", "decoder", "loss"}
    scopes = {"/".join(name.split("/")[:2]) for name in names}
    parts = ("encoder/embedding", "encoder/rnn", "decoder/embedding", "decoder/rnn", "decoder/projection")
    assert set(parts) <= scopes
    assert ("decoder/attention" in scopes) == (attention == "dot")
    # Every edge comes from a node that is there, the three inputs are read, and loops find their bodies.
    sources = {name.lstrip("^").split(":")[0] for node in found.node for name in node.input}
    assert inputs <= sources <= set(names)
    called = {value.func.name for node in found.node for value in node.attr.values() if value.func.name}
    assert {"encoder_rnn_while_body", "decoder_rnn_while_body"} <= called
    assert called <= {function.signature.name for function in found.library.function}


class Called(keras.Model):
    def __init__(self, *names):
        super().__init__()
        for number, name in enumerate(names):
            setattr(self, f"layer{number}", keras.layers.Dense(2, name=name))
        self.floors = [keras.layers.Dense(2, name="ground")]


def renamed(model, *names):
    """Returns what becomes of a chain of nodes, each reading the one before, behind an input `x`."""
    chain = tf.compat.v1.GraphDef()
    chain.node.add(name="x", op="Placeholder")
    for before, name in zip(["x", *names], names, strict=False):
        chain.node.add(name=name, op="MatMul", input=[f"{before}:0", "^x"])
    chain.node.add(name="NoOp", op="NoOp")
    source, *nodes = readable(chain, model).node
    assert source.name == "x"
    for before, node in zip([source, *nodes], nodes, strict=False):
        assert list(node.input) == [f"{before.name}:0", "^x"]
    return [node.name for node in nodes]


def test_a_layer_that_is_called_twice_has_two_nodes():
    first, second = renamed(Called("stock"), "stock/MatMul", "stock_1/MatMul")
    assert first == "layer0/MatMul"
    assert second != first and second.startswith("layer0/MatMul")


def test_numbers_of_layers_and_of_calls_are_told_apart():
    assert renamed(Called("dense", "dense_1"), "dense/Add", "dense_1_1/Add") == ["layer0/Add", "layer1/Add"]
    assert renamed(Called("dense_1", "dense_10"), "dense_10_1/Add", "dense_1_1/Add") == ["layer1/Add", "layer0/Add"]


def test_scopes_that_are_no_layers_keep_their_names():
    names = ["loss/Sum_1", "dense_2nd/Add", "condense/Add"]
    assert renamed(Called("dense"), *names) == names


def test_a_layer_in_a_list_is_named_by_its_place():
    assert renamed(Called(), "ground_1/MatMul") == ["floors/0/MatMul"]
