"""What is left of an image after the fit, in numbers: distribution, radial profile, correlation, worst patch. Nothing is drawn here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import fftconvolve

Array = NDArray[np.float64]
EDGES = np.linspace(-6.0, 6.0, 49)
"""Of the histogram, in sigma; what lies beyond counts in the first and last bin."""
FEWEST = 12
"""Pixels that a ring must have."""
MOST_RINGS, MOST_LAGS = 24, 10
PATCH = 0.25
"""Side of a patch in arcsec; an odd number of pixels, three at least."""
LEAST_FILLED = 0.7
"""Fraction of a patch that must have been used."""
NORMAL_MAD = 0.6744897501960817
"""Median absolute deviation of the unit normal."""


@dataclass(frozen=True, kw_only=True)
class Patch:
    """The patch whose residual is the least like noise.

    Parameters
    ----------
    x, y : of its middle, arcsec.
    side : arcsec.
    total : sum of its residuals over the root of their number: of unit width for independent noise.
    sigma : the same over the scatter of that sum among all patches of the image, which knows that pixels are correlated.
    peak : its largest residual by size, with its sign, in sigma of one pixel.
    """

    x: float
    y: float
    side: float
    total: float
    sigma: float
    peak: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Residuals:
    """What is known of the residuals of one image; empty arrays where no pixel has one.

    Parameters
    ----------
    n : pixels.
    mean, deviation : of their residuals, in sigma.
    density : in the bins of `EDGES`, of integral one, (48,).
    radius, chi_squared, error : chi^2 per pixel in rings around the lens's center, and its error for independent noise, (k,); arcsec.
    lag, along_x, along_y : correlation of pixels that are so many pixels apart, (m,).
    patch : None where no patch is filled well enough.
    """

    n: int
    mean: float
    deviation: float
    density: Array
    radius: Array
    chi_squared: Array
    error: Array
    lag: Array
    along_x: Array
    along_y: Array
    patch: Patch | None


def measure(residual: Array, extent: tuple[float, float, float, float], center: tuple[float, float]) -> Residuals:
    """Statistics of an image of residuals over noise.

    Parameters
    ----------
    residual : (n_y, n_x), row 0 at the bottom, NaN where there is none.
    extent : x_min, x_max, y_min, y_max of its outer edges, arcsec.
    center : of the rings, arcsec.
    """
    values = residual[np.isfinite(residual)]
    x, y = pixel_centers(residual.shape, extent)
    radius, chi_squared, error = _rings(residual, np.hypot(x - center[0], y - center[1]))
    lag, along_x, along_y = _correlation(residual)
    counts = np.histogram(np.clip(values, EDGES[0], EDGES[-1]), EDGES)[0]
    return Residuals(
        n=values.size,
        mean=float(values.mean()) if values.size else float("nan"),
        deviation=float(values.std()) if values.size else float("nan"),
        density=counts / (max(values.size, 1) * np.diff(EDGES)),
        radius=radius,
        chi_squared=chi_squared,
        error=error,
        lag=lag,
        along_x=along_x,
        along_y=along_y,
        patch=_worst_patch(residual, x, y),
    )


def pixel_centers(shape: tuple[int, ...], extent: tuple[float, float, float, float]) -> tuple[Array, Array]:
    """x and y of the pixels' centers, arcsec, (n_y, n_x) each."""
    n_y, n_x = shape
    x_min, x_max, y_min, y_max = extent
    x = x_min + (np.arange(n_x) + 0.5) * (x_max - x_min) / n_x
    y = y_min + (np.arange(n_y) + 0.5) * (y_max - y_min) / n_y
    return np.meshgrid(x, y)  # type: ignore[return-value]


def _rings(residual: Array, away: Array) -> tuple[Array, Array, Array]:
    good = np.isfinite(residual)
    if good.sum() < FEWEST:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    edges = np.linspace(0.0, float(away[good].max()) * (1.0 + 1e-9), MOST_RINGS + 1)
    which = np.digitize(away[good], edges) - 1
    n = np.bincount(which, minlength=MOST_RINGS)[:MOST_RINGS]
    squares = np.bincount(which, residual[good] ** 2, minlength=MOST_RINGS)[:MOST_RINGS]
    kept = n >= FEWEST
    return (0.5 * (edges[1:] + edges[:-1]))[kept], squares[kept] / n[kept], np.sqrt(2.0 / n[kept])


def _correlation(residual: Array) -> tuple[Array, Array, Array]:
    """Of pairs of pixels that both have a residual; the mean is taken off first."""
    good = np.isfinite(residual)
    if good.sum() < FEWEST:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    filled = np.where(good, residual - residual[good].mean(), 0.0)
    pairs = fftconvolve(good.astype(float), good[::-1, ::-1].astype(float))
    products = fftconvolve(filled, filled[::-1, ::-1])
    row, column = residual.shape[0] - 1, residual.shape[1] - 1  # lag zero
    most = min(MOST_LAGS, row, column)
    variance = products[row, column] / max(pairs[row, column], 1.0)
    if not variance > 0:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    lag = np.arange(most + 1)
    found = [products[at] / np.maximum(np.round(pairs[at]), 1.0) / variance for at in ((row, column + lag), (row + lag, column))]
    return lag.astype(float), found[0], found[1]


def _worst_patch(residual: Array, x: Array, y: Array) -> Patch | None:
    good = np.isfinite(residual)
    if min(residual.shape) < 3:
        return None
    step = float(x[0, 1] - x[0, 0])
    side = max(3, 2 * round(0.5 * PATCH / step) + 1)
    filled, half = np.where(good, residual, 0.0), side // 2
    n = ndimage.uniform_filter(good.astype(float), side, mode="constant") * side**2
    sums = ndimage.uniform_filter(filled, side, mode="constant") * side**2
    allowed = n >= LEAST_FILLED * side**2
    if not allowed.any():
        return None
    totals = np.where(allowed, sums / np.sqrt(np.maximum(n, 1.0)), 0.0)
    row, column = np.unravel_index(int(np.argmax(np.abs(totals))), totals.shape)
    inside = totals[allowed]
    scatter = float(np.median(np.abs(inside - np.median(inside)))) / NORMAL_MAD
    cut = filled[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1]
    total = float(totals[row, column])
    return Patch(
        x=float(x[row, column]),
        y=float(y[row, column]),
        side=side * step,
        total=total,
        sigma=total / scatter if scatter > 0 else float("nan"),
        peak=float(cut.flat[int(np.argmax(np.abs(cut)))]),
    )
