"""How large the noise of an image is beside its noise map, from differences of pixels; nothing is changed here.

Drizzling spreads one detector pixel over several image pixels: neighbors vary together, differences of adjacent pixels are smaller than the
noise map says, and chi^2 per pixel of a perfect model is about 0.5. That is normal, and scaling the noise map down to make it 1 would
claim errors that are too small: the correlated pixels hold less information than their number says, and the map is about right for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.lens.dataset import Imaging

ADJACENT, APART = 1, 5
"""Lags in pixels; at the second, drizzled pixels are independent."""
LEAST = 200
"""Differences needed for a figure."""
NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True, kw_only=True)
class NoiseCheck:
    """Measured noise over the noise map's.

    Parameters
    ----------
    adjacent, apart : from second differences of pixels 1 and 5 apart; NaN where there are too few.
    n : differences used for the second.
    """

    adjacent: float
    apart: float
    n: int

    @property
    def factor(self) -> float:
        """By which the noise map would be multiplied to agree with the scatter of distant pixels; 1 where it could not be measured."""
        return round(self.apart, 4) if np.isfinite(self.apart) and self.apart > 0 else 1.0

    @property
    def words(self) -> str:
        """For the report."""
        if not np.isfinite(self.apart):
            return f"could not be measured: only {self.n} pixels are free of objects"
        correlated = self.adjacent < 0.9 * self.apart
        why = "adjacent pixels vary together, as drizzling makes them; " if correlated else ""
        return (
            f"pixels {APART} apart scatter by {self.apart:.2f} of the noise map, adjacent ones by {self.adjacent:.2f}; {why}"
            f"chi^2 per pixel of about {self.apart**2:.2f} is to be expected"
        )


def check_noise(imaging: Imaging, free: NDArray[np.bool_]) -> NoiseCheck:
    """Compare the scatter of an image's pixels with its noise map.

    Parameters
    ----------
    free : True where only the sky and smooth light are, shape (n_y, n_x).
    """
    free = free & imaging.used
    noise = np.where(free, imaging.noise, 1.0)
    adjacent, _ = _scatter(imaging.data, noise, free, ADJACENT)
    apart, n = _scatter(imaging.data, noise, free, APART)
    return NoiseCheck(adjacent=adjacent, apart=apart, n=n)


def _scatter(data: Any, noise: Any, free: Any, lag: int) -> tuple[float, int]:
    """Robust rms of d(i - lag) - 2 d(i) + d(i + lag) over its expectation; second differences do not see a slope of the light."""
    found = []
    for axis in (0, 1):
        n = data.shape[axis]
        if n <= 2 * lag:
            continue
        low, middle, high = (np.take(np.arange(n), range(start, start + n - 2 * lag)) for start in (0, lag, 2 * lag))
        a, b, c = (np.take(data, index, axis=axis) for index in (low, middle, high))
        error = np.sqrt(sum(weight * np.take(noise, index, axis=axis) ** 2 for index, weight in ((low, 1), (middle, 4), (high, 1))))
        good = np.logical_and.reduce([np.take(free, index, axis=axis) for index in (low, middle, high)])
        found.append(((a - 2.0 * b + c) / error)[good])
    values = np.concatenate(found) if found else np.zeros(0)
    if values.size < LEAST:
        return float("nan"), int(values.size)
    return float(NORMAL * np.median(np.abs(values - np.median(values)))), int(values.size)
