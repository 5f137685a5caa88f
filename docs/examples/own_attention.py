"""An attention of one's own: to what is similar, by the cosine, with a learnt sharpness (Graves et al., 2014).

`keys` is computed once for each source, `score` at each step. Masking and softmax are done by `Attention`.
"""

import tensorflow as tf

from keras_seq2seq import NOTEBOOK, Attention, Beam, Decoder, Encoder, Seq2Seq, Vocabulary, batches, keras, save


@keras.utils.register_keras_serializable()
class CosineAttention(Attention):
    """Compares directions; the length of a vector says nothing. `units` is the decoder's."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units
        self.key = keras.layers.Dense(units)
        self.sharpness = self.add_weight(name="sharpness", shape=(), initializer="ones")

    def keys(self, memory):
        return tf.nn.l2_normalize(self.key(memory), axis=-1)

    def score(self, query, keys):
        cosine = tf.matmul(tf.nn.l2_normalize(query, axis=-1), keys, transpose_b=True)
        return cosine * tf.exp(tf.convert_to_tensor(self.sharpness))  # a variable of Keras 3 is no tensor yet

    def get_config(self):
        return {"units": self.units}


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    questions, answers = zip(*NOTEBOOK, strict=True)
    source, target = Vocabulary.build(questions, "word"), Vocabulary.build(answers, "word")
    model = Seq2Seq(
        Encoder(len(source), embedding_dim=8, units=16),
        Decoder(len(target), embedding_dim=8, units=16, attention=CosineAttention(16)),
        source,
        target,
        max_target_length=10,
    )
    model.compile(keras.optimizers.Adam(0.01))
    data = batches(NOTEBOOK * 10, source, target, batch_size=2, length_buckets=1)  # ten updates an epoch
    model.fit(data, epochs=6, verbose=2)
    print(model.generate(questions, Beam(5)))
    save(model, "own_attention.keras")
