"""`Basin`: the search that finds the right solution of a lens in seconds, by variable projection from many starts.

Lens light and arc map on the binned image; a scan of Einstein radii with the light's shape held; joint descents from its best solutions and
from random starts; ranking with the model's inadequacy in the noise and at least two images of the source; the best two at full resolution;
then the measurement at nominal noise. The outcome is a sample of the Laplace approximation: it finds and seeds, and claims no evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

from fitcore.errors import ModelError
from fitcore.search.base import Checkpoint, Problem, Progress, ProgressEvent, Search, SearchOutcome
from fitcore.search.streams import stream
from pipelines.lens.descents import Descents
from pipelines.lens.frame import Frame
from pipelines.lens.laplace import outcome_of
from pipelines.lens.light_fit import LightFit, fit_light
from pipelines.lens.marquardt import Minimum, Penalty, descend
from pipelines.lens.modes import IMAGES_NEEDED, by_objective, count_images, distinct, ranked, same_position, same_radius, source_plane_of
from pipelines.lens.prepare import binned_frame, full_frame
from pipelines.lens.varpro import EINSTEIN_RADIUS, SHEAR, SOURCE_CENTER, Bases, VariableProjection

Array = NDArray[np.float64]

PARAMETERS = (
    *(f"lens_light.first.{name}" for name in ("center_x", "center_y", "ellipticity_1", "ellipticity_2")),
    *(f"lens_light.second.{name}" for name in ("ellipticity_1", "ellipticity_2")),
    *(f"mass.{name}" for name in ("center_x", "center_y", "ellipticity_1", "ellipticity_2", "einstein_radius")),
    *(f"shear.{name}" for name in ("gamma_1", "gamma_2")),
    *(f"source.main.{name}" for name in ("center_x", "center_y", "ellipticity_1", "ellipticity_2")),
)
RADII = np.geomspace(0.45, 2.5, 12)
RADIUS_RANGE = (0.25, 3.3)
LIGHT_HELD = (6, 7)
"""The mass's center stays at the light's while the scan holds the light's shape."""


@dataclass(frozen=True, kw_only=True)
class Basin(Search):
    """Settings of the basin search.

    Parameters
    ----------
    n_random : joint descents from random starts, which make the gap between solutions mean something.
    n_modes : solutions of the scan that are refined jointly.
    scan_floor, light_floor, arc_floor : model inadequacy added to the noise, as fractions of the lens light (scan, joint) and of the arcs.
    shear_sigma, ellipticity_sigma, center_sigma : widths of the penalties on shear, mass ellipticity about the light's, and mass center.
    n_samples : points of the Laplace approximation that are returned.
    """

    version: ClassVar[int] = 1
    n_random: int = 12
    n_modes: int = 8
    scan_floor: float = 0.03
    light_floor: float = 0.02
    arc_floor: float = 0.15
    shear_sigma: float = 0.05
    ellipticity_sigma: float = 0.12
    center_sigma: float = 0.03
    n_samples: int = 384

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        """Find the solution of ``problem.analysis.dataset``; see `fitcore.search.base.Search.run`."""
        if set(problem.paths) != set(PARAMETERS):
            raise ModelError(
                f"The basin search is for the isothermal lens with the parameters {list(PARAMETERS)}; the model has {list(problem.paths)}. "
                "Use another search for it."
            )
        with ThreadPoolExecutor(max(1, problem.n_threads)) as pool:
            return _Run(settings=self, problem=problem, seed=seed, checkpoint=checkpoint, progress=progress, pool=pool).outcome()


@dataclass(kw_only=True)
class _Run:
    """One run of the search: its counters, and its steps in order."""

    settings: Basin
    problem: Problem
    seed: int
    checkpoint: Checkpoint
    progress: Progress
    pool: ThreadPoolExecutor
    n_light: int = 0
    phase: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def outcome(self) -> SearchOutcome:
        analysis = self.problem.analysis
        self.center = analysis.preparation.center
        self.bases = Bases()
        self.descents = Descents(self.checkpoint, self.pool, self._tell)
        self._say("lens light")
        binned = binned_frame(analysis.dataset, analysis.preparation)
        light = fit_light(binned, self.center, self.bases)
        self.n_light = light.n_evaluations
        self.penalty = self._penalty(light)
        scanned = self._scan(binned, light)
        joint = self._joint(binned, light, scanned)
        return self._measure(full_frame(analysis.dataset, analysis.preparation), binned, light, joint)

    @property
    def n_calls(self) -> int:
        return self.n_light + self.descents.n_evaluations

    def _tell(self, n_evaluations: int) -> None:
        self.progress(ProgressEvent(phase=self.phase, n_calls=self.n_light + n_evaluations))

    def _say(self, phase: str) -> None:
        self.phase = phase
        self._tell(self.descents.n_evaluations)
        self.descents.check()

    def _penalty(self, light: LightFit) -> Penalty:
        s = self.settings
        center = light.p[:2]
        mean = np.concatenate([center, np.zeros(4), center, light.ellipticity, [1.2, 0.0, 0.0], center, [0.0, 0.0]])
        sigma = np.array(
            [0.05, 0.05, 0.3, 0.3, 0.3, 0.3]
            + [s.center_sigma] * 2
            + [s.ellipticity_sigma] * 2
            + [3.0]
            + [s.shear_sigma] * 2
            + [0.5, 0.5, 0.15, 0.15]
        )
        reach = np.array([0.3, 0.3, 0.75, 0.75, 0.75, 0.75, 0.2, 0.2, 0.5, 0.5, 0.0, 0.35, 0.35, 2.0, 2.0, 0.6, 0.6])
        about = np.where(np.isin(np.arange(17), (0, 1, 6, 7, 13, 14)), mean, 0.0)
        lower, upper = about - reach, about + reach
        lower[EINSTEIN_RADIUS], upper[EINSTEIN_RADIUS] = RADIUS_RANGE
        return Penalty(mean=mean, sigma=sigma, lower=lower, upper=upper)

    def _with_floors(self, frame: Frame, light: Array, arcs: Array, light_floor: float) -> Frame:
        extra = (light_floor * np.maximum(light, 0.0)) ** 2 + (self.settings.arc_floor * arcs) ** 2
        variance = frame.variance
        return frame.reweighted(np.where(variance > 0, variance + extra, 0.0))

    def _descents(
        self, projection: VariableProjection, starts: Iterable[Array], n_steps: int, fixed: tuple[int, ...] = ()
    ) -> list[Minimum]:
        return self.descents.run(lambda start: descend(projection, start, self.penalty, n_steps=n_steps, fixed=fixed), list(starts))

    def _scan(self, binned: Frame, light: LightFit) -> list[Minimum]:
        self._say("scan")
        floored = self._with_floors(binned, light.light, arc_map(light), self.settings.scan_floor)
        held = VariableProjection(frame=floored, which="light", bases=self.bases).solved(light.p)[3]
        projection = VariableProjection(frame=floored, which="source", bases=self.bases, held=held)
        starts = [start for radius in RADII for start in self._scan_starts(binned, light, radius)]
        first = self._descents(projection, starts, 5, LIGHT_HELD)
        best = by_objective(first)[:16]
        found = distinct(by_objective(self._descents(projection, [m.p for m in best], 7, LIGHT_HELD)), same_position(0.04, 0.08))
        imaged = [m for m in found if count_images(m.p) >= IMAGES_NEEDED][: self.settings.n_modes]
        other = [m for m in found if count_images(m.p) < IMAGES_NEEDED][: max(2, self.settings.n_modes - len(imaged))]
        return by_objective(imaged + other)

    def _scan_starts(self, binned: Frame, light: LightFit, radius: float) -> list[Array]:
        start = np.concatenate([light.p[:6], light.p[:2], 0.8 * np.asarray(light.ellipticity), [radius, 0, 0, 0, 0, 0.0, 0.01]])
        starts = []
        for position in source_positions(binned, light, start):
            trial = start.copy()
            trial[SOURCE_CENTER] = self.penalty.mean[SOURCE_CENTER] + np.clip(position - self.penalty.mean[SOURCE_CENTER], -1.5, 1.5)
            starts.append(trial)
        return starts

    def _joint(self, binned: Frame, light: LightFit, scanned: list[Minimum]) -> list[Minimum]:
        self._say("joint descents")
        floored = self._with_floors(binned, light.light, arc_map(light), self.settings.light_floor)
        projection = VariableProjection(frame=floored, which="joint", bases=self.bases)
        rng = stream(self.seed, "basin.random")
        starts = [m.p for m in scanned]
        for _ in range(self.settings.n_random):
            start = self.penalty.mean + np.minimum(self.penalty.sigma, 0.3) * 0.7 * rng.standard_normal(17)
            start[EINSTEIN_RADIUS] = rng.uniform(0.4, 2.6)
            start[:6] = light.p[:6]
            starts.append(start)
        return distinct(ranked(self._descents(projection, starts, 25)), same_radius(0.05))

    @staticmethod
    def _rivals(joint: list[Minimum], origin: Minimum) -> list[tuple[float, float]]:
        """Einstein radius, and objective less the chosen solution's, of the others with at least two images, on the binned image.

        A gap is negative where full resolution has overruled the binned image.
        """
        others = [m for m in joint if m is not origin and count_images(m.p) >= IMAGES_NEEDED]
        return [(float(m.p[EINSTEIN_RADIUS]), float(m.objective - origin.objective)) for m in others]

    def _measure(self, full: Frame, binned: Frame, light: LightFit, joint: list[Minimum]) -> SearchOutcome:
        self._say("full resolution")
        candidates = ranked(joint)[:2]
        light_map, arcs = (resampled(plane, binned, full) for plane in (light.light, arc_map(light)))
        floored = self._with_floors(full, light_map, arcs, self.settings.light_floor)
        refined = self._descents(VariableProjection(frame=floored, which="joint", bases=self.bases), [m.p for m in candidates], 20)
        chosen = ranked(refined)
        origin = next(candidate for candidate, m in zip(candidates, refined, strict=True) if m is chosen[0])
        nominal = VariableProjection(frame=full, which="joint", bases=self.bases)
        measured = self._descents(nominal, [m.p for m in chosen], 25)
        self._say("Laplace samples")
        rivals = self._rivals(joint, origin)
        self.facts.update(
            grade="laplace",
            n_images=count_images(measured[0].p),
            einstein_radius=float(measured[0].p[EINSTEIN_RADIUS]),
            einstein_radius_with_floors=float(chosen[0].p[EINSTEIN_RADIUS]),
            gap_to_rival=min((abs(gap) for _, gap in rivals), default=float("inf")),
            rivals=", ".join(f"{radius:.3f} ({gap:+.0f})" for radius, gap in rivals),
            n_solutions=len(joint),
            arc_pixels=int(light.arcs.sum()),
            light_ellipticity_1=float(light.ellipticity[0]),
            light_ellipticity_2=float(light.ellipticity[1]),
            shear=float(np.hypot(*measured[0].p[SHEAR])),
        )
        gaps = [m.objective - chosen[0].objective if count_images(m.p) >= IMAGES_NEEDED else np.inf for m in chosen[1:]]
        return outcome_of(
            measured,
            [0.0, *gaps],
            problem=self.problem,
            penalty=self.penalty,
            names=PARAMETERS,
            n_samples=self.settings.n_samples,
            rng=stream(self.seed, "basin.laplace"),
            n_calls=self.n_calls,
            facts=self.facts,
        )


def arc_map(light: LightFit) -> Array:
    """Smoothed positive residual where the arcs are, (v, v)."""
    return np.where(light.arcs, np.maximum(ndimage.gaussian_filter(light.residual, 1.0), 0.0), 0.0)


def resampled(plane: Array, source: Frame, target: Frame) -> Array:
    """A picture of one frame's compared part on another's pixels, linearly; zero outside."""
    x, y = source.pixel_centers
    picture: Callable[..., Any] = RegularGridInterpolator((y[:, 0], x[0]), plane, bounds_error=False, fill_value=0.0)
    x, y = target.pixel_centers
    return picture((y, x))


def source_positions(frame: Frame, light: LightFit, p: Array) -> list[Array]:
    """Where the source may be, for the mass in ``p``: centroid of the traced arcs, their densest point, their brightest pixel."""
    x, y = frame.pixel_centers
    used = frame.variance > 0
    chosen = light.arcs & used & (light.significance > 3.0)
    if chosen.sum() < 5:
        chosen = used & (np.hypot(x - p[6], y - p[7]) > 0.4) & (light.significance > 2.0)
    if not chosen.any():
        return [p[6:8].copy()]
    weight = np.clip(light.significance[chosen], 0.0, 30.0)
    blank = p.copy()
    blank[SOURCE_CENTER] = 0.0
    points = np.stack(source_plane_of(blank, x[chosen], y[chosen]), axis=1)
    centroid = weight @ points / weight.sum()
    densest = centroid
    for _ in range(15):
        kernel = weight * np.exp(-0.5 * ((points - densest) ** 2).sum(axis=1) / 0.15**2) + 1e-12
        densest = kernel @ points / kernel.sum()
    return [centroid, densest, points[np.argmax(light.significance[chosen])]]
