"""Text becomes batches of ids. Reads files of pairs, cuts texts into tokens, looks up ids, pads and groups them.

In reading order: corpora, tokenization, subwords, vocabulary, batching; alignment, augmentation and embedding_files are
for those who use them, scan is a corpus made by a grammar.
"""

TOKENS = ("word", "char", "space", "subword")  # what a text can be cut into: see `tokenization` and `subwords`
NORMALIZATIONS = ("none", "NFC", "NFD", "NFKC")  # the spelling in which a text is read: see `tokenization.clean`
