"""A callback of one's own: one answer turning right. `self.model` decodes at any time."""

from keras_seq2seq import NOTEBOOK, Beam, Decoder, Encoder, Seq2Seq, Vocabulary, batches, keras, save


class Answer(keras.callbacks.Callback):
    """Prints the answer to a question after each epoch."""

    def __init__(self, question):
        super().__init__()
        self.question = question

    def on_epoch_end(self, epoch, logs=None):
        print(epoch + 1, *self.model.generate([self.question]))


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
    model.compile(keras.optimizers.Adam(0.01))
    data = batches(NOTEBOOK * 10, source, target, batch_size=2, length_buckets=1)  # ten updates an epoch
    model.fit(data, epochs=6, callbacks=[Answer("what makes up water molecules")], verbose=0)
    print(model.generate(questions, Beam(5)))
    save(model, "own_callback.keras")
