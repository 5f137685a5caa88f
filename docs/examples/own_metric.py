"""Metrics of one's own: an object of Keras, and a function.

Both get labels `(tokens,)` and logits `(tokens, vocabulary)`: all tokens of a batch in one row. Padding is given the
weight 0, so a function returns a number for each token, `(tokens,)`, and leaves the mean to Keras.
"""

import tensorflow as tf

from keras_seq2seq import NOTEBOOK, Beam, Decoder, Encoder, Seq2Seq, Vocabulary, batches, keras, save


def confidence(labels, logits):
    """How likely the right token is."""
    return tf.gather(tf.nn.softmax(logits), tf.cast(labels, tf.int32), batch_dims=1)


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    questions, answers = zip(*NOTEBOOK, strict=True)
    source, target = Vocabulary.build(questions, "word"), Vocabulary.build(answers, "word")
    model = Seq2Seq(
        Encoder(len(source), embedding_dim=8, units=32),
        Decoder(len(target), embedding_dim=8, units=32),
        source,
        target,
        max_target_length=10,
    )
    top_3 = keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="top_3")  # is it among the three likeliest tokens?
    model.compile(keras.optimizers.Adam(0.01), metrics=[top_3, confidence])
    data = batches(NOTEBOOK * 10, source, target, batch_size=2, length_buckets=1)  # ten updates an epoch
    model.fit(data, epochs=6, verbose=2)
    print(model.generate(questions, Beam(5)))
    save(model, "own_metric.keras")
