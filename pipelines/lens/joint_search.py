"""`JointDescent`: from the reference's solution down in all bands at once; it finds each band's offset and lens light.

The lens light of a further band is fitted on its binned image; then a descent at full resolution and nominal noise in all parameters, from
no offset and from that of the lens light, and again with each band's misfit in its noise (`pipelines.lens.inadequacy`). The outcome is a
sample of the Laplace approximation under the model's own priors.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fitcore.errors import ModelError
from fitcore.model import Model, Uniform
from fitcore.search.base import Checkpoint, Problem, Progress, ProgressEvent, Search, SearchOutcome
from fitcore.search.streams import stream
from pipelines.lens.descents import Descents
from pipelines.lens.inadequacy import Misfit, measured_misfit, noted_values
from pipelines.lens.joint_analysis import OFFSET_SIGMA, JointAnalysis
from pipelines.lens.joint_projection import N_SHARED, JointProjection, joint_names, slots
from pipelines.lens.laplace import evaluating, outcome_of
from pipelines.lens.light_fit import fit_light
from pipelines.lens.linear import band_of
from pipelines.lens.marquardt import Minimum, Penalty, descend
from pipelines.lens.panel import TWO_SOURCES
from pipelines.lens.prepare import binned_frame
from pipelines.lens.varpro import EINSTEIN_RADIUS, Bases, VariableProjection

Array = NDArray[np.float64]
FLAT = 1e3
"""Widths of a uniform prior that its penalty has for a sigma: it has limits, and no pull."""
EDGE = 1e-6
"""Fraction of a bounded prior that descents stay away from its ends."""
FARTHEST_START = 2.0 * OFFSET_SIGMA


@dataclass(frozen=True, kw_only=True)
class JointDescent(Search):
    """Settings of the joint descent.

    Parameters
    ----------
    n_steps : evaluations of a descent at most.
    n_samples : points of the Laplace approximation that are returned.
    """

    version: ClassVar[int] = 2
    n_steps: int = 40
    n_samples: int = 384

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        """Find the joint solution of ``problem.analysis``, from its ``start``; see `fitcore.search.base.Search.run`."""
        analysis: JointAnalysis = problem.analysis
        names = joint_names(analysis.names[1:])
        if set(problem.paths) != set(names) or analysis.start is None:
            raise ModelError(
                f"The joint descent is for the isothermal lens with the parameters {list(names)} and a start; the model has "
                f"{list(problem.paths)}{'' if analysis.start is not None else ' and no start'}. Use another search for it."
            )
        with ThreadPoolExecutor(max(1, problem.n_threads)) as pool:
            return self._outcome(problem, names, Descents(checkpoint, pool, lambda n: progress(news(n))), progress, seed)

    def _outcome(self, problem: Problem, names: tuple[str, ...], descents: Descents, progress: Progress, seed: int) -> SearchOutcome:
        analysis: JointAnalysis = problem.analysis
        progress(ProgressEvent(phase="lens light of the bands", n_calls=0))
        starts, n_light = starting_points(analysis, names)
        descents.check()
        penalty = penalty_of(problem.model, names)
        plain = joint_projection(analysis)
        found = descents.run(lambda start: descend(plain, start, penalty, n_steps=self.n_steps), starts)
        nominal = min(found, key=lambda minimum: minimum.objective).p
        values = dict(zip(names, nominal, strict=True))
        misfits = measured_misfits(problem, values)
        noisy = analysis.with_misfits(misfits)
        projection = joint_projection(noisy)
        (best,) = descents.run(lambda start: descend(projection, start, penalty, n_steps=self.n_steps), [nominal])
        noted = noted_values(values)
        for band, misfit in zip(analysis.bands, misfits, strict=True):
            noted |= misfit.inadequacy.noted(band)
        progress(ProgressEvent(phase="Laplace samples", n_calls=n_light + descents.n_evaluations))
        with evaluating(noisy, problem) as log_likelihood:
            return outcome_of(
                [best],
                [0.0],
                problem=problem,
                log_likelihood=log_likelihood,
                penalty=penalty,
                names=names,
                n_samples=self.n_samples,
                rng=stream(seed, "joint.laplace"),
                n_calls=n_light + descents.n_evaluations,
                facts={**facts_of(analysis, best, plain.chi_squared(best.p)), **noted},
            )


def joint_projection(analysis: JointAnalysis) -> JointProjection:
    """The fit of all bands, each with the noise that it has in the analysis."""
    frames = [child.frame for child in analysis.children]
    return JointProjection(projections=tuple(VariableProjection(frame=frame, which="joint", bases=TWO_SOURCES) for frame in frames))


def measured_misfits(problem: Problem, values: dict[str, float]) -> list[Misfit]:
    """Of each band at these joint parameters, in the noise alone."""
    analysis: JointAnalysis = problem.analysis
    whole = problem.model.instance_from_vector(np.array([values[path] for path in problem.paths]))
    return [
        measured_misfit(band_of(whole, band), child.plain_frame, child.dataset.psf)
        for band, child in zip(analysis.bands, analysis.children, strict=True)
    ]


def news(n_evaluations: int) -> ProgressEvent:
    """What is told after each descent."""
    return ProgressEvent(phase="joint descent", n_calls=n_evaluations)


def starting_points(analysis: JointAnalysis, names: tuple[str, ...]) -> tuple[list[Array], int]:
    """Two starts, without offset and with that of the lens light, and how many projections the light took."""
    assert analysis.start is not None
    p = np.zeros(len(names))
    p[:N_SHARED] = [analysis.start[name] for name in names[:N_SHARED]]
    moved, n = p.copy(), 0
    for number, child in enumerate(analysis.children[1:]):
        light, offset = slots(number)
        fit = fit_light(binned_frame(child.dataset, child.preparation), child.preparation.center, Bases())
        n += fit.n_evaluations
        p[light] = moved[light] = fit.p[:6]
        moved[offset] = np.clip(fit.p[:2] - p[:2], -FARTHEST_START, FARTHEST_START)
    return [p, moved], n


def penalty_of(model: Model, names: tuple[str, ...]) -> Penalty:
    """The model's own priors as penalties and limits, so that the descent ends at the mode of the posterior."""
    priors: list[Any] = [model.priors[name] for name in names]
    ends = np.array([[float(prior.transform(u)) for u in (EDGE, 1.0 - EDGE)] for prior in priors])
    bounded = np.array([np.isfinite(prior.support).all() for prior in priors])
    return Penalty(
        mean=np.array([0.5 * sum(prior.support) if isinstance(prior, Uniform) else prior.mean for prior in priors]),
        sigma=np.array([FLAT * np.ptp(prior.support) if isinstance(prior, Uniform) else prior.sigma for prior in priors]),
        lower=np.where(bounded, ends[:, 0], -np.inf),
        upper=np.where(bounded, ends[:, 1], np.inf),
    )


def facts_of(analysis: JointAnalysis, best: Minimum, chi_squared: list[float]) -> dict[str, Any]:
    """What the report tells of the search."""
    facts: dict[str, Any] = {"grade": "laplace", "einstein_radius": float(best.p[EINSTEIN_RADIUS])}
    for name, child, chi2 in zip(analysis.names, analysis.children, chi_squared, strict=True):
        facts[f"chi2_per_pixel_{name}"] = chi2 / child.frame.n_used
    for number, name in enumerate(analysis.names[1:]):
        x, y = best.p[slots(number)[1]]
        facts[f"offset_{name}"] = f"({x:+.4f}, {y:+.4f}) arcsec"
    return facts
