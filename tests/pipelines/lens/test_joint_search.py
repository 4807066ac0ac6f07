"""`JointDescent`: the solution of a known ring in two bands, its errors, what it says of itself, what it refuses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore.errors import ModelError
from fitcore.evaluation import BatchedLikelihood
from fitcore.model import Model, Normal, TruncatedNormal, Uniform
from fitcore.search.base import NoCheckpoint, Problem, SearchOutcome, silent
from pipelines.lens.joint_analysis import JointAnalysis
from pipelines.lens.joint_search import JointDescent, penalty_of
from pipelines.lens.stages import isothermal_model


def problem_of(analysis: JointAnalysis, model: Model, likelihood: Any) -> Problem:
    return Problem(n_dim=model.n_dim, paths=model.paths, log_likelihood=likelihood, analysis=analysis, model=model)


@pytest.fixture(scope="module")
def outcome(two_bands: SimpleNamespace) -> SimpleNamespace:
    """From half a per cent off in the radius, without knowing the second band's light or offset."""
    start = {**two_bands.start, "mass.einstein_radius": 1.1055, "shear.gamma_1": 0.02}
    analysis = JointAnalysis(two_bands.dataset, start=start)
    model = analysis.modify_model(isothermal_model())
    likelihood = BatchedLikelihood(analysis, model, n_batch=analysis.n_batch, n_threads=1)
    found = JointDescent(n_samples=96).run(problem_of(analysis, model, likelihood), seed=3, checkpoint=NoCheckpoint(), progress=silent)
    likelihood.close()
    return SimpleNamespace(found=found, model=model, analysis=analysis)


def test_the_offset_and_the_mass_are_found(outcome: SimpleNamespace, two_bands: SimpleNamespace) -> None:
    found: SearchOutcome = outcome.found
    best = dict(zip(outcome.model.paths, np.asarray(outcome.model.prior_transform(found.u[0])), strict=True))
    spread = dict(zip(outcome.model.paths, np.asarray(outcome.model.prior_transform(found.u)).std(axis=0), strict=True))
    for axis, shift in zip("xy", two_bands.offset, strict=True):
        path = f"bands.B.offset_{axis}"
        assert abs(best[path] - shift) < 3.0 * spread[path] < 0.003
    assert abs(best["mass.einstein_radius"] - 1.1) < 3.0 * spread["mass.einstein_radius"] < 0.001
    assert best["bands.B.lens_light.first.center_x"] == pytest.approx(0.01 + two_bands.offset[0], abs=2e-3)
    assert np.all(found.log_likelihood <= found.log_likelihood[0] + 1.0)  # the first is the solution itself; beside it the prior counts too


def test_it_says_what_it_found_in_each_band(outcome: SimpleNamespace) -> None:
    told = outcome.found.diagnostics
    assert told["grade"] == "laplace"
    assert told["offset_B"].startswith("(+0.01")
    assert told["chi2_per_pixel_A"] == pytest.approx(1.0, abs=0.1)
    assert told["chi2_per_pixel_B"] == pytest.approx(1.0, abs=0.1)
    assert np.isnan(outcome.found.log_evidence)


def test_the_penalty_is_the_prior() -> None:
    model = Model({"a": Normal(1.0, 2.0), "b": TruncatedNormal(0.0, 0.3, -0.5, 0.5), "c": Uniform(1.0, 3.0)})
    penalty = penalty_of(model, ("c", "a", "b"))
    assert penalty.mean.tolist() == [2.0, 1.0, 0.0]
    assert penalty.sigma.tolist() == [2000.0, 2.0, 0.3]
    np.testing.assert_allclose(penalty.lower, [1.0, -np.inf, -0.5], atol=1e-4)
    np.testing.assert_allclose(penalty.upper, [3.0, np.inf, 0.5], atol=1e-4)
    assert np.all(penalty.lower[[0, 2]] > [1.0, -0.5])  # inside, so that no sample lies on a limit


@pytest.mark.parametrize("is_started", [True, False])
def test_another_model_or_no_start_is_refused(two_bands: SimpleNamespace, is_started: bool) -> None:
    analysis = JointAnalysis(two_bands.dataset, start=two_bands.start if is_started else None)
    model = isothermal_model() if is_started else analysis.modify_model(isothermal_model())
    with pytest.raises(ModelError, match=r"joint descent is for the isothermal lens.*Use another search for it") as refused:
        JointDescent().run(problem_of(analysis, model, None), seed=0, checkpoint=NoCheckpoint(), progress=silent)
    assert ("and no start" in str(refused.value)) != is_started
