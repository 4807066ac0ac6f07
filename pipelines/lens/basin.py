"""`Basin`: the search that finds the right solution of a lens in seconds, by variable projection from many starts.

Lens light and arc map on the binned image; a scan of Einstein radii with the light's shape held; joint descents from its best solutions and
from random starts; a panel of models to rank the solutions (`pipelines.lens.panel`); the best at full resolution, with two sets for the
source and nominal noise, and again with the misfit that is left in the noise (`pipelines.lens.inadequacy`); checks of what the search did
not look at (`pipelines.lens.checks`). The outcome is a sample of the Laplace approximation with log-likelihoods of that noise: it finds and
seeds, and claims no evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

from fitcore.errors import ModelError
from fitcore.search.base import Checkpoint, Problem, Progress, ProgressEvent, Search, SearchOutcome
from fitcore.search.streams import stream
from pipelines.lens.checks import Checks, checked
from pipelines.lens.descents import Descents
from pipelines.lens.frame import Frame
from pipelines.lens.geometry import axis_ratio
from pipelines.lens.inadequacy import measured_misfit, noted_values
from pipelines.lens.laplace import SHARE_REACH, covariance_of, evaluating, outcome_of
from pipelines.lens.light_fit import LightFit, fit_light
from pipelines.lens.marquardt import Minimum, Penalty, descend
from pipelines.lens.modes import IMAGES_NEEDED, by_objective, count_images, distinct, ranked, same_position, same_radius, source_plane_of
from pipelines.lens.panel import TWO_SOURCES, Standing, clearest_rival, convened, dissenters, penalty_of_further_sets
from pipelines.lens.prepare import binned_frame
from pipelines.lens.varpro import EINSTEIN_RADIUS, N_PARAMETERS, SHEAR, SOURCE_CENTER, Bases, VariableProjection
from pipelines.lens.varpro import PARAMETERS as NAMES

Array = NDArray[np.float64]

PARAMETERS = NAMES[:21]
"""Of the model that is measured: two sets for the lens light, two for the source."""
RADII = np.geomspace(0.45, 2.5, 12)
RADIUS_RANGE = (0.25, 3.3)
HOPELESS = 1500.0
"""A solution whose objective is this much worse does not go before the panel."""
LIGHT_HELD = (6, 7)
"""The mass's center stays at the light's while the scan holds the light's shape."""


@dataclass(frozen=True, kw_only=True)
class Basin(Search):
    """Settings of the basin search.

    Parameters
    ----------
    n_random : joint descents from random starts, which make the gap between solutions mean something.
    n_modes : solutions of the scan that are refined jointly.
    n_candidates : solutions that go before the panel of models.
    scan_floor, light_floor, arc_floor : model inadequacy added to the noise, as fractions of the lens light (scan, joint) and of the arcs.
    shear_sigma, ellipticity_sigma, center_sigma : widths of the penalties on shear, mass ellipticity about the light's, and mass center.
    n_samples : points of the Laplace approximation that are returned.
    """

    version: ClassVar[int] = 3
    n_random: int = 12
    n_modes: int = 8
    n_candidates: int = 4
    scan_floor: float = 0.03
    light_floor: float = 0.02
    arc_floor: float = 0.15
    shear_sigma: float = 0.05
    ellipticity_sigma: float = 0.12
    center_sigma: float = 0.03
    n_samples: int = 192

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        """Find the solution of ``problem.analysis.dataset``; see `fitcore.search.base.Search.run`."""
        if set(problem.paths) != set(PARAMETERS):
            raise ModelError(
                f"The basin search is for the isothermal lens with the parameters {list(PARAMETERS)}; the model has {list(problem.paths)}. "
                "Use another search for it."
            )
        with ThreadPoolExecutor(max(1, problem.n_threads)) as pool:
            return _Run(settings=self, problem=problem, seed=seed, checkpoint=checkpoint, progress=progress, pool=pool).outcome()

    def penalty(self, light: LightFit) -> Penalty:
        """Penalties and limits of every descent, about the light's center and ellipticity."""
        center = light.p[:2]
        mean = np.concatenate([center, np.zeros(4), center, light.ellipticity, [1.2, 0.0, 0.0], center, [0.0, 0.0]])
        sigma = np.array(
            [0.05, 0.05, 0.3, 0.3, 0.3, 0.3]
            + [self.center_sigma] * 2
            + [self.ellipticity_sigma] * 2
            + [3.0]
            + [self.shear_sigma] * 2
            + [0.5, 0.5, 0.15, 0.15]
        )
        reach = np.array([0.3, 0.3, 0.75, 0.75, 0.75, 0.75, 0.2, 0.2, 0.5, 0.5, 0.0, 0.35, 0.35, 2.0, 2.0, 0.75, 0.75])
        about = np.where(np.isin(np.arange(len(mean)), (0, 1, 6, 7, 13, 14)), mean, 0.0)
        lower, upper = about - reach, about + reach
        lower[EINSTEIN_RADIUS], upper[EINSTEIN_RADIUS] = RADIUS_RANGE
        rest = penalty_of_further_sets()
        return Penalty(
            mean=np.concatenate([mean, rest.mean]),
            sigma=np.concatenate([sigma, rest.sigma]),
            lower=np.concatenate([lower, rest.lower]),
            upper=np.concatenate([upper, rest.upper]),
        )


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
        self.penalty = self.settings.penalty(light)
        joint = self._joint(binned, light, self._scan(binned, light))
        rows = self._panel(binned, light, joint)
        return self._measure(analysis.plain_frame, binned, light, rows)

    @property
    def n_calls(self) -> int:
        return self.n_light + self.descents.n_evaluations

    def _tell(self, n_evaluations: int) -> None:
        self.progress(ProgressEvent(phase=self.phase, n_calls=self.n_light + n_evaluations))

    def _say(self, phase: str) -> None:
        self.phase = phase
        self._tell(self.descents.n_evaluations)
        self.descents.check()

    @staticmethod
    def _with_floors(frame: Frame, light: Array, arcs: Array, light_floor: float, arc_floor: float) -> Frame:
        extra = (light_floor * np.maximum(light, 0.0)) ** 2 + (arc_floor * arcs) ** 2
        variance = frame.variance
        return frame.reweighted(np.where(variance > 0, variance + extra, 0.0))

    def _descents(
        self, projection: VariableProjection, starts: Iterable[Array], n_steps: int, fixed: tuple[int, ...] = ()
    ) -> list[Minimum]:
        return self.descents.run(lambda start: descend(projection, start, self.penalty, n_steps=n_steps, fixed=fixed), list(starts))

    def _scan(self, binned: Frame, light: LightFit) -> list[Minimum]:
        self._say("scan")
        floored = self._with_floors(binned, light.light, arc_map(light), self.settings.scan_floor, self.settings.arc_floor)
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
        start = light.p.copy()
        start[6:17] = [*light.p[:2], *(0.8 * np.asarray(light.ellipticity)), radius, 0, 0, 0, 0, 0.0, 0.01]
        starts = []
        for position in source_positions(binned, light, start):
            trial = start.copy()
            trial[SOURCE_CENTER] = self.penalty.mean[SOURCE_CENTER] + np.clip(position - self.penalty.mean[SOURCE_CENTER], -1.5, 1.5)
            starts.append(trial)
        return starts

    def _joint(self, binned: Frame, light: LightFit, scanned: list[Minimum]) -> list[Minimum]:
        self._say("joint descents")
        floored = self._with_floors(binned, light.light, arc_map(light), self.settings.light_floor, self.settings.arc_floor)
        projection = VariableProjection(frame=floored, which="joint", bases=self.bases)
        rng = stream(self.seed, "basin.random")
        starts = [m.p for m in scanned]
        for _ in range(self.settings.n_random):
            start = self.penalty.mean + np.minimum(self.penalty.sigma, 0.3) * 0.7 * rng.standard_normal(N_PARAMETERS)
            start[EINSTEIN_RADIUS] = rng.uniform(0.4, 2.6)
            start[:6] = light.p[:6]
            starts.append(start)
        return distinct(ranked(self._descents(projection, starts, 25)), same_radius(0.05))

    def _panel(self, binned: Frame, light: LightFit, joint: list[Minimum]) -> list[Standing]:
        self._say("panel")
        imaged = [m for m in joint if count_images(m.p) >= IMAGES_NEEDED]
        candidates = [m for m in imaged if m.objective - imaged[0].objective < HOPELESS][: self.settings.n_candidates] or joint[:1]
        arcs = arc_map(light)

        def reweighted(light_floor: float, arc_floor: float) -> Frame:
            return self._with_floors(binned, light.light, arcs, light_floor, arc_floor)

        return convened(candidates, reweighted, lambda projection, starts: self._descents(projection, starts, 20), self.bases)

    def _measure(self, full: Frame, binned: Frame, light: LightFit, rows: list[Standing]) -> SearchOutcome:
        """The chosen solution, and those that are nearly as good, at full resolution; then the checks and the samples."""
        self._say("full resolution")
        gaps = [(row.cost - rows[0].cost) / len(row.costs) for row in rows]
        near = [(row, gap) for row, gap in zip(rows, gaps, strict=True) if gap < SHARE_REACH and all(row.imaged)] or [(rows[0], 0.0)]
        projection = VariableProjection(frame=full, which="joint", bases=TWO_SOURCES)
        nominal = self._descents(projection, [row.minima[1].p for row, _ in near], 30)
        values = dict(zip(PARAMETERS, nominal[0].p, strict=False))
        instance = self.problem.model.instance_from_vector(np.array([values[path] for path in self.problem.paths]))
        misfit = measured_misfit(instance, full, self.problem.analysis.dataset.psf)
        noisy = self.problem.analysis.with_misfit(misfit)
        projection = VariableProjection(frame=noisy.frame, which="joint", bases=TWO_SOURCES)
        measured = self._descents(projection, [m.p for m in nominal], 30)
        self.facts.update(einstein_radius_nominal=float(nominal[0].p[EINSTEIN_RADIUS]), **misfit.inadequacy.noted(), **noted_values(values))
        measured_gaps = [gap if count_images(m.p) >= IMAGES_NEEDED else np.inf for m, (_, gap) in zip(measured, near, strict=True)]
        self._say("checks")
        floored = self._with_floors(binned, light.light, np.zeros(light.light.shape), self.settings.light_floor, 0.0)
        self._note(full, light, rows, measured[0], checked(measured[0].p, floored, TWO_SOURCES, light, self.penalty))
        self._say("Laplace samples")
        with evaluating(noisy, self.problem) as log_likelihood:
            return outcome_of(
                measured,
                [0.0, *measured_gaps[1:]],
                problem=self.problem,
                log_likelihood=log_likelihood,
                penalty=self.penalty,
                names=PARAMETERS,
                n_samples=self.settings.n_samples,
                rng=stream(self.seed, "basin.laplace"),
                n_calls=self.n_calls,
                facts=self.facts,
            )

    def _note(self, full: Frame, light: LightFit, rows: list[Standing], measured: Minimum, checks: Checks) -> None:
        """What the verdict, the table and the benchmarks read of the search."""
        p, chosen = measured.p, rows[0]
        x, y = full.pixel_centers
        radius = np.hypot(x - self.center[0], y - self.center[1])
        against = dissenters(rows)
        self.facts.update(
            grade="laplace",
            n_images=count_images(p),
            einstein_radius=float(p[EINSTEIN_RADIUS]),
            einstein_radius_with_floors=float(chosen.radii[0]),
            radius_spread=float(np.ptp([*chosen.radii[1:], p[EINSTEIN_RADIUS]]) / p[EINSTEIN_RADIUS]),
            n_dissenters=len(against),
            dissenting_radii=", ".join(f"{radius:.3f}" for _, radius in against),
            gap_to_rival=clearest_rival(rows),
            rivals=", ".join(f"{row.radius:.3f} ({row.cost - chosen.cost:+.0f})" for row in rows[1:]),
            n_solutions=len(rows),
            arc_pixels=int(light.arcs.sum()),
            light_ellipticity_1=float(light.ellipticity[0]),
            light_ellipticity_2=float(light.ellipticity[1]),
            ellipticity_offset=float(np.hypot(*(p[8:10] - np.asarray(light.ellipticity)))),
            center_offset=float(np.hypot(*(p[6:8] - p[:2]))),
            radius_error=float(np.sqrt(covariance_of(measured)[EINSTEIN_RADIUS, EINSTEIN_RADIUS]) / p[EINSTEIN_RADIUS]),
            source_offset=float(np.hypot(*(p[SOURCE_CENTER] - p[6:8])) / p[EINSTEIN_RADIUS]),
            shear=float(np.hypot(*p[SHEAR])),
            axis_ratio=float(axis_ratio(p[8], p[9])),
            used=float((full.variance > 0)[radius < self.problem.analysis.preparation.mask_radius].mean()),
            **asdict(checks),
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
