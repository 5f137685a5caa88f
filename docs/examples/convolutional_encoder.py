"""An encoder made of convolutions (Gehring et al., 2017) in front of the package's own recurrent decoder.

A convolution reads each token with its neighbours, all tokens at once. That is all there is to know where a sound
depends on the letter behind it. The toy: `c` is K, but S before `e` and `i`; so `g` is G or J. Held-out words test it.
"""

import random

import tensorflow as tf

from keras_seq2seq import Beam, Decoder, Seq2Seq, Vocabulary, batches, keras, save


@keras.utils.register_keras_serializable()
class ConvolutionalEncoder(keras.layers.Layer):
    """Two gated convolutions, each added to what it read.

    Args:
        vocabulary_size: number of source ids, `<pad>` (0) included.
        units: size of the memory, and of the state that the decoder starts from.
        width: tokens that a convolution reads together, an odd number.
        max_length: tokens farther back share the last position's embedding.

    Call arguments:
        source: `(batch, source_time)` int32, padded with 0 on the right.

    Returns:
        memory `(batch, source_time, units)` and the state, a list of one `(batch, units)`: a GRU has no more.
    """

    def __init__(self, vocabulary_size, units=64, width=3, max_length=100, **options):
        super().__init__(**options)
        self.vocabulary_size, self.units, self.width, self.max_length = vocabulary_size, units, width, max_length
        self.embedding = keras.layers.Embedding(vocabulary_size, units, embeddings_initializer="glorot_uniform")
        self.position = keras.layers.Embedding(max_length, units, embeddings_initializer="glorot_uniform")
        # Plain attributes: a list of layers is saved differently by the two Keras.
        self.first = keras.layers.Conv1D(2 * units, width, padding="same")
        self.second = keras.layers.Conv1D(2 * units, width, padding="same")
        self.bridge = keras.layers.Dense(units, activation="tanh")

    def call(self, source, training=False):
        is_token = tf.cast(tf.not_equal(source, 0), tf.float32)[..., None]
        places = tf.minimum(tf.range(tf.shape(source)[1]), self.max_length - 1)
        memory = self.embedding(source) + self.position(places)
        for convolution in (self.first, self.second):
            # Zero at padding, as it is beyond the end of a row without padding.
            change, gate = tf.split(convolution(memory * is_token), 2, axis=-1)
            memory += change * tf.sigmoid(gate)
        memory *= is_token
        mean = tf.reduce_sum(memory, axis=1) / tf.reduce_sum(is_token, axis=1)
        return memory, [self.bridge(mean)]

    def get_config(self):
        names = ("vocabulary_size", "units", "width", "max_length")
        return {name: getattr(self, name) for name in names}


def sounds(word):
    """Returns the sounds of a word: `cige` -> `S I J E`."""
    soft, hard = {"c": "S", "g": "J"}, {"c": "K", "g": "G"}
    pairs = zip(word, word[1:] + " ", strict=True)
    return " ".join((soft if behind in "ei" else hard).get(letter, letter.upper()) for letter, behind in pairs)


def make_pairs(count):
    """Returns so many different words with their sounds."""
    draw = random.Random(0)
    words = {"".join(draw.choices("cgtaei", k=draw.randint(3, 5))): None for _ in range(2 * count)}
    return [(word, sounds(word)) for word in words][:count]


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    pairs = make_pairs(440)
    learnt, held_out = pairs[:400], pairs[400:]
    source, target = Vocabulary.build([s for s, _ in pairs], "char"), Vocabulary.build([t for _, t in pairs], "space")
    model = Seq2Seq(
        ConvolutionalEncoder(len(source), units=32),
        Decoder(len(target), units=32, embedding_dim=16, attention="dot"),
        source,
        target,
        max_target_length=10,
    )
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(batches(learnt, source, target, batch_size=50, length_buckets=1, seed=0), epochs=30, verbose=2)
    words = [word for word, _ in held_out]
    for (word, sound), greedy, beam in zip(
        held_out, model.generate(words), model.generate(words, Beam(5)), strict=True
    ):
        print(f"{word}: expected {sound}, greedy {greedy}, beam {beam}")
    save(model, "convolutional_encoder.keras")
