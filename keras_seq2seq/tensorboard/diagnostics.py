"""Diagnostics of a model on a few pairs: losses, answers, hidden states, weights and gradients.

All of it runs eagerly, operation by operation. Five pairs take a fraction of a second that way; tracing a graph for
them would take longer than the whole training of the notebook's two pairs.
"""

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.batching import Examples
from keras_seq2seq.data.vocabulary import Vocabulary
from keras_seq2seq.model.losses import label_mask, masked_mean, token_crossentropy
from keras_seq2seq.model.parts import named_weights
from keras_seq2seq.model.seq2seq import Seq2Seq
from keras_seq2seq.model.train_step import gradients_of


def look(model: Seq2Seq, examples: Examples) -> dict[str, np.ndarray]:
    """Returns all diagnostics of a model on a few pairs.

    Args:
        model: it is not changed.
        examples: the pairs.

    Returns:
        `source`, `target_input` and `labels`, what is read and what is to be predicted, ids `(rows, time)`;
        `loss` and `predicted`, of the shape of `labels`: in nats, and the likeliest ids, the reference given so far;
        `generated`, ids `(rows, longer)`: the greedy answer, `<end>` included, 0 behind it;
        `encoder` and `decoder`, the hidden states `(rows, time, units)`, the top layer's;
        `attention` `(rows, target_time, source_time)`, where the model has it;
        and `weights/PATH` and `gradients/PATH`, of the mean loss, by the paths of `named_parts`.
    """
    source, target_input, labels = (side.to_tensor() for side in examples[:3])
    weights = named_weights(model)
    with tf.GradientTape() as tape:
        memory, state = model.encoder(source)
        prepared = model.decoder.prepare(state, memory, source != 0)
        # A decoder of one's own need not show more than its logits.
        inspect = getattr(model.decoder, "inspect", lambda *arguments: {"logits": model.decoder(*arguments)})
        shown = inspect(target_input, *prepared)
        loss = token_crossentropy(labels, shown["logits"])
        mean_loss = masked_mean(loss, label_mask(labels))
    gradients = gradients_of(tape, mean_loss, list(weights.values()))
    longest = min(model.max_target_length, 2 * labels.shape[1])  # an untrained model finds no end
    seen = {
        "source": source,
        "target_input": target_input,
        "labels": labels,
        "loss": loss,
        "predicted": tf.argmax(shown["logits"], axis=-1),
        "generated": model.generate_ids(source, max_length=longest)[0][:, 0],
        "encoder": tf.cast(memory, tf.float32),
    }
    for name, kept in (("decoder", "hidden_states"), ("attention", "attention")):
        if kept in shown:
            seen[name] = tf.cast(shown[kept], tf.float32)
    for (path, weight), gradient in zip(weights.items(), gradients, strict=True):
        seen[f"weights/{path}"] = tf.convert_to_tensor(weight)
        seen[f"gradients/{path}"] = tf.convert_to_tensor(gradient)
    return {name: value.numpy() for name, value in seen.items()}


def exact_match(model: Seq2Seq, examples: Examples) -> float:
    """Returns the share of pairs whose greedy answer is the reference, `<end>` included."""
    exact = model.exact_matches(examples.source.to_tensor(), examples.labels.to_tensor())
    return float(tf.reduce_mean(tf.cast(exact, tf.float32)))


def tokens_of(ids: np.ndarray, mask: np.ndarray, vocabulary: Vocabulary) -> list[list[str]]:
    """Returns the tokens of `(rows, time)` ids where `mask`, of the same shape, is true."""
    return [[vocabulary.tokens[number] for number in row[kept]] for row, kept in zip(ids, mask, strict=True)]
