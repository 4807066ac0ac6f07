"""Images of a point source: how many, where, and how much magnified. Triangles of a grid find them, Newton's method places them.

NumPy alone, with derivatives by central differences: a few points are traced a few hundred times, which no compilation would pay for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.lens.tracing import ray_trace

Array = NDArray[np.float64]
Trace = Callable[[Array, Array], tuple[Array, Array]]
CENTRAL = 0.06
"""An image within this many arcsec of the lens is the central one: too faint to be seen in galaxy-scale lenses."""
GRID, HALF_WIDTH = 321, 3.2
NEWTON_STEPS = 100
SHORTEST = 2.0**-12
"""A Newton step is halved until it helps, down to this fraction: the deflection turns over within a step of a steep center."""
CLOSED = 1e-9
"""An image's traced position agrees with the source to this, arcsec; what does not get there is no image, but the singular center."""
SAME = 1e-6
DIFFERENCE = 1e-5
"""Half the step of a central difference over the distance from the lens's center, where deflections change by powers of that distance."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PointImages:
    """Images of one point, the brightest first.

    Parameters
    ----------
    x, y : positions in arcsec, shape (n,).
    magnification : 1 / det A, negative for saddle points, shape (n,).
    is_central : True for an image at the lens's center, shape (n,).
    """

    x: Array
    y: Array
    magnification: Array
    is_central: NDArray[np.bool_]


def enclosing_cells(
    trace: Trace, center: tuple[float, float], *, half_width: float = HALF_WIDTH, n: int = GRID
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Cells of a square grid of which a triangle's traced corners enclose the origin: there lies an image.

    Parameters
    ----------
    trace : position in the source plane, relative to the source, of positions in the image plane; arcsec.
    center : of the grid, arcsec.
    half_width, n : half the grid's side in arcsec; corners on a side.

    Returns
    -------
    x, y of the cells' lower left corners in arcsec, and whether an image lies in them; shape (n - 1, n - 1).
    """
    axis = np.linspace(-half_width, half_width, n)
    x, y = np.meshgrid(axis + float(center[0]), axis + float(center[1]))
    b_x, b_y = trace(x, y)
    lower_left, lower_right = (b_x[:-1, :-1], b_y[:-1, :-1]), (b_x[:-1, 1:], b_y[:-1, 1:])
    upper_left, upper_right = (b_x[1:, :-1], b_y[1:, :-1]), (b_x[1:, 1:], b_y[1:, 1:])
    hit = _encloses(lower_left, lower_right, upper_left) | _encloses(lower_right, upper_right, upper_left)
    return x[:-1, :-1], y[:-1, :-1], hit


def _encloses(a: tuple[Array, Array], b: tuple[Array, Array], c: tuple[Array, Array]) -> NDArray[np.bool_]:
    """Whether the triangle a, b, c holds the origin: no two cross products of its corners differ in sign.

    A product of zero counts with either sign, so that an image on a line of the grid is not lost between two triangles.
    """
    products = np.stack([first[0] * second[1] - first[1] * second[0] for first, second in ((a, b), (b, c), (c, a))])
    return np.logical_or((products >= 0).all(axis=0), (products <= 0).all(axis=0))


def point_images(
    masses: Sequence[Any], source: tuple[float, float], *, center: tuple[float, float], half_width: float = HALF_WIDTH, n: int = GRID
) -> PointImages:
    """Images of a point at ``source`` within a square around ``center``; all in arcsec.

    Two images that are closer than a cell of the grid, as they are where the source nears a caustic from inside, may be missed.

    Parameters
    ----------
    masses : all mass components, shear included.
    source : position (x, y) in the source plane.
    center : of the lens, and of the square.
    half_width, n : half the square's side; grid points on a side.
    """

    def trace(x: Array, y: Array) -> tuple[Array, Array]:
        b_x, b_y = ray_trace(masses, x, y)
        return b_x - source[0], b_y - source[1]

    x, y, hit = enclosing_cells(trace, center, half_width=half_width, n=n)
    cell = 2.0 * half_width / (n - 1)
    x, y, missed = _polished(trace, x[hit] + 0.5 * cell, y[hit] + 0.5 * cell, center, cell)
    x, y = x[missed < CLOSED], y[missed < CLOSED]
    inverse = _derivative(trace, x, y, center)[3]
    order: list[int] = []
    for i in np.argsort(np.abs(inverse), kind="stable").tolist():
        if all(np.hypot(x[i] - x[j], y[i] - y[j]) > SAME for j in order):
            order.append(i)
    with np.errstate(divide="ignore"):  # exactly on a critical curve the magnification is infinite
        magnification = 1.0 / inverse[order]
    x, y = x[order], y[order]
    return PointImages(x=x, y=y, magnification=magnification, is_central=np.hypot(x - center[0], y - center[1]) <= CENTRAL)


def _derivative(trace: Trace, x: Array, y: Array, center: tuple[float, float]) -> tuple[Array, Array, Array, Array]:
    """Elements xx, xy (symmetric) and yy of the matrix A = d beta / d theta, and its determinant, at positions in arcsec."""
    h = DIFFERENCE * np.maximum(np.hypot(x - center[0], y - center[1]), 1e-9)
    (right_x, right_y), (left_x, left_y) = trace(x + h, y), trace(x - h, y)
    (_, up_y), (_, down_y) = trace(x, y + h), trace(x, y - h)
    a_xx, a_xy, a_yy = (right_x - left_x) / (2.0 * h), (right_y - left_y) / (2.0 * h), (up_y - down_y) / (2.0 * h)
    return a_xx, a_xy, a_yy, a_xx * a_yy - a_xy**2


def _polished(trace: Trace, x: Array, y: Array, center: tuple[float, float], longest: float) -> tuple[Array, Array, Array]:
    """Positions after Newton's method with damped steps of at most ``longest`` arcsec, and how far from the origin they are traced."""
    missed = np.hypot(*trace(x, y))
    for _ in range(NEWTON_STEPS):
        b_x, b_y = trace(x, y)
        a_xx, a_xy, a_yy, determinant = _derivative(trace, x, y, center)
        determinant = np.where(determinant == 0.0, 1e-30, determinant)
        d_x, d_y = (a_yy * b_x - a_xy * b_y) / determinant, (a_xx * b_y - a_xy * b_x) / determinant
        limit = np.minimum(1.0, longest / np.maximum(np.hypot(d_x, d_y), 1e-30))
        fraction, moves = 1.0, np.zeros(x.shape, dtype=bool)
        while fraction >= SHORTEST and not moves.all():
            new_x, new_y = x - fraction * limit * d_x, y - fraction * limit * d_y
            new_missed = np.hypot(*trace(new_x, new_y))
            helps = ~moves & (new_missed < missed)
            x, y, missed = np.where(helps, new_x, x), np.where(helps, new_y, y), np.where(helps, new_missed, missed)
            moves, fraction = moves | helps, 0.5 * fraction
        if not moves.any():
            break
    return x, y, missed
