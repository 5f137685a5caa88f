"""Tables of sentences in Markdown, for TensorBoard's Text tab: wrong tokens in bold."""

import difflib
import re
from collections.abc import Sequence

from keras_seq2seq.data.subwords import BLANK
from keras_seq2seq.data.vocabulary import SPECIAL, UNKNOWN


def visible(text: str) -> str:
    """Returns `text` with blanks that stand alone, tabs, line ends and other control characters made visible."""
    if text and not text.strip(" "):
        return "␣" * len(text)
    return "".join(
        char if char.isprintable() or char == " " else char.encode("unicode_escape").decode() for char in text
    )


def names(tokens: Sequence[str], unit: str) -> list[str]:
    """Returns tokens as they are shown one by one; the blank that a subword begins with is `␣`, as in `␣new`."""
    return [visible(token.replace(BLANK, "␣") if unit == "subword" else token) for token in tokens]


def escape(text: str) -> str:
    """Returns `text` such that Markdown and HTML show it as it stands, in a table's cell too."""
    return re.sub(r"[\\`*_{}\[\]<>()|&#!~+-]", lambda match: f"&#{ord(match[0])};", visible(text))


def mark_wrong(tokens: Sequence[str], reference: Sequence[str], unit: str, aligned: bool) -> str:
    """Returns tokens as Markdown text, wrong tokens in bold; `<unk>` is never right.

    Args:
        tokens: what was predicted or generated.
        reference: the right ones.
        unit: the kind of tokens; subwords are joined to words.
        aligned: token by token, as under teacher forcing. Otherwise the two are matched up first, so that one
            token too many does not make all that follow it wrong; `∅` stands where tokens are missing.
    """
    if aligned:
        pieces = [(token, token != right or token == UNKNOWN) for token, right in zip(tokens, reference, strict=True)]
    else:
        pieces = []
        matcher = difflib.SequenceMatcher(None, list(tokens), list(reference), autojunk=False)
        for change, start, end, first, _ in matcher.get_opcodes():
            pieces += [(token, change != "equal" or token == UNKNOWN) for token in tokens[start:end]]
            if change == "insert":  # with the blank of what is missing
                blank = BLANK if unit == "subword" and reference[first].startswith(BLANK) else ""
                pieces.append((f"{blank}∅", True))
    if unit == "subword":
        return _joined(pieces)
    separator = "" if unit == "char" else " "
    return separator.join(f"**{escape(token)}**" if wrong else escape(token) for token, wrong in pieces)


def _joined(pieces: Sequence[tuple[str, bool]]) -> str:
    """Joins subwords to words as Markdown, what is wrong of a word in bold; `<end>` and the like stand apart."""
    text = ""
    for piece, wrong in pieces:
        apart = piece in SPECIAL and piece != UNKNOWN
        letters = piece.replace(BLANK, " ").strip(" ")
        # A wrong blank has to be seen. No other one stands inside the stars, or Markdown would show them.
        marked = f"**{escape(letters or '␣')}**" if wrong else escape(letters)
        text += " " * (apart or piece.startswith(BLANK)) + marked + " " * apart
    # Two wrong pieces of one word are one run of bold letters.
    return re.sub(" +", " ", text.replace("****", "")).strip()


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table; the cells have to be Markdown already."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
