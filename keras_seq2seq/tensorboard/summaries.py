"""The tabs of TensorBoard but for its graph: each function writes to one, by the default summary writer."""

import io
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.hparams import api_pb2, summary
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from keras_seq2seq import files
from keras_seq2seq.data.batching import Examples
from keras_seq2seq.keras_version import keras_major
from keras_seq2seq.model.seq2seq import Seq2Seq
from keras_seq2seq.tensorboard import figures, tables
from keras_seq2seq.tensorboard.diagnostics import tokens_of

POINTS = 5_000  # of an embedding in the projector, the vocabulary's first tokens: more could not be told apart there
Seen = dict[str, np.ndarray]  # what `diagnostics.look` returns


def scalars(values: dict[str, float]) -> None:
    """Writes one point of each chart."""
    _write_at_once([scalar_pb(name, value) for name, value in values.items()])


def hyperparameters(model: Seq2Seq, values: Mapping[str, Any], run: str) -> None:
    """Writes the values, for the HParams tab to put beside what came of them: what differs between runs first."""
    # By hand, since Keras 2 counts the numbers of the metrics too.
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    shown = {name: "" if value is None else value for name, value in values.items()}
    shown |= {name: " ".join(value) for name, value in values.items() if isinstance(value, list)}  # two parallel files
    hparams.hparams({"keras": keras_major(), "parameters": parameters, **shown}, trial_id=run)


def forget_from(update: int, folder: Path) -> None:
    """Tells TensorBoard to leave out what stands in a folder from this update on: a killed process had got that far.

    TensorBoard reads a folder's files in the order of their names, which begin with the second they were made in. Here
    a `-` follows it, not a `.`: within its second it comes first, before what this process is going to write.
    """
    # The first start that TensorBoard meets in a folder is a start for it, and only the second one a start over.
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    begun = [event_pb2.Event(wall_time=time.time(), step=update, session_log=start)] * 2
    with open(folder / f"events.out.tfevents.{int(time.time())}-restart", "wb") as file:
        writer = RecordWriter(file)
        for event in [event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"), *begun]:
            writer.write(event.SerializeToString())


def end_of_session() -> None:
    """Tells the HParams tab that the run came to its end."""
    _write_at_once([summary.session_end_pb(api_pb2.STATUS_SUCCESS)])


def sentences(seen: Seen, model: Seq2Seq, examples: Examples) -> None:
    """Writes a table of the pairs: what the model predicts with the right words before it, and generates by itself."""
    vocabulary, kept = model.target_vocabulary, seen["labels"] != 0
    columns = (
        tokens_of(seen["labels"], kept, vocabulary),
        tokens_of(seen["predicted"], kept, vocabulary),
        tokens_of(seen["generated"], seen["generated"] != 0, vocabulary),
    )
    rows = []
    for (source, target), right, forced, free in zip(examples.pairs, *columns, strict=True):
        given_reference = tables.mark_wrong(forced, right, vocabulary.unit, aligned=True)
        alone = tables.mark_wrong(free, right, vocabulary.unit, aligned=False)
        rows.append([tables.escape(source), tables.escape(target), given_reference, alone])
    titles = ["source", "reference", "teacher-forced", "answer (bold: wrong)"]
    tf.summary.text("sentences", tables.table(titles, rows))


def histograms(seen: Seen) -> None:
    """Writes the distribution of every weight, of its gradient, and of the hidden states, padding left out."""
    values = {name: value for name, value in seen.items() if name.startswith(("weights/", "gradients/"))}
    for part, ids in (("encoder", "source"), ("decoder", "target_input")):
        if part in seen:
            values[f"hidden_states/{part}"] = seen[part][seen[ids] != 0]
    _write_at_once([histogram_pb(name, value) for name, value in values.items()])


def images(seen: Seen, model: Seq2Seq, examples: Examples) -> None:
    """Draws the loss and the probability at each position, and of the first pair the hidden states and the attention.

    Raises:
        ImportError: matplotlib is not installed.
    """
    source, target = model.source_vocabulary, model.target_vocabulary
    kept, loss = seen["labels"] != 0, seen["loss"]
    labels = [tables.names(row, target.unit) for row in tokens_of(seen["labels"], kept, target)]
    rows = (kept, labels, [source for source, _ in examples.pairs])
    read, given = (
        tables.names(tokens_of(seen[ids], seen[ids] != 0, vocabulary)[0], vocabulary.unit)
        for ids, vocabulary in (("source", source), ("target_input", target))
    )
    states = [
        (part, seen[part][0, : len(tokens)], tokens)
        for part, tokens in (("encoder", read), ("decoder", given))
        if part in seen
    ]
    title = examples.pairs[0]
    pictures = {
        "loss": figures.positions(loss, *rows, "loss of each reference token, in nats", math.log(len(target))),
        "probability": figures.positions(np.exp(-loss), *rows, "probability of each reference token", 1.0),
        "hidden_states": figures.hidden_states(states, title),
    }
    if "attention" in seen:
        weights = seen["attention"][0, : len(labels[0]), : len(read)]
        pictures["attention"] = figures.attention(weights, read, labels[0], title)
    for name, pixels in pictures.items():
        tf.summary.image(name, pixels[None])


def embeddings(model: Seq2Seq, examples: Examples, folder: Path) -> None:
    """Writes the embeddings for the projector, each token with how often training meets it, as tables in `folder`."""
    source, target = (getattr(half, "embedding", None) for half in (model.encoder, model.decoder))
    read, written = examples.source.flat_values, examples.target_input.flat_values
    sides = [("source", source, model.source_vocabulary, read), ("target", target, model.target_vocabulary, written)]
    if source is target:
        sides = [("shared", source, model.source_vocabulary, tf.concat([read, written], axis=0))]
    config = ProjectorConfig()
    for name, layer, vocabulary, ids in sides:
        if layer is None:  # a half of one's own may do without
            continue
        counts = np.bincount(ids, minlength=len(vocabulary))
        names = tables.names(vocabulary.tokens[:POINTS], vocabulary.unit)
        lines = [f"{name}\t{count}\n" for name, count in zip(names, counts[:POINTS], strict=True)]
        _write(folder / f"{name}_tokens.tsv", "token\tcount\n" + "".join(lines))
        table = io.StringIO()
        np.savetxt(table, tf.convert_to_tensor(layer.embeddings)[:POINTS].numpy(), "%.5g", "\t")
        _write(folder / f"{name}_embedding.tsv", table.getvalue())
        paths = {"tensor_path": f"{name}_embedding.tsv", "metadata_path": f"{name}_tokens.tsv"}
        config.embeddings.add(tensor_name=f"{name}_embedding", **paths)
    _write(folder / "projector_config.pbtxt", text_format.MessageToString(config))


def _write_at_once(summaries: list[Any]) -> None:
    # In one record: `tf.summary.scalar` and `histogram` take ten times as long. What is laid end to end when it is
    # serialized is one message, whichever of TensorFlow's and TensorBoard's classes the parts belong to.
    tf.summary.experimental.write_raw_pb(b"".join(one.SerializeToString() for one in summaries))


def _write(path: Path, text: str) -> None:
    with files.output(path) as file:  # TensorBoard never reads half of it
        file.write(text)
