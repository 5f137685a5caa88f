"""A loss of one's own: the focal loss (Lin et al., 2017), which cares less for what is nearly right already.

A loss maps labels `(batch, time)` and logits `(batch, time, vocabulary)` to a number for each token, `(batch, time)`.
Padding is masked and the mean taken behind it. Registered, it is found again by a model that is trained further.
"""

import tensorflow as tf

from keras_seq2seq import (
    NOTEBOOK,
    Beam,
    Decoder,
    Encoder,
    Seq2Seq,
    Vocabulary,
    batches,
    keras,
    save,
    token_crossentropy,
)


@keras.utils.register_keras_serializable()
def focal_loss(labels, logits):
    crossentropy = token_crossentropy(labels, logits)
    return (1 - tf.exp(-crossentropy)) ** 2 * crossentropy


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
    model.compile(keras.optimizers.Adam(0.01), loss=focal_loss)
    data = batches(NOTEBOOK * 10, source, target, batch_size=2, length_buckets=1)  # ten updates an epoch
    model.fit(data, epochs=6, verbose=2)
    print(model.generate(questions, Beam(5)))
    save(model, "own_loss.keras")
