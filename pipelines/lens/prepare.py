"""What is decided about an image before any search: where the lens is, how far out is fitted. A person's `info.yaml` overrules it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipelines.lens.binning import binned, shift_of_binned
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import DEFAULT_MASK_RADIUS, Frame

SEARCH_RADIUS = 0.5
"""The lens is the brightest pixel within this many arcsec of the frame's center, after smoothing by a pixel."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Center (x, y) and mask radius in arcsec, and who decided each."""

    center: tuple[float, float]
    mask_radius: float
    center_by: str
    mask_radius_by: str


def prepare(imaging: Imaging) -> Preparation:
    """Decide what `info.yaml` leaves open."""
    radius = imaging.mask_radius
    center = imaging.center
    return Preparation(
        center=brightest(imaging) if center is None else center,
        mask_radius=DEFAULT_MASK_RADIUS if radius is None else radius,
        center_by="brightest pixel" if center is None else "info.yaml",
        mask_radius_by="default" if radius is None else "info.yaml",
    )


def brightest(imaging: Imaging) -> tuple[float, float]:
    """Position in arcsec of the brightest used pixel near the frame's center, after smoothing by a pixel."""
    smooth = ndimage.gaussian_filter(np.where(imaging.used, imaging.data, 0.0), 1.0)
    near = imaging.used & (np.hypot(imaging.x, imaging.y) <= SEARCH_RADIUS)
    if not near.any():
        return 0.0, 0.0
    place = np.unravel_index(np.argmax(np.where(near, smooth, -np.inf)), smooth.shape)
    return float(imaging.x[place]), float(imaging.y[place])


def full_frame(imaging: Imaging, preparation: Preparation) -> Frame:
    """The window that the likelihood compares with data."""
    return Frame.from_imaging(imaging, mask_radius=preparation.mask_radius, center=preparation.center)


def binned_frame(imaging: Imaging, preparation: Preparation) -> Frame:
    """The same window in pixels of twice the size, in the same coordinates."""
    return Frame.from_imaging(
        binned(imaging), mask_radius=preparation.mask_radius, center=preparation.center, origin=shift_of_binned(imaging)
    )
