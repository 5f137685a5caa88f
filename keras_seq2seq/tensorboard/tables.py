"""Tables of sentences in Markdown, for TensorBoard's Text tab: wrong tokens in bold."""

import difflib
import re
from collections.abc import Sequence

from keras_seq2seq.data.vocabulary import UNKNOWN


def visible(text: str) -> str:
    """Returns `text` with blanks that stand alone, tabs, line ends and other control characters made visible."""
    if text and not text.strip(" "):
        return "␣" * len(text)
    return "".join(
        char if char.isprintable() or char == " " else char.encode("unicode_escape").decode() for char in text
    )


def escape(text: str) -> str:
    """Returns `text` such that Markdown and HTML show it as it stands, in a table's cell too."""
    return re.sub(r"[\\`*_{}\[\]<>()|&#!~+-]", lambda match: f"&#{ord(match[0])};", visible(text))


def mark_wrong(tokens: Sequence[str], reference: Sequence[str], separator: str, aligned: bool) -> str:
    """Returns tokens as Markdown, wrong tokens in bold; `<unk>` is never right.

    Args:
        tokens: what was predicted or generated.
        reference: the right ones.
        separator: what stands between two tokens of a text.
        aligned: token by token, as under teacher forcing. Otherwise the two are matched up first, so that one
            token too many does not make all that follow it wrong; `∅` stands where tokens are missing.
    """
    if aligned:
        pieces = [(token, token != right or token == UNKNOWN) for token, right in zip(tokens, reference, strict=True)]
    else:
        pieces = []
        matcher = difflib.SequenceMatcher(None, list(tokens), list(reference), autojunk=False)
        for change, start, end, _, _ in matcher.get_opcodes():
            pieces += [(token, change != "equal" or token == UNKNOWN) for token in tokens[start:end]]
            pieces += [("∅", True)] if change == "insert" else []
    return separator.join(f"**{escape(token)}**" if wrong else escape(token) for token, wrong in pieces)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table; the cells have to be Markdown already."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
