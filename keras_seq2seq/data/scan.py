"""SCAN: all commands of a small grammar, and the actions that each of them means.

Lake and Baroni, 2018, "Generalization without Systematicity: On the Compositional Skills of Sequence-to-Sequence
Recurrent Networks", with its grammar and its meanings: https://arxiv.org/abs/1711.00350
"""

TURNS = {"left": "I_TURN_LEFT", "right": "I_TURN_RIGHT"}
VERBS = {"walk": ["I_WALK"], "look": ["I_LOOK"], "run": ["I_RUN"], "jump": ["I_JUMP"], "turn": []}
TIMES = {"": 1, " twice": 2, " thrice": 3}


def scan() -> list[tuple[str, str]]:
    """Returns all 20,910 commands with their actions, ordered by how the grammar builds them.

    `jump twice and turn left` means `I_JUMP I_JUMP I_TURN_LEFT`. Tokens stand between blanks on both sides.
    """
    phrases = [(verb + times, actions * TIMES[times]) for verb, actions in _verb_phrases() for times in TIMES]
    pairs = list(phrases)
    for first, first_actions in phrases:
        for second, second_actions in phrases:
            pairs.append((f"{first} and {second}", first_actions + second_actions))
            pairs.append((f"{first} after {second}", second_actions + first_actions))
    return [(command, " ".join(actions)) for command, actions in pairs]


def _verb_phrases() -> list[tuple[str, list[str]]]:
    """Returns the 34 commands without a number, and their actions."""
    phrases = [(verb, actions) for verb, actions in VERBS.items() if actions]  # nobody turns without a direction
    for verb, actions in VERBS.items():
        for direction, turn in TURNS.items():
            phrases.append((f"{verb} {direction}", [turn, *actions]))
            phrases.append((f"{verb} opposite {direction}", [turn, turn, *actions]))
            phrases.append((f"{verb} around {direction}", [turn, *actions] * 4))
    return phrases
