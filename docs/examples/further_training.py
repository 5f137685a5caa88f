"""A saved model trained further on other pairs.

Its vocabularies stay as they are, so the other pairs are made of the same tokens. It gets a fresh optimizer: the saved
one goes on with its old moments, and a learning rate schedule may have come to its end. The toy: sums.
"""

from keras_seq2seq import Beam, Decoder, Encoder, Seq2Seq, Vocabulary, batches, keras, load, save

SUMS = [(f"{first}+{second}", str(first + second)) for first in range(4) for second in range(5)]

if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    questions, answers = zip(*SUMS, strict=True)
    source, target = Vocabulary.build(questions, "char"), Vocabulary.build(answers, "char")
    model = Seq2Seq(
        Encoder(len(source), embedding_dim=8, units=32),
        Decoder(len(target), embedding_dim=8, units=32),
        source,
        target,
        max_target_length=4,
    )
    known, more = SUMS[:15], SUMS[15:]
    model.compile(keras.optimizers.Adam(0.01))
    data = batches(known * 10, source, target, batch_size=10, length_buckets=1, seed=0)
    model.fit(data, epochs=10, verbose=2)
    save(model, "known.keras")

    model = load("known.keras")
    print("before:", model.generate(questions))
    vocabularies = model.source_vocabulary, model.target_vocabulary
    # With a seed, each epoch has another order. What it knows is learnt again, or it would be forgotten.
    data = batches((known + more) * 10, *vocabularies, batch_size=10, length_buckets=1, seed=1)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(data, epochs=8, verbose=2)
    print("after:", model.generate(questions, Beam(5)))
    save(model, "further_training.keras")
