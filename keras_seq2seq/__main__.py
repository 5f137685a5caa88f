"""`python -m keras_seq2seq COMMAND`: see `cli/main.py`."""

import sys

from keras_seq2seq.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
