"""What is said of data that another configuration suits better, and what is not."""

import pytest

from keras_seq2seq import Configuration
from keras_seq2seq.training.advice import advice
from keras_seq2seq.training.configuration_files import read_configuration

SENTENCES = [("ein mann schläft auf einer bank", "a man is sleeping on a long bench")] * 1000
HINT = "The pairs look like sentences (6 and 8 words): try --config sentences"


@pytest.mark.parametrize(
    ("pairs", "options", "said"),
    [
        (SENTENCES, {}, HINT),
        (SENTENCES, {"attention": "dot"}, None),
        (SENTENCES, {"attention": "dot", "splices": 5}, f"{HINT}; splices are made for words and what they sound like"),
        (SENTENCES[1:], {}, None),  # too few to say
        ([("szó", "s oː"), ("egy hosszú szó ez is", "h o s u")] * 500, {}, None),  # spelling
    ],
)
def test_sentences_are_noticed(pairs, options, said):
    assert advice(pairs, Configuration(**options)) == said


def test_the_configuration_that_is_meant_gets_no_advice():
    assert advice(SENTENCES, read_configuration("sentences")) is None
    assert advice(SENTENCES, read_configuration("small")) == HINT
