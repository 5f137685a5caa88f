"""What a few sentences look like inside the model: pictures for TensorBoard's Images tab.

Pure functions from arrays and tokens. The pictures need matplotlib (`pip install 'keras_seq2seq[images]'`), and
only its objects: no pyplot, so no window, no global figure and no effect on a notebook's own plots.
"""

import unicodedata
import warnings
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_seq2seq.tensorboard.tables import visible

if TYPE_CHECKING:
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST = 50  # tokens that are drawn along an axis: what is longer would be too wide for a window
LABEL = 12  # letters of a token
DPI = 80
CELL = 0.25  # inches that a token along an axis needs, its letters upright
PLAIN: dict[str, Any] = {"parse_math": False}  # a token may be a dollar sign


def positions(
    values: np.ndarray,
    mask: np.ndarray,
    tokens: Sequence[Sequence[str]],
    sentences: Sequence[str],
    title: str,
    highest: float,
) -> np.ndarray:
    """Draws one number for each position of a padded batch, the right token in its cell, padding hatched.

    Args:
        values: `(rows, time)`: the losses, for example, or the probabilities of the right tokens.
        mask: `(rows, time)`: 1 where a position counts, 0 at padding.
        tokens: the right tokens of each row, as many as it has positions that count.
        sentences: what stands beside each row.
        title: of the picture.
        highest: the number that gets the darkest colour; the brightest is 0.

    Returns:
        `(height, width, 4)` uint8 pixels.
    """
    length = values.shape[1]
    values, mask = values[:, :MOST], mask[:, :MOST]
    rows, time = values.shape
    words = [[_short(token, LABEL) for token in row[:MOST]] for row in tokens]
    labels = [_short(sentence, 32) for sentence in sentences]
    left = 0.4 + 0.085 * max(_ends(label)[-1] for label in labels)
    upright = max(len(word) for row in words for word in row) > 5  # than `<end>`, which fits into a square
    width, height = (_inches(time), 1.0) if upright else (0.45 * time, 0.45)
    figure = _figure(left + 1.0 + width, 1.0 + height * rows)
    axes = figure.subplots(gridspec_kw=_margins(figure, left, bottom=0.6, top=0.4))
    axes.set_facecolor("0.85")
    axes.patch.set(hatch="///", edgecolor="0.6")
    shown = np.ma.masked_array(values, mask == 0)
    image = axes.imshow(shown, cmap="viridis_r", vmin=0, vmax=highest, aspect="auto")
    _colour_bar(figure, image)
    style = {"ha": "center", "va": "center", "size": 8, "rotation": 90 if upright else 0, **PLAIN}
    for row, shown_words in enumerate(words):
        for column, word in enumerate(shown_words):
            axes.text(column, row, word, color="white" if values[row, column] > 0.5 * highest else "black", **style)
    axes.set_yticks(range(rows), labels, **PLAIN)
    axes.set_xlabel(_counted("position", length))
    _title(figure, [title])
    return _pixels(figure)


def hidden_states(parts: Sequence[tuple[str, np.ndarray, Sequence[str]]], sentences: Sequence[str]) -> np.ndarray:
    """Draws hidden states over time as heat maps from -1 to 1, side by side.

    Args:
        parts: for each heat map its name, the states `(time, units)` and a token for each time.
        sentences: the title, a line for each.

    Returns:
        `(height, width, 4)` uint8 pixels.
    """
    widths = [_inches(min(len(tokens), MOST)) for _, _, tokens in parts]
    figure = _figure(2.5 + sum(widths), 4.7)
    # Between two heat maps there is room for the numbers of the units.
    grid = {"width_ratios": widths, "wspace": 0.8 / np.mean(widths), **_margins(figure, 0.7, 1.3, 0.6)}
    for axes, (name, states, tokens) in zip(
        figure.subplots(1, len(parts), squeeze=False, gridspec_kw=grid)[0], parts, strict=True
    ):
        image = axes.imshow(states[:MOST].T, cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
        _token_axis(axes.xaxis, name, tokens)
    figure.axes[0].set_ylabel("unit")
    _colour_bar(figure, image)
    _title(figure, sentences)
    return _pixels(figure)


def attention(
    weights: np.ndarray, source: Sequence[str], target: Sequence[str], sentences: Sequence[str]
) -> np.ndarray:
    """Draws where each target token looked.

    Args:
        weights: `(target_time, source_time)`, from 0 to 1; each row sums to 1.
        source: a token for each column.
        target: a token for each row.
        sentences: the title, a line for each.

    Returns:
        `(height, width, 4)` uint8 pixels.
    """
    weights = weights[:MOST, :MOST]
    rows, columns = weights.shape
    figure = _figure(2.5 + _inches(columns), 2.0 + _inches(rows))
    axes = figure.subplots(gridspec_kw=_margins(figure, left=1.4, bottom=1.3, top=0.6))
    _colour_bar(figure, axes.imshow(weights, cmap="viridis", vmin=0, vmax=1, aspect="auto"))
    _token_axis(axes.xaxis, "source", source)
    _token_axis(axes.yaxis, "target", target)
    _title(figure, sentences)
    return _pixels(figure)


def _inches(tokens: int) -> float:
    """Returns how long an axis is: few tokens have more room than they need."""
    return max(CELL * tokens, min(0.4 * tokens, 10))


def _figure(width: float, height: float) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("matplotlib is not installed: pip install 'keras_seq2seq[images]'") from None
    return Figure(figsize=(max(width, 5), max(height, 2)), dpi=DPI)


def _margins(figure: "Figure", left: float, bottom: float, top: float) -> dict[str, float]:
    """Turns margins in inches into fractions; on the right an inch is for the colour bar.

    Matplotlib's own layout engines would draw everything twice over.
    """
    width, height = figure.get_size_inches()
    return {"left": left / width, "bottom": bottom / height, "top": 1 - top / height, "right": 1 - 1.0 / width}


def _colour_bar(figure: "Figure", image: "AxesImage") -> None:
    # Matplotlib would take it from the heat map: a share of the width, endless beside a long sentence.
    place, width = figure.axes[-1].get_position(), figure.get_figwidth()
    figure.colorbar(image, cax=figure.add_axes((1 - 0.85 / width, place.y0, 0.15 / width, place.height)))


def _title(figure: "Figure", sentences: Sequence[str]) -> None:
    longest = int(figure.get_figwidth() * 10)  # letters of this size to an inch
    lines = [_short(sentence, longest) for sentence in sentences]
    figure.suptitle("\n".join(lines), y=1 - 0.1 / figure.get_figheight(), size=10, **PLAIN)


def _token_axis(axis: "XAxis | YAxis", name: str, tokens: Sequence[str]) -> None:
    labels = [_short(token, LABEL) for token in tokens[:MOST]]
    upright = axis.axis_name == "x" and max(map(len, labels), default=0) > 2
    axis.set_ticks(range(len(labels)), labels, rotation=90 if upright else 0, size=9, **PLAIN)
    axis.set_label_text(_counted(name, len(tokens)))


def _counted(name: str, length: int) -> str:
    """Returns what is written along an axis: its name and, where not all fits, how much of it is shown."""
    return name if length <= MOST else f"{name}: the first {MOST} of {length} tokens"


def _short(text: str, longest: int) -> str:
    """Cuts a text, with a mark, to a width in Latin letters."""
    text = visible(text)
    ends = _ends(text)
    return text if ends[-1] <= longest else text[: bisect(ends, longest - 1) - 1] + "…"


def _ends(text: str) -> list[int]:
    """Returns the width of no letter, one, two and so on to all of them; a Chinese one is as wide as two Latin ones."""
    widths = (2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
    return list(accumulate(widths, initial=0))


def _pixels(figure: "Figure") -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; a warning of it would only interrupt what training prints.
        warnings.simplefilter("ignore")
        canvas.draw()
    return np.array(canvas.buffer_rgba())
