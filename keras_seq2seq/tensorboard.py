"""TensorBoard, fed by a callback of our own: the same names on both Keras, and every point at its update.

Keras's own callback counts batches anew in each process, and on Keras 3 draws no graph and finds no embedding.
What grows, grows slowly: see `interval`.
"""

import importlib.util
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins import projector
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.hparams import api_pb2, summary

from keras_seq2seq import drawings
from keras_seq2seq.batching import Examples
from keras_seq2seq.config import Configuration, InputError
from keras_seq2seq.framework import keras, keras_major
from keras_seq2seq.losses import label_mask, masked_mean, token_crossentropy
from keras_seq2seq.model import Seq2Seq
from keras_seq2seq.vocabulary import Vocabulary

SHOWN, SAMPLE = 5, 128  # pairs that are shown; training pairs whose exact match is measured
UPDATES, HISTOGRAMS, IMAGES = 1000, 4, 1  # points while their count doubles: see `interval`
LEAST = 10  # updates between two points, at least


def interval(count: int, points: int) -> int:
    """Returns how far apart points are at `count`: a power of two, and while `count` doubles come `points` of them.

    So a run of any length keeps its early days, and its files grow with the logarithm of its length.
    """
    return 2 ** max(0, (count // points).bit_length() - 1)


def profiled_updates(text: str | None) -> tuple[int, int] | None:
    """Reads `--profile`: "10,20" is (10, 20), from update 10 to update 20.

    Raises:
        InputError: these are no two rising numbers, or TensorBoard's profile plug-in is not installed.
    """
    if text is None:
        return None
    first, comma, last = text.partition(",")
    if not (comma and first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise InputError(f"--profile is {text!r}; give its first and its last update, as in 10,20")
    if not importlib.util.find_spec("tensorboard_plugin_profile"):
        raise InputError("--profile needs a plug-in of TensorBoard: pip install tensorboard-plugin-profile")
    return int(first), int(last)


def named_weights(model: keras.Model) -> dict[str, Any]:
    """Returns the trainable weights by path, such as `encoder/rnn/cell/kernel`: attribute by attribute.

    The names that Keras gives them differ between the two Keras, and between two models of one process.
    """
    wanted = {id(weight) for weight in model.trainable_weights}
    found, seen = {}, set()

    def visit(thing: Any, path: tuple[str, ...]) -> None:
        if id(thing) in seen:
            return
        if id(thing) in wanted:
            found["/".join(path)] = thing
        elif isinstance(thing, keras.layers.Layer):
            # Keras 3 keeps a `kernel` as `_kernel`. Lists with such a name are its own books.
            for name, part in vars(thing).items():
                if not (name.startswith("_") and isinstance(part, list | tuple | dict)):
                    visit(part, (*path, name.strip("_")))
        elif isinstance(thing, list | tuple):
            for number, part in enumerate(thing):
                visit(part, (*path, str(number)))
        else:
            return
        seen.add(id(thing))

    visit(model, ())
    return found


def observer(model: Seq2Seq, examples: Examples) -> Callable[[], dict[str, Any]]:
    """Returns a function, traced once, that says all there is to see of the model on a few pairs.

    It returns what the encoder and the decoder read and the labels, `(rows, time)` ids; `loss` and `predicted` ids
    under teacher forcing, of that shape; the ids `said` without; hidden states of `encoder` and `decoder`,
    `(rows, time, units)`; and `gradients` of the mean loss, by the paths of `named_weights`.
    """
    source, decoder_input, labels = (side.to_tensor() for side in examples[:3])
    weights = named_weights(model)

    @tf.function
    def look():
        with tf.GradientTape() as tape:
            logits = model((source, decoder_input), training=False)
            loss = token_crossentropy(labels, logits)
            mean_loss = masked_mean(loss, label_mask(labels))
        gradients = tape.gradient(mean_loss, list(weights.values()), unconnected_gradients="zero")
        outputs, state = model.encoder(source, training=False)
        states = tf.scan(lambda state, token: model.decoder.step(token, state)[1], tf.transpose(decoder_input), state)
        return {
            "encoder_input": source,
            "decoder_input": decoder_input,
            "labels": labels,
            "loss": loss,
            "predicted": tf.argmax(logits, axis=-1, output_type=tf.int32),
            "said": model.generate_ids(source)[0][:, 0],
            "encoder": outputs,
            "decoder": tf.transpose(states[0], [1, 0, 2]),
            "gradients": {path: tf.convert_to_tensor(g) for path, g in zip(weights, gradients, strict=True)},
        }

    return look


def exact_matcher(model: Seq2Seq, examples: Examples) -> Callable[[], tf.Tensor]:
    """Returns a function, traced once, that measures the share of pairs whose greedy answer is the reference."""
    source, labels = examples.source.to_tensor(), examples.labels.to_tensor()

    @tf.function
    def measure():
        said = model.generate_ids(source, max_length=tf.shape(labels)[1])[0][:, 0]
        return tf.reduce_mean(tf.cast(tf.reduce_all((said == labels) | (labels == 0), axis=1), tf.float32))

    return measure


def tokens_of(ids: tf.Tensor, vocabulary: Vocabulary) -> list[list[str]]:
    """Returns the tokens of `(rows, time)` ids, padding behind them left out."""
    return [[vocabulary.tokens[number] for number in np.trim_zeros(row, "b")] for row in np.array(ids)]


class TensorBoard(keras.callbacks.Callback):
    """Writes what TensorBoard shows: `run/train` and `run/validation`, and for the HParams tab and the projector `run`.

    Every view works by itself: one that fails says so in one line, and is left out from then on.

    Args:
        run: the run's folder.
        config: of the run.
        examples: the training pairs.
        valid: the validation pairs; their first ones are shown, or else the first training pairs.
        profile: first and last update to profile: see `profiled_updates`.
    """

    def __init__(
        self,
        run: Path,
        config: Configuration,
        examples: Examples,
        valid: Examples | None = None,
        profile: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.run, self.config, self.examples, self.valid, self.profile = Path(run), config, examples, valid, profile
        self.broken: set[str] = set()
        self.profiling = False

    @property
    def update(self) -> int:
        """The model's own count of its updates: the horizontal axis of everything."""
        return int(self.model.optimizer.iterations)

    def attempt(self, view: Callable[..., None], *arguments: Any) -> None:
        """Calls a view of this class, unless it has failed before; nothing it raises gets any further."""
        if view.__name__ not in self.broken:
            try:
                view(*arguments)
            except Exception as error:
                self.broken.add(view.__name__)
                reason = next(iter(str(error).splitlines()), "") or type(error).__name__
                print(f"\nTensorBoard goes on without its {view.__name__}: {reason}")

    def writing(self, split: str) -> Any:
        """Returns the context in which `tf.summary` writes to a split, at the present update."""
        if split not in self.writers:
            self.writers[split] = tf.summary.create_file_writer(str(self.run / split))
        return self.writers[split].as_default(step=self.update)

    def on_train_begin(self, logs: Any = None) -> None:
        self.writers: dict[str, tf.summary.SummaryWriter] = {}
        self.readings: dict[str, np.ndarray] = {}
        self.drawn_at, self.previous, self.clock = -1, self.update, time.perf_counter()
        shown = self.valid or self.examples
        self.split = "validation" if self.valid else "train"
        self.shown = Examples(*(part[:SHOWN] for part in shown))
        self.look = observer(self.model, self.shown)
        self.exact_match = exact_matcher(self.model, Examples(*(part[:SAMPLE] for part in self.examples)))
        for view in (self.graph, self.hyperparameters, self.sentences, self.histograms, self.images, self.projector):
            self.attempt(view)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.readings, self.clock = {}, time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.attempt(self.profiler)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        update = self.update
        every = max(LEAST, interval(update, UPDATES))
        if update // every > self.previous // every:
            self.attempt(self.scalars_by_update)
        self.previous = update
        self.attempt(self.profiler)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        number = epoch + 1
        self.attempt(self.scalars_by_epoch, logs or {})
        self.attempt(self.sentences)
        if number % interval(number, HISTOGRAMS) == 0:
            self.attempt(self.histograms)
        if number % interval(number, IMAGES) == 0:
            self.drawn_at = self.update
            self.attempt(self.images)
            self.attempt(self.projector)
        self.attempt(self.flush)

    def on_train_end(self, logs: Any = None) -> None:
        if self.drawn_at != self.update:
            for view in (self.histograms, self.images, self.projector):
                self.attempt(view)
        self.attempt(self.profiler, True)
        self.attempt(self.end_of_session)
        self.attempt(self.flush)

    def scalars_by_update(self) -> None:
        """Writes the means over the updates since the last point, the learning rate and the speed."""
        now, seconds = {}, time.perf_counter() - self.clock
        with self.writing("train"):
            for metric in self.model.metrics:
                sums = (metric.total, metric.count) if hasattr(metric, "count") else (metric.total, 0)
                now[metric.name] = np.array([float(tf.convert_to_tensor(value)) for value in sums])
                total, count = now[metric.name] - self.readings.get(metric.name, 0)
                if count:
                    tf.summary.scalar(f"update/{metric.name}", total / count)
                elif metric.name == "tokens":
                    tf.summary.scalar("update/tokens_per_second", total / seconds)
            rate = self.model.optimizer.learning_rate
            tf.summary.scalar("update/learning_rate", tf.convert_to_tensor(rate))
        self.readings, self.clock = now, time.perf_counter()

    def scalars_by_epoch(self, logs: dict[str, float]) -> None:
        """Writes what Keras reports: training and validation under the same names, to share a chart."""
        valid = {name.removeprefix("val_"): value for name, value in logs.items() if name.startswith("val_")}
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        for split, values in (("train", {**train, "exact_match": self.exact_match()}), ("validation", valid)):
            if values:
                with self.writing(split):
                    for name, value in values.items():
                        tf.summary.scalar(f"epoch/{name}", float(value))
                    tf.summary.scalar("epoch/perplexity", math.exp(min(float(values["loss"]), 700)))

    def histograms(self) -> None:
        """Writes every weight, its gradient on the shown pairs, and the hidden states there."""
        seen = self.look()
        values = {f"weights/{path}": tf.convert_to_tensor(w) for path, w in named_weights(self.model).items()}
        values |= {f"gradients/{path}": gradient for path, gradient in seen["gradients"].items()}
        for part in ("encoder", "decoder"):
            values[f"hidden_states/{part}"] = tf.boolean_mask(seen[part], seen[f"{part}_input"] != 0)
        # In NumPy, all in one record: `tf.summary.histogram` takes ten times as long, or seconds to trace.
        parts = [histogram_pb(name, np.array(value)).value[0] for name, value in values.items()]
        with self.writing("train"):
            tf.summary.experimental.write_raw_pb(Summary(value=parts).SerializeToString())

    def graph(self) -> None:
        """Writes the graph of the loss, by the names of the layers."""

        @tf.function
        def forward(source, decoder_input, labels):
            # Not through `__call__`: the outermost box would hold all the others.
            logits = self.model.call((source, decoder_input), training=True)
            with tf.name_scope("loss"):
                return masked_mean(token_crossentropy(labels, logits), label_mask(labels))

        ids = [tf.TensorSpec([None, None], tf.int32, name) for name in ("source", "decoder_input", "labels")]
        with self.writing("train"):
            tf.summary.graph(_without_numbers(forward.get_concrete_function(*ids).graph.as_graph_def()))

    def sentences(self) -> None:
        """Writes a table of the shown pairs: what the model says with the right words before it, and by itself."""
        seen, vocabulary, rows = self.look(), self.model.target_vocabulary, []
        separator = "" if vocabulary.unit == "char" else " "
        columns = (tokens_of(seen[name], vocabulary) for name in ("labels", "predicted", "said"))
        for (source, target), right, forced, free in zip(self.shown.pairs, *columns, strict=True):
            forced = (forced + [vocabulary.tokens[0]] * len(right))[: len(right)]
            forced = drawings.mark_wrong(forced, right, separator, aligned=True)
            free = drawings.mark_wrong(free, right, separator, aligned=False)
            rows.append([drawings.escape(source), drawings.escape(target), forced, free])
        titles = ["source", "reference", "prediction, given the reference so far", "answer"]
        with self.writing(self.split):
            tf.summary.text("sentences", drawings.table(titles, rows))

    def images(self) -> None:
        """Draws the loss and the probability at each position, and the hidden states of the first shown pair."""
        seen = {name: np.array(value) for name, value in self.look().items() if name != "gradients"}
        target, source = self.model.target_vocabulary, self.model.source_vocabulary
        tokens, (asked, answer) = tokens_of(seen["labels"], target), self.shown.pairs[0]
        rows = (seen["labels"] != 0, tokens, [source for source, _ in self.shown.pairs])
        loss, likely = seen["loss"], np.exp(-seen["loss"])
        parts = []
        for part, vocabulary in (("encoder", source), ("decoder", target)):
            words = tokens_of(seen[f"{part}_input"][:1], vocabulary)[0]
            parts.append((part, seen[part][0, : len(words)], words))
        pictures = {
            "loss": drawings.positions(loss, *rows, "loss of each reference token, in nats", math.log(len(target))),
            "probability": drawings.positions(likely, *rows, "probability of each reference token", 1.0),
            "hidden_states": drawings.hidden_states(parts, f"{asked} → {answer}"),
        }
        with self.writing(self.split):
            for name, pixels in pictures.items():
                tf.summary.image(name, pixels[None])

    def projector(self) -> None:
        """Writes the embeddings, and the tokens with how often training meets them, as tables beside each other."""
        source, target = self.model.encoder.embedding, self.model.decoder.embedding
        read, said = (np.array(side.flat_values) for side in (self.examples.source, self.examples.decoder_input))
        sides = [("source", source, self.model.source_vocabulary, read)]
        sides.append(("target", target, self.model.target_vocabulary, said))
        if source is target:
            sides = [("shared", source, self.model.source_vocabulary, np.concatenate([read, said]))]
        config = projector.ProjectorConfig()
        for name, layer, vocabulary, ids in sides:
            counts = np.bincount(ids, minlength=len(vocabulary))
            lines = (f"{drawings.visible(token)}\t{n}\n" for token, n in zip(vocabulary.tokens, counts, strict=True))
            Path(self.run, f"{name}_tokens.tsv").write_text("token\tcount\n" + "".join(lines), encoding="utf-8")
            values = np.array(tf.convert_to_tensor(layer.embeddings))
            np.savetxt(self.run / f"{name}_embedding.tsv", values, "%.5g", "\t")
            config.embeddings.add(
                tensor_name=f"{name}_embedding",
                tensor_path=f"{name}_embedding.tsv",
                metadata_path=f"{name}_tokens.tsv",
            )
        projector.visualize_embeddings(str(self.run), config)

    def hyperparameters(self) -> None:
        """Writes the configuration, for the HParams tab to put beside what came of it."""
        values = {name: "" if value is None else value for name, value in self.config.to_dict().items()}
        values |= {"keras": keras_major(), "parameters": self.model.count_params()}
        measured = ("loss", "perplexity", "token_accuracy", "exact_match")
        metrics = [
            hparams.Metric(f"epoch/{name}", group=split, display_name=f"{name}, {split}")
            for split in (["validation"] if self.valid else []) + ["train"]
            for name in measured
        ]
        with self.writing("."):
            hparams.hparams_config([hparams.HParam(name) for name in values], metrics)
            hparams.hparams(values, trial_id=self.run.name)

    def end_of_session(self) -> None:
        """Tells the HParams tab that the run came to its end."""
        end = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
        with self.writing("."):
            tf.summary.experimental.write_raw_pb(end.SerializeToString())

    def profiler(self, ended: bool = False) -> None:
        """Starts and stops TensorFlow's profiler."""
        first, last = self.profile or (0, 0)
        if self.profiling and (ended or self.update >= last):
            self.profiling = False
            tf.profiler.experimental.stop()
        elif not ended and not self.profiling and first <= self.update < last:
            tf.profiler.experimental.start(str(self.run / "train"))
            self.profiling = True

    def flush(self) -> None:
        """Hands everything to the operating system, so that TensorBoard sees it and a kill does not lose it."""
        for writer in self.writers.values():
            writer.flush()


def _without_numbers(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """Takes the number off `encoder_1/...`: both Keras count the scopes on. Where names would clash, all stay."""

    def plain(name: str) -> str:
        return re.sub(r"^([^/]+)_\d+/", r"\1/", name)

    if len({plain(node.name) for node in graph.node}) == len(graph.node):
        for node in graph.node:
            node.name = plain(node.name)
            node.input[:] = map(plain, node.input)
    return graph
