"""What stands out of the lens galaxy, sorted: lensed arcs, and neighbors that are to be left out of the fit.

Arcs must never be masked, so everything is an arc until it has shown itself to be a neighbor: far out, bright beside the lens's light
there, and not drawn out about the lens. A lensed image outside the Einstein radius is drawn out at least twofold (isothermal:
theta / (theta - theta_E), and theta is at most 2 theta_E where there is a second image), so a round object out there is none.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from photutils.segmentation import detect_sources
from photutils.utils.exceptions import NoDetectionsWarning
from scipy import ndimage

from pipelines.lens.galaxy import CORE, STANDS_OUT, Galaxy, Sky, fit_galaxy

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST_PIXELS = 5
STEP, CONTRAST = 1.4, 0.02
"""Objects that touch are parted where they fall apart at a level higher by powers of ``STEP``, each with this part of the whole."""
PEAK = 12.0
"""Significance that a neighbor reaches."""
SURE = 6.0
"""Significance from which on an object tells where the arcs are."""
BESIDE_THE_LIGHT = 0.25
"""A neighbor's peak is at least this fraction of the lens's light there: what is fainter may be the lens's own unevenness."""
LARGEST_CORE = 0.45
"""Rms radius in arcsec of a neighbor's bright half at most: galaxies are peaked, the uneven parts of a disc are not."""
DRAWN_OUT = 1.35
"""Ratio of an object's rms lengths along and across the circle about the lens, from which on it may be an arc."""
ZONE, LEAST_ZONE, LARGEST_ZONE = 1.7, 1.5, 2.2
"""Within ``ZONE`` typical radii of the arcs, and between these limits in arcsec, nothing is a neighbor."""
UNEVEN = 2.8
"""What stands out farther than this, in arcsec, does not tell where the arcs are, but for a large ring."""
EMPTY_WITHIN, NARROW = 0.2, 0.35
"""A large ring has at most this part of its arcs within `LARGEST_ZONE`, and fills at most this part of the sky about its radius."""
REACH = 0.9
"""A neighbor's mask does not reach nearer to the lens than this part of the zone: its wings may lie over arcs."""
FAR_OUT, FILLED = (2.5, 4.0), 0.6
"""A galaxy is uneven when so much of the sky between these radii in arcsec stands out of its model."""
LONELY = 3.2
"""Where nothing stands out within the zone, nothing is a neighbor within so many arcsec: it may be the images."""
MARGIN = 2
"""Coarse pixels by which a neighbor's mask is wider than what stands out of it."""
ROUNDS = 2


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One object that stands out of the galaxy.

    Parameters
    ----------
    x, y, radius : of its flux's centroid, the radius from the lens; arcsec.
    outer : radius of its outermost pixel, arcsec.
    peak : significance of its brightest pixel.
    beside : its brightest pixel as a fraction of the lens's light there.
    size : rms radius of its bright half, arcsec.
    drawn_out : ratio of its rms lengths along and across the circle about the lens, of its bright half or all of it, whichever is larger.
    is_neighbor : to be left out of the fit.
    """

    x: float
    y: float
    radius: float
    outer: float
    peak: float
    beside: float
    size: float
    drawn_out: float
    is_neighbor: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """The objects about a lens.

    Parameters
    ----------
    things : all of them.
    arcs, neighbors : coarse pixels, (n_y, n_x); those of neighbors with their margin, and never one of an arc.
    arc_radius : typical radius of the arcs in arcsec; NaN where there are none.
    is_uneven : the galaxy itself stands out of the model far out, as a disc's arms do, so that the arcs' radius means little.
    significance : of what stands out, (n_y, n_x).
    is_large_ring : nearly all of the arcs lie farther out than galaxies alone lens, and they are narrow.
    """

    things: tuple[Thing, ...]
    arcs: Mask
    neighbors: Mask
    arc_radius: float
    is_large_ring: bool
    is_uneven: bool
    significance: Array


def find_surroundings(sky: Sky, center: tuple[float, float]) -> Surroundings:
    """Fit the galaxy, sort what stands out of it, and once more without the neighbors found.

    Parameters
    ----------
    sky : around the lens; wide enough to hold the arcs.
    center : of the lens, arcsec.
    """
    ignored = np.zeros(sky.used.shape, dtype=bool)
    for _ in range(ROUNDS):
        galaxy = fit_galaxy(sky, center, ignored)
        found = _sorted_things(sky, galaxy, center)
        if np.array_equal(found.neighbors, ignored):
            break
        ignored = found.neighbors
    return found


def _segments(significance: Array, used: Mask) -> Any:
    """Numbers of the objects, 0 for none, (n_y, n_x)."""
    parts = [part for own in _detected(significance, used, STANDS_OUT) for part in _parted(significance, own, STANDS_OUT)]
    markers = np.zeros(used.shape, dtype=np.int32)
    for number, part in enumerate(parts, 1):
        markers[part] = number
    whole = np.zeros(used.shape, dtype=bool)
    for own in _detected(significance, used, STANDS_OUT):
        whole |= own
    depth = np.log(np.clip(significance, STANDS_OUT, None))
    cost = np.round(65000 * (1.0 - depth / max(float(depth.max()), 1e-6) * 0.99)).astype(np.uint16)
    return np.where(whole, ndimage.watershed_ift(cost, np.where(whole, markers, -1).astype(np.int32)), 0)


def _detected(significance: Array, used: Mask, level: float) -> list[Mask]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        found: Any = detect_sources(significance, level, LEAST_PIXELS, mask=~used)
    return [] if found is None else [found.data == number for number in found.labels]


def _parted(significance: Array, own: Mask, level: float) -> list[Mask]:
    """The cores into which an object falls apart above ``level``; the object itself where it does not."""
    top, total = float(significance[own].max()), float(significance[own].sum())
    while level * STEP < top:
        level *= STEP
        parts = [part for part in _detected(significance, own, level) if significance[part].sum() >= CONTRAST * total]
        if len(parts) > 1:
            return [core for part in parts for core in _parted(significance, part, level)]
    return [own]


def _sorted_things(sky: Sky, galaxy: Galaxy, center: tuple[float, float]) -> Surroundings:
    x, y = sky.x - center[0], sky.y - center[1]
    radius = np.hypot(x, y)
    segments = _segments(galaxy.significance, sky.used & (radius > CORE))
    numbers = [int(number) for number in np.unique(segments) if number > 0]
    # an object farther out whose wings reach into the zone is no arc there
    inner = [n for n in numbers if radius[segments == n].mean() < LARGEST_ZONE and galaxy.significance[segments == n].max() >= SURE]
    arc_radius = _typical_radius(galaxy.significance, np.where(np.isin(segments, inner), segments, 0), radius, LARGEST_ZONE)
    zone = LONELY if np.isnan(arc_radius) else float(np.clip(ZONE * arc_radius, LEAST_ZONE, LARGEST_ZONE))
    things = [_thing(segments == number, galaxy, x, y, zone, center) for number in numbers]
    named = list(zip(numbers, things, strict=True))
    is_neighbor = np.isin(segments, [number for number, thing in named if thing.is_neighbor])
    kept = np.where(np.isin(segments, [number for number, thing in named if _is_arc(thing)]), segments, 0)
    may_be_arc = np.isin(segments, [number for number, thing in named if not thing.is_neighbor and thing.peak >= SURE])
    wide, protected = (
        np.asarray(ndimage.binary_dilation(m, iterations=n), dtype=bool) for m, n in ((is_neighbor, MARGIN), (may_be_arc, 1))
    )
    is_large = _is_large_ring(galaxy.significance, kept, radius)
    return Surroundings(
        things=tuple(things),
        arcs=(segments > 0) & ~is_neighbor,
        neighbors=wide & ~protected & (radius > REACH * zone),
        arc_radius=_typical_radius(galaxy.significance, kept, radius, np.inf if is_large else UNEVEN),
        is_large_ring=is_large,
        is_uneven=not is_large and _is_uneven(galaxy.significance, sky.used & ~wide, radius),
        significance=galaxy.significance,
    )


def _thing(own: Mask, galaxy: Galaxy, x: Array, y: Array, zone: float, center: tuple[float, float]) -> Thing:
    significance = np.where(own, galaxy.significance, -np.inf)
    place = int(np.argmax(significance))
    peak = float(significance.ravel()[place])
    core = _shape(significance >= 0.5 * peak, galaxy.significance, x, y)
    whole = _shape(own, galaxy.significance, x, y)
    beside = float(galaxy.residual.ravel()[place] / max(galaxy.light.ravel()[place], 1e-300))
    # an arc may have a round knot, and a halo that is not drawn out: either of the two shapes shows it
    drawn_out = max(core.along / core.across, whole.along / whole.across)
    size = float(np.hypot(core.along, core.across))
    is_object = peak >= PEAK and beside >= BESIDE_THE_LIGHT and size <= LARGEST_CORE and drawn_out < DRAWN_OUT
    return Thing(
        x=core.x + center[0],
        y=core.y + center[1],
        radius=core.radius,
        outer=float(np.hypot(x[own], y[own]).max()),
        peak=peak,
        beside=beside,
        size=size,
        drawn_out=drawn_out,
        is_neighbor=bool(is_object and min(core.radius, np.hypot(core.x, core.y)) > zone),
    )


def _is_arc(thing: Thing) -> bool:
    """Whether it tells how far out the arcs go: near the lens, or bright and drawn out."""
    if thing.is_neighbor or thing.peak < SURE:
        return False
    return thing.radius <= LARGEST_ZONE or (thing.peak >= PEAK and thing.beside >= BESIDE_THE_LIGHT and thing.drawn_out >= DRAWN_OUT)


def _shape(own: Mask, significance: Array, x: Array, y: Array) -> SimpleNamespace:
    """Centroid, mean radius, and rms lengths along and across the circle about the lens, of some pixels."""
    weight = significance[own] / significance[own].sum()
    at_x, at_y = float(weight @ x[own]), float(weight @ y[own])
    # along the circle: an angle from the object's own direction, times the radius, so that an arc of any length is long
    angle = np.arctan2(y[own], x[own]) - np.arctan2(at_y, at_x)
    angle = (angle + np.pi) % (2.0 * np.pi) - np.pi
    away = np.hypot(x[own], y[own])
    middle = float(weight @ away)
    across = float(np.sqrt(weight @ (away - middle) ** 2))
    return SimpleNamespace(x=at_x, y=at_y, radius=middle, along=float(np.sqrt(weight @ (angle * away) ** 2)), across=max(across, 1e-6))


def _weights(significance: Array, segments: Any, radius: Array, within: float) -> tuple[Array, Array]:
    """Radii of what stands out, ascending, and its running share of the whole; a pixel counts by its significance, at most 30."""
    chosen = (segments > 0) & (radius < within)
    at = radius[chosen]
    order = np.argsort(at)
    total = np.cumsum(np.clip(significance[chosen], 0.0, 30.0)[order])
    return at[order], total / total[-1] if total.size else total


def _typical_radius(significance: Array, segments: Any, radius: Array, within: float) -> float:
    """Weighted median radius of what stands out."""
    at, share = _weights(significance, segments, radius, within)
    return float(at[np.searchsorted(share, 0.5)]) if at.size else float("nan")


def _is_large_ring(significance: Array, segments: Any, radius: Array) -> bool:
    """Whether the arcs lie beyond the zone, and are narrow: what fills the sky there is the galaxy's own unevenness."""
    at, share = _weights(significance, segments, radius, np.inf)
    inside = int(np.searchsorted(at, LARGEST_ZONE))
    if not at.size or (inside and share[inside - 1] > EMPTY_WITHIN):
        return False
    typical = float(at[np.searchsorted(share, 0.5)])
    about = (radius > 0.6 * typical) & (radius < 1.4 * typical)
    return bool((segments[about] > 0).mean() <= NARROW)


def _is_uneven(significance: Array, used: Mask, radius: Array) -> bool:
    about = used & (radius > FAR_OUT[0]) & (radius < FAR_OUT[1])
    return bool(about.any() and (significance[about] > STANDS_OUT).mean() > FILLED)
