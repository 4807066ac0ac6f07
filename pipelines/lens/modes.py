"""Distinct solutions of a lens: counting the images of their source, telling them apart, ranking them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.lens.images import CENTRAL, enclosing_cells
from pipelines.lens.linear import SOURCE, lights_of, masses_of
from pipelines.lens.marquardt import Minimum
from pipelines.lens.mass import power_law_deflection
from pipelines.lens.tracing import ray_trace
from pipelines.lens.varpro import EINSTEIN_RADIUS, SHEAR, SOURCE_CENTER

Array = NDArray[np.float64]
IMAGES_NEEDED = 2


def source_plane_of(p: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Positions in arcsec relative to the source's center, of image positions, for the parameters ``p``."""
    alpha_x, alpha_y = power_law_deflection(
        x - p[6], y - p[7], ellipticity_1=p[8], ellipticity_2=p[9], einstein_radius=p[EINSTEIN_RADIUS], slope=2.0
    )
    g_1, g_2 = p[SHEAR]
    s_x, s_y = p[SOURCE_CENTER]
    return x - alpha_x - g_1 * x - g_2 * y - s_x, y - alpha_y - g_2 * x + g_1 * y - s_y


def count_images(p: Array) -> int:
    """Images of the source's center, the central one left out, for the parameters ``p``."""
    return _count(lambda x, y: source_plane_of(p, x, y), (p[6], p[7]))


def count_images_of(instance: Mapping[str, Any]) -> int:
    """The same for an instance of a lens model, whatever its masses."""
    source, mass = lights_of(instance[SOURCE])[0], instance["mass"]

    def trace(x: Array, y: Array) -> tuple[Array, Array]:
        beta_x, beta_y = ray_trace(masses_of(instance), x, y)
        return beta_x - source.center_x, beta_y - source.center_y

    return _count(trace, (mass.center_x, mass.center_y))


def count_images_at(masses: Sequence[Any], source: tuple[float, float], center: tuple[float, float]) -> int:
    """The same for a point at ``source`` behind these masses, shear included; ``center`` is the lens's; all in arcsec."""

    def trace(x: Array, y: Array) -> tuple[Array, Array]:
        beta_x, beta_y = ray_trace(masses, x, y)
        return beta_x - source[0], beta_y - source[1]

    return _count(trace, center)


def _count(trace: Callable[[Array, Array], tuple[Array, Array]], center: tuple[float, float]) -> int:
    """Triangles of a grid whose traced corners enclose the origin, grouped; those at the center left out."""
    x, y, hit = enclosing_cells(trace, center)
    away = np.hypot(x - center[0], y - center[1]) > CENTRAL
    _, n = cast(tuple[Any, int], ndimage.label(hit & away, structure=np.ones((3, 3))))
    return int(n)


def distinct(minima: Sequence[Minimum], is_same: Callable[[Array, Array], bool]) -> list[Minimum]:
    """The minima that are not the same as an earlier one, in the order given, which is from the preferred one on."""
    kept: list[Minimum] = []
    for minimum in minima:
        if not any(is_same(minimum.p, other.p) for other in kept):
            kept.append(minimum)
    return kept


def same_position(relative: float, offset: float) -> Callable[[Array, Array], bool]:
    """Two solutions are the same when their Einstein radii agree to ``relative`` and their sources to ``offset`` arcsec."""

    def is_same(p: Array, q: Array) -> bool:
        near = float(np.hypot(*(p[SOURCE_CENTER] - q[SOURCE_CENTER]))) <= offset
        return bool(abs(p[EINSTEIN_RADIUS] / q[EINSTEIN_RADIUS] - 1.0) <= relative and near)

    return is_same


def same_radius(relative: float) -> Callable[[Array, Array], bool]:
    """Two solutions are the same when their Einstein radii agree to ``relative``."""
    return lambda p, q: bool(abs(p[EINSTEIN_RADIUS] / q[EINSTEIN_RADIUS] - 1.0) <= relative)


def by_objective(minima: Sequence[Minimum]) -> list[Minimum]:
    """Solutions from the lowest objective on."""
    return sorted(minima, key=lambda m: m.objective)


def ranked(minima: Sequence[Minimum]) -> list[Minimum]:
    """Solutions with at least two images first, each group by its objective."""
    return sorted(minima, key=lambda m: (count_images(m.p) < IMAGES_NEEDED, m.objective))
