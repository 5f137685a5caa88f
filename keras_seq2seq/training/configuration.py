"""One typed, frozen configuration: the only source of defaults, and of the command line's options."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_seq2seq.data import NORMALIZATIONS, TOKENS
from keras_seq2seq.data.corpora import CORPORA, Columns, columns_of
from keras_seq2seq.errors import LARGEST, InputError, is_utf8, suggest

SCORES = ("val_bleu", "val_chrf")  # which are computed where they are asked for
METRICS = ("val_loss", "val_token_accuracy", "val_exact_match", *SCORES, "loss", "token_accuracy")
FILES = ("data", "valid")  # a file of pairs, or two parallel ones
SHARES = ("valid_share", "dropout", "label_smoothing")
CELLS = ("simple_rnn", "gru", "lstm")
ATTENTIONS = ("none", "additive", "dot")
PRECISIONS = ("float32", "bfloat16", "float16")
INITIALIZERS = ("glorot_uniform", "orthogonal")
PRESETS = Path(__file__).with_name("presets")  # the configurations that come with the package


def _option(
    default: Any,
    help: str,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    most: int = LARGEST,
    shown: str = "",
) -> Any:
    metadata = {"help": help, "choices": choices, "least": least, "most": most, "shown": shown or "|".join(choices)}
    return dataclasses.field(default=default, metadata=metadata)


def _types_of(field: dataclasses.Field) -> Any:
    if isinstance(field.default, float):
        return (int, float)
    if field.name in FILES:
        return (str, list, type(None))
    return (str, type(None)) if field.default is None else (type(field.default),)


def flag_of(name: str) -> str:
    """Returns the command line's spelling of a field: `batch_size` -> `--batch-size`."""
    return "--" + name.replace("_", "-")


def files_of(name: str, value: str | list[str]) -> tuple[str, str | None]:
    """Returns a file of pairs and None, or two parallel files: what `read_pairs` takes.

    Args:
        name: the field's, for the message.
        value: its value.

    Raises:
        InputError: it is a list of more or fewer than two names.
    """
    if isinstance(value, str):
        return value, None
    if len(value) != 2 or not all(isinstance(file, str) for file in value):
        wanted = "give one file of pairs, or a list of two: the sources, the targets"
        raise InputError(f"{flag_of(name)} is {value!r}; {wanted}")
    return value[0], value[1]


@dataclasses.dataclass(frozen=True)
class Configuration:
    """Everything a run depends on. The defaults are the notebook's model on the notebook's two pairs.

    A field's metadata has its help text, its choices, the least value allowed, and its placeholder in the help.

    Raises:
        InputError: a value is out of range, not one of the choices, or contradicts another.
    """

    # Text
    corpus: str = _option("notebook", "a corpus known by name", choices=CORPORA)
    data: str | list[str] | None = _option(  # noqa: RUF009 - it returns a field
        None,
        "your own training pairs: UTF-8, one a line: source, tab, target; or two parallel files: sources, targets",
        shown="FILE",
    )
    valid: str | list[str] | None = _option(  # noqa: RUF009
        None, "validation pairs, in the same format", shown="FILE"
    )
    columns: str | None = _option(
        None, "which columns of tab-separated files to read, counted from 1", shown="SOURCE,TARGET"
    )
    valid_share: float = _option(0.0, "without --valid: hold out about this share of the sources", least=0)
    source_tokens: str = _option("word", "what a token of the source is", choices=TOKENS)
    target_tokens: str = _option("word", "what a token of the target is", choices=TOKENS)
    normalize: str = _option("none", "read Unicode's spellings of a text as one of them", choices=NORMALIZATIONS)
    shared_vocabulary: bool = _option(True, "one vocabulary and one embedding for source and target")
    min_count: int = _option(1, "a token seen fewer times in training becomes <unk>", least=1)
    max_vocabulary: int = _option(50_000, "keep at most this many tokens, the most frequent ones", least=1)
    subwords: int = _option(8000, "of subword tokens: learn at most this many", least=10)
    max_length: int = _option(100, "leave out pairs with more tokens than this on either side", least=1)
    splices: int = _option(0, "for each training pair, so many made-up ones out of pairs that share a stretch", least=0)
    # Model
    embedding_dim: int = _option(5, "size of an embedding", least=1)
    units: int = _option(32, "size of the encoder's and the decoder's state", least=1)
    embedding_stddev: float = _option(
        0.0, "start embeddings from a normal distribution this wide; 0: Glorot-uniform", least=0
    )
    recurrent_initializer: str = _option("glorot_uniform", "start of the recurrent kernels", choices=INITIALIZERS)
    cell: str = _option("simple_rnn", "what the recurrent layers are made of", choices=CELLS)
    layers: int = _option(1, "recurrent layers, one on top of the other, on both sides", least=1, most=100)
    residual: bool = _option(False, "add its input to a layer's output, from the second layer up")
    bidirectional: bool = _option(False, "let the encoder read from both ends")
    attention: str = _option("none", "let the decoder look at the source: Bahdanau's or Luong's", choices=ATTENTIONS)
    tie_embeddings: bool = _option(False, "project to the vocabulary by the decoder's embedding")
    source_embeddings: str | None = _option(None, "a word2vec or GloVe file to start embeddings from", shown="FILE")
    target_embeddings: str | None = _option(None, "the same for the target, if it has its own vocabulary", shown="FILE")
    freeze_embeddings: bool = _option(False, "do not train the embeddings that come from a file")
    as_published: bool = _option(False, "rebuild the 2018 notebook, whose decoder reads the tokens it must predict")
    # Training
    epochs: int = _option(10, "epochs to train", least=1)
    updates_per_epoch: int = _option(10, "updates in an epoch; 0: one pass over the training pairs", least=0)
    batch_size: int = _option(2, "pairs in a batch", least=1)
    length_buckets: int = _option(1, "sort the pairs into this many groups of similar length", least=1, most=1000)
    learning_rate: float = _option(1e-3, "Adam's learning rate", least=0)
    adam_epsilon: float = _option(1e-7, "Adam's epsilon", least=0)
    clip_norm: float = _option(0.0, "scale gradients down to this global norm; 0: never", least=0)
    learning_rate_schedule: str = _option(
        "constant",
        "cosine: fall to 0 at the last update; plateau: halve when --best stalls",
        choices=("constant", "cosine", "plateau"),
    )
    plateau_patience: int = _option(3, "with plateau: epochs without a better value before halving", least=1)
    dropout: float = _option(0.0, "share of embeddings and layer outputs dropped out in training", least=0)
    label_smoothing: float = _option(0.0, "share of each label that is spread over all tokens", least=0)
    precision: str = _option("float32", "of the layers' arithmetic; bfloat16 on a CPU too", choices=PRECISIONS)
    best: str = _option("val_loss", "keep the epoch that is best by this, given validation pairs", choices=METRICS)
    early_stopping: str | None = _option(None, "stop after so many epochs without a gain", shown="METRIC:PATIENCE")
    deterministic: bool = _option(False, "same seed, same bits: slower operations with a fixed order")
    jit_compile: str = _option(
        "auto", "compile the training step with XLA; auto: in a run long enough to win", choices=("auto", "on", "off")
    )
    seed: int = _option(0, "seed of everything random", least=0)
    # Run
    inspect: int = _option(10, "print loss, mask and predictions every N updates; 0: a progress bar alone", least=0)
    tensorboard: str = _option("on", "write what TensorBoard shows", choices=("on", "off"))
    profile: str | None = _option(None, "profile these updates for TensorBoard's Profile tab", shown="FIRST,LAST")
    logs: str = _option("logs", "folder of all runs", shown="FOLDER")
    run: str | None = _option(None, "name of this run's folder; default: corpus, date and time", shown="NAME")
    resume: bool = _option(False, "go on with the run that --run names, from its last finished epoch")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value: Any = getattr(self, field.name)
            flag = flag_of(field.name)
            choices: tuple[str, ...] = field.metadata["choices"]
            least: Any = field.metadata["least"]
            texts = value if isinstance(value, list) else [value]
            if any(isinstance(text, str) and ("\0" in text or not is_utf8(text)) for text in texts):
                raise InputError(f"{flag} is {value!r}; it must be UTF-8, without NUL")
            if not isinstance(value, _types_of(field)) or (isinstance(value, bool) and field.type is not bool):
                name = getattr(field.type, "__name__", field.type)  # a union has none
                raise InputError(f"{flag} is {value!r}; it must be of type {name}")
            if choices and value not in choices:
                raise InputError(f"{flag} is {value!r}; choose one of: {', '.join(choices)}")
            if least is not None and not least <= value < float("inf"):
                raise InputError(f"{flag} is {value}; it must be a finite number, {least:g} or more")
            if least is not None and value > field.metadata["most"]:
                raise InputError(f"{flag} is {value}; it must be at most {field.metadata['most']}")
        for name in FILES:
            if getattr(self, name) is not None:
                files_of(name, getattr(self, name))
        for name in ("learning_rate", "adam_epsilon"):
            if getattr(self, name) == 0:
                raise InputError(f"{flag_of(name)} is 0; it must be greater than 0")
        for name in SHARES:
            if getattr(self, name) >= 1:
                raise InputError(f"{flag_of(name)} is {getattr(self, name)}; it must be below 1")
        if self.as_published and (self.data is not None or self.corpus != "notebook"):
            raise InputError("--as-published rebuilds the notebook's run; leave out --data and --corpus")
        subword = "subword" in (self.source_tokens, self.target_tokens)
        if self.as_published and (subword or self.normalize != "none"):
            raise InputError("--as-published rebuilds the notebook's words; leave out subword tokens and --normalize")
        if self.splices and subword:
            raise InputError("--splices is for word, char and space tokens; with subword tokens add --splices 0")
        if self.target_embeddings is not None and self.shared_vocabulary:
            raise InputError(
                "--target-embeddings needs --no-shared-vocabulary; else --source-embeddings serves both sides"
            )
        if self.freeze_embeddings and self.source_embeddings is None and self.target_embeddings is None:
            raise InputError("--freeze-embeddings needs --source-embeddings or --target-embeddings")
        if self.resume and self.run is None:
            raise InputError("--resume goes on with a run; name it with --run")
        if self.early_stopping is not None:
            self.stopping_rule()
        if self.profile is not None and self.tensorboard == "off":
            raise InputError("--profile is for TensorBoard; leave out --tensorboard off")
        self.profiled_updates()
        if self.chosen_columns() and (isinstance(self.data, list) or isinstance(self.valid, list)):
            raise InputError("--columns is for files of tab-separated columns; leave it out with two parallel files")

    def stopping_rule(self) -> tuple[str, int]:
        """Returns the metric and the patience of `early_stopping`.

        Raises:
            InputError: it is not METRIC:PATIENCE.
        """
        rule = re.fullmatch(r"(\w+):(\d{1,9})", self.early_stopping or "")
        if not rule or rule[1] not in METRICS or not int(rule[2]):
            raise InputError(
                f"--early-stopping is {self.early_stopping!r}; give METRIC:PATIENCE, a patience of 1 or more "
                f"and one of: {', '.join(METRICS)}"
            )
        return rule[1], int(rule[2])

    def scores_answers(self) -> bool:
        """Says whether one of `SCORES` decides which epoch is best, or when training stops."""
        stops_by = self.stopping_rule()[0] if self.early_stopping else None
        return self.best in SCORES or stops_by in SCORES

    def profiled_updates(self) -> tuple[int, int] | None:
        """Returns the first and the last update that `profile` asks for: "10,20" is (10, 20).

        Raises:
            InputError: it is not FIRST,LAST.
        """
        if self.profile is None:
            return None
        updates = re.fullmatch(r"(\d{1,9}),(\d{1,9})", self.profile)
        if not updates or not 1 <= int(updates[1]) <= int(updates[2]):
            raise InputError(f"--profile is {self.profile!r}; give the first and the last update, as in 10,20")
        return int(updates[1]), int(updates[2])

    def chosen_columns(self) -> Columns | None:
        """Returns the source's and the target's column that `columns` asks for: "2,1" is (2, 1).

        Raises:
            InputError: it is not SOURCE,TARGET.
        """
        return None if self.columns is None else columns_of(self.columns)

    def to_dict(self) -> dict[str, Any]:
        """Returns all values by name, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], start: "Configuration | None" = None) -> "Configuration":
        """Completes `values` with the defaults that suit its data.

        Args:
            values: field names to values.
            start: what is left out is taken from here; None: from `starting_point`.

        Raises:
            InputError: an unknown name (the nearest valid ones are listed), or a bad value.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(values, Mapping):
            raise InputError("a configuration is not described by names and values")
        for name in values:
            if name not in names:
                raise InputError(f"unknown configuration key {name!r}; {suggest(name, names)}")
        return dataclasses.replace(start or starting_point(values), **values)


# The notebook's own run: its optimizer, its 100 updates.
PUBLISHED = Configuration(as_published=True, adam_epsilon=1e-8)
# A first real corpus. The measurements behind these values are in docs/results.md.
SMALL = Configuration(**json.loads((PRESETS / "small.json").read_text(encoding="utf-8")))


def starting_point(values: Mapping[str, Any]) -> Configuration:
    """Returns the configuration whose defaults suit what is to be learnt.

    The notebook's two pairs get the notebook's tiny model; any other data gets `SMALL`.
    """
    if values.get("as_published"):
        return PUBLISHED
    if values.get("data") is not None or values.get("corpus", "notebook") != "notebook":
        return SMALL
    return Configuration()
