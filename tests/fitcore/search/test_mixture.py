from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_t, norm

from fitcore.errors import LinkError, SpecError
from fitcore.identity import digest
from fitcore.search.bending import Bending
from fitcore.search.mixture import Mixture
from fitcore.search.problems import banana, gaussian, two_modes


def mixture(n_dim: int = 3, k: int = 2, seed: int = 0) -> Mixture:
    rng = np.random.default_rng(seed)
    factors = 0.2 * rng.standard_normal((k, n_dim, n_dim)) + 0.3 * np.eye(n_dim)
    weight = rng.random(k) + 0.2
    return Mixture(
        weight=weight / weight.sum(),
        mean=rng.standard_normal((k, n_dim)),
        covariance=factors @ np.swapaxes(factors, 1, 2) + 0.01 * np.eye(n_dim),
    )


def bent() -> Mixture:
    found = Mixture.fit(banana(8).draw(2000, np.random.default_rng(1)), np.zeros(2000))
    assert len(found.bending) > 0
    return found


def test_log_prob_is_the_formula() -> None:
    q = mixture()
    z = np.random.default_rng(1).standard_normal((20, 3))
    expected = 0.03 * norm.pdf(z).prod(axis=1)
    for a, m, c in zip(q.weight, q.mean, q.covariance, strict=True):
        expected += 0.08 * a * multivariate_t(m, 2.5**2 * c, df=3).pdf(z)
        expected += 0.89 * a * multivariate_t(m, 1.15**2 * c, df=5).pdf(z)
    np.testing.assert_allclose(q.log_prob(z), np.log(expected), rtol=1e-10)


@pytest.mark.parametrize("q", [mixture(), mixture(1, 3), mixture(2, 1).embed([2, 0], 4), bent()], ids=["plain", "one", "embedded", "bent"])
def test_draws_follow_the_density(q: Mixture) -> None:
    """The mean of p/q over draws of q is one for a normalized p: here a Gaussian about the mixture's middle."""
    z = q.draw(200_000, np.random.default_rng(3))
    sigma = 0.7
    center = np.median(z, axis=0)
    log_p = np.sum(norm.logpdf(z, center, sigma), axis=1)
    weight = np.exp(log_p - q.log_prob(z))
    assert weight.mean() == pytest.approx(1.0, abs=5 * weight.std() / np.sqrt(len(z)))
    assert weight.std() / np.sqrt(len(z)) < 0.05


def test_the_prior_is_drawn_as_often_as_the_density_says() -> None:
    """Far from all components only the prior is left: the mean of N(0, 1)/q tells its share to half a per cent."""
    q = mixture()
    z = q.draw(1_000_000, np.random.default_rng(4))
    weight = np.exp(np.sum(norm.logpdf(z), axis=1) - q.log_prob(z))
    assert weight.mean() == pytest.approx(1.0, abs=4 * weight.std() / 1000.0)
    assert weight.std() / 1000.0 < 0.007


def test_the_prior_bounds_every_weight() -> None:
    z = 3.0 * np.random.default_rng(1).standard_normal((1000, 3))
    assert np.max(np.sum(norm.logpdf(z), axis=1) - mixture().log_prob(z)) <= -np.log(0.03) + 1e-12


def test_embedding_puts_the_prior_on_the_new_dimensions() -> None:
    q = mixture(2).embed([3, 1], 4)
    inner = mixture(2)
    z = np.random.default_rng(1).standard_normal((50, 4))
    rest = np.sum(norm.logpdf(z[:, [0, 2]]), axis=1)
    prior = np.log(0.03) + np.sum(norm.logpdf(z), axis=1)
    inside = inner.log_prob(z[:, [3, 1]])
    expected = np.logaddexp(prior, np.log(np.exp(inside) - 0.03 * np.exp(np.sum(norm.logpdf(z[:, [3, 1]]), axis=1))) + rest)
    np.testing.assert_allclose(q.log_prob(z), expected, rtol=1e-8)
    draws = q.draw(100_000, np.random.default_rng(2))
    assert abs(np.corrcoef(draws.T)[0, 3]) < 0.02
    np.testing.assert_allclose(draws[:, [0, 2]].std(axis=0), 1.0, atol=0.02)


def test_embedding_a_bent_mixture() -> None:
    q, wide = bent(), bent().embed([8, 1, 2, 3, 4, 5, 6, 0], 9)
    z = q.draw(30, np.random.default_rng(1))
    ninth = np.random.default_rng(2).standard_normal(30)
    moved = np.column_stack([z[:, 7], z[:, 1:7], ninth, z[:, 0]])
    np.testing.assert_allclose(wide.log_prob(moved), q.log_prob(z) + norm.logpdf(ninth), atol=1e-6)


def test_fit_finds_the_modes_and_their_shares() -> None:
    known = two_modes(3, share=0.3)
    q = Mixture.fit(known.draw(4000, np.random.default_rng(1)), np.zeros(4000))
    z = known.draw(4000, np.random.default_rng(2))
    assert len(q.weight) >= 2
    log_target = known.problem.log_likelihood(_cdf(z)) + np.sum(norm.logpdf(z), axis=1)
    # Kullback-Leibler divergence: 0.12 for the share of prior and wings, 0.13 for a t of five degrees instead of a normal.
    assert np.mean(log_target - q.log_prob(z)) < 0.3


def test_fit_uses_the_weights() -> None:
    rng = np.random.default_rng(1)
    z = np.concatenate([rng.normal(0, 0.1, (1000, 2)), rng.normal(2, 0.1, (1000, 2)), np.full((1, 2), 50.0)])
    log_weight = np.concatenate([np.zeros(1000), np.full(1000, -40.0), [-np.inf]])
    q = Mixture.fit(z, log_weight)
    assert np.max(np.abs(q.mean)) < 0.1
    assert np.max(np.abs(q.covariance)) < 0.02


def test_scale_widens_about_the_mean() -> None:
    z = gaussian(3).draw(2000, np.random.default_rng(1))
    one, two = Mixture.fit(z, np.zeros(2000)), Mixture.fit(z, np.zeros(2000), scale=2.0)
    np.testing.assert_allclose(two.covariance, 4.0 * one.covariance)
    np.testing.assert_array_equal(two.mean, one.mean)


def test_fit_of_a_degenerate_posterior_has_a_floor() -> None:
    z = np.random.default_rng(1).standard_normal((500, 3))
    z[:, 1] = 0.5
    z[:, 2] = z[:, 0]
    q = Mixture.fit(z, np.zeros(500))
    assert np.all(np.isfinite(q.log_prob(z)))
    assert np.all(np.linalg.eigvalsh(q.covariance) > 0)


def test_many_points_and_few() -> None:
    many = Mixture.fit(gaussian(2).draw(30_000, np.random.default_rng(1)), np.zeros(30_000))
    assert many.n_dim == 2
    few = Mixture.fit(gaussian(5).draw(4, np.random.default_rng(1)), np.zeros(4))
    assert np.all(np.isfinite(few.draw(10, np.random.default_rng(1))))


@pytest.mark.parametrize("q", [mixture(), mixture(2).embed([1, 3], 4), bent()], ids=["plain", "embedded", "bent"])
def test_arrays_there_and_back(q: Mixture) -> None:
    arrays = {name: np.asarray(value) for name, value in q.to_arrays().items()}
    again = Mixture.from_arrays(arrays)
    assert again == q
    assert hash(again) == hash(q)
    z = np.random.default_rng(1).standard_normal((20, q.n_dim))
    np.testing.assert_array_equal(again.log_prob(z), q.log_prob(z))
    np.testing.assert_array_equal(again.draw(20, np.random.default_rng(2)), q.draw(20, np.random.default_rng(2)))


def test_equality_and_identity_see_every_number() -> None:
    q = mixture()
    arrays = q.to_arrays()
    for name in ("core_scale", "core_dof", "wide_scale", "wide_dof", "prior_weight", "wide_weight"):
        other = Mixture.from_arrays({**arrays, name: arrays[name] * 1.01})
        assert other != q
        assert digest(other.identity()) != digest(q.identity())
    assert mixture(seed=1) != q
    assert mixture(2).embed([0, 2], 3) != mixture(2).embed([0, 1], 3)
    assert q != "mixture"


@settings(max_examples=30, deadline=None)
@given(n_dim=st.integers(1, 5), k=st.integers(1, 3), seed=st.integers(0, 1000))
def test_densities_are_finite_and_draws_repeat(n_dim: int, k: int, seed: int) -> None:
    q = mixture(n_dim, k, seed)
    z = q.draw(50, np.random.default_rng(seed))
    np.testing.assert_array_equal(z, q.draw(50, np.random.default_rng(seed)))
    assert np.all(np.isfinite(q.log_prob(z)))
    assert np.all(np.isfinite(q.log_prob(100.0 * z)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"weight": np.array([0.5, 0.6])}, r"The weights of a mixture are \[0.5, 0.6\]; they must be positive and sum to one"),
        ({"weight": np.array([1.0])}, r"the shapes are \(1,\), \(2, 3\) and \(2, 3, 3\)"),
        (
            {"covariance": -np.tile(np.eye(3), (2, 1, 1))},
            r"not positive definite: smallest eigenvalues \[-1.0, -1.0\]; all must be above 0",
        ),
        ({"columns": (0, 0)}, r"columns is \(0, 0\); it must name one or more of the dimensions 0 to 2, each once"),
        ({"prior_weight": 0.0}, "prior_weight is 0.0 and wide_weight 0.08; both must be above 0"),
        ({"wide_weight": 0.98}, "sum to less than 1"),
    ],
)
def test_what_is_refused(change: dict[str, Any], text: str) -> None:
    q = mixture()
    with pytest.raises(SpecError, match=text):
        Mixture(**{"weight": q.weight, "mean": q.mean, "covariance": q.covariance, **change})


def test_embedding_refuses_places_that_do_not_fit() -> None:
    for places in ([0, 1], [0, 1, 1], [0, 1, 4]):
        with pytest.raises(LinkError, match=r"give one place from 0 to 3 for each, all different"):
            mixture().embed(places, 4)


def test_no_weight_left() -> None:
    with pytest.raises(LinkError, match="0 of 5 samples carry weight; a mixture needs at least two different ones"):
        Mixture.fit(np.zeros((5, 2)), np.full(5, -np.inf))


def test_the_identity_bending_is_the_default() -> None:
    assert len(mixture().bending) == 0
    assert isinstance(mixture().bending, Bending)


def _cdf(z: np.ndarray) -> np.ndarray:
    return norm.cdf(z)


@pytest.mark.parametrize(("share", "dof", "scale"), [(0.98, 3.0, 2.5), (1e-3, 5.0, 1.15)])
def test_wide_and_core_components_have_tails_of_their_own(share: float, dof: float, scale: float) -> None:
    q = Mixture(weight=np.ones(1), mean=np.zeros((1, 1)), covariance=np.ones((1, 1, 1)), prior_weight=0.01, wide_weight=share)
    z = np.abs(q.draw(40_000, np.random.default_rng(1))[:, 0])
    for distance in (2.0, 5.0, 10.0):
        expected = 2.0 * scipy.stats.t(dof, scale=scale).sf(distance)
        assert np.mean(z > distance) == pytest.approx(expected, rel=0.05, abs=4.0 * np.sqrt(expected / 40_000))
