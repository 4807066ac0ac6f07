from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import genpareto

from fitcore.search.pareto import effective_sample_size, grade, pareto_k, temper


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_k_of_pareto_weights(k: float) -> None:
    found = [pareto_k(np.log(genpareto.rvs(k, size=20_000, random_state=seed))) for seed in range(10)]
    assert np.mean(found) == pytest.approx(k, abs=0.08)


def test_k_of_bounded_weights_is_negative() -> None:
    assert pareto_k(np.log(np.random.default_rng(1).random(5000))) < 0.0


def test_k_of_a_proposal_that_is_too_narrow() -> None:
    """q = N(0, s^2) for p = N(0, 1): the ratio's tail has k = 1 - s^2 (Vehtari et al. 2024, section 2)."""
    z = 0.6 * np.random.default_rng(1).standard_normal(200_000)
    assert pareto_k(-0.5 * z**2 + 0.5 * (z / 0.6) ** 2) == pytest.approx(1 - 0.36, abs=0.2)


def test_k_does_not_depend_on_the_scale() -> None:
    log_weight = np.random.default_rng(1).standard_normal(1000)
    assert pareto_k(log_weight) == pytest.approx(pareto_k(log_weight - 5000.0), abs=1e-9)


def test_too_few_weights_have_no_k() -> None:
    assert pareto_k(np.zeros(10)) == np.inf
    assert pareto_k(np.full(1000, -np.inf)) == np.inf
    assert pareto_k(np.zeros(1000)) == np.inf
    one = np.full(1000, -np.inf)
    one[3] = 0.0
    assert pareto_k(one) == np.inf


def test_effective_sample_size() -> None:
    assert effective_sample_size(np.full(7, -1e4)) == pytest.approx(7)
    assert effective_sample_size(np.array([0.0, -np.inf, np.log(0.5)])) == pytest.approx(1.5**2 / 1.25)
    assert effective_sample_size(np.full(7, -np.inf)) == 0.0
    assert effective_sample_size(np.zeros(0)) == 0.0


def test_temper() -> None:
    log_weight = 30.0 * np.random.default_rng(1).standard_normal(1000)
    beta = temper(log_weight, 100.0)
    assert effective_sample_size(beta * log_weight) == pytest.approx(100.0, rel=1e-3)
    assert temper(np.zeros(1000), 100.0) == 1.0


@pytest.mark.parametrize(
    ("k", "efficiency", "has_adapted", "expected"),
    [
        (0.1, 0.5, True, "A"),
        (0.29, 0.21, True, "A"),
        (0.31, 0.5, True, "B"),
        (0.49, 0.5, True, "B"),
        (0.51, 0.5, True, "F"),
        (0.1, 0.19, True, "B"),
        (0.1, 0.06, True, "B"),
        (0.31, 0.19, True, "F"),
        (0.1, 0.04, True, "F"),
        (0.1, 0.5, False, "F"),
        (float("nan"), 0.5, True, "F"),
        (float("inf"), 0.5, True, "F"),
    ],
)
def test_grade(k: float, efficiency: float, has_adapted: bool, expected: str) -> None:
    assert grade(k=k, efficiency=efficiency, has_adapted=has_adapted) == expected
