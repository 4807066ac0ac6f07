"""A proposal: the earlier posterior, by path, in the probit space of the next model's priors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore.errors import LinkError
from fitcore.model import LogUniform, Model, Normal, Uniform
from fitcore.proposal import Proposal
from fitcore.samples import Samples

FITTED = Model({"a": Uniform(0, 10), "b": Normal(0, 1), "old": Uniform(0, 1)})
RNG = np.random.default_rng(1)
THETA = np.column_stack([RNG.normal(4.0, 0.5, 4000), RNG.normal(1.0, 0.2, 4000), RNG.random(4000)])
LOG_WEIGHT = 2.0 * (THETA[:, 0] - 4.0)  # tilts a by 2 * 0.25, to a mean of 4.5


def result(theta: Any = THETA, log_weight: Any = LOG_WEIGHT) -> Any:
    zeros = np.zeros(len(theta))
    return SimpleNamespace(model=FITTED, digest="ab" * 32, samples=Samples(FITTED.paths, theta, zeros, zeros, log_weight))


def weighted_mean_of_draws(proposal: Proposal) -> np.ndarray:
    """Medians of core and wide components together, in z."""
    return np.median(proposal.mixture.draw(40_000, np.random.default_rng(2)), axis=0)


def test_it_follows_the_weighted_samples_by_path_and_leaves_new_parameters_to_their_prior() -> None:
    model = Model({"new": Uniform(0, 1), "b": Normal(1, 2), "a": LogUniform(1, 10)})
    proposal = Proposal.from_result(result(), model)
    assert proposal.shared == ("b", "a")
    middle = weighted_mean_of_draws(proposal)
    expected = [0.0, float(Normal(1, 2).probit(1.0)), float(LogUniform(1, 10).probit(4.5))]
    np.testing.assert_allclose(middle, expected, atol=0.03)
    spread = np.diff(np.quantile(proposal.mixture.draw(40_000, np.random.default_rng(3)), [0.16, 0.84], axis=0), axis=0)[0] / 2
    assert spread[0] == pytest.approx(1.0, abs=0.03)
    assert spread[1] == pytest.approx(0.1 * 1.25, rel=0.2)  # the core is drawn 1.15 times as wide, and has wings


def test_samples_outside_the_new_priors_are_left_out() -> None:
    model = Model({"a": Uniform(4.5, 10)})
    inside = Proposal.from_result(result(), model).mixture
    z = np.asarray(Uniform(4.5, 10).probit(THETA[:, 0][THETA[:, 0] > 4.5]))
    weight = np.exp(LOG_WEIGHT[THETA[:, 0] > 4.5])
    assert float(inside.weight @ inside.mean[:, 0]) == pytest.approx(float(weight @ z / weight.sum()), abs=0.1)


def test_less_than_a_hundredth_inside_is_refused() -> None:
    with pytest.raises(
        LinkError, match=r"Only 0\.00% of the earlier posterior lies inside the new priors of \['a'\]; at least 1 % is needed"
    ):
        _ = Proposal.from_result(result(), Model({"a": Uniform(9, 10)})).mixture


def test_nothing_shared_is_refused() -> None:
    with pytest.raises(LinkError, match="none is shared, so there is nothing to propose"):
        Proposal.from_result(result(), Model({"c": Uniform(0, 1)}))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_is_a_positive_number(scale: float) -> None:
    with pytest.raises(LinkError, match="it must be a positive number, 1 for the posterior's own width"):
        Proposal.from_result(result(), Model({"a": Uniform(0, 10)}), scale=scale)


def test_scale_widens_and_identity_names_the_parent_and_how() -> None:
    model = Model({"a": Uniform(0, 10)})
    one, two = (Proposal.from_result(result(), model, scale=s) for s in (1.0, 2.0))
    assert two.mixture.covariance.sum() == pytest.approx(4.0 * one.mixture.covariance.sum(), rel=1e-12)
    assert one.identity() == {"kind": "mixture", "parent": "ab" * 32, "shared": ["a"], "scale": 1.0}
    assert one.identity() != two.identity()
