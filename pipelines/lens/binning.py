"""The 2 x 2 binned twin of an image: a quarter of the pixels, noise nearly white where drizzling has correlated it; for finding basins."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pipelines.lens.dataset import Imaging

Array = NDArray[np.float64]
GOOD_NEEDED = 3
"""Used pixels among four for a binned pixel to be used."""


def binned(imaging: Imaging) -> Imaging:
    """The image in pixels of twice the size: means of used pixels, their noise as if independent, PSF with the box folded in.

    An odd last row or column is left out, so the binned frame's center moves by half an old pixel: ``center`` is shifted to match.
    """
    n_y, n_x = (2 * (n // 2) for n in imaging.shape)

    def blocks(plane: Array) -> Array:
        return plane[:n_y, :n_x].reshape(n_y // 2, 2, n_x // 2, 2)

    used = blocks(imaging.used.astype(np.float64))
    count = used.sum(axis=(1, 3))
    filled = np.maximum(count, 1.0)
    data = (blocks(np.where(imaging.used, imaging.data, 0.0)) * used).sum(axis=(1, 3)) / filled
    variance = (np.where(used > 0, blocks(np.where(imaging.used, imaging.noise, 1.0)) ** 2, 0.0)).sum(axis=(1, 3)) / filled**2
    mask = count >= GOOD_NEEDED
    return dataclasses.replace(
        imaging,
        data=data,
        noise=np.where(mask, np.sqrt(variance), 1.0),
        mask=mask,
        psf=binned_psf(imaging.psf),
        pixel_scale=2.0 * imaging.pixel_scale,
    )


def shift_of_binned(imaging: Imaging) -> tuple[float, float]:
    """(x, y) in arcsec of the binned frame's center in the old frame's coordinates: minus half a pixel on sides of odd size."""
    n_y, n_x = imaging.shape
    return -0.5 * imaging.pixel_scale * (n_x % 2), -0.5 * imaging.pixel_scale * (n_y % 2)


def binned_psf(psf: Array) -> Array:
    """The PSF between means over 2 x 2 pixels: kernel(M) = 1/4 sum over a, b, c, d of 0 and 1 of psf(2 M + (a - b, c - d))."""
    half = [size // 2 for size in psf.shape]
    new_half = [(h + 1) // 2 + 1 for h in half]
    padded = np.pad(psf, [(2 * m + 1 - h, 2 * m + 1 - h) for m, h in zip(new_half, half, strict=True)])
    middle = [size // 2 for size in padded.shape]
    steps = [np.arange(-m, m + 1) * 2 + c for m, c in zip(new_half, middle, strict=True)]
    kernel = np.zeros([2 * m + 1 for m in new_half])
    for shift_y, weight_y in ((-1, 1.0), (0, 2.0), (1, 1.0)):
        for shift_x, weight_x in ((-1, 1.0), (0, 2.0), (1, 1.0)):
            kernel += 0.25 * weight_y * weight_x * padded[np.ix_(steps[0] + shift_y, steps[1] + shift_x)]
    edge = [slice(1, -1) if np.abs(np.take(kernel, [0, -1], axis=axis)).max() == 0 else slice(None) for axis in (0, 1)]
    kernel = kernel[edge[0], edge[1]]
    return kernel / kernel.sum()
