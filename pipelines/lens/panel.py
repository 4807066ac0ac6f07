"""A panel of models on the same binned image: each solution of the search is fitted again by all of them, and all of them vote.

One model is wrong in its own way: a single source set bends the mass to a second clump, a rigid lens light leaves its disc to the source, a
flexible source takes a disc that is not its own. What they have in common is the geometry. So solutions are ranked by the sum of what they
cost in every model, no model's say above a limit, and how far the models disagree about a solution's Einstein radius is told beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.lens.frame import Frame
from pipelines.lens.light_fit import SMOOTHING, WHITE_RMS
from pipelines.lens.marquardt import Minimum, Penalty
from pipelines.lens.modes import IMAGES_NEEDED, count_images, source_plane_of
from pipelines.lens.varpro import EINSTEIN_RADIUS, SECOND, Bases, VariableProjection

Array = NDArray[np.float64]
LOUDEST = 300.0
"""The most that one model can say against a solution, in units of chi^2."""
UNIMAGED = 1e3
"""What a solution costs in a model in which its source has one image."""
SAME_RADIUS = 0.05
SECOND_SET = (0.25, 8)
THIRD_SET = (3.6, 10)
NEAR, CORE, KERNEL = 0.6, 0.3, 0.08
"""The second set starts within NEAR of the first, where the residual outside CORE, traced back, is densest over KERNEL; arcsec."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A model of the panel: its sets of Gaussians, and the model inadequacy in its noise as fractions of lens light and arcs."""

    name: str
    bases: Bases
    light_floor: float
    arc_floor: float


TWO_SOURCES = Bases(second_source=SECOND_SET)
MEMBERS = (
    Member(name="two sources", bases=TWO_SOURCES, light_floor=0.02, arc_floor=0.05),
    Member(name="cautious", bases=TWO_SOURCES, light_floor=0.05, arc_floor=0.05),
    Member(name="rich", bases=Bases(second_source=SECOND_SET, third=THIRD_SET), light_floor=0.01, arc_floor=0.03),
)
"""Beside the plain model, whose descents find the solutions."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One solution before the panel.

    Parameters
    ----------
    minima : where it went in each model, the plain one first, then `MEMBERS`.
    costs : its objective in each less that of the model's best solution.
    imaged : whether its source has two images at least, in each.
    """

    minima: tuple[Minimum, ...]
    costs: tuple[float, ...]
    imaged: tuple[bool, ...]

    @property
    def votes(self) -> Array:
        """What each model says against it: its cost up to `LOUDEST`, and `UNIMAGED` more where its source has one image."""
        return np.minimum(self.costs, LOUDEST) + np.where(self.imaged, 0.0, UNIMAGED)

    @property
    def cost(self) -> float:
        """What ranks it: the sum of the votes."""
        return float(self.votes.sum())

    @property
    def radii(self) -> Array:
        """Einstein radius in each model, arcsec."""
        return np.array([minimum.p[EINSTEIN_RADIUS] for minimum in self.minima])

    @property
    def radius(self) -> float:
        """Median of the models' Einstein radii, arcsec."""
        return float(np.median(self.radii))

    @property
    def spread(self) -> float:
        """Largest less smallest Einstein radius over their median, without the plain model, which may be too poor for the source."""
        radii = self.radii[1:]
        return float(np.ptp(radii) / np.median(radii))


def standings(columns: Sequence[Sequence[Minimum]]) -> list[Standing]:
    """The solutions from the best on; ``columns`` holds for each model the minima of the solutions, in one order."""
    rows = []
    for minima in zip(*columns, strict=True):
        costs = tuple(m.objective - min(other.objective for other in column) for m, column in zip(minima, columns, strict=True))
        rows.append(Standing(minima=minima, costs=costs, imaged=tuple(count_images(m.p) >= IMAGES_NEEDED for m in minima)))
    return sorted(rows, key=lambda row: row.cost)


def dissenters(rows: Sequence[Standing]) -> list[tuple[int, float]]:
    """Models that prefer another Einstein radius than the chosen solution's: their index and the radius, arcsec."""
    chosen, found = rows[0], []
    for index in range(len(chosen.minima)):
        radius = min(rows, key=lambda row: row.costs[index] + (0.0 if row.imaged[index] else UNIMAGED)).radius
        if abs(radius / chosen.radius - 1.0) > SAME_RADIUS:
            found.append((index, radius))
    return found


def clearest_rival(rows: Sequence[Standing]) -> float:
    """Cost of the next solution of another Einstein radius over the chosen one's, per model; infinite where there is none."""
    chosen = rows[0]
    others = [row.cost - chosen.cost for row in rows[1:] if abs(row.radius / chosen.radius - 1.0) > SAME_RADIUS]
    return min(others, default=float("inf")) / len(chosen.costs)


def with_second_source(minimum: Minimum, projection: VariableProjection) -> Array:
    """The parameters of a solution with one source set, and a start for a second: where what is left of the arcs comes from.

    ``projection`` is that of a model with one source set.
    """
    p = minimum.p.copy()
    p[SECOND] = [0.0, 0.01, 0.02, 0.0]
    frame = projection.frame
    residual = projection.solved(p)[2].reshape(np.asarray(frame.weight).shape)
    significance = ndimage.gaussian_filter(residual, SMOOTHING) / WHITE_RMS
    x, y = frame.pixel_centers
    from_x, from_y = source_plane_of(p, x, y)
    place = np.hypot(from_x, from_y) < NEAR
    place &= (np.hypot(x - p[6], y - p[7]) > CORE) & (significance > 1.5) & (np.asarray(frame.weight) > 0)
    if not place.any():
        return p
    points, weight = np.stack([from_x[place], from_y[place]], axis=1), np.minimum(significance[place], 20.0)
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    p[SECOND[2:]] = points[np.argmax(np.exp(-0.5 * squares / KERNEL**2) @ weight)]
    return p


def convened(
    candidates: Sequence[Minimum],
    reweighted: Callable[[float, float], Frame],
    descents: Callable[[VariableProjection, Sequence[Array]], list[Minimum]],
    plain: Bases,
) -> list[Standing]:
    """Fit every candidate by every member and rank them.

    Parameters
    ----------
    candidates : minima of the plain model.
    reweighted : the frame with these floors (light, arcs) in its noise.
    descents : goes down in a model from some starts.
    plain : sizes of the plain model's sets.
    """
    columns = [list(candidates)]
    for member in MEMBERS:
        frame = reweighted(member.light_floor, member.arc_floor)
        one_source = VariableProjection(frame=frame, which="joint", bases=plain)
        starts = [with_second_source(m, one_source) for m in candidates]
        columns.append(descents(VariableProjection(frame=frame, which="joint", bases=member.bases), starts))
    return standings(columns)


def penalty_of_further_sets() -> Penalty:
    """Penalty on the second set of the source and the third of the lens light, the last entries of the parameter vector."""
    sigma, reach = np.array([0.2, 0.2, 0.25, 0.25, 0.3, 0.3]), np.array([0.75, 0.75, 1.0, 1.0, 0.75, 0.75])
    return Penalty(mean=np.zeros(6), sigma=sigma, lower=-reach, upper=reach)
