"""A `Seq2Seq` learns batches and answers texts. It is trained, decoded from, measured, saved and exported here.

In reading order: seq2seq, losses, metrics, train_step, decoding, generation, evaluation, saving, export.
Descriptions in files are checked in deserialization; parts names layers and weights, and says which are frozen.
What few runs need is in precision, replicas and ensemble.
"""
