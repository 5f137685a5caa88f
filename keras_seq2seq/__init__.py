"""keras_seq2seq: a sequence-to-sequence starter for Keras 2 and Keras 3 on TensorFlow."""

import importlib
from typing import TYPE_CHECKING, Any

from keras_seq2seq import keras_version

if TYPE_CHECKING:  # what an editor and a type checker see; a program gets the same names when it asks for them
    from keras_seq2seq.data.batching import batches as batches
    from keras_seq2seq.data.batching import encode_pairs as encode_pairs
    from keras_seq2seq.data.corpora import NOTEBOOK as NOTEBOOK
    from keras_seq2seq.data.corpora import read_pairs as read_pairs
    from keras_seq2seq.data.corpora import read_references as read_references
    from keras_seq2seq.data.vocabulary import Vocabulary as Vocabulary
    from keras_seq2seq.errors import InputError as InputError
    from keras_seq2seq.keras_version import keras as keras
    from keras_seq2seq.layers.attention import Attention as Attention
    from keras_seq2seq.layers.attention import attend as attend
    from keras_seq2seq.layers.decoder import Decoder as Decoder
    from keras_seq2seq.layers.encoder import Encoder as Encoder
    from keras_seq2seq.model.decoding import GREEDY as GREEDY
    from keras_seq2seq.model.decoding import NEVER as NEVER
    from keras_seq2seq.model.decoding import Beam as Beam
    from keras_seq2seq.model.decoding import Greedy as Greedy
    from keras_seq2seq.model.decoding import Sampling as Sampling
    from keras_seq2seq.model.decoding import TokenByToken as TokenByToken
    from keras_seq2seq.model.evaluation import evaluate as evaluate
    from keras_seq2seq.model.export import export as export
    from keras_seq2seq.model.generation import Hypothesis as Hypothesis
    from keras_seq2seq.model.losses import token_crossentropy as token_crossentropy
    from keras_seq2seq.model.saving import load as load
    from keras_seq2seq.model.saving import save as save
    from keras_seq2seq.model.seq2seq import Seq2Seq as Seq2Seq
    from keras_seq2seq.training.callbacks import Inspect as Inspect
    from keras_seq2seq.training.configuration import Configuration as Configuration
    from keras_seq2seq.training.configuration_files import read_configuration as read_configuration
    from keras_seq2seq.training.loop import train as train

_HOMES = {
    "Attention": "layers.attention",
    "Beam": "model.decoding",
    "Configuration": "training.configuration",
    "Decoder": "layers.decoder",
    "Encoder": "layers.encoder",
    "GREEDY": "model.decoding",
    "Greedy": "model.decoding",
    "Hypothesis": "model.generation",
    "InputError": "errors",
    "Inspect": "training.callbacks",
    "NEVER": "model.decoding",
    "NOTEBOOK": "data.corpora",
    "Sampling": "model.decoding",
    "Seq2Seq": "model.seq2seq",
    "TokenByToken": "model.decoding",
    "Vocabulary": "data.vocabulary",
    "attend": "layers.attention",
    "batches": "data.batching",
    "encode_pairs": "data.batching",
    "evaluate": "model.evaluation",
    "export": "model.export",
    "keras": "keras_version",
    "load": "model.saving",
    "read_configuration": "training.configuration_files",
    "read_pairs": "data.corpora",
    "read_references": "data.corpora",
    "save": "model.saving",
    "token_crossentropy": "model.losses",
    "train": "training.loop",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


# Importing the package registers its classes with Keras, so that `keras.models.load_model` knows them.
# Our own commands wait with it, for TensorFlow takes seconds to import: `--help` and typing errors answer at once.
if not keras_version.started_by_our_command():
    for _home in set(_HOMES.values()):
        importlib.import_module(f"{__name__}.{_home}")
