"""How good the answers are: error rates over sentences and over tokens, where several answers may be right."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.batching import encode_pairs
from keras_seq2seq.data.corpora import Pair
from keras_seq2seq.data.vocabulary import UNKNOWN
from keras_seq2seq.errors import InputError
from keras_seq2seq.model.decoding import GREEDY, Strategy
from keras_seq2seq.model.generation import list_of_texts
from keras_seq2seq.model.seq2seq import Seq2Seq

NAMELESS = "\ue000"  # a character that Unicode leaves to private use


def edit_distances(answers: Sequence[list[str]], references: Sequence[list[str]]) -> list[int]:
    """Returns how many tokens to insert, delete or replace to make each answer its reference (Levenshtein, 1966)."""
    sparse = [
        tf.ragged.constant(list(side), ragged_rank=1, dtype=tf.string).to_sparse() for side in (answers, references)
    ]
    shape = tf.maximum(*(side.dense_shape for side in sparse))
    # With an empty side throughout, the operation wants at least one column.
    answers, references = (tf.sparse.reset_shape(side, tf.maximum(shape, [0, 1])) for side in sparse)
    return [int(distance) for distance in tf.edit_distance(answers, references, normalize=False)]


def error_rates(answers: Sequence[list[str]], references: Sequence[Sequence[list[str]]]) -> dict[str, float]:
    """Compares answers with their references, as the SIGMORPHON and CMUdict scorers do.

    Args:
        answers: the tokens of each answer.
        references: for each answer, the tokens of each reference; the nearest one counts (ties: the shorter).

    Returns:
        `exact_match`: share of answers that equal a reference; `word_error_rate`: the share that does not, in
        percent; `token_error_rate`: edit distances over lengths of the nearest references, summed, in percent.
    """
    repeated = [answer for answer, choices in zip(answers, references, strict=True) for _ in choices]
    distances = iter(edit_distances(repeated, [reference for choices in references for reference in choices]))
    nearest = [min((next(distances), len(reference)) for reference in choices) for choices in references]
    wrong = sum(distance > 0 for distance, _ in nearest)
    errors, length = (sum(column) for column in zip(*nearest, strict=True))
    return {
        "exact_match": 1 - wrong / len(answers),
        "word_error_rate": 100 * wrong / len(answers),
        "token_error_rate": 100 * errors / length if length else math.inf,
    }


def overlap_scores(answers: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float | str]:
    """Returns corpus BLEU and chrF of texts, as the command `sacrebleu` gives them, each with its signature.

    There is nothing where `sacrebleu` is not installed.
    """
    try:
        from sacrebleu import BLEU, CHRF
    except ImportError:
        return {}
    streams: Any = [list(stream) for stream in itertools.zip_longest(*references)]
    results: dict[str, float | str] = {}
    # `force` keeps it from warning of texts that are cut into tokens already.
    for name, metric in (("bleu", BLEU(force=True)), ("chrf", CHRF())):
        results[name] = metric.corpus_score(list(answers), streams).score
        results[f"{name}_signature"] = str(metric.get_signature())
    return results


def evaluate(
    model: Seq2Seq, references: Mapping[str, Sequence[str]], strategy: Strategy = GREEDY
) -> dict[str, float | str]:
    """Measures a model on sources with one or more references.

    Args:
        model: a trained model.
        references: each source with its references.
        strategy: how to decode.

    Returns:
        `sources`, `references` (how many), `loss` and `perplexity` per token and `token_accuracy` (with teacher
        forcing, over all references), the rates of `error_rates` over the model's tokens and the `overlap_scores` of
        the texts.

    Raises:
        InputError: there is nothing to measure, or a text is not a string, or no UTF-8, or has no token in the model's
            way of cutting texts.
        TypeError: a source's answers are one text, not a list, or there are no sources with answers.
    """
    if not isinstance(references, Mapping):
        raise TypeError("give each source with its answers, {source: [answer, ...]}, as `read_references` returns them")
    sources = list_of_texts(references, "source")
    right = [list_of_texts(targets, f"answer to {source!r:.40}:") for source, targets in references.items()]
    if not right or not all(right):
        raise InputError("there is nothing to measure: give at least one source, and each an answer")
    pairs: list[Pair] = [(source, target) for source, targets in zip(sources, right, strict=True) for target in targets]
    vocabulary = model.target_vocabulary
    examples = encode_pairs(pairs, model.source_vocabulary, vocabulary, max_length=1_000_000)
    if len(examples.pairs) < len(pairs):
        kept = set(examples.pairs)
        source, target = next(pair for pair in pairs if pair not in kept)
        raise InputError(f"the pair {source!r}, {target!r} has no {vocabulary.unit} token on a side")
    # As in an answer, no more of a source is read than the model was trained to read, `<q>` and that many tokens.
    source = examples.source[:, : 1 + model.max_source_length]
    log_probabilities, likeliest = model.teacher_forced(source, examples.target_input, examples.labels)
    loss = -float(np.concatenate(log_probabilities).mean(dtype=np.float64))

    generated = model.generate(sources, strategy)
    # One token, whatever the unit, that no reference has: what the model could not name is wrong once.
    answers = vocabulary.tokens_of([text.replace(UNKNOWN, NAMELESS) for text in generated])
    cut = iter(vocabulary.tokens_of([target for _, target in pairs]))
    return {
        "sources": len(sources),
        "references": len(pairs),
        "loss": loss,
        "perplexity": math.exp(min(loss, 700)),
        "token_accuracy": float(np.concatenate(likeliest).mean()),
        **error_rates(answers, [[next(cut) for _ in targets] for targets in right]),
        **overlap_scores(generated, right),
    }
