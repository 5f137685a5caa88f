"""A decoding strategy of one's own: greedy, but never `<unk>`.

A strategy that says one token after the other derives from `TokenByToken` and chooses the token. It is a frozen
dataclass, since a graph is made for each value of it.
"""

import dataclasses

import tensorflow as tf

from keras_seq2seq import NEVER, Beam, Decoder, Encoder, Seq2Seq, TokenByToken, Vocabulary, batches, keras, save


@dataclasses.dataclass(frozen=True)
class KnownTokens(TokenByToken):
    """Takes the likeliest token but `unknown`, the id of `<unk>`."""

    unknown: int = 1

    def choose(self, log_probabilities, time, rows):
        """Returns `(batch,)` int32 of log-probabilities `(batch, vocabulary)`."""
        is_unknown = tf.range(tf.shape(log_probabilities)[-1]) == self.unknown
        return tf.argmax(tf.where(is_unknown, NEVER, log_probabilities), axis=-1, output_type=tf.int32)


PAIRS = [
    ("what is the color of snow", "white most of the time"),
    ("what is the color of milk", "white most of the time"),
    ("what is the color of banana", "yellow most of the time"),
]

if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    questions, answers = zip(*PAIRS, strict=True)
    source = Vocabulary.build(questions, "word")
    target = Vocabulary.build(answers, "word", min_count=2)  # too small for `yellow`, which is learnt as `<unk>`
    model = Seq2Seq(
        Encoder(len(source), embedding_dim=8, units=16),
        Decoder(len(target), embedding_dim=8, units=16),
        source,
        target,
        max_target_length=10,
    )
    model.compile(keras.optimizers.Adam(0.01))
    data = batches(PAIRS * 10, source, target, batch_size=3, length_buckets=1)  # ten updates an epoch
    model.fit(data, epochs=8, verbose=2)
    for strategy in (KnownTokens(), Beam(5)):
        print(strategy, model.generate(questions, strategy))
    save(model, "own_decoding.keras")
