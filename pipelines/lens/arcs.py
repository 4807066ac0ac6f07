"""Where the lensed source is seen before there is any lens model: the pixels of its arcs, and the bright spots in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame
from pipelines.lens.light_fit import LightFit, fit_light
from pipelines.lens.prepare import Preparation, binned_frame
from pipelines.lens.varpro import Bases

Array = NDArray[np.float64]
CORE = 0.3
"""Within this many arcsec of the lens's center a residual is that of its light."""
MOST_SPOTS, APART, FAINTEST, SIGNIFICANT = 6, 5, 0.2, 5.0
"""Spots at most; side in binned pixels of the square in which each is the brightest; least share of the brightest, and significance."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Arcs:
    """The arcs of one image.

    Parameters
    ----------
    mask : True in the arcs, on the compared part of the frame, shape (v, v).
    spots : positions in arcsec of the brightest spots of the arcs, the brightest first, shape (n, 2), n at most `MOST_SPOTS`.
    """

    mask: NDArray[np.bool_]
    spots: Array


def seen_arcs(dataset: Imaging, preparation: Preparation, frame: Frame) -> Arcs:
    """The arcs that the light fit on the binned image leaves, on the used pixels of ``frame`` outside the core."""
    coarse = binned_frame(dataset, preparation)
    fit = fit_light(coarse, preparation.center, Bases())
    coarse_x, coarse_y = coarse.pixel_centers
    nearest: Any = RegularGridInterpolator(
        (coarse_y[:, 0], coarse_x[0]), fit.arcs.astype(float), method="nearest", bounds_error=False, fill_value=0.0
    )
    x, y = frame.pixel_centers
    outside = np.hypot(x - preparation.center[0], y - preparation.center[1]) > CORE
    return Arcs(
        mask=(nearest((y, x)) > 0.5) & (np.asarray(frame.weight) > 0) & outside,
        spots=_spots(fit, coarse_x, coarse_y, preparation.center),
    )


def _spots(fit: LightFit, x: Array, y: Array, center: tuple[float, float]) -> Array:
    """Positions of the local maxima of the arcs' significance, each the center of light of its 3 x 3 pixels."""
    allowed = fit.arcs & (np.hypot(x - center[0], y - center[1]) > CORE)
    height = np.where(allowed, fit.significance, 0.0)
    is_peak = (height > SIGNIFICANT) & (height == ndimage.maximum_filter(height, size=APART)) & (height > FAINTEST * height.max())
    rows, columns = np.nonzero(is_peak)
    order = np.argsort(-height[rows, columns], kind="stable")[:MOST_SPOTS]
    weight = np.maximum(height, 0.0)
    total, along_x, along_y = (ndimage.uniform_filter(part, size=3, mode="constant") for part in (weight, weight * x, weight * y))
    at = (rows[order], columns[order])
    return np.stack([along_x[at] / total[at], along_y[at] / total[at]], axis=1)
