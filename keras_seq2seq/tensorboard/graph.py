"""TensorBoard's Graphs tab: the way from ids to loss, its boxes named as in the code."""

import re
from typing import Any

import tensorflow as tf

from keras_seq2seq.data.batching import Examples
from keras_seq2seq.keras_version import keras
from keras_seq2seq.model.losses import label_mask, masked_mean, token_crossentropy
from keras_seq2seq.model.parts import named_layers
from keras_seq2seq.model.seq2seq import Seq2Seq


def graph(model: Seq2Seq, examples: Examples) -> None:
    """Writes the graph of the loss of a few pairs by the default summary writer; its edges show the shapes."""

    @tf.function(autograph=False)
    def forward(source, target_input, labels):
        # Not through `__call__`: the outermost box would hold all the others.
        logits = model.call((source, target_input), training=False)
        with tf.name_scope("loss"):
            return masked_mean(token_crossentropy(labels, logits), label_mask(labels))

    names = ("source", "target_input", "labels")
    # Of unknown lengths: with known ones there would be no loop over time, but all of its steps.
    inputs = [tf.TensorSpec([len(examples.pairs), None], tf.int32, name) for name in names]
    traced = forward.get_concrete_function(*inputs).graph.as_graph_def(add_shapes=True)
    tf.summary.graph(readable(traced, model))


def readable(graph: Any, model: keras.Model) -> Any:
    """Names the scopes of a graph by the model's attributes, `encoder/rnn`, not as Keras does, `encoder_1/rnn_3_1`.

    No two nodes get the same name, even where a layer is called twice.

    Args:
        graph: a `GraphDef`, a traced function. Its frame is left out: what returns the result and waits for the rest.
        model: the model whose layers it calls.
    """
    nodes = [node for node in graph.node if "/" in node.name or node.op not in ("Identity", "NoOp")]
    attribute_of, names = _attributes(model), dict[str, str]()
    for node in nodes:
        name = unique = _by_attributes(node.name, attribute_of)
        while unique in names.values():
            unique = f"{name}_{len(names)}"
        names[node.name] = unique
    result = tf.compat.v1.GraphDef(versions=graph.versions, library=graph.library)
    functions: dict[str, str] = {}
    for node in nodes:
        copy = result.node.add()
        copy.CopyFrom(node)
        copy.name = names[node.name]
        copy.input[:] = [
            re.sub(r"^(\^?)([^:]+)", lambda found: found[1] + names[found[2]], name) for name in node.input
        ]
        # A loop's condition and body are boxes of their own.
        for role, value in copy.attr.items():
            if value.func.name:
                value.func.name = functions.setdefault(value.func.name, f"{copy.name}_{role}".replace("/", "_"))
    for function in result.library.function:
        function.signature.name = functions.get(function.signature.name, function.signature.name)
    return result


def _attributes(model: keras.Model) -> dict[str, str]:
    """Returns the attribute that holds a layer, by the name that Keras gave it; of a layer in a list, `floors/0`."""
    return {layer.name: re.findall(r"[^/]+(?:/\d+)*$", path)[0] for path, layer in named_layers(model) if path}


def _by_attributes(name: str, attribute_of: dict[str, str]) -> str:
    *scopes, operation = name.split("/")
    for number, scope in enumerate(scopes):
        # Keras numbers the layers of a name, and then their calls: the longest layer's name that fits is meant.
        fitting = [layer for layer in attribute_of if re.fullmatch(re.escape(layer) + r"(_\d+)*", scope)]
        if fitting:
            scopes[number] = attribute_of[max(fitting, key=len)]
    return "/".join([*scopes, operation])
