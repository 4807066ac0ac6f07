"""Critical curves and caustics of any lens: contours of det A on a mesh, each point then moved along its edge to the root.

The mesh is polar and logarithmic around the lens's center, so that the small radial curve of a steep profile is seen as well as the large
tangential one; another lies around every further mass. `caustics` has what a fit needs of one plain lens, traceable and much faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import contourpy
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from pipelines.lens.caustics import INNERMOST
from pipelines.lens.magnification import hessian, inverse_magnification
from pipelines.lens.tracing import ray_trace

Array = NDArray[np.float64]
N_ANGLES, N_RADII, OUTERMOST = 180, 160, 10.0
STEPS = 60
SEAM = 1e-9
"""Ends of a line at angles 0 and 2 pi are one point when their log radii agree to this: they were found on the same edge."""
DISTINCT = 1e-9
"""Points of a curve closer than this are one, arcsec."""
ON_CURVE = 0.1
"""A curve whose points all lie within this fraction of its radius of another is that curve seen from another mass."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CriticalCurve:
    """One closed critical curve and its caustic.

    Parameters
    ----------
    kind : ``"tangential"`` or ``"radial"``, by the eigenvalue that vanishes; or ``"cut"``, a small circle around a singular center that has
        no radial curve: a source inside its caustic has an image more.
    curve, caustic : positions in arcsec, shape (n + 1, 2), the last the same as the first.
    """

    kind: Literal["tangential", "radial", "cut"]
    curve: Array
    caustic: Array

    @cached_property
    def area(self) -> float:
        """Area inside the curve, arcsec^2."""
        return self._area_of(self.curve)

    @cached_property
    def caustic_area(self) -> float:
        """Area inside the caustic, arcsec^2: the cross section of what happens there, of four images for a tangential caustic."""
        return self._area_of(self.caustic)

    @property
    def effective_radius(self) -> float:
        """sqrt(area / pi) in arcsec; of the tangential curve it is the effective Einstein radius."""
        return float(np.sqrt(self.area / np.pi))

    def _area_of(self, points: Array) -> float:
        """Of a periodic cubic spline in the length along the critical curve, in which a caustic is smooth through its cusps."""
        steps = np.hypot(*np.diff(self.curve, axis=0).T)
        kept = np.append(steps > DISTINCT, True)
        length = np.append(0.0, np.cumsum(steps))[kept]
        spline = CubicSpline(length - length[0], np.concatenate([points[kept][:-1], points[kept][:1]]), bc_type="periodic")
        # three Gauss nodes an interval: exact for a cubic times its derivative
        nodes, weights = np.polynomial.legendre.leggauss(3)
        half = 0.5 * np.diff(spline.x)
        at = (spline.x[:-1] + half)[:, None] + half[:, None] * nodes
        (x, y), (d_x, d_y) = np.moveaxis(spline(at), -1, 0), np.moveaxis(spline(at, 1), -1, 0)
        return 0.5 * abs(float(np.sum(half[:, None] * weights * (x * d_y - y * d_x))))


def critical_curves(
    masses: Sequence[Any], *, center: tuple[float, float], outermost: float = OUTERMOST, n_angles: int = N_ANGLES, n_radii: int = N_RADII
) -> list[CriticalCurve]:
    """All closed critical curves within ``outermost`` arcsec of ``center``, the largest first; a cut last.

    Parameters
    ----------
    masses : all mass components, shear included.
    center : of the main mass, arcsec.
    outermost : radius in arcsec that is looked at.
    n_angles, n_radii : of the mesh, from `INNERMOST` on. Curves that are smaller than a cell, and far from every mass's center, are missed.
    """
    found = _around(masses, center, outermost, n_angles, n_radii)
    for other in _further_centers(masses, center, outermost):
        reach = 0.9 * float(np.hypot(other[0] - center[0], other[1] - center[1]))
        for new in _around(masses, other, reach, n_angles, n_radii):
            same = [old for old in found if _is_same(new, old)]
            if all(len(old.curve) < len(new.curve) for old in same):
                found = [new, *(old for old in found if old not in same)]
    found.sort(key=lambda curve: -curve.area)
    angle = np.linspace(0.0, 2.0 * np.pi, n_angles + 1)
    x, y = center[0] + INNERMOST * np.cos(angle), center[1] + INNERMOST * np.sin(angle)
    if any(curve.kind == "tangential" for curve in found) and np.all(inverse_magnification(masses, x, y) < 0.0):
        found.append(_mapped(masses, "cut", x, y))
    return found


def _further_centers(masses: Sequence[Any], center: tuple[float, float], outermost: float) -> list[tuple[float, float]]:
    places = {(float(mass.center_x), float(mass.center_y)) for mass in masses if hasattr(mass, "center_x")}
    distance = {place: float(np.hypot(place[0] - center[0], place[1] - center[1])) for place in places}
    return sorted(place for place in places if 10.0 * INNERMOST < distance[place] < outermost)


def _around(masses: Sequence[Any], center: tuple[float, float], outermost: float, n_angles: int, n_radii: int) -> list[CriticalCurve]:
    """Closed curves on a polar mesh around one center."""
    angles: Array = np.arange(n_angles + 1, dtype=np.float64) * (2.0 * np.pi / n_angles)  # type: ignore[assignment]
    logs = np.linspace(np.log(INNERMOST), np.log(outermost), n_radii)

    def place(angle: Array, log: Array) -> tuple[Array, Array]:
        return center[0] + np.exp(log) * np.cos(angle), center[1] + np.exp(log) * np.sin(angle)

    values = np.asarray(inverse_magnification(masses, *place(angles[None, :-1], logs[:, None])))
    values = np.concatenate([values, values[:, :1]], axis=1)
    lines: list[Array] = contourpy.contour_generator(z=np.sign(values)).lines(0.0)  # type: ignore[assignment]
    curves: list[CriticalCurve] = []
    for line in _stitched([_on_the_curve(masses, place, np.asarray(line), angles, logs) for line in lines], angles[-1]):
        x, y = place(line[:, 0], line[:, 1])
        psi_xx, _, psi_yy = (np.asarray(part) for part in hessian(masses, x, y))
        # one eigenvalue is zero there, and the other is the trace
        kind = "tangential" if np.median(2.0 - psi_xx - psi_yy) > 0.0 else "radial"
        curves.append(_mapped(masses, kind, x, y))
    return curves


def _on_the_curve(masses: Sequence[Any], place: Any, line: Array, angles: Array, logs: Array) -> Array:
    """Angles and log radii of a contour's points, shape (n, 2), each moved along its edge of the mesh to where det A is zero."""
    low = np.clip(np.floor(line).astype(int), 0, [len(angles) - 1, len(logs) - 1])
    high = np.clip(np.ceil(line).astype(int), 0, [len(angles) - 1, len(logs) - 1])
    a, b = (np.stack([angles[part[:, 0]], logs[part[:, 1]]], axis=1) for part in (low, high))
    at_a, at_b = (np.asarray(inverse_magnification(masses, *place(*part.T)))[:, None] for part in (a, b))
    for _ in range(STEPS):
        # regula falsi with the Illinois weights: the end that stays counts half
        middle = np.where(at_a == at_b, a, (a * at_b - b * at_a) / np.where(at_a == at_b, 1.0, at_b - at_a))
        at_middle = np.asarray(inverse_magnification(masses, *place(*middle.T)))[:, None]
        crosses = np.sign(at_middle) != np.sign(at_b)
        a, at_a = np.where(crosses, b, a), np.where(crosses, at_b, 0.5 * at_a)
        b, at_b = middle, at_middle
        if np.abs(at_b).max() < 1e-14:
            break
    return b


def _stitched(lines: list[Array], turn: float) -> list[Array]:
    """Closed lines: those that are closed on the mesh, and chains of those that run into its seam at angles 0 and ``turn``."""
    closed, open_ends = [], []
    for line in lines:
        (closed if np.allclose(line[0], line[-1], atol=SEAM) else open_ends).append(line)
    while open_ends:
        chain = open_ends.pop()
        while not _meet(chain[-1], chain[0], turn):
            following = next((i for i, line in enumerate(open_ends) if any(_meet(chain[-1], line[k], turn) for k in (0, -1))), None)
            if following is None:
                break  # it leaves the mesh
            line = open_ends.pop(following)
            chain = np.concatenate([chain, line if _meet(chain[-1], line[0], turn) else line[::-1]])
        else:
            closed.append(np.concatenate([chain[:-1], chain[:1]]))
    return closed


def _meet(a: Array, b: Array, turn: float) -> bool:
    """Whether two ends are one point of the seam."""
    return bool(abs(abs(a[0] - b[0]) - turn) < SEAM and abs(a[1] - b[1]) < SEAM)


def _mapped(masses: Sequence[Any], kind: Any, x: Array, y: Array) -> CriticalCurve:
    return CriticalCurve(kind=kind, curve=np.stack([x, y], axis=1), caustic=np.stack(ray_trace(masses, x, y), axis=1))


def _is_same(new: CriticalCurve, old: CriticalCurve) -> bool:
    """Whether every point of the coarser of two curves lies on the other."""
    if new.kind != old.kind:
        return False
    points, line = (new.curve, old.curve) if len(new.curve) < len(old.curve) else (old.curve, new.curve)
    along = np.diff(line, axis=0)
    away = points[:, None] - line[:-1]
    share = np.clip((away * along).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-300), 0.0, 1.0)
    farthest = np.linalg.norm(away - share[..., None] * along, axis=2).min(axis=1).max()
    return bool(farthest < ON_CURVE * min(new.effective_radius, old.effective_radius))
