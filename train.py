"""The main job: learn to answer, and be watched doing it.

    python train.py                                      the notebook's two questions
    python train.py --as-published                       the notebook, to the number
    python train.py --data pairs.tsv --valid valid.tsv   your own data
    python train.py --help                               every option

The story itself is `keras_seq2seq/training/loop.py`.
"""

import sys

from keras_seq2seq.cli.main import run_command, train

if __name__ == "__main__":
    sys.exit(run_command(train, sys.argv[1:], program="train.py"))
