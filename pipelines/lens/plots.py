"""How the report's diagrams look: one figure with small axes, quiet lines, and words of a size that can be read on a phone.

What is in them is said where they are drawn; pictures of the sky are `drawing`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import blended_transform_factory

from pipelines.lens.drawing import BAR_HEIGHT, DOTS_PER_INCH, WIDTH, encoded

INK, BLUE, BAND, ORANGE, FAINT = "#16191f", "#31407a", "#b9c0dc", "#c2410c", "#dfe2e7"
NARROW = 2.7
"""Inches: of the figures of a row of four."""
WORDS, NUMBERS = 8.5, 8.0


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One finished picture with its words; ``picture`` is a data URI, or None with the reason in ``caption``."""

    title: str
    caption: str
    picture: str | None
    width: int = 0
    height: int = 0


def finished(title: str, caption: str, figure: Figure) -> Panel:
    """A figure as a picture with its words."""
    picture, width, height = encoded(figure)
    return Panel(title=title, caption=caption, picture=picture, width=width, height=height)


def diagram(n: int = 1, *, width: float = WIDTH, ratios: Sequence[float] | None = None) -> tuple[Figure, list[Axes]]:
    """A figure of ``width`` inches with ``n`` axes above each other that share x, as high as a picture of the sky with its color bar."""
    height = width + BAR_HEIGHT
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    grid = {"left": 0.58 / width, "right": 0.965, "bottom": 0.44 / height, "top": 1.0 - 0.08 / height, "hspace": 0.09}
    found: Any = figure.subplots(n, 1, sharex=True, squeeze=False, height_ratios=ratios, gridspec_kw=grid)
    every = [row[0] for row in found]
    for axes in every:
        axes.tick_params(labelsize=NUMBERS, length=2.5, width=0.6, pad=2, colors="#333")
        axes.tick_params(which="minor", length=1.5, width=0.4)
        axes.grid(color=FAINT, lw=0.5)
        axes.set_axisbelow(True)
        for side in axes.spines.values():
            side.set_linewidth(0.6)
            side.set_color("#8a919d")
        for edge in ("top", "right"):
            axes.spines[edge].set_visible(False)
    return figure, every


def name_axes(axes: Axes, *, x: str = "", y: str = "") -> None:
    """Words at the axes; the y label at a fixed place, so that wide numbers do not push it out of the figure."""
    if x:
        axes.set_xlabel(x, size=WORDS, labelpad=2)
    if y:
        axes.set_ylabel(y, size=WORDS)
        axes.yaxis.set_label_coords(0.185, 0.5, transform=blended_transform_factory(axes.figure.dpi_scale_trans, axes.transAxes))


def plain_numbers(axes: Axes, *, x: Sequence[float] = (), y: Sequence[float] = ()) -> None:
    """These ticks and no others on a logarithmic axis, written without powers."""
    for axis, ticks in ((axes.xaxis, x), (axes.yaxis, y)):
        if len(ticks):
            axis.set_ticks(list(ticks))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())


def nice_ticks(low: float, high: float, steps: Sequence[float] = (1.0, 2.0, 5.0)) -> list[float]:
    """Round numbers within a positive range, for a logarithmic axis; at most seven."""
    every = [step * 10.0**power for power in range(-6, 15) for step in steps]
    inside = [value for value in every if low <= value <= high]
    return inside if len(inside) <= 7 or len(steps) == 1 else nice_ticks(low, high, (1.0,))


def explain(axes: Axes, where: Any) -> None:
    """The legend."""
    axes.legend(fontsize=NUMBERS, frameon=False, loc=where, handlelength=1.4, borderaxespad=0.2, labelspacing=0.3)
