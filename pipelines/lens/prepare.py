"""What is decided about an image before any search, and how: where the lens is, how far out is fitted, what is left out, the noise.

Every decision is a `Decision` of its own, with its value in words, how it was come by, and the key of ``info.yaml`` by which a person
overrules it. Finding the lens is in `centering`, its neighbors in `neighbors`, the scatter of the pixels in `noise`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pipelines.lens.binning import binned, shift_of_binned
from pipelines.lens.centering import find_center
from pipelines.lens.dataset import Imaging, psf_offset
from pipelines.lens.decision import Decision
from pipelines.lens.frame import DEFAULT_MASK_RADIUS, Frame
from pipelines.lens.galaxy import Sky, coarse
from pipelines.lens.neighbors import LARGEST_ZONE, Surroundings, find_surroundings
from pipelines.lens.noise import NoiseCheck, check_noise

RADII = (2.4, 3.0, 3.6)
"""Mask radii in arcsec that are chosen from: few, so that one compiled likelihood serves many lenses."""
LARGE_RADII = (4.5, 6.0, 8.0)
"""Further ones, for rings that leave the galaxy's middle empty."""
BEYOND, ADDED = 1.4, 0.8
"""The mask's radius is at least ``BEYOND`` typical radii of the arcs and ``ADDED`` arcsec: the farthest image, and bare galaxy about it."""
LEAST_PIXELS_OF_RADIUS = 16
WINDOW = 5.2
"""Half-width in arcsec of the part of a frame in which arcs and neighbors are looked for; wider where a person asks for a larger mask."""
LEAST_COARSE = 20
"""Coarse pixels on a side below which nothing is looked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Preparation:
    """What was decided about one image.

    Parameters
    ----------
    center : of the lens, (x, y) in arcsec.
    mask_radius : arcsec about the center that are fitted.
    neighbors : True where a pixel is left out for a neighbor, shape of the image.
    noise_factor : by which the noise map is multiplied.
    noise : what was measured of it.
    surroundings : arcs and neighbors found, on coarse pixels ``sky``; None where nothing was looked for.
    decisions : all of the above, and the rest, in words.
    """

    center: tuple[float, float]
    mask_radius: float
    neighbors: NDArray[np.bool_]
    noise_factor: float
    noise: NoiseCheck
    surroundings: Surroundings | None
    sky: Sky | None
    decisions: tuple[Decision, ...]

    def identity(self) -> dict[str, Any]:
        """What can change a number."""
        return {
            "center": self.center,
            "mask_radius": self.mask_radius,
            "neighbors": self.neighbors,
            "noise_factor": self.noise_factor,
        }

    def applied(self, imaging: Imaging) -> Imaging:
        """The image without the neighbors, and with the noise factor."""
        cleaned = imaging.apply_noise_scaling(self.neighbors) if self.neighbors.any() else imaging
        if self.noise_factor == 1.0:
            return cleaned
        return dataclasses.replace(cleaned, noise=np.where(cleaned.used, cleaned.noise * self.noise_factor, cleaned.noise))

    def on_coarse_pixels(self, imaging: Imaging) -> NDArray[np.bool_]:
        """The pixels left out for neighbors, on those of ``sky``."""
        assert self.sky is not None
        columns = np.abs(self.sky.x[0][:, None] - imaging.x[0][None, :]).argmin(axis=1)
        rows = np.abs(self.sky.y[:, 0][:, None] - imaging.y[:, 0][None, :]).argmin(axis=1)
        return self.neighbors[np.ix_(rows, columns)]

    def decision(self, what: str) -> Decision:
        """The decision of that name."""
        return next(decision for decision in self.decisions if decision.what == what)


_PREPARED: WeakKeyDictionary[Imaging, Preparation] = WeakKeyDictionary()


def prepare(imaging: Imaging) -> Preparation:
    """Decide what `info.yaml` leaves open; once for each image in memory."""
    if imaging not in _PREPARED:
        _PREPARED[imaging] = _prepared(imaging)
    return _PREPARED[imaging]


def _prepared(imaging: Imaging) -> Preparation:
    whole = coarse(imaging)
    center, center_how = find_center(imaging, whole)
    if imaging.center is not None:
        center, center_how = imaging.center, "info.yaml"
    sky = whole.near(center, max(WINDOW, 1.2 * (imaging.mask_radius or 0.0)))
    is_seen = min(sky.data.shape) >= LEAST_COARSE and sky.used.mean() > 0.1
    found = find_surroundings(sky, center) if is_seen else None
    radius, radius_how = _radius(imaging, found)
    mask, neighbors = _neighbors(imaging, sky, found, radius, center)
    noise = check_noise(imaging, _free(imaging, sky, found, center))
    factor, noise_decision = _noise_factor(imaging, noise)
    return Preparation(
        center=center,
        mask_radius=radius,
        neighbors=mask,
        noise_factor=factor,
        noise=noise,
        surroundings=found,
        sky=sky if is_seen else None,
        decisions=(
            Decision(what="lens center", value=f"({center[0]:.3f}, {center[1]:.3f}) arcsec", how=center_how, key="mask_centre"),
            Decision(what="mask radius", value=f"{radius:g} arcsec", how=radius_how, key="mask_radius"),
            neighbors,
            Decision(what="sky", value="a free constant", how="solved with the amplitudes in every evaluation: the galaxy fills the frame"),
            noise_decision,
            _psf(imaging),
            _unused(imaging),
        ),
    )


def _radius(imaging: Imaging, found: Surroundings | None) -> tuple[float, str]:
    if imaging.mask_radius is not None:
        return imaging.mask_radius, "info.yaml"
    least = LEAST_PIXELS_OF_RADIUS * imaging.pixel_scale
    if found is None or np.isnan(found.arc_radius) or found.is_uneven:
        why = "the galaxy itself is uneven far out" if found is not None and found.is_uneven else "no arcs stand out of the galaxy"
        return next((r for r in (DEFAULT_MASK_RADIUS, *RADII[2:], *LARGE_RADII) if r >= least), least), f"{why}: default"
    wanted = BEYOND * found.arc_radius + ADDED
    choice = RADII + LARGE_RADII if found.is_large_ring else RADII
    allowed = [r for r in choice if r >= least] or [least]
    radius = next((r for r in allowed if r >= wanted), allowed[-1])
    return radius, f"arcs stand out at about {found.arc_radius:.2f} arcsec; {BEYOND} times that and {ADDED} arcsec, up to one of {choice}"


def _neighbors(
    imaging: Imaging, sky: Sky, found: Surroundings | None, radius: float, center: tuple[float, float]
) -> tuple[NDArray[np.bool_], Decision]:
    """Pixels to leave out, and the decision."""
    nothing = np.zeros(imaging.shape, dtype=bool)
    key = "neighbors"
    if imaging.neighbors is not None:
        circles = () if isinstance(imaging.neighbors, str) else imaging.neighbors
        mask = nothing
        for x, y, size in circles:
            mask = mask | (np.hypot(imaging.x - x, imaging.y - y) <= size)
        value = f"{len(circles)} circles, {int((mask & imaging.used).sum())} pixels" if circles else "none"
        return mask, Decision(what="neighbors", value=value, how="info.yaml", key=key)
    if found is None:
        return nothing, Decision(what="neighbors", value="none", how="the frame is too small to look for any", key=key)
    mask = _on_pixels(imaging, sky, found.neighbors)
    inside = mask & imaging.used & (np.hypot(imaging.x - center[0], imaging.y - center[1]) <= radius)
    own = sorted((thing for thing in found.things if thing.is_neighbor), key=lambda thing: thing.radius)
    places = ", ".join(f"({t.x:.1f}, {t.y:.1f})" for t in own)
    how = "objects that stand out of the galaxy, far out, bright beside it and not drawn out about it"
    value = f"{len(own)} at {places} arcsec; {int(inside.sum())} pixels within the mask radius left out" if own else "none"
    return mask, Decision(what="neighbors", value=value, how=how, key=key)


def _on_pixels(imaging: Imaging, sky: Sky, plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A picture on coarse pixels, on the image's own; False outside."""
    columns = np.round((imaging.x[0] - sky.x[0, 0]) / sky.scale).astype(int)
    rows = np.round((imaging.y[:, 0] - sky.y[0, 0]) / sky.scale).astype(int)
    inside = np.ix_((rows >= 0) & (rows < plane.shape[0]), (columns >= 0) & (columns < plane.shape[1]))
    whole = np.zeros(imaging.shape, dtype=bool)
    kept_rows, kept_columns = (index[(index >= 0) & (index < n)] for index, n in zip((rows, columns), plane.shape, strict=True))
    whole[inside] = plane[np.ix_(kept_rows, kept_columns)]
    return whole


def _free(imaging: Imaging, sky: Sky, found: Surroundings | None, center: tuple[float, float]) -> NDArray[np.bool_]:
    """Pixels without arcs, neighbors and the galaxy's core."""
    free = np.hypot(imaging.x - center[0], imaging.y - center[1]) > LARGEST_ZONE
    return free if found is None else free & ~_on_pixels(imaging, sky, found.arcs | found.neighbors)


def _noise_factor(imaging: Imaging, noise: NoiseCheck) -> tuple[float, Decision]:
    factor, how = 1.0, "the noise map as it is"
    if imaging.noise_factor == "measured":
        factor, how = noise.factor, "info.yaml: measured"
    elif imaging.noise_factor is not None:
        factor, how = float(imaging.noise_factor), "info.yaml"
    return factor, Decision(what="noise factor", value=f"{factor:g}", how=f"{how}; {noise.words}", key="noise_factor")


def _psf(imaging: Imaging) -> Decision:
    x, y = psf_offset(imaging.psf)
    n_y, n_x = imaging.psf.shape
    return Decision(
        what="PSF",
        value=f"{n_x} x {n_y} pixels, normalized",
        how=f"its sum was {imaging.psf_sum:.6g}; its peak is ({x:+.2f}, {y:+.2f}) pixels from its middle",
    )


def _unused(imaging: Imaging) -> Decision:
    parts = ", ".join(f"{n} {reason}" for reason, n in imaging.masked.items() if n)
    return Decision(
        what="pixels not used",
        value=f"{int((~imaging.used).sum())} of {imaging.used.size}",
        how=parts or "none is marked",
        key="mask*.fits",
    )


def full_frame(imaging: Imaging, preparation: Preparation) -> Frame:
    """The window that the likelihood compares with data."""
    return Frame.from_imaging(preparation.applied(imaging), mask_radius=preparation.mask_radius, center=preparation.center)


def binned_frame(imaging: Imaging, preparation: Preparation) -> Frame:
    """The same window in pixels of twice the size, in the same coordinates."""
    return Frame.from_imaging(
        binned(preparation.applied(imaging)),
        mask_radius=preparation.mask_radius,
        center=preparation.center,
        origin=shift_of_binned(imaging),
    )
