"""The numbers of a campaign page in pictures and words: histograms, outliers, and cells of its table. Arrays in, words out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.board import About
from fitcore.text import duration

WIDTH, HEIGHT, N_BINS = 280.0, 80.0, 28
FEW = 3
"""Values below which no histogram is drawn."""
WHISKERS = 2.0
"""Distances between the quartiles beyond them at which the axis of a histogram ends, where the values go on."""
COLORS = {"accepted": "good", "review": "warn", "failed": "bad"}
OUTLIER_LIMIT, FEW_FOR_OUTLIERS = 5.0, 8
MAD_TO_SIGMA = 1.4826
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """A row that is far from the others in one quantity; ``distance`` in robust standard deviations, with its sign."""

    row: int
    column: str
    value: float
    distance: float


def plain(value: float) -> str:
    """A number to four digits, with a true minus."""
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def cell(column: str, median: float, lower: float = math.nan, upper: float = math.nan) -> dict[str, str]:
    """One cell: its text with the errors, to two digits of the smaller one, and the number to sort by; all empty where it is not known."""
    if not math.isfinite(median):
        return {"text": "", "plus": "", "minus": "", "value": ""}
    if column == "seconds":
        return {"text": duration(median), "plus": "", "minus": "", "value": f"{median:.7g}"}
    errors = [error for error in (upper - median, median - lower) if math.isfinite(error) and error > 0]
    if len(errors) < len(("plus", "minus")):
        return {"text": plain(median), "plus": "", "minus": "", "value": f"{median:.7g}"}
    digits = max(0, 1 - math.floor(math.log10(min(errors))))
    if digits > 6 or abs(median) >= 1e7:
        return {"text": plain(median), "plus": f"{errors[0]:.2g}", "minus": f"{errors[1]:.2g}", "value": f"{median:.7g}"}
    text = f"{median:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return {"text": text, "plus": f"{errors[0]:.{digits}f}", "minus": f"{errors[1]:.{digits}f}", "value": f"{median:.9g}"}


def histogram(values: Array, verdicts: Sequence[str], title: str, about: About) -> dict[str, Any] | None:
    """Bars, colored by verdict, what is far out is in the outer bars; None where there are too few values or all are equal."""
    good = np.flatnonzero(np.isfinite(values))
    known = values[good]
    if len(known) < FEW:
        return None
    first, third = np.quantile(known, [0.25, 0.75])
    low, high = max(known.min(), first - WHISKERS * (third - first)), min(known.max(), third + WHISKERS * (third - first))
    if not high > low:
        return None
    places = np.clip(((known - low) / (high - low) * N_BINS).astype(int), 0, N_BINS - 1)
    order = [*COLORS, ""]
    counts = np.zeros((N_BINS, len(order)), dtype=int)
    kinds = np.array([order.index(verdicts[i]) if verdicts[i] in COLORS else len(COLORS) for i in good.tolist()])
    np.add.at(counts, (places, kinds), 1)
    top, step = counts.sum(axis=1).max(), WIDTH / N_BINS
    bars = []
    for i, row in enumerate(counts):
        base = HEIGHT
        edges = f"{plain(low + i * (high - low) / N_BINS)} to {plain(low + (i + 1) * (high - low) / N_BINS)}"
        for kind, count in enumerate(row):
            if not count:
                continue
            tall = (HEIGHT - 4.0) * count / top
            base -= tall
            word = order[kind] or "others"
            bars.append(
                {
                    "x": f"{i * step + 0.5:.1f}",
                    "y": f"{base:.1f}",
                    "width": f"{step - 1.0:.1f}",
                    "height": f"{tall:.1f}",
                    "color": COLORS.get(order[kind], "quiet"),
                    "text": f"{edges}: {count} {word}",
                }
            )
    median = float(np.median(known))
    beyond = int(((known < low) | (known > high)).sum())
    show = duration if about.unit == "s" else plain
    return {
        "title": title,
        "unit": "" if about.unit == "s" else about.unit,
        "bars": bars,
        "low": show(float(low)),
        "high": show(float(high)),
        "median": show(median),
        "median_x": f"{float(np.clip((median - low) / (high - low), 0, 1)) * WIDTH:.1f}",
        "beyond": beyond,
        "told": f"{len(known)} values, median {show(median)}, from {show(float(known.min()))} to {show(float(known.max()))}",
    }


def outliers(values: Array, column: str) -> list[Outlier]:
    """The rows farther than `OUTLIER_LIMIT` robust standard deviations from the median of a column."""
    known = values[np.isfinite(values)]
    if len(known) < FEW_FOR_OUTLIERS:
        return []
    median = float(np.median(known))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(known - median)))
    if not sigma > 0:
        return []
    distances = (values - median) / sigma
    return [
        Outlier(row=int(i), column=column, value=float(values[i]), distance=float(distances[i]))
        for i in np.flatnonzero(np.abs(distances) > OUTLIER_LIMIT)
    ]
