"""Samples of the Laplace approximation: their covariance, who gets how many, and that the chosen solution is always among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitcore.model import Leaf, Model, Normal, component
from fitcore.search.base import Problem
from pipelines.lens.laplace import LEAST_SHARE, SHARE_REACH, covariance_of, outcome_of, shares
from pipelines.lens.marquardt import Minimum, Penalty


@component
class Pair:
    """Two numbers."""

    a: Leaf
    b: Leaf


MODEL = Model({"pair": Pair(a=Normal(0.0, 2.0), b=Normal(1.0, 3.0))})
PENALTY = Penalty(mean=np.zeros(2), sigma=np.ones(2), lower=np.full(2, -9.0), upper=np.full(2, 9.0))
COVARIANCE = np.array([[0.04, 0.03], [0.03, 0.09]])
PEAK = np.array([0.3, 1.5])


def minimum(p: np.ndarray = PEAK, *, covariance: np.ndarray = COVARIANCE, objective: float = 10.0) -> Minimum:
    return Minimum(p=p, objective=objective, chi2=objective, curvature=np.linalg.inv(covariance), parameters=np.arange(2), n_evaluations=3)


def outcome(minima: list[Minimum], gaps: list[float], *, n_samples: int = 400, **options: Any) -> Any:
    def log_likelihood(u: np.ndarray) -> np.ndarray:
        theta = np.asarray(MODEL.prior_transform(u))
        return -0.5 * ((theta - PEAK) ** 2).sum(axis=1)

    problem = Problem(n_dim=2, paths=MODEL.paths, log_likelihood=log_likelihood, model=MODEL)
    return outcome_of(
        minima,
        gaps,
        problem=problem,
        log_likelihood=options.pop("log_likelihood", log_likelihood),
        penalty=PENALTY,
        names=options.pop("names", MODEL.paths),
        n_samples=n_samples,
        rng=np.random.default_rng(2),
        n_calls=7,
        facts={"grade": "laplace"},
    )


def test_covariance_is_the_inverse_of_the_curvature() -> None:
    assert covariance_of(minimum()) == pytest.approx(COVARIANCE, rel=1e-4)


def test_covariance_does_not_depend_on_units() -> None:
    """One parameter known a million times better than the other: neither error is cut."""
    covariance = np.array([[4.0, 1e-6], [1e-6, 4e-12]])
    curvature = np.linalg.inv(covariance)
    found = covariance_of(Minimum(p=PEAK, objective=0.0, chi2=0.0, curvature=curvature, parameters=np.arange(2), n_evaluations=1))
    assert found[0, 0] == pytest.approx(4.0, rel=1e-6)
    assert found[0, 1] == pytest.approx(1e-6, rel=1e-6)


def test_covariance_of_a_flat_direction_stays_positive() -> None:
    flat = Minimum(p=PEAK, objective=0.0, chi2=0.0, curvature=np.diag([4.0, -1e-3]), parameters=np.arange(2), n_evaluations=1)
    assert np.linalg.eigvalsh(covariance_of(flat)).min() > 0


def test_samples_have_the_covariance_and_hold_the_solution_itself() -> None:
    found = outcome([minimum()], [0.0], n_samples=4000)
    theta = np.asarray(MODEL.prior_transform(found.u))
    assert theta[0] == pytest.approx(PEAK, abs=1e-9)
    assert np.cov(theta.T) == pytest.approx(COVARIANCE, abs=0.006)
    assert found.log_likelihood == pytest.approx(-0.5 * ((theta - PEAK) ** 2).sum(axis=1), abs=1e-9)
    assert np.exp(found.log_weight).sum() == pytest.approx(1.0, rel=1e-12)
    assert found.n_calls == 7 + 4000
    assert np.isnan(found.log_evidence)
    assert found.diagnostics == {"grade": "laplace"}


def test_columns_follow_the_order_of_the_problem() -> None:
    swapped = minimum(PEAK[::-1].copy(), covariance=COVARIANCE[::-1, ::-1].copy())
    found = outcome([swapped], [0.0], names=MODEL.paths[::-1])
    assert np.asarray(MODEL.prior_transform(found.u))[0] == pytest.approx(PEAK, abs=1e-9)


def test_a_rival_gets_samples_by_its_gap_and_its_volume() -> None:
    rival = minimum(np.array([-2.0, 1.0]))
    assert shares([minimum(), rival], [0.0, 2.0]) == pytest.approx(np.array([1.0, np.exp(-1.0)]) / (1 + np.exp(-1.0)), rel=1e-9)
    wide = minimum(np.array([-2.0, 1.0]), covariance=4.0 * COVARIANCE)
    assert shares([minimum(), wide], [0.0, 2.0])[1] == pytest.approx(4 * np.exp(-1) / (1 + 4 * np.exp(-1)), rel=1e-3)
    assert shares([minimum(), rival], [0.0, 0.9 * SHARE_REACH])[1] == pytest.approx(LEAST_SHARE / (1 + LEAST_SHARE))
    assert shares([minimum(), rival], [0.0, SHARE_REACH]).tolist() == [1.0, 0.0]
    found = outcome([minimum(), rival], [0.0, 2.0])
    left = np.asarray(MODEL.prior_transform(found.u))[:, 0] < -1.0
    assert np.exp(found.log_weight[left]).sum() == pytest.approx(np.exp(-1.0) / (1 + np.exp(-1.0)), rel=0.02)


def test_a_refused_solution_that_fits_better_takes_no_samples() -> None:
    """Chosen with the model's inadequacy in the noise; at nominal noise the refused one is 500 better."""
    rival = minimum(np.array([-2.0, 1.0]), objective=-490.0)
    theta = np.asarray(MODEL.prior_transform(outcome([minimum(), rival], [0.0, 140.0]).u))
    assert theta[0] == pytest.approx(PEAK, abs=1e-9)
    assert (theta[:, 0] > -1.5).all()
    theta = np.asarray(MODEL.prior_transform(outcome([minimum(), rival], [0.0, np.inf]).u))
    assert (theta[:, 0] > -1.5).all()


def test_excluded_points_are_left_out_and_weights_still_sum_to_one() -> None:
    def half(u: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(u)) % 2, -np.inf, -1.0)

    found = outcome([minimum()], [0.0], n_samples=100, log_likelihood=half)
    assert len(found.u) == 50
    assert np.isfinite(found.log_likelihood).all()
    assert np.exp(found.log_weight).sum() == pytest.approx(1.0)
