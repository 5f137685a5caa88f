"""SCAN: commands whose actions are worked out by hand from the rules of its paper, and how many there are."""

import pytest

from keras_seq2seq.data.corpora import read_corpus
from keras_seq2seq.data.scan import scan

LEFT, RIGHT, JUMP, WALK = "I_TURN_LEFT", "I_TURN_RIGHT", "I_JUMP", "I_WALK"


@pytest.fixture(scope="module")
def meaning():
    return dict(scan())


@pytest.mark.parametrize(
    ("command", "actions"),
    [
        ("jump", [JUMP]),
        ("turn left", [LEFT]),
        ("jump left", [LEFT, JUMP]),
        ("jump thrice", [JUMP, JUMP, JUMP]),
        ("turn opposite left", [LEFT, LEFT]),
        ("jump opposite right", [RIGHT, RIGHT, JUMP]),
        ("turn around left", [LEFT] * 4),
        ("walk around right twice", [RIGHT, WALK] * 8),
        ("jump twice and turn left", [JUMP, JUMP, LEFT]),
        ("jump twice after turn left", [LEFT, JUMP, JUMP]),
    ],
)
def test_what_a_command_means(meaning, command, actions):
    assert meaning[command] == " ".join(actions)


def test_all_commands_are_there_once(meaning):
    # 4 verbs; each of them, or `turn`, in one of 2 directions in one of 3 ways: 34 phrases. With how often, 102. Alone,
    # or two of them joined by one of two words: 102 + 2 x 102 x 102.
    assert len(scan()) == len(meaning) == 102 + 2 * 102 * 102 == 20_910
    assert read_corpus("scan") == scan()


def test_the_published_split_by_length(meaning):
    # Lake and Baroni, 2018, section 5: 16,990 commands of up to 22 actions, and 3,920 of 24 to 48.
    lengths = [len(actions.split()) for actions in meaning.values()]
    longer = [length for length in lengths if length > 22]
    assert (len(longer), min(longer), max(longer)) == (3_920, 24, 48)


@pytest.mark.parametrize("command", ["turn", "turn twice", "jump left right", "jump after walk after run", "twice"])
def test_what_is_no_command(meaning, command):
    assert command not in meaning
