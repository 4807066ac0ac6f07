"""Images of a point source: all of them, where they are, how much magnified, which are central.

A mesh of triangles over the image plane, and a finer one around every mass, finds the images: each lies in a triangle whose traced corners
enclose the source. Near a critical curve a triangle may be folded and hold two, so cells across the curve are divided as long as the source
may lie in them. Newton's method then places each image. NumPy alone: a few points are traced a few dozen times, which no compilation would
pay for. `caustics.n_images_of` counts the images of many lenses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.lens.magnification import derivatives

Array = NDArray[np.float64]
Trace = Callable[[Array, Array], tuple[Array, Array]]
CENTRAL = 0.06
"""An image within this many arcsec of the lens is a central one: too faint to be seen in galaxy-scale lenses."""
GRID, HALF_WIDTH = 321, 3.2
"""Of `enclosing_cells`."""
MESH, MESH_WIDTH, WIDEST = 97, 3.2, 60.0
"""Corners on a side of the square mesh; half its side in arcsec, doubled up to ``WIDEST`` until no image can lie outside."""
RINGS, SPOKES, FINEST, WIDTH_OF_RINGS = 72, 32, 1e-9, 0.5
"""The mesh around a mass: circles, rays, radii of the innermost and the outermost circle in arcsec."""
DIVISIONS = 7
"""How often a cell across a critical curve is halved: two images closer than its last size are found from its corners."""
MOST_CELLS, MOST_IMAGES = 4096, 64
"""Cells that are divided further, and images that are told apart, at most: reached by rings only."""
NEWTON_STEPS = 80
CLOSED = 1e-9
"""An image's traced position agrees with the source to this, arcsec; what does not get there is no image, but the singular center."""
SAME, WIDEST_UNSURE = 1e-7, 1e-4
"""Two images closer than this are one, arcsec: they lie on a critical curve; the most that is added for those not placed well."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PointImages:
    """Images of one point, the brightest first.

    Parameters
    ----------
    x, y : positions in arcsec, shape (n,).
    magnification : 1 / det A, shape (n,); negative for saddle points, infinite on a critical curve.
    is_central : True for a maximum of the arrival time, and for any image within `CENTRAL` of the lens's center; shape (n,).
    """

    x: Array
    y: Array
    magnification: Array
    is_central: NDArray[np.bool_]

    @property
    def parity(self) -> Array:
        """1 for minima and maxima of the arrival time, -1 for saddle points, shape (n,)."""
        return np.sign(self.magnification)


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
    masses: Sequence[Any], source: tuple[float, float], *, center: tuple[float, float], half_width: float | None = None, n: int = MESH
) -> PointImages:
    """All images of a point at ``source``; all lengths in arcsec.

    By the odd-number theorem there is an odd number of them where no mass has a singular center. A source exactly behind a round lens has a
    ring for an image: at most `MOST_IMAGES` points of it are returned. An image within `FINEST` of a mass's center is told at the center.

    Parameters
    ----------
    masses : all mass components, shear included.
    source : position (x, y) in the source plane.
    center : of the lens, and of the square that is searched.
    half_width : half the square's side; None takes a square outside which there can be no image.
    n : corners of the mesh on a side.
    """
    rays = _Rays(masses=masses, source=source)
    width = _wide_enough(rays, center) if half_width is None else half_width
    axis = np.linspace(-width, width, n)
    seeds = [_seeds(rays, axis, axis, lambda u, v: (center[0] + u, center[1] + v))]
    spokes, rings = np.linspace(0.0, 2.0 * np.pi, SPOKES + 1), np.linspace(np.log(FINEST), np.log(WIDTH_OF_RINGS), RINGS)
    middles = sorted({(float(mass.center_x), float(mass.center_y)) for mass in masses if hasattr(mass, "center_x")})
    for middle in middles:
        seeds.append(_seeds(rays, rings, spokes, lambda u, v, c=middle: (c[0] + np.exp(u) * np.cos(v), c[1] + np.exp(u) * np.sin(v))))
    x, y, reach = np.concatenate(seeds, axis=1)
    x, y, missed = _polished(rays, x, y, reach)
    is_image = missed < CLOSED
    for middle in middles:  # where a singular deflection is softened, any ray ends
        is_image &= np.hypot(x - middle[0], y - middle[1]) > FINEST
    at_centers = [middle for middle in middles if _images_its_center(rays, middle, spokes)]
    x, y = (np.concatenate([part[is_image], [c[i] for c in at_centers]]) for i, part in enumerate((x, y)))
    return _told_apart(rays, x, y, center)


@dataclass(frozen=True, kw_only=True)
class _Rays:
    """Traces positions relative to the source."""

    masses: Sequence[Any]
    source: tuple[float, float]

    def __call__(self, x: Array, y: Array) -> tuple[Array, Array, Array, Array, Array]:
        """beta - source in arcsec, and the elements xx, xy and yy of the matrix A, at positions in arcsec."""
        alpha_x, alpha_y, psi_xx, psi_xy, psi_yy = (np.asarray(part) for part in derivatives(self.masses, x, y))
        return x - alpha_x - self.source[0], y - alpha_y - self.source[1], 1.0 - psi_xx, -psi_xy, 1.0 - psi_yy


def _wide_enough(rays: _Rays, center: tuple[float, float]) -> float:
    """Half the side in arcsec of a square beyond which every ray comes from farther out than the source: no image can be there."""
    width = max(MESH_WIDTH, 1.2 * float(np.hypot(rays.source[0] - center[0], rays.source[1] - center[1])))
    angle = np.linspace(0.0, 2.0 * np.pi, 4 * SPOKES, endpoint=False)
    cosine, sine = np.cos(angle), np.sin(angle)
    while width < WIDEST:
        reach = width * np.array([[1.0], [1.4], [2.0], [4.0]])
        b_x, b_y, *_ = rays(center[0] + reach * cosine, center[1] + reach * sine)
        if np.all(b_x * cosine + b_y * sine > 0.0):
            break
        width *= 1.5
    return width


def _seeds(rays: _Rays, u: Array, v: Array, place: Callable[[Array, Array], tuple[Array, Array]]) -> Array:
    """Positions near images in the cells of a mesh, and the size of their cells, arcsec; shape (3, n).

    Parameters
    ----------
    u, v : the mesh's lines.
    place : positions in arcsec of mesh coordinates.
    """
    low_u, low_v = (part.ravel() for part in np.meshgrid(u[:-1], v[:-1]))
    step_u, step_v = u[1] - u[0], v[1] - v[0]
    corner_u, corner_v = np.array([0.0, 1.0, 1.0, 0.0])[:, None], np.array([0.0, 0.0, 1.0, 1.0])[:, None]
    found: list[Array] = []
    for level in range(DIVISIONS + 1):
        x, y = place(low_u + step_u * corner_u, low_v + step_v * corner_v)
        b_x, b_y, a_xx, a_xy, a_yy = rays(x, y)
        size = np.hypot(x[2] - x[0], y[2] - y[0])
        corners = list(zip(b_x, b_y, strict=True))
        hit = _encloses(corners[0], corners[1], corners[3]) | _encloses(corners[1], corners[2], corners[3])
        middle_x, middle_y = place(low_u + 0.5 * step_u, low_v + 0.5 * step_v)
        starts = np.stack([np.vstack([x, middle_x]), np.vstack([y, middle_y]), np.broadcast_to(size, (5, len(size)))])
        found.append(starts[:, :, hit].reshape(3, -1))  # from one of them alone Newton's method may end at the other image of a pair
        is_positive = a_xx * a_yy > a_xy**2
        reach = 0.5 * np.maximum(np.ptp(b_x, axis=0), np.ptp(b_y, axis=0))
        is_near = (np.abs(b_x).min(axis=0) <= reach) | (b_x.min(axis=0) * b_x.max(axis=0) < 0.0)
        is_near &= (np.abs(b_y).min(axis=0) <= reach) | (b_y.min(axis=0) * b_y.max(axis=0) < 0.0)
        folded = is_near & is_positive.any(axis=0) & ~is_positive.all(axis=0)
        if level == DIVISIONS or folded.sum() > MOST_CELLS:
            found.append(np.stack([x, y, np.broadcast_to(size, x.shape)])[:, :, folded].reshape(3, -1))
            break
        step_u, step_v = 0.5 * step_u, 0.5 * step_v
        low_u = (low_u[folded] + step_u * np.array([0.0, 1.0, 0.0, 1.0])[:, None]).ravel()
        low_v = (low_v[folded] + step_v * np.array([0.0, 0.0, 1.0, 1.0])[:, None]).ravel()
    return np.concatenate(found, axis=1)


def _polished(rays: _Rays, x: Array, y: Array, reach: Array) -> tuple[Array, Array, Array]:
    """Positions after Newton's method with steps of at most ``reach``, and how far from the source they are traced; arcsec, shape (n,).

    A step that does not help is quartered: the deflection turns over within a step of a steep center.
    """
    state = rays(x, y)
    missed, fraction = np.hypot(state[0], state[1]), np.ones(x.shape)
    for _ in range(NEWTON_STEPS):
        b_x, b_y, a_xx, a_xy, a_yy = state
        determinant = a_xx * a_yy - a_xy**2
        determinant = np.where(determinant == 0.0, 1e-30, determinant)
        d_x, d_y = (a_yy * b_x - a_xy * b_y) / determinant, (a_xx * b_y - a_xy * b_x) / determinant
        factor = fraction * np.minimum(1.0, reach / np.maximum(np.hypot(d_x, d_y), 1e-300))
        new_x, new_y = x - factor * d_x, y - factor * d_y
        if np.all((new_x == x) & (new_y == y) | (missed < 1e-3 * CLOSED) & (fraction < 1e-3)):
            break
        new = rays(new_x, new_y)
        new_missed = np.hypot(new[0], new[1])
        helps = new_missed < missed
        x, y, missed = np.where(helps, new_x, x), np.where(helps, new_y, y), np.where(helps, new_missed, missed)
        state = tuple(np.where(helps, after, before) for after, before in zip(new, state, strict=True))
        fraction = np.where(helps, np.minimum(1.0, 2.0 * fraction), 0.25 * fraction)
    return x, y, missed


def _images_its_center(rays: _Rays, middle: tuple[float, float], spokes: Array) -> bool:
    """Whether there is an image within about `FINEST` of a mass's center, which then stands for it.

    There is one if a traced circle around it goes round the source, and the deflection is continuous inside it: a profile almost
    isothermal brings sources far from its own line of sight to an image so close.
    """
    reach = np.append(np.full(spokes.shape, 2.0 * FINEST), [0.0, 1e-3])  # beyond what the mesh around it begins with: found twice is once
    angle = np.append(spokes, [0.0, 0.0])
    b_x, b_y, *_ = rays(middle[0] + reach * np.cos(angle), middle[1] + reach * np.sin(angle))
    near, far = np.hypot(b_x[[0, -1]] - b_x[-2], b_y[[0, -1]] - b_y[-2])
    turn = np.diff(np.unwrap(np.arctan2(b_y[:-2], b_x[:-2])))
    return bool(near < 0.5 * far and abs(turn.sum()) > np.pi)


def _told_apart(rays: _Rays, x: Array, y: Array, center: tuple[float, float]) -> PointImages:
    """Distinct images, the brightest first.

    Beside a critical curve a ray may end far from the image, though it is traced close to the source. Of two with one parity the better
    placed stays, where they lie no farther apart than the other's error.
    """
    b_x, b_y, a_xx, a_xy, a_yy = rays(x, y)
    inverse, missed = a_xx * a_yy - a_xy**2, np.hypot(b_x, b_y)
    unsure = np.minimum(2.0 * missed / np.maximum(np.abs(inverse), 1e-300), WIDEST_UNSURE)
    kept: list[int] = []
    for i in np.argsort(missed, kind="stable").tolist():
        reach = SAME + np.where(inverse[i] * inverse[kept] > 0.0, unsure[i], 0.0)
        if np.all(np.hypot(x[i] - x[kept], y[i] - y[kept]) > reach):
            kept.append(i)
        if len(kept) == MOST_IMAGES:
            break
    order = np.array(kept, dtype=int)[np.argsort(np.abs(inverse[kept]), kind="stable")]
    x, y, inverse, trace = x[order], y[order], inverse[order], (a_xx + a_yy)[order]
    with np.errstate(divide="ignore"):  # exactly on a critical curve the magnification is infinite
        magnification = 1.0 / inverse
    is_maximum = (inverse > 0.0) & (trace < 0.0)
    return PointImages(x=x, y=y, magnification=magnification, is_central=is_maximum | (np.hypot(x - center[0], y - center[1]) <= CENTRAL))
