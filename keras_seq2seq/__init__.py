"""keras_seq2seq: a sequence-to-sequence starter for Keras 2 and Keras 3 on TensorFlow."""

from typing import TYPE_CHECKING

from keras_seq2seq import keras_version
from keras_seq2seq.errors import InputError

__version__ = "0.2.0"
__all__ = ["GREEDY", "NEVER", "NOTEBOOK", "Attention", "Beam", "Configuration", "Decoder", "Encoder", "Ensemble"]
__all__ += ["Greedy", "Hypothesis", "InputError", "Inspect", "Sampling", "Seq2Seq", "TokenByToken", "Vocabulary"]
__all__ += ["attend", "batches", "encode_pairs", "evaluate", "export", "keras", "load", "read_configuration"]
__all__ += ["read_pairs", "read_references", "save", "token_crossentropy", "train"]

# Importing the package registers its classes with Keras, so that `keras.models.load_model` knows them.
# Our own commands wait with it, for TensorFlow takes seconds to import: `--help` and typing errors answer at once.
if TYPE_CHECKING or not keras_version.started_by_our_command():
    from keras_seq2seq.data.batching import batches, encode_pairs
    from keras_seq2seq.data.corpora import NOTEBOOK, read_pairs, read_references
    from keras_seq2seq.data.vocabulary import Vocabulary
    from keras_seq2seq.keras_version import keras
    from keras_seq2seq.layers.attention import Attention, attend
    from keras_seq2seq.layers.decoder import Decoder
    from keras_seq2seq.layers.encoder import Encoder
    from keras_seq2seq.model.decoding import GREEDY, NEVER, Beam, Greedy, Sampling, TokenByToken
    from keras_seq2seq.model.ensemble import Ensemble
    from keras_seq2seq.model.evaluation import evaluate
    from keras_seq2seq.model.export import export
    from keras_seq2seq.model.generation import Hypothesis
    from keras_seq2seq.model.losses import token_crossentropy
    from keras_seq2seq.model.saving import load, save
    from keras_seq2seq.model.seq2seq import Seq2Seq
    from keras_seq2seq.training.callbacks import Inspect
    from keras_seq2seq.training.configuration import Configuration
    from keras_seq2seq.training.configuration_files import read_configuration
    from keras_seq2seq.training.loop import train
