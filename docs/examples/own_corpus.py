"""A corpus of one's own: here, pairs from two columns of a CSV file. Whatever gives a list of (source, target) will do.

The toy: three countries and their capitals, learnt letter by letter.
"""

import csv
from pathlib import Path

from keras_seq2seq import Beam, Decoder, Encoder, Seq2Seq, Vocabulary, batches, keras, save


def read_columns(path, source, target):
    """Returns the pairs of two named columns."""
    with open(path, encoding="utf-8", newline="") as file:
        return [(row[source], row[target]) for row in csv.DictReader(file)]


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    Path("capitals.csv").write_text("country,capital\nFrance,Paris\nHungary,Budapest\nIceland,Reykjavik\n")
    pairs = read_columns("capitals.csv", "country", "capital")
    countries, capitals = zip(*pairs, strict=True)
    source, target = Vocabulary.build(countries, "char"), Vocabulary.build(capitals, "char")
    model = Seq2Seq(
        Encoder(len(source), embedding_dim=8, units=32),
        Decoder(len(target), embedding_dim=8, units=32),
        source,
        target,
        max_target_length=20,
    )
    model.compile(keras.optimizers.Adam(0.01))
    data = batches(pairs * 10, source, target, batch_size=3, length_buckets=1)  # ten updates an epoch
    model.fit(data, epochs=8, verbose=2)
    print(model.generate(countries, Beam(5)))
    save(model, "own_corpus.keras")
