"""Two trained models that answer texts: one of words, one from characters to pieces between blanks."""

import functools

import tensorflow as tf

from keras_seq2seq import Configuration, keras
from keras_seq2seq.data.batching import encode_pairs, example_batches
from keras_seq2seq.data.corpora import NOTEBOOK
from keras_seq2seq.training.build import build_model, build_vocabularies

WORD_PAIRS = NOTEBOOK

HIDDEN = "\u00ad\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"  # marks that are not read

# Characters that are easily lost or torn apart on the way: a combining mark, an emoji made of three characters with
# zero-width joiners between them, right-to-left letters, full-width ones, a zero-width non-joiner, a tab.
ACCENT, FAMILY, HEBREW, WIDE, ZERO_WIDTH = "e\u0301", "👨\u200d👩\u200d👧", "שלום", "ＡＢ", "a\u200cb"
CHAR_PAIRS = [
    ("cat", "K AE T"),
    ("tack", "T AE K"),
    (ACCENT, "\u0301E é"),
    (FAMILY, "👨\u200d👩\u200d👧 ×"),
    (HEBREW, "ש\u05c1 ם"),
    (WIDE, "ｂ Ａ"),
    (ZERO_WIDTH, "\u200c B"),
    ("\t \t", "TAB"),
]


@functools.cache
def word_model():
    """Returns a model that knows WORD_PAIRS by heart; it reads at most six words."""
    return trained(WORD_PAIRS, max_length=6, batch_size=2)


@functools.cache
def char_model():
    """Returns a model that knows CHAR_PAIRS by heart."""
    return trained(
        CHAR_PAIRS,
        source_tokens="char",
        target_tokens="space",
        shared_vocabulary=False,
        batch_size=8,
    )


def trained(pairs, **options):
    """Trains a small model until it generates every target of `pairs` with a probability near 1."""
    keras.utils.set_random_seed(1)
    config = Configuration(embedding_dim=8, units=32, embedding_stddev=0.5, learning_rate=0.03, **options)
    vocabularies = build_vocabularies(pairs, config)
    examples = encode_pairs(pairs, *vocabularies, config.max_length)
    model = build_model(config, *vocabularies, 2 * int(examples.labels.bounding_shape()[1]))
    model.compile(keras.optimizers.Adam(config.learning_rate))
    # What `fit` does, in a third of the time: most of it goes into making the graph.
    update, [batch] = tf.function(model.train_step, autograph=False), example_batches(examples, config.batch_size, 1)
    for _ in range(60):
        update(batch)
    assert model.generate([source for source, _ in pairs]) == [target for _, target in pairs]
    return model
