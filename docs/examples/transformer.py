"""A transformer (Vaswani et al., 2017), with the norm in front of each part of a block (Xiong et al., 2020).

In training the decoder computes a whole target at once; in decoding it keeps keys and values of the tokens so far, so
that a step costs one token. One block on each side is enough to turn words around; each further one has its own.
"""

import random

import tensorflow as tf

from keras_seq2seq import Beam, Seq2Seq, Vocabulary, batches, keras, save

layers = keras.layers


class MultiHead(layers.Layer):
    """Attention by several heads.

    Call arguments:
        inputs: `(batch, time, size)`, what looks.
        key_value: `(batch, key_time, 2 * size)`, what it looks at: keys and values, side by side.
        visible: `(batch or 1, time or 1, key_time)` bool, where it may look.
    """

    def __init__(self, size, heads, **options):
        super().__init__(**options)
        self.heads, self.head_size = heads, size // heads
        self.query, self.key_value, self.merge = layers.Dense(size), layers.Dense(2 * size), layers.Dense(size)

    def call(self, inputs, key_value, visible):
        parts = (self.query(inputs), *tf.split(key_value, 2, axis=-1))
        query, key, value = (tf.reshape(x, [tf.shape(x)[0], -1, self.heads, self.head_size]) for x in parts)
        scores = tf.einsum("bqhs,bkhs->bhqk", query, key) * self.head_size**-0.5
        weights = tf.nn.softmax(tf.where(visible[:, None], scores, scores.dtype.min))
        return self.merge(tf.reshape(tf.einsum("bhqk,bkhs->bqhs", weights, value), tf.shape(inputs)))


class Block(layers.Layer):
    """Attention to its own side, in the decoder to the memory too, and a small network at each position."""

    def __init__(self, size, heads, in_decoder, **options):
        super().__init__(**options)
        self.own, self.own_norm = MultiHead(size, heads), layers.LayerNormalization()
        if in_decoder:
            self.memory, self.memory_norm = MultiHead(size, heads), layers.LayerNormalization()
        self.wide, self.narrow = layers.Dense(4 * size, activation="relu"), layers.Dense(size)
        self.norm = layers.LayerNormalization()

    def key_value(self, inputs):
        return self.own.key_value(self.own_norm(inputs))

    def call(self, inputs, key_value, visible, memory=None, memory_visible=None):
        inputs += self.own(self.own_norm(inputs), key_value, visible)
        if memory is not None:
            inputs += self.memory(self.memory_norm(inputs), memory, memory_visible)
        return inputs + self.narrow(self.wide(self.norm(inputs)))


class Half(layers.Layer):
    """What both halves have. The decoder has room for `max_length` tokens: as many as `Seq2Seq` may generate."""

    def __init__(self, vocabulary_size, size=32, heads=2, max_length=100, **options):
        super().__init__(**options)
        self.vocabulary_size, self.size, self.heads, self.max_length = vocabulary_size, size, heads, max_length
        self.embedding = layers.Embedding(vocabulary_size, size, embeddings_initializer="random_normal")
        self.block, self.norm = Block(size, heads, isinstance(self, TransformerDecoder)), layers.LayerNormalization()

    def embed(self, ids, positions):  # and add sinusoids of the positions
        angles = tf.cast(positions, tf.float32)[..., None] * 100.0 ** -tf.range(0, 1, 2 / self.size)
        return self.embedding(ids) + tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)

    def get_config(self):
        return {name: getattr(self, name) for name in ("vocabulary_size", "size", "heads", "max_length")}


@keras.utils.register_keras_serializable()
class TransformerEncoder(Half):
    def call(self, source, training=False):
        hidden = self.embed(source, tf.range(tf.shape(source)[1]))
        return self.norm(self.block(hidden, self.block.key_value(hidden), tf.not_equal(source, 0)[:, None])), []


@keras.utils.register_keras_serializable()
class TransformerDecoder(Half):
    def prepare(self, state, memory, memory_mask):
        """The state is each row's position `(batch,)`, and room for the keys and values of all tokens."""
        batch = tf.shape(memory)[0]
        state = [tf.zeros([batch], tf.int32), tf.zeros([batch, self.max_length, 2 * self.size])]
        return state, (self.block.memory.key_value(memory), memory_mask[:, None])

    def call(self, target_input, state, memory, training=False):
        times = tf.range(tf.shape(target_input)[1])
        hidden, so_far = self.embed(target_input, times), (times[:, None] >= times)[None]
        return self.logits(self.block(hidden, self.block.key_value(hidden), so_far, *memory))

    def step(self, token, state, memory):
        position, key_value = state
        ahead = tf.range(self.max_length) - position[:, None]
        hidden = self.embed(token, position)[:, None]
        key_value = tf.where(tf.equal(ahead, 0)[..., None], self.block.key_value(hidden), key_value)
        logits = self.logits(self.block(hidden, key_value, (ahead <= 0)[:, None], *memory))
        return logits[:, 0], [position + 1, key_value]

    def logits(self, hidden):  # by the embedding's own matrix, as in the paper
        return tf.matmul(self.norm(hidden), tf.convert_to_tensor(self.embedding.embeddings), transpose_b=True)


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    draw = random.Random(0)
    words = list({"".join(draw.choices("abcdef", k=draw.randint(2, 4))): None for _ in range(900)})
    learnt, held_out = [(word, word[::-1]) for word in words[:-20]], words[-20:]
    letters = Vocabulary.build(words, "char")
    encoder, decoder = TransformerEncoder(len(letters)), TransformerDecoder(len(letters), max_length=8)
    model = Seq2Seq(encoder, decoder, letters, letters, max_target_length=8)
    model.compile(keras.optimizers.Adam(0.003))
    model.fit(batches(learnt, letters, letters, 32, length_buckets=1, seed=0), epochs=25, verbose=2)
    print(*zip(held_out, model.generate(held_out), model.generate(held_out, Beam(5)), strict=True), sep="\n")
    save(model, "transformer.keras")
