"""Distinct solutions of a lens: counting the images of their source, telling them apart, ranking them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.lens.marquardt import Minimum
from pipelines.lens.mass import power_law_deflection
from pipelines.lens.varpro import EINSTEIN_RADIUS, SHEAR, SOURCE_CENTER

Array = NDArray[np.float64]
IMAGES_NEEDED = 2
CENTRAL = 0.06
"""An image of the source's center within this many arcsec of the lens is the central one, and does not count."""
GRID, HALF_WIDTH = 321, 3.2


def source_plane_of(p: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Positions in arcsec relative to the source's center, of image positions, for the 17 parameters ``p``."""
    alpha_x, alpha_y = power_law_deflection(
        x - p[6], y - p[7], ellipticity_1=p[8], ellipticity_2=p[9], einstein_radius=p[EINSTEIN_RADIUS], slope=2.0
    )
    g_1, g_2 = p[SHEAR]
    s_x, s_y = p[SOURCE_CENTER]
    return x - alpha_x - g_1 * x - g_2 * y - s_x, y - alpha_y - g_2 * x + g_1 * y - s_y


def count_images(p: Array, *, half_width: float = HALF_WIDTH, grid: int = GRID) -> int:
    """Images of the source's center, the central one left out: triangles of a grid whose traced corners enclose it, grouped."""
    axis = np.linspace(-half_width, half_width, grid)
    x, y = np.meshgrid(axis + p[6], axis + p[7])
    b_x, b_y = source_plane_of(p, x, y)
    lower_left, lower_right = (b_x[:-1, :-1], b_y[:-1, :-1]), (b_x[:-1, 1:], b_y[:-1, 1:])
    upper_left, upper_right = (b_x[1:, :-1], b_y[1:, :-1]), (b_x[1:, 1:], b_y[1:, 1:])
    hit = _encloses(lower_left, lower_right, upper_left) | _encloses(lower_right, upper_right, upper_left)
    away = np.hypot(x[:-1, :-1] - p[6], y[:-1, :-1] - p[7]) > CENTRAL
    return int(ndimage.label(hit & away, structure=np.ones((3, 3)))[1])


def _encloses(a: tuple[Array, Array], b: tuple[Array, Array], c: tuple[Array, Array]) -> NDArray[np.bool_]:
    """Whether the triangle a, b, c holds the origin: all three cross products of its corners have one sign."""
    signs = [first[0] * second[1] - first[1] * second[0] > 0 for first, second in ((a, b), (b, c), (c, a))]
    return (signs[0] == signs[1]) & (signs[1] == signs[2])


def distinct(minima: Sequence[Minimum], is_same: Callable[[Array, Array], bool]) -> list[Minimum]:
    """The minima that are not the same as a better one, best first."""
    kept: list[Minimum] = []
    for minimum in sorted(minima, key=lambda m: m.objective):
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


def ranked(minima: Sequence[Minimum]) -> list[Minimum]:
    """Solutions with at least two images first, each group by its objective."""
    return sorted(minima, key=lambda m: (count_images(m.p) < IMAGES_NEEDED, m.objective))
