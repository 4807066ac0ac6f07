"""Where the lens is in a frame: the extended bright object nearest the middle, and its brightest pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.lens.dataset import Imaging
from pipelines.lens.galaxy import Sky

Array = NDArray[np.float64]

NARROW, WIDE = 0.1, 0.5
"""Gaussian filters, arcsec, whose difference shows objects of a galaxy's core's size."""
APERTURE, CORE, RING = 0.5, 0.15, 0.8
"""Flux is summed within ``APERTURE`` arcsec, less the median between there and ``RING``; ``CORE`` of it tells stars."""
DETECTED = 10.0
BRIGHT = 0.15
"""An object counts from this fraction of the brightest one's flux on."""
TOGETHER = 1.6
"""Objects within so many arcsec are one lens with its images: the brightest of them is its center."""
STAR = 0.8
"""A star has at least this part of the PSF's concentration; a galaxy's core has less."""
SEARCH_RADIUS = 0.5


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A bright object: position in arcsec, flux within the aperture, and its concentration as a fraction of the PSF's."""

    x: float
    y: float
    flux: float
    concentration: float

    @property
    def is_star(self) -> bool:
        """As concentrated as the PSF."""
        return self.concentration > STAR


def candidates(imaging: Imaging, sky: Sky) -> list[Candidate]:
    """The bright objects of a frame, from the brightest on."""
    data = np.where(sky.used, sky.data, np.median(sky.data[sky.used]))
    narrow, wide = (ndimage.gaussian_filter(data, sigma / sky.scale) for sigma in (NARROW, WIDE))
    contrast = narrow - wide
    noise = float(np.median(sky.noise[sky.used])) / max(1.0, 2.0 * np.sqrt(np.pi) * NARROW / sky.scale)
    size = 2 * max(1, round(0.4 / sky.scale)) + 1
    is_peak = (contrast == ndimage.maximum_filter(contrast, size)) & (contrast > DETECTED * noise) & sky.used
    whole = _concentration(imaging.psf, imaging.pixel_scale)
    found = []
    for row, column in np.argwhere(is_peak):
        x, y = brightest(imaging, (float(sky.x[row, column]), float(sky.y[row, column])), 2.0 * sky.scale)
        flux, concentration = _apertures(imaging, x, y)
        if flux > 0:
            found.append(Candidate(x=x, y=y, flux=flux, concentration=concentration / whole))
    return sorted(found, key=lambda c: -c.flux)


def find_center(imaging: Imaging, sky: Sky) -> tuple[tuple[float, float], str]:
    """Position of the lens in arcsec, and how it was found in words."""
    everything = candidates(imaging, sky)
    extended = [c for c in everything if not c.is_star]
    if not extended:
        return brightest(imaging, (0.0, 0.0), SEARCH_RADIUS), "brightest pixel near the middle (no extended object was found)"
    bright = [c for c in extended if c.flux >= BRIGHT * extended[0].flux]
    nearest = min(bright, key=lambda c: np.hypot(c.x, c.y))
    chosen = max((c for c in bright if np.hypot(c.x - nearest.x, c.y - nearest.y) <= TOGETHER), key=lambda c: c.flux)
    n = 1 + sum(bool(np.hypot(c.x - chosen.x, c.y - chosen.y) > TOGETHER) for c in bright)
    which = "only extended bright object" if n == 1 else f"extended bright object nearest the middle, of {n}"
    how = f"brightest pixel of the {which}"
    return (chosen.x, chosen.y), how


def brightest(imaging: Imaging, near: tuple[float, float], reach: float) -> tuple[float, float]:
    """Position in arcsec of the brightest used pixel within ``reach`` arcsec of a position, after smoothing by a pixel."""
    rows = np.abs(imaging.y[:, 0] - near[1]) <= reach + 6.0 * imaging.pixel_scale
    columns = np.abs(imaging.x[0] - near[0]) <= reach + 6.0 * imaging.pixel_scale
    window = np.ix_(rows, columns)
    data, x, y = (plane[window] for plane in (imaging.data, imaging.x, imaging.y))
    used = imaging.used[window]
    if not data.size:
        return near
    smooth = ndimage.gaussian_filter(np.where(used, data, 0.0), 1.0)
    inside = used & (np.hypot(x - near[0], y - near[1]) <= reach)
    if not inside.any():
        return near
    place = np.unravel_index(np.argmax(np.where(inside, smooth, -np.inf)), smooth.shape)
    return float(x[place]), float(y[place])


def _apertures(imaging: Imaging, x: float, y: float) -> tuple[float, float]:
    """Flux within the aperture, and the part of it in the core."""
    rows = np.abs(imaging.y[:, 0] - y) <= RING
    columns = np.abs(imaging.x[0] - x) <= RING
    window = np.ix_(rows, columns)
    return _sums(imaging.data[window], imaging.used[window], np.hypot(imaging.x[window] - x, imaging.y[window] - y))


def _sums(data: Array, used: Any, radius: Array) -> tuple[float, float]:
    ring = used & (radius > APERTURE) & (radius <= RING)
    level = float(np.median(data[ring])) if ring.any() else 0.0
    flux = float((data - level)[used & (radius <= APERTURE)].sum())
    core = float((data - level)[used & (radius <= CORE)].sum())
    return flux, core / flux if flux > 0 else 0.0


def _concentration(psf: Array, scale: float) -> float:
    rows, columns = np.indices(psf.shape)
    place = np.unravel_index(np.argmax(psf), psf.shape)
    radius = np.hypot(rows - place[0], columns - place[1]) * scale
    return max(_sums(psf, np.ones(psf.shape, dtype=bool), radius)[1], 1e-3)
