"""Export for serving: a SavedModel of TensorFlow operations, text in, text out."""

import os
from pathlib import Path

import tensorflow as tf

from keras_seq2seq import files
from keras_seq2seq.errors import InputError
from keras_seq2seq.model.decoding import GREEDY, Beam, Strategy
from keras_seq2seq.model.generation import TextGeneration

BEAM = Beam(width=5, nbest=5)


def export(model: TextGeneration, folder: str | os.PathLike, beam: Strategy = BEAM) -> None:
    """Writes a SavedModel that needs neither this package nor Keras: a stock TensorFlow Serving can run it.

    It holds core TensorFlow operations alone; those of a model with subwords or normalized texts need
    `import tensorflow_text` in the process that loads it.

    Both signatures take `texts`, strings `(batch,)`:
    `serving_default` returns `answers` `(batch,)`, by greedy decoding; `beam` returns `answers` `(batch, nbest)`,
    best first, with their `log_probabilities` and `scores` `(batch, nbest)`, minus infinity where there are fewer
    answers; the scores are what orders them, the log-probabilities over the length penalty.

    Args:
        model: a trained model.
        folder: where to write; it must not exist yet. It appears when it is complete.
        beam: how the signature `beam` decodes: any strategy.

    Raises:
        InputError: the folder exists or cannot be made.
    """
    folder = Path(folder)
    if os.path.lexists(folder):
        raise InputError(f"{folder}: exists already; give a new folder")
    module = tf.Module()
    # What the graphs use has to be an attribute of the module, or it is not saved. Keras 3 wraps the variables.
    module.weights = [weight if isinstance(weight, tf.Variable) else weight.value for weight in model.weights]
    vocabularies = (model.source_vocabulary, model.target_vocabulary)
    module.tables = [(vocabulary.table, vocabulary.pieces) for vocabulary in vocabularies]
    text = [tf.TensorSpec([None], tf.string, name="texts")]

    def answer(texts: tf.Tensor, strategy: Strategy) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return model.text_function(strategy)(texts, tf.range(tf.size(texts)))

    @tf.function(input_signature=text)
    def serving_default(texts):
        return {"answers": answer(texts, GREEDY)[0][:, 0]}

    @tf.function(input_signature=text)
    def nbest(texts):
        answers, log_probabilities, scores = answer(texts, beam)
        return {"answers": answers, "log_probabilities": log_probabilities, "scores": scores}

    signatures = {"serving_default": serving_default, "beam": nbest}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with files.replaced(folder) as unfinished:
            tf.saved_model.save(module, str(unfinished), signatures=signatures)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{folder}: cannot be written ({reason})") from None
