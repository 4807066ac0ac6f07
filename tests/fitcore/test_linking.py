"""What three stages on the same data do to a posterior: new priors use the data again at every stage, proposals do not.

The figures are those of ``docs/linking.md``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fitcore as fc

SIGMA = 0.02
"""Standard deviation of the posterior of one use of the data, small against the priors'."""


class Means(fc.Analysis):
    """Two means, measured once each."""

    def log_likelihood_function(self, instance: Any) -> float:
        return -0.5 * ((instance["a"] - 0.4) ** 2 + (instance["b"] + 0.1) ** 2) / SIGMA**2


WIDE = fc.Model({"a": fc.Uniform(-1.0, 1.0), "b": fc.Normal(0.0, 0.5)})


def widths(result: fc.Result) -> np.ndarray:
    return np.sqrt(np.diag(result.samples.covariance()))


def steering(result: fc.Result) -> int:
    """Calls that only found out where to draw; the draws themselves are what ``n_eff`` asks for."""
    diagnostics = result.samples_summary.diagnostics
    return int(diagnostics.get("n_explore", 0)) + int(diagnostics["n_adapt"])


@pytest.fixture(scope="module")
def first() -> fc.Result:
    return fc.fit(WIDE, Means(), fc.Nautilus(n_live=100, n_eff=3000), progress=False)


def test_priors_narrow_the_posterior_by_the_square_root_of_the_number_of_uses(first: fc.Result) -> None:
    stages = [first]
    for seed in (1, 2):
        stages.append(fc.fit(stages[-1].projected_model, Means(), fc.Nautilus(n_live=100, n_eff=3000), seed=seed, progress=False))
    for uses, result in enumerate(stages, start=1):
        # four standard errors of a standard deviation from 3,000 points, and of the links before it
        assert widths(result) == pytest.approx([SIGMA / np.sqrt(uses)] * 2, rel=4.0 * np.sqrt(uses / 6000.0))


def test_a_proposal_leaves_posterior_and_evidence_alone(first: fc.Result) -> None:
    exact = np.log(2.0 * np.pi * SIGMA**2) - np.log(2.0) - 0.5 * np.log(2.0 * np.pi * (0.25 + SIGMA**2)) - 0.5 * 0.01 / (0.25 + SIGMA**2)
    result = first
    for seed in (1, 2):
        result = fc.fit(WIDE, Means(), fc.Importance(n_eff=3000), seed=seed, proposal=result.proposal(WIDE), progress=False)
        assert widths(result) == pytest.approx([SIGMA] * 2, rel=4.0 / np.sqrt(6000.0))
        assert abs(result.log_evidence - exact) < 3.5 * result.log_evidence_error
        assert steering(result) < 0.3 * steering(first)
