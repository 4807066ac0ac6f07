"""`Imaging`: one image of a lens, with its noise, point-spread function and mask. Reading files is in `loader`.

An Imaging is checked when it is made: whatever a search could not use is a `DataError` before any sampling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.errors import DataError
from pipelines.lens import loader

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ABSURD_NOISE_RATIO = 1e4
"""A pixel whose noise is this many times the ordinary is masked: surveys mark bad pixels by 1e8 or 1e16."""
LARGEST = 1e100
"""Of a pixel's value, and of one over its noise: their squares are summed."""
LARGEST_PSF_OFFSET = 1.0
"""Pixels."""
MOST_WITHOUT_NOISE = 0.05
"""Pixels whose noise is not positive are masked and counted up to this fraction of those used; more are an error."""
ORDINARY_NOISE_QUANTILE = 0.01
"""Of the noise in the used pixels. Low, because most of a wide frame may be masked by its noise."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Imaging:
    """One image.

    Parameters
    ----------
    data, noise : shape (n_y, n_x), row 0 at the bottom, any unit (both the same); noise is one standard deviation per pixel.
    psf : shape (odd, odd); it is normalized to unit sum.
    mask : True where a pixel is used. Pixels of absurd noise are taken out.
    pixel_scale : arcsec per pixel.
    name : of the dataset; not part of the identity.
    redshift_lens, redshift_source, band, magnitude_zero_point, position_angle_of_y (degrees east of north of the +y axis), is_mirrored
        (True where east is clockwise of north) : what is known.
    mask_radius, center, neighbors, noise_factor : what a person decided of what `prepare` decides otherwise. The radius in arcsec that is
        fitted; the lens's position (x, y) in arcsec; ``"none"``, or circles (x, y, radius) in arcsec to leave out; and ``"measured"``, or
        what the noise map is multiplied by.

    Attributes
    ----------
    masked : how many pixels are not used, by the reason.
    psf_sum : sum of the PSF before it was normalized.

    Raises
    ------
    DataError
        for shapes that do not fit, NaN in used pixels, more than a few per cent of used pixels whose noise is not positive, or a PSF of
        even size, without positive sum, or off its center.
    """

    data: Array
    noise: Array
    psf: Array
    pixel_scale: float
    mask: Mask | None = None
    name: str = "lens"
    redshift_lens: float | None = None
    redshift_source: float | None = None
    band: str = ""
    magnitude_zero_point: float | None = None
    position_angle_of_y: float = 0.0
    is_mirrored: bool = False
    mask_radius: float | None = None
    center: tuple[float, float] | None = None
    neighbors: str | tuple[tuple[float, float, float], ...] | None = None
    noise_factor: float | str | None = None
    masked: Mapping[str, int] = field(init=False)
    psf_sum: float = field(init=False)

    def __post_init__(self) -> None:
        data, noise, psf = (np.array(part, dtype=np.float64) for part in (self.data, self.noise, self.psf))
        mask = np.ones(data.shape, dtype=bool) if self.mask is None else np.array(self.mask, dtype=bool)
        _check_shapes(self.name, data, noise, psf, mask)
        _check_scale(self.name, self.pixel_scale)
        by_mask = int((~mask).sum())
        mask = mask & ~_few_without_noise(noise, mask)
        no_noise = int((~mask).sum()) - by_mask
        noise, mask = _without_absurd_noise(data, noise, mask)
        _check_values(self.name, data, noise, mask)
        data = np.where(mask, data, 0.0)
        total = _psf_sum(self.name, psf)
        counts = {"by a mask": by_mask, "noise not positive": no_noise, "absurd noise": int((~mask).sum()) - by_mask - no_noise}
        object.__setattr__(self, "masked", counts)
        object.__setattr__(self, "psf_sum", total)
        for key, value in (("data", data), ("noise", noise), ("psf", psf / total), ("mask", mask)):
            value.setflags(write=False)
            object.__setattr__(self, key, value)
        object.__setattr__(self, "pixel_scale", float(self.pixel_scale))

    @classmethod
    def from_folder(cls, path: Path | str) -> Imaging:
        """The dataset in a folder (image.fits, noise.fits, psf.fits, optional mask*.fits, info.yaml or info.json)."""
        return cls(**loader.read_folder(Path(path)))

    @classmethod
    def from_fits(
        cls, *, image: Path | str, noise: Path | str, psf: Path | str, extensions: Mapping[str, str | int] | None = None, **facts: Any
    ) -> Imaging:
        """The dataset in up to three FITS files; ``extensions`` names those of ``image``, ``noise`` and ``psf`` where it is not the first.

        ``facts`` are the further fields of `Imaging`; ``pixel_scale`` is read from the header where it has a WCS.
        """
        return cls(**loader.read_fits({"image": Path(image), "noise": Path(noise), "psf": Path(psf)}, extensions or {}, facts))

    @property
    def used(self) -> Mask:
        """True where a pixel is used, shape (n_y, n_x)."""
        assert self.mask is not None
        return self.mask

    @property
    def shape(self) -> tuple[int, int]:
        """(n_y, n_x)."""
        return self.data.shape[0], self.data.shape[1]

    @cached_property
    def x(self) -> Array:
        """Right coordinates of the pixel centers in arcsec, zero at the frame's center, shape (n_y, n_x)."""
        n_y, n_x = self.shape
        return np.tile((np.arange(n_x, dtype=np.float64) - 0.5 * (n_x - 1)) * self.pixel_scale, (n_y, 1))

    @cached_property
    def y(self) -> Array:
        """Up coordinates of the pixel centers in arcsec, zero at the frame's center, shape (n_y, n_x)."""
        n_y, n_x = self.shape
        return np.tile(((np.arange(n_y, dtype=np.float64) - 0.5 * (n_y - 1)) * self.pixel_scale)[:, None], (1, n_x))

    def apply_mask(self, mask: Mask) -> Imaging:
        """The same image with only the pixels that were used and are True in ``mask``, shape (n_y, n_x)."""
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != self.shape:
            raise DataError(f"{self.name}: the mask has shape {mask.shape}, the image {self.shape}; they must be the same.")
        return dataclasses.replace(self, mask=self.used & mask)

    def apply_noise_scaling(self, mask: Mask) -> Imaging:
        """The same image without the pixels that are True in ``mask``: they stay in the frame and count for nothing."""
        return self.apply_mask(~np.asarray(mask, dtype=bool))

    def crop(self, size: int) -> Imaging:
        """The central ``size`` x ``size`` pixels; ``size`` is at most the image's and of the same parity, so that the center stays."""
        n_y, n_x = self.shape
        if not 0 < size <= min(n_y, n_x) or (n_y - size) % 2 or (n_x - size) % 2:
            raise DataError(f"{self.name}: cannot crop {self.shape} to {size}; give at most {min(n_y, n_x)}, and the same parity.")
        rows, columns = ((n - size) // 2 for n in (n_y, n_x))
        window = (slice(rows, rows + size), slice(columns, columns + size))
        return dataclasses.replace(self, data=self.data[window], noise=self.noise[window], mask=self.used[window])

    def identity(self) -> dict[str, Any]:
        """What can change a number: the arrays by content, the pixel scale, the mask's radius and center."""
        return {
            "data": self.data,
            "noise": np.where(self.used, self.noise, 0.0),
            "psf": self.psf,
            "mask": self.mask,
            "pixel_scale": self.pixel_scale,
            "mask_radius": self.mask_radius,
            "center": self.center,
        }


def _check_shapes(name: str, data: Array, noise: Array, psf: Array, mask: Mask) -> None:
    if data.ndim != 2 or min(data.shape) < 3:
        raise DataError(
            f"{name}: the image has shape {data.shape}; it must be two-dimensional with at least 3 x 3 pixels. Name the right extension."
        )
    for label, part in (("noise map", noise), ("mask", mask)):
        if part.shape != data.shape:
            raise DataError(
                f"{name}: the {label} has shape {part.shape}, the image {data.shape}; they must be the same. Cut both from the same frame."
                + (" Are the image and the PSF swapped?" if part.shape == psf.shape else "")
            )
    if psf.ndim != 2 or psf.shape[0] % 2 == 0 or psf.shape[1] % 2 == 0:
        raise DataError(
            f"{name}: the PSF has shape {psf.shape}; both sizes must be odd, so that it has a central pixel. Resample it, or cut off one "
            "row or column and center it."
        )
    if psf.shape[0] > data.shape[0] or psf.shape[1] > data.shape[1]:
        raise DataError(f"{name}: the PSF has shape {psf.shape}, larger than the image {data.shape}. Cut it to the part that matters.")


def _check_scale(name: str, scale: Any) -> None:
    if not isinstance(scale, Real) or isinstance(scale, bool) or not 0 < float(scale) < 60:
        raise DataError(
            f"{name}: the pixel scale is {scale!r}; it must be a number of arcsec between 0 and 60. Set pixel_scale in info.yaml."
        )


def _few_without_noise(noise: Array, mask: Mask) -> Mask:
    """Used pixels whose noise is zero, negative or NaN; none where they are so many that the noise map itself must be wrong."""
    bad = mask & ~(noise > 0)
    return bad if bad.sum() <= MOST_WITHOUT_NOISE * mask.sum() else np.zeros(mask.shape, dtype=bool)


def _without_absurd_noise(data: Array, noise: Array, mask: Mask) -> tuple[Array, Mask]:
    """Noise and mask with the pixels of absurd or infinite noise, and NaN pixels under it, taken out."""
    positive = np.isfinite(noise) & (noise > 0)
    usable = mask & positive
    if not usable.any():
        return noise, mask
    ordinary = np.quantile(noise[usable], ORDINARY_NOISE_QUANTILE, method="lower")
    absurd = (noise > ABSURD_NOISE_RATIO * ordinary) | np.isposinf(noise)
    # infinite where nothing is used, so that 1 / noise is zero there and never NaN
    return np.where(absurd | ~(mask | positive), np.inf, noise), mask & ~absurd


def _check_values(name: str, data: Array, noise: Array, mask: Mask) -> None:
    if not mask.any():
        raise DataError(
            f"{name}: no pixel is left to fit: all {mask.size} are masked or have absurd noise. Check the mask and the noise map."
        )
    for label, bad, allowed in (
        ("image", mask & ~np.isfinite(data), "finite"),
        ("noise map", mask & ~((noise > 0) & np.isfinite(noise)), "positive and finite"),
        ("image", mask & (np.abs(data) > LARGEST), f"within {LARGEST:g}"),
        ("noise map", mask & ((noise < 1 / LARGEST) | (noise > LARGEST)), f"between {1 / LARGEST:g} and {LARGEST:g}"),
    ):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            value = (data if label == "image" else noise)[row, column]
            raise DataError(
                f"{name}: the {label} has {int(bad.sum())} used pixels that are not {allowed}, the first at row {row}, column {column} "
                f"(from 0): {float(value)!r}. Mask them by a mask*.fits (nonzero = masked), or by a noise of 1e8."
                + ("" if label == "image" else f" Up to {MOST_WITHOUT_NOISE:.0%} would be masked without asking.")
                + (" Are the image and the noise map swapped?" if label == "noise map" and np.all(data[mask] > 0) else "")
                + (" A noise map has one standard deviation for each pixel: is it another map?" if 2 * bad.sum() > mask.sum() else "")
            )


def _psf_sum(name: str, psf: Array) -> float:
    bad = int((~(np.abs(psf) <= LARGEST)).sum())
    total = 0.0 if bad else float(psf.sum())
    if bad or not total >= 1 / LARGEST:
        seen = f"{bad} pixels that are not finite" if bad else f"the sum {total!r}"
        raise DataError(
            f"{name}: the PSF has {seen}; every pixel must be finite and the sum positive. Take another PSF; it is normalized here."
        )
    off_x, off_y = psf_offset(psf)
    if max(abs(off_x), abs(off_y)) > LARGEST_PSF_OFFSET:
        raise DataError(
            f"{name}: the PSF's peak is ({off_x:+.1f}, {off_y:+.1f}) pixels (right, up) from the middle of its array; at most "
            f"{LARGEST_PSF_OFFSET} is allowed, since it would shift the model. Shift it, or cut it about its peak."
        )
    return total


def psf_offset(psf: Array) -> tuple[float, float]:
    """Where the PSF's peak is, from the middle of its array: centroid of what reaches half of the maximum, pixels right and up."""
    weight = np.where(psf >= 0.5 * psf.max(), psf, 0.0)
    rows, columns = np.indices(psf.shape)
    total = weight.sum()
    n_y, n_x = psf.shape
    return float((weight * columns).sum() / total - 0.5 * (n_x - 1)), float((weight * rows).sum() / total - 0.5 * (n_y - 1))
