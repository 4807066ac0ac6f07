"""`Frame`: the part of an image that a likelihood sees, laid out for fast evaluation.

A square window around the lens, wide enough that light from outside the mask which the PSF carries in is there, of a size that the Fourier
transform likes. Wrap-around spoils only a border that is not compared with data. Light is computed at the window's points alone whose light
can reach the mask, three quarters of its pixels; the others are dark.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np

from fitcore.errors import DataError
from pipelines.lens.dataset import Imaging

del _backend

DEFAULT_MASK_RADIUS = 3.0
_SMOOTH = sorted(2**a * 3**b * 5**c for a in range(10) for b in range(6) for c in range(4) if 2**a * 3**b * 5**c <= 2000)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """Arrays of one window; a pytree, so that one compiled function serves every lens of a survey.

    Parameters
    ----------
    data : the image in the compared part, shape (v, v).
    weight : 1 / noise there, 0 where not used.
    sky : the constant column, whitened and normalized, shape (v * v,).
    target : the whitened data without their sky component, shape (v * v,).
    x, y : sub-pixel positions in arcsec of the pixels where light is computed, shape (sub-pixels, points).
    place : for each pixel of the window which of them it is, or their number where it stays dark; shape (n * n,), int32.
    axis_x, axis_y : of the window's columns and rows, arcsec, shape (n,).
    steps : of the sub-pixels from a pixel's center, arcsec, shape (sub-pixels, 2).
    psf_transform : Fourier transform of the point-spread function, shape (n, n), complex.
    log_normalization : sum over used pixels of ln(2 pi noise^2).
    border : pixels on each side of the window that are not compared; static.
    """

    data: Any
    weight: Any
    sky: Any
    target: Any
    x: Any
    y: Any
    place: Any
    axis_x: Any
    axis_y: Any
    steps: Any
    psf_transform: Any
    log_normalization: Any
    border: int = dataclasses.field(metadata={"static": True})

    @classmethod
    def from_imaging(
        cls,
        imaging: Imaging,
        *,
        mask_radius: float = DEFAULT_MASK_RADIUS,
        center: tuple[float, float] = (0.0, 0.0),
        over_sampling: int = 2,
        origin: tuple[float, float] = (0.0, 0.0),
    ) -> Frame:
        """The window of ``mask_radius`` arcsec around ``center``.

        Parameters
        ----------
        center : of the window, arcsec.
        over_sampling : sub-pixels on a side of a pixel.
        origin : where the image's own center lies in the coordinates used, arcsec (`binning.shift_of_binned`).

        Raises
        ------
        DataError
            when no used pixel lies within the mask, or the window is too large.
        """
        scale, half = imaging.pixel_scale, max(imaging.psf.shape) // 2
        least = 2.0 * (np.ceil(mask_radius / scale) + half) + 1.0
        if not least <= _SMOOTH[-1]:
            raise DataError(
                f"{imaging.name}: a mask radius of {mask_radius} arcsec is {mask_radius / scale:.6g} pixels of {scale} arcsec; with "
                f"the PSF the window has {least:.6g} pixels on a side, and {_SMOOTH[-1]} are allowed. Lower mask_radius in "
                "info.yaml, or correct pixel_scale."
            )
        size = next(n for n in _SMOOTH if n >= least)
        n_y, n_x = imaging.shape
        column = round((center[0] - origin[0]) / scale + 0.5 * (n_x - 1))
        row = round((center[1] - origin[1]) / scale + 0.5 * (n_y - 1))
        first_column, first_row = column - size // 2, row - size // 2
        data = _window(imaging.data, first_row, first_column, size)
        variance = _window(np.where(imaging.used, imaging.noise, 0.0) ** 2, first_row, first_column, size)
        axis_x = origin[0] + (first_column + np.arange(size) - 0.5 * (n_x - 1)) * scale
        axis_y = origin[1] + (first_row + np.arange(size) - 0.5 * (n_y - 1)) * scale
        radius = np.hypot(axis_x[None, :] - center[0], axis_y[:, None] - center[1])
        inside = (variance > 0) & np.isfinite(variance) & (radius <= mask_radius)
        view = slice(half, size - half)
        inside, data, variance = inside[view, view], data[view, view], variance[view, view]
        if not inside.any():
            raise DataError(
                f"{imaging.name}: no used pixel lies within {mask_radius} arcsec of {center}. "
                "Check mask_radius and mask_centre in info.yaml."
            )
        offset = ((np.arange(over_sampling) + 0.5) / over_sampling - 0.5) * scale
        steps = np.array([(dx, dy) for dy in offset for dx in offset])
        return cls(
            **_weighted(data, np.where(inside, variance, 0.0)),
            **_points(_lit(size, mask_radius / scale, half), axis_x, axis_y, steps),
            axis_x=jnp.asarray(axis_x),
            axis_y=jnp.asarray(axis_y),
            steps=jnp.asarray(steps),
            psf_transform=jnp.asarray(_psf_transform(imaging.psf, size)),
            border=half,
        )

    def reweighted(self, variance: Any) -> Frame:
        """The same window with another variance of each compared pixel, shape (v, v); 0 where a pixel is not used."""
        return dataclasses.replace(self, **_weighted(np.asarray(self.data), np.asarray(variance)))

    def whole(self) -> Frame:
        """The same window with light computed everywhere: for pictures that are looked at beyond the mask."""
        lit = np.ones((self.size, self.size), dtype=bool)
        return dataclasses.replace(self, **_points(lit, *(np.asarray(part) for part in (self.axis_x, self.axis_y, self.steps))))

    @property
    def variance(self) -> Any:
        """Variance of each compared pixel, shape (v, v); 0 where it is not used."""
        weight = np.asarray(self.weight)
        return np.where(weight > 0, 1.0 / np.where(weight > 0, weight, 1.0) ** 2, 0.0)

    @property
    def pixel_centers(self) -> tuple[Any, Any]:
        """x and y of the compared pixels' centers in arcsec, shape (v, v)."""
        x, y = np.meshgrid(np.asarray(self.axis_x)[self.compared], np.asarray(self.axis_y)[self.compared])
        return x, y

    @property
    def size(self) -> int:
        """Pixels on a side of the window."""
        return self.psf_transform.shape[-1]

    @property
    def compared(self) -> slice:
        """The rows, and columns, of the window that are compared with data."""
        return slice(self.border, self.size - self.border)

    @property
    def n_used(self) -> int:
        """Number of pixels that are compared with the model."""
        return int((np.asarray(self.weight) > 0).sum())

    def convolved(self, pictures: Any) -> Any:
        """Pictures at the lit points, shape (k, points), seen through the PSF, in the compared part, shape (k, v, v).

        Two real pictures share one complex transform; a single one takes half of it. Beyond the mask less light is seen than there is.
        """
        k, n = pictures.shape[0], self.size
        if k == 0:
            return jnp.zeros((0, *self.weight.shape))
        if k == 1:
            half = jnp.fft.rfft2(self._placed(pictures)) * self.psf_transform[:, : n // 2 + 1]
            return jnp.fft.irfft2(half, s=(n, n))[:, self.compared, self.compared]
        if k % 2:
            pictures = jnp.concatenate([pictures, jnp.zeros((1, pictures.shape[1]))])
        packed = self._placed(jax.lax.complex(pictures[::2], pictures[1::2]))
        seen = jnp.fft.ifft2(jnp.fft.fft2(packed) * self.psf_transform)[:, self.compared, self.compared]
        return jnp.stack([seen.real, seen.imag], axis=1).reshape(-1, *seen.shape[1:])[:k]

    def _placed(self, pictures: Any) -> Any:
        dark = jnp.zeros((pictures.shape[0], 1), dtype=pictures.dtype)
        window = jnp.concatenate([pictures, dark], axis=1)[:, self.place]
        return window.reshape(-1, self.size, self.size)

    def whitened(self, pictures: Any) -> Any:
        """Pictures of the compared part in units of the noise, as rows, without their sky component; shape (k, v * v)."""
        rows = (pictures * self.weight).reshape(pictures.shape[0], self.target.shape[0])
        return rows - (rows @ self.sky)[:, None] * self.sky


def _window(plane: Any, first_row: int, first_column: int, size: int) -> Any:
    """A square window of an image, zero where it reaches beyond."""
    window = np.zeros((size, size))
    rows = slice(max(0, first_row), min(plane.shape[0], first_row + size))
    columns = slice(max(0, first_column), min(plane.shape[1], first_column + size))
    window[rows.start - first_row : rows.stop - first_row, columns.start - first_column : columns.stop - first_column] = plane[
        rows, columns
    ]
    return window


def _lit(size: int, radius: float, half: int) -> Any:
    """Pixels of the window, shape (size, size), whose light the PSF can carry into the mask; ``radius``, and half the PSF, in pixels.

    The same for every lens: the mask's center lies up to half a pixel, in x and in y, from that of the window's middle pixel.
    """
    away = np.maximum(np.abs(np.arange(size) - size // 2) - half, 0)
    return np.hypot(away[None, :], away[:, None]) <= radius + np.sqrt(0.5)


def _points(lit: Any, axis_x: Any, axis_y: Any, steps: Any) -> dict[str, Any]:
    """The fields of a Frame that say where light is computed."""
    rows, columns = np.nonzero(lit)
    place = np.full(lit.shape, len(rows), dtype=np.int32)
    place[rows, columns] = np.arange(len(rows))
    return {
        "x": jnp.asarray(axis_x[columns] + steps[:, :1]),
        "y": jnp.asarray(axis_y[rows] + steps[:, 1:]),
        "place": jnp.asarray(place.ravel()),
    }


def _weighted(data: Any, variance: Any) -> dict[str, Any]:
    """The fields of a Frame that follow from its data and their variance."""
    used = variance > 0
    weight = np.where(used, 1.0 / np.sqrt(np.where(used, variance, 1.0)), 0.0)
    sky = (weight / np.sqrt((weight**2).sum())).ravel()
    whitened = (data * weight).ravel()
    return {
        "data": jnp.asarray(data),
        "weight": jnp.asarray(weight),
        "sky": jnp.asarray(sky),
        "target": jnp.asarray(whitened - sky * (sky @ whitened)),
        "log_normalization": jnp.asarray(np.log(2.0 * np.pi * variance[used]).sum()),
    }


def _psf_transform(psf: Any, size: int) -> Any:
    padded = np.zeros((size, size))
    padded[: psf.shape[0], : psf.shape[1]] = psf
    return np.fft.fft2(np.roll(padded, (-(psf.shape[0] // 2), -(psf.shape[1] // 2)), axis=(0, 1)))
