"""What a few sentences look like inside the model: a table for TensorBoard's Text tab, pictures for its Images tab.

Pure functions from arrays and tokens. The pictures need matplotlib (`pip install 'keras_seq2seq[images]'`), and
only its objects: no pyplot, so no window, no global figure and no effect on a notebook's own plots.
"""

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_seq2seq.tensorboard.tables import visible

if TYPE_CHECKING:
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure

LONGEST = 60  # characters of a sentence in a title or beside a row
READABLE = 40  # tokens along an axis until their letters would run into each other
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
    rows, time = values.shape
    labels = [_short(sentence, 30) for sentence in sentences]
    left = 0.4 + 0.085 * max(map(len, labels))
    figure = _figure(left + 1 + 0.45 * time, 1.0 + 0.45 * rows)
    axes = figure.subplots(gridspec_kw=_margins(figure, left=left, bottom=0.6, top=0.4))
    axes.set_facecolor("0.85")
    axes.patch.set(hatch="///", edgecolor="0.6")
    shown = np.ma.masked_array(values, mask == 0)
    image = axes.imshow(shown, cmap="viridis_r", vmin=0, vmax=highest, aspect="auto")
    figure.colorbar(image, ax=axes)
    for row, words in enumerate(tokens if time <= READABLE else ()):
        for column, word in enumerate(words):
            colour = "white" if values[row, column] > 0.5 * highest else "black"
            axes.text(column, row, _short(word, 8), ha="center", va="center", color=colour, size=9, **PLAIN)
    axes.set_yticks(range(rows), labels, **PLAIN)
    axes.set_xlabel("position")
    axes.set_title(title, **PLAIN)
    return _pixels(figure)


def hidden_states(parts: Sequence[tuple[str, np.ndarray, Sequence[str]]], sentence: str) -> np.ndarray:
    """Draws hidden states over time as heat maps from -1 to 1, side by side.

    Args:
        parts: for each heat map its name, the states `(time, units)` and a token for each time.
        sentence: the title.

    Returns:
        `(height, width, 4)` uint8 pixels.
    """
    widths = [len(tokens) for _, _, tokens in parts]
    figure = _figure(2.5 + 0.3 * sum(widths), 4.5)
    grid = {"width_ratios": widths, "wspace": 0.35, **_margins(figure, left=0.7, bottom=1.2, top=0.4)}
    for axes, (name, states, tokens) in zip(
        figure.subplots(1, len(parts), squeeze=False, gridspec_kw=grid)[0], parts, strict=True
    ):
        image = axes.imshow(states.T, cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
        _token_axis(axes.xaxis, tokens)
        axes.set_xlabel(name)
    figure.axes[0].set_ylabel("unit")
    figure.colorbar(image, ax=figure.axes)
    figure.suptitle(_short(sentence, LONGEST), **PLAIN)
    return _pixels(figure)


def attention(weights: np.ndarray, source: Sequence[str], target: Sequence[str], sentence: str) -> np.ndarray:
    """Draws where each target token looked.

    Args:
        weights: `(target_time, source_time)`, from 0 to 1; each row sums to 1.
        source: a token for each column.
        target: a token for each row.
        sentence: the title.

    Returns:
        `(height, width, 4)` uint8 pixels.
    """
    figure = _figure(2.5 + 0.4 * len(source), 1.7 + 0.35 * len(target))
    axes = figure.subplots(gridspec_kw=_margins(figure, left=1.3, bottom=1.2, top=0.4))
    figure.colorbar(axes.imshow(weights, cmap="viridis", vmin=0, vmax=1, aspect="auto"), ax=axes)
    _token_axis(axes.xaxis, source)
    _token_axis(axes.yaxis, target)
    axes.set(xlabel="source", ylabel="target")
    axes.set_title(_short(sentence, LONGEST), **PLAIN)
    return _pixels(figure)


def _figure(width: float, height: float) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("matplotlib is not installed: pip install 'keras_seq2seq[images]'") from None
    return Figure(figsize=(min(max(width, 4), 20), min(max(height, 2), 12)), dpi=80)


def _margins(figure: "Figure", left: float, bottom: float, top: float) -> dict[str, float]:
    """Turns margins in inches into fractions. Matplotlib's own layout engines would draw everything twice over."""
    width, height = figure.get_size_inches()
    return {"left": left / width, "bottom": bottom / height, "top": 1 - top / height, "right": 1 - 0.3 / width}


def _token_axis(axis: "XAxis | YAxis", tokens: Sequence[str]) -> None:
    step = math.ceil(len(tokens) / READABLE)
    places = range(0, len(tokens), step)
    labels = [_short(tokens[place], 12) for place in places]
    upright = axis.axis_name == "x" and max(map(len, labels), default=0) > 2
    axis.set_ticks(places, labels, rotation=90 if upright else 0, **PLAIN)


def _short(text: str, longest: int) -> str:
    text = visible(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _pixels(figure: "Figure") -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; a warning of it would only interrupt what training prints.
        warnings.simplefilter("ignore")
        canvas.draw()
    return np.array(canvas.buffer_rgba())
