"""Draws the whole network, with the shape of every tensor: `python docs/network.py` writes network.png beside it."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

BLUE, ORANGE, GREY = "#006BA4", "#C85200", "#595959"  # told apart by colour-blind readers too
SOURCE, TARGET = ["<q>", "what", "…", "banana"], ["<a>", "yellow", "…", "time"]
LABELS = ["yellow", "most", "…", "<end>"]
HEIGHTS = {"ids": 0.0, "embedding": 1.0, "recurrent": 2.1, "projection": 3.2, "softmax": 4.2, "loss": 5.2}
PLAIN = {"parse_math": False, "ha": "center", "va": "center"}


def box(axes, x, y, text, colour, width=0.86, height=0.5):
    shape = {"boxstyle": "round,pad=0.02", "facecolor": "white", "edgecolor": colour, "linewidth": 1.4}
    axes.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, **shape))
    axes.text(x, y, text, size=9, **PLAIN)


def arrow(axes, start, end, colour, width=1.2):
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": width})


def column(axes, x, token, colour, label=None):
    """Draws one time step: the token below, what is computed from it above."""
    ids, embedding, recurrent = (HEIGHTS[name] for name in ("ids", "embedding", "recurrent"))
    axes.text(x, ids, token, size=11, color=colour, **PLAIN)
    if token == "…":
        for name in ("embedding", "recurrent", *(("projection", "softmax", "loss") if label else ())):
            axes.text(x, HEIGHTS[name], "…", size=12, color=colour, **PLAIN)
        return
    arrow(axes, (x, ids + 0.2), (x, embedding - 0.28), colour)
    box(axes, x, embedding, "E[id]", GREY)
    arrow(axes, (x, embedding + 0.28), (x, recurrent - 0.28), colour)
    box(axes, x, recurrent, "tanh", colour)
    if label:
        arrow(axes, (x, recurrent + 0.28), (x, HEIGHTS["projection"] - 0.28), colour)
        box(axes, x, HEIGHTS["projection"], "· V + c", colour)
        arrow(axes, (x, HEIGHTS["projection"] + 0.28), (x, HEIGHTS["softmax"] - 0.28), colour)
        box(axes, x, HEIGHTS["softmax"], "softmax", colour)
        arrow(axes, (x, HEIGHTS["softmax"] + 0.28), (x, HEIGHTS["loss"] - 0.32), colour)
        axes.text(x, HEIGHTS["loss"], f"−ln p({label})", size=9, color=colour, **PLAIN)


def draw() -> Figure:
    """Returns the picture."""
    figure = Figure(figsize=(12.8, 6.6), dpi=90)
    axes = figure.subplots()
    axes.axis("off")
    recurrent = HEIGHTS["recurrent"]
    for number, token in enumerate(SOURCE):
        column(axes, number, token, BLUE)
    for number, (token, label) in enumerate(zip(TARGET, LABELS, strict=True)):
        column(axes, 5.2 + number, token, ORANGE, label)
    for start in (*range(3), *(5.2 + number for number in range(3))):
        arrow(axes, (start + 0.45, recurrent), (start + 0.55, recurrent), BLUE if start < 4 else ORANGE)
    arrow(axes, (3.47, recurrent), (4.73, recurrent), BLUE, width=3)
    axes.text(4.1, recurrent + 0.42, "final state\n(batch, units)", size=9, color=BLUE, **PLAIN)
    arrow(axes, (6.7, HEIGHTS["loss"] + 0.25), (6.7, HEIGHTS["loss"] + 0.6), ORANGE)
    text = "masked mean over all labels: one number, the loss"
    axes.text(6.7, HEIGHTS["loss"] + 0.8, text, size=10, color=ORANGE, **PLAIN)
    left = {"ids": "source ids\n(batch, source_time)", "embedding": "embedding\n(batch, source_time, embedding_dim)"}
    left["recurrent"] = "encoder: h = tanh(x W + h U + b)\n(batch, source_time, units)"
    right = {"ids": "target_input ids\n(batch, target_time)", "embedding": "the same E, or its own"}
    right["recurrent"] = "decoder: its own W, U, b\n(batch, target_time, units)"
    right["projection"] = "projection: logits\n(batch, target_time, vocabulary)"
    right["softmax"] = "probabilities\n(batch, target_time, vocabulary)"
    right["loss"] = "cross-entropy of the labels\n(batch, target_time)"
    for name, text in left.items():
        axes.text(-0.65, HEIGHTS[name], text, size=9, color=BLUE, **{**PLAIN, "ha": "right"})
    for name, text in right.items():
        axes.text(8.85, HEIGHTS[name], text, size=9, color=ORANGE, **{**PLAIN, "ha": "left"})
    axes.text(1.5, -0.55, "E: (vocabulary, embedding_dim)   W: (embedding_dim, units)   U: (units, units)",
              size=9, color=GREY, **PLAIN)  # fmt: skip
    axes.text(6.7, -0.55, "V: (units, vocabulary)   b: (units,)   c: (vocabulary,)", size=9, color=GREY, **PLAIN)
    axes.set(xlim=(-3.7, 11.4), ylim=(-0.8, HEIGHTS["loss"] + 1.0))
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    return figure


if __name__ == "__main__":
    draw().savefig(Path(__file__).with_suffix(".png"))
