"""Text becomes batches of ids. Reads files of pairs, cuts texts into tokens, looks up ids, pads and groups them.

In reading order: corpora, vocabulary, batching; alignment, augmentation and embedding_files are for those who use them.
"""

TOKENS = ("word", "char", "space")  # what a text can be cut into: see `vocabulary.tokenize`
