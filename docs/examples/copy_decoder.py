"""A decoder that can copy: it generates a token, or points at one of the source (See et al., 2017).

How likely a token is comes from two places, weighed by a learnt share: the softmax over the vocabulary, and the
attention on the places of the source where the token stands. So it can say a name that no training target holds. The
toy: greetings. The vocabulary has all names, but some are in no training pair; these test it.
"""

import random

import tensorflow as tf

from keras_seq2seq import Beam, Encoder, Seq2Seq, Vocabulary, attend, batches, keras, save


@keras.utils.register_keras_serializable()
class SourceEncoder(Encoder):
    """The package's encoder. It hands on the source's ids as one more part of its state: the decoder needs them."""

    def call(self, source, training=False):
        memory, state = super().call(source, training=training)
        return memory, [*state, source]


@keras.utils.register_keras_serializable()
class CopyDecoder(keras.layers.Layer):
    """A GRU that generates or copies. Source and target need the same vocabulary, for it copies ids.

    Args:
        vocabulary_size: number of ids, `<pad>` (0) included.
        units: size of the state, that of the encoder.
    """

    def __init__(self, vocabulary_size, units=64, **options):
        super().__init__(**options)
        self.vocabulary_size, self.units = vocabulary_size, units
        self.embedding = keras.layers.Embedding(vocabulary_size, units)
        self.rnn = keras.layers.RNN(keras.layers.GRUCell(units), return_sequences=True)
        self.key = keras.layers.Dense(units, use_bias=False)
        self.share = keras.layers.Dense(1, activation="sigmoid")
        self.projection = keras.layers.Dense(vocabulary_size)

    def prepare(self, state, memory, memory_mask):
        state, source = state
        return [state], (self.key(memory), memory, memory_mask, source)

    def call(self, target_input, state, prepared, training=False):
        hidden = self.rnn(self.embedding(target_input), initial_state=state)
        return self.logits(hidden, prepared)

    def step(self, token, state, prepared):
        hidden, state = self.rnn.cell(self.embedding(token), state)
        return self.logits(hidden[:, None], prepared)[:, 0], state

    def logits(self, hidden, prepared):
        """Returns log-probabilities: logits whose softmax is what they are the logarithm of."""
        keys, memory, memory_mask, source = prepared
        context, weights = attend(tf.matmul(hidden, keys, transpose_b=True), memory, memory_mask)
        seen = tf.concat([hidden, context], axis=-1)
        generated = tf.nn.softmax(self.projection(seen))
        copied = tf.matmul(weights, tf.one_hot(source, self.vocabulary_size))
        share = self.share(seen)
        return tf.math.log(share * copied + (1 - share) * generated + 1e-9)

    def get_config(self):
        return {"vocabulary_size": self.vocabulary_size, "units": self.units}


GREETINGS = {
    "my name is {}": "nice to meet you {}",
    "{} is here": "welcome {}",
    "call me {} please": "hello {}",
    "i am {} and must go": "goodbye {}",
}


def greetings(names):
    return [(said.format(name), answer.format(name)) for name in names for said, answer in GREETINGS.items()]


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    draw = random.Random(0)
    names = sorted(
        {"".join(draw.choice(part) for part in ("bdklmnrt", "aeiou", "klmnrst", "aeiou")) for _ in range(90)}
    )
    learnt, held_out = greetings(names[:-8]), greetings(names[-8:])
    vocabulary = Vocabulary.build([text for pair in learnt + held_out for text in pair], "word")
    model = Seq2Seq(
        SourceEncoder(len(vocabulary), units=32, embedding_dim=32),
        CopyDecoder(len(vocabulary), units=32),
        vocabulary,
        vocabulary,
        max_target_length=8,
    )
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(batches(learnt, vocabulary, vocabulary, length_buckets=1, seed=0), epochs=12, verbose=2)
    questions = [question for question, _ in held_out]
    for answers in zip(questions, model.generate(questions), model.generate(questions, Beam(5)), strict=True):
        print(*answers, sep=" | ")
    save(model, "copy_decoder.keras")
