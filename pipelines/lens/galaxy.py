"""A quick, smooth model of the lens galaxy on coarse pixels, and the picture of what stands out of it; for the preparation only.

Two concentric sets of Gaussians of different ellipticity over a constant sky, not seen through any PSF: half a second in NumPy, good to a
few per cent of the light, which is enough to tell objects from the galaxy. The light that is measured is fitted elsewhere (`light_fit`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import OptimizeWarning, least_squares, nnls

from pipelines.lens.binning import binned, shift_of_binned
from pipelines.lens.columns import radius_squared
from pipelines.lens.dataset import Imaging

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

COARSE_PIXEL = 0.075
"""Images of finer pixels than this (arcsec) are binned until they are not."""
FLOOR = 0.02
"""Inadequacy of the model as a fraction of the light, added to the noise."""
STANDS_OUT = 3.0
SMOOTHING = 1.0
WHITE_RMS = 0.2821
"""Standard deviation of unit white noise after a Gaussian filter of one pixel: 1 / (2 sqrt pi)."""
CORE = 0.35
"""Within so many arcsec nothing is left out of the fit: without its core the galaxy's narrow Gaussians would be free."""
LADDER = 12
LARGEST_ELLIPTICITY = 0.6
ROUNDS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Sky:
    """A square part of the sky on coarse pixels; planes of one shape (n_y, n_x).

    Parameters
    ----------
    data, noise : in the image's unit; the noise is infinite where a pixel is not used.
    x, y : arcsec in the image's own coordinates.
    scale : arcsec a pixel.
    """

    data: Array
    noise: Array
    x: Array
    y: Array
    scale: float

    @property
    def used(self) -> Mask:
        """True where a pixel is used."""
        return np.isfinite(self.noise)

    def near(self, center: tuple[float, float], half_width: float) -> Sky:
        """The part within ``half_width`` arcsec of ``center`` in x and in y."""
        columns = np.abs(self.x[0] - center[0]) <= half_width
        rows = np.abs(self.y[:, 0] - center[1]) <= half_width
        window = np.ix_(rows, columns)
        return Sky(data=self.data[window], noise=self.noise[window], x=self.x[window], y=self.y[window], scale=self.scale)


@dataclass(frozen=True, kw_only=True, eq=False)
class Galaxy:
    """The fit.

    Parameters
    ----------
    light : without the sky, (n_y, n_x).
    residual : data less light and sky, zero where not used.
    significance : the residual smoothed, in units of its noise with the model's inadequacy in it.
    """

    light: Array
    residual: Array
    significance: Array


def coarse(imaging: Imaging) -> Sky:
    """The image in pixels of at least ``COARSE_PIXEL``."""
    x_0 = y_0 = 0.0
    while imaging.pixel_scale < COARSE_PIXEL and min(imaging.shape) >= 32:
        shift = shift_of_binned(imaging)
        imaging, x_0, y_0 = binned(imaging), x_0 + shift[0], y_0 + shift[1]
    noise = np.where(imaging.used, imaging.noise, np.inf)
    return Sky(data=imaging.data, noise=noise, x=imaging.x + x_0, y=imaging.y + y_0, scale=imaging.pixel_scale)


def fit_galaxy(sky: Sky, center: tuple[float, float], ignored: Mask | None = None) -> Galaxy:
    """Fit the galaxy at ``center`` (arcsec).

    Parameters
    ----------
    ignored : pixels to leave out of the fit; they are in the residual all the same.

    Notes
    -----
    The first of three rounds fits the smaller of each pixel and its image in the center, in which an object on one side is not; the others
    leave out what stood out of the round before.
    """
    keep = sky.used if ignored is None else sky.used & ~ignored
    x, y = sky.x - center[0], sky.y - center[1]
    shape = np.array([0.0, 0.0, *_moments(sky, x, y, keep)])
    shape = np.concatenate([shape, shape[2:] + np.array([0.0, 0.02])])
    target, fitted = _mirrored_minimum(sky, center, keep), keep
    core = np.hypot(x, y) < CORE
    light, level = np.zeros_like(x), 0.0
    for _ in range(ROUNDS):
        shape, light, level = _fit(target, _error(sky, light), fitted, x, y, shape, sky.scale)
        residual = np.where(sky.used, sky.data - light - level, 0.0)
        significance = _significance(residual, _error(sky, light))
        target, fitted = sky.data, keep & (core | ~_wider(significance > STANDS_OUT))
        if fitted.sum() < 0.2 * keep.sum():
            fitted = keep
    return Galaxy(light=light, residual=residual, significance=significance)


def _wider(mask: Mask) -> Mask:
    return np.asarray(ndimage.binary_dilation(mask), dtype=bool)


def _error(sky: Sky, light: Array) -> Array:
    return np.sqrt(np.where(sky.used, sky.noise, 1.0) ** 2 + (FLOOR * light) ** 2)


def _significance(residual: Array, error: Array) -> Array:
    return ndimage.gaussian_filter(residual / error, SMOOTHING, mode="nearest") / WHITE_RMS


def _moments(sky: Sky, x: Array, y: Array, keep: Mask) -> tuple[float, float]:
    light = np.where(keep & (np.hypot(x, y) < 1.0), np.maximum(sky.data, 0.0), 0.0)
    total = (light * (x * x + y * y)).sum()
    if not total > 0:
        return 0.0, 0.0
    chi = np.array([(light * (x * x - y * y)).sum(), (light * 2.0 * x * y).sum()]) / total
    size = min(float(np.hypot(*chi)), 0.8)
    factor = 0.5 if size < 1e-6 else (1.0 - np.sqrt(1.0 - size**2)) / size**2
    return float(chi[0] * factor), float(chi[1] * factor)


def _mirrored_minimum(sky: Sky, center: tuple[float, float], keep: Mask) -> Array:
    """The smaller of each pixel and of its image in the center; the pixel itself where that is outside or not used."""
    rows = (2.0 * center[1] - sky.y - sky.y[0, 0]) / sky.scale
    columns = (2.0 * center[0] - sky.x - sky.x[0, 0]) / sky.scale
    smooth = ndimage.gaussian_filter(np.where(keep, sky.data, 0.0), SMOOTHING) / np.maximum(
        ndimage.gaussian_filter(keep.astype(float), SMOOTHING), 1e-3
    )
    there = ndimage.map_coordinates(np.where(keep, smooth, np.inf), [rows, columns], order=0, cval=np.inf)
    return np.where(there < smooth, np.minimum(there, sky.data), sky.data)


def _columns(shape: Array, x: Array, y: Array, scale: float) -> Array:
    """Members of both sets, (2 * LADDER, pixels): widths from half a pixel up by sqrt 2."""
    columns = []
    for e_1, e_2 in (shape[2:4], shape[4:6]):
        square = radius_squared(x - shape[0], y - shape[1], e_1, e_2)
        member = np.exp(-0.5 * square / (0.5 * scale * np.sqrt(2.0) ** (LADDER - 1)) ** 2)
        for _ in range(LADDER):
            columns.append(member)
            member = member * member
    return np.stack(columns)


def _fit(data: Array, error: Array, fitted: Mask, x: Array, y: Array, shape: Array, scale: float) -> tuple[Array, Array, float]:
    """Shapes by Gauss-Newton steps, amplitudes by non-negative least squares; the shapes, the light everywhere, and the sky."""
    weight, x_in, y_in = 1.0 / error[fitted], x[fitted], y[fitted]
    constant = weight / np.linalg.norm(weight)
    target = data[fitted] * weight
    target = target - constant * (constant @ target)

    def solved(p: Array) -> tuple[Array, Array, Array]:
        columns = _columns(p, x_in, y_in, scale) * weight
        columns -= (columns @ constant)[:, None] * constant
        size = np.linalg.norm(columns, axis=1)
        size = np.where(size > 1e-6 * size.max(), size, np.inf)  # a column that is nowhere seen gets no amplitude
        gram = (columns / size[:, None]) @ (columns / size[:, None]).T + 1e-9 * np.eye(len(columns))
        factor = np.linalg.cholesky(gram)
        amplitudes, _ = nnls(factor.T, np.linalg.solve(factor, columns @ target / size), maxiter=1000)
        return target - (amplitudes / size) @ columns, amplitudes / size, columns

    lower = np.array([-2 * scale] * 2 + [-LARGEST_ELLIPTICITY] * 4)
    start = np.clip(shape, 0.999 * lower, -0.999 * lower)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        found = least_squares(lambda p: solved(p)[0], start, bounds=(lower, -lower), max_nfev=6, diff_step=1e-4, x_scale=0.1)
    amplitudes = solved(found.x)[1]
    light = np.tensordot(amplitudes, _columns(found.x, x.ravel(), y.ravel(), scale), axes=1).reshape(x.shape)
    level = float((weight**2 * (data - light)[fitted]).sum() / (weight**2).sum())
    return found.x, light, level
