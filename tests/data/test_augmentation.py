"""Splicing: what a letter becomes, and new words from the parts of known ones, worked out by hand."""

import dataclasses
import random

import pytest
import toys

from keras_seq2seq import Configuration, InputError, encode_pairs, train
from keras_seq2seq.data import alignment, augmentation
from keras_seq2seq.training.build import batches_to_learn

HUNGARIAN = [("szó", "s oː"), ("óra", "oː r ɒ"), ("só", "ʃ oː"), ("szár", "s aː r"), ("sár", "ʃ aː r"), ("ár", "aː r")]


def tokens(pairs):
    return [(list(source), target.split()) for source, target in pairs]


def test_align_finds_what_each_letter_becomes():
    aligned = {
        "".join(token for token, _ in pair): [said for _, said in pair] for pair in alignment.align(tokens(HUNGARIAN))
    }
    assert aligned["ár"] == [("aː",), ("r",)]
    assert aligned["só"] == [("ʃ",), ("oː",)]
    # Two letters for one phone: one of them becomes nothing, the same one in every word.
    assert aligned["szó"] in ([("s",), (), ("oː",)], [(), ("s",), ("oː",)])
    assert aligned["szár"][:2] == aligned["szó"][:2]


def test_align_leaves_out_what_no_letters_could_say():
    assert alignment.align(tokens([("a", "1 2 3 4"), ("b", "1 2 3"), ("c", ""), ("", "")])) == [
        [("b", ("1", "2", "3"))]
    ]


def test_where_no_pair_can_be_aligned_there_is_nothing_to_splice():
    hopeless = tokens([("a", "1 2 3 4"), ("bc", "1 2 3 4 5 6 7")])
    assert alignment.align(hopeless) == alignment.align([]) == []
    assert augmentation.splice(hopeless, 3, seed=0) == []


def test_consistency_is_the_mean_share_of_a_step_among_those_of_its_token():
    # `a` becomes A three times and B once; `b` always becomes B: (3 * 3/4 + 1 * 1/4 + 1 * 1) / 5.
    aligned = [[("a", ("A",)), ("b", ("B",))], [("a", ("A",))], [("a", ("A",))], [("a", ("B",))]]
    assert alignment.consistency(aligned) == pytest.approx(0.7)
    assert alignment.consistency([]) == 0


def test_targets_that_run_from_right_to_left_are_not_spliced():
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(3, 8))) for _ in range(200)]
    forwards = tokens([(word, " ".join(word.upper())) for word in words])
    backwards = tokens([(word, " ".join(reversed(word.upper()))) for word in words])
    assert alignment.consistency(alignment.align(forwards)) == 1
    assert alignment.consistency(alignment.align(backwards)) < augmentation.MONOTONIC
    assert len(augmentation.splice(forwards, 100, seed=0)) == 100
    assert augmentation.splice(backwards, 100, seed=0) == []


def test_words_are_spliced_where_three_letters_become_the_same():
    pairs = tokens([("abcde", "A B C D E"), ("xbcdy", "X B C D Y")])
    made = augmentation.splice(pairs, 10, seed=0)
    assert sorted(("".join(source), " ".join(target)) for source, target in made) == [
        ("abcdy", "A B C D Y"),
        ("xbcde", "X B C D E"),
    ]


def test_letters_that_become_something_else_are_no_context():
    pairs = tokens([("abcde", "A B C D E"), ("xbcdy", "X B K D Y"), ("c", "C"), ("qc", "Q K"), ("rc", "R C")])
    assert augmentation.splice(pairs, 10, seed=0) == []


def test_same_seed_same_pairs_and_never_a_known_source():
    words = ["banana", "bananas", "ananas", "bandana", "cabana", "savanna"]
    pairs = tokens([(word, " ".join(word.upper())) for word in words])
    made = augmentation.splice(pairs, 20, seed=1)
    assert made == augmentation.splice(pairs, 20, seed=1) != augmentation.splice(pairs, 20, seed=2)
    sources = ["".join(source) for source, _ in made]
    assert len(set(sources)) == len(sources) > 3
    assert not set(sources) & set(words)
    assert all("".join(source).upper() == "".join(target) for source, target in made)


def test_texts_are_cut_and_joined_by_their_kinds_of_tokens():
    pairs = [("abcde", "A B C D E"), ("xbcdy", "X B C D Y")]
    made = augmentation.more_pairs(pairs, ("char", "space"), splices=1, seed=0)
    assert set(made) == {("abcdy", "A B C D Y"), ("xbcde", "X B C D E")}
    words = [(" ".join(source), target) for source, target in pairs]
    made = augmentation.more_pairs(words, ("word", "word"), splices=1, seed=0)
    assert set(made) == {("a b c d y", "a b c d y"), ("x b c d e", "x b c d e")}
    assert augmentation.more_pairs(pairs, ("char", "space"), splices=0, seed=0) == []


def test_training_has_them_behind_its_own_pairs(tmp_path, capfd):
    pairs = [("abcde", "A B C D E"), ("xbcdy", "X B C D Y")]
    quick = {"logs": str(tmp_path), "inspect": 0, "tensorboard": "off", "epochs": 1, "updates_per_epoch": 1}
    cut = {"source_tokens": "char", "target_tokens": "space", "shared_vocabulary": False}
    config = Configuration(splices=5, run="one", **cut, **quick)
    model = train(config, pairs)
    printed = capfd.readouterr().out
    assert "Training pairs: 2\n  and 2 spliced out of them\n" in printed
    assert [line.split()[1] for line in printed.splitlines() if "question:" in line][:2] == ["abcde", "xbcdy"]
    assert sorted(model.source_vocabulary.tokens[5:]) == list("abcdexy")
    # With more epochs, the third that is without them would begin later.
    with pytest.raises(InputError, match="cannot be resumed: --epochs was 1, is 2"):
        train(dataclasses.replace(config, resume=True, epochs=2), pairs)


def test_pairs_that_are_left_out_are_not_spliced(tmp_path, capfd):
    pairs = [("abcde", "A B C D E"), ("xbcdy", "X B C D Y"), ("zbcdefgh", "Z B C D E F G H")]
    quick = {"logs": str(tmp_path), "inspect": 0, "tensorboard": "off", "epochs": 1, "updates_per_epoch": 1}
    cut = {"source_tokens": "char", "target_tokens": "space", "shared_vocabulary": False}
    train(Configuration(splices=5, max_length=6, **cut, **quick), pairs)
    printed = capfd.readouterr().out
    assert "Training pairs: 2; left out: 1, " in printed and "  and 2 spliced out of them\n" in printed
    assert "z" not in "".join(line for line in printed.splitlines() if "question:" in line)
    with pytest.raises(InputError, match="none of the 3 training pairs can be used"):
        train(Configuration(splices=5, max_length=2, **cut, **quick), pairs)


def test_an_epoch_has_the_updates_of_all_splices_asked_for_even_if_there_is_nothing_to_splice(tmp_path):
    quick = {"logs": str(tmp_path), "inspect": 0, "tensorboard": "off", "epochs": 2, "updates_per_epoch": 0}
    model = train(Configuration(splices=5, batch_size=2, **quick), [("a b c", "b"), ("c b a", "a"), ("b b b", "c")])
    assert int(model.optimizer.iterations) == 2 * 9  # 3 pairs and what would be 15 more, in batches of 2


def test_the_last_third_of_the_epochs_learns_the_given_pairs_alone():
    given, spliced = [("b", "b"), ("c", "c")], [("d", "d"), ("e", "e")]
    config = Configuration(splices=1, epochs=6, batch_size=1)
    examples = encode_pairs([*given, *spliced], toys.WORDS, toys.WORDS)

    def sources(first_batch, count):
        data = batches_to_learn(examples, 2, config, updates=4, first_batch=first_batch)
        return [int(source[0, 1]) for (source, _), _ in data.take(count)]  # behind `<q>`

    everything = sources(0, 24)
    epochs = [sorted(everything[start : start + 4]) for start in range(0, 24, 4)]
    assert epochs == [[5, 6, 7, 8]] * 4 + [[5, 5, 6, 6]] * 2  # b: 5, ..., e: 8
    for first_batch in (3, 4, 15, 16, 17, 20):
        assert sources(first_batch, 24 - first_batch) == everything[first_batch:]
