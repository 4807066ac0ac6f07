"""A projected model is a model like any other: every view of it, and every search, sees the same priors."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr, ndtri

import fitcore as fc
from fitcore.evaluation import BatchedLikelihood, compiled
from fitcore.model import ProbitNormal
from fitcore.search.base import NoCheckpoint, Problem, silent

FITTED = fc.Model(
    {
        "line": {"center": fc.Uniform(0, 10), "width": fc.LogUniform(0.1, 10)},
        "sky": [fc.Normal(0, 1), (fc.LogNormal(0, 1), 3.0)],
        "copy": fc.Tied("line.center"),
        "slope": fc.TruncatedNormal(0, 1, -1, 2),
    },
    [fc.Less("line.width", "line.center")],
)
U = np.random.default_rng(1).random((40, FITTED.n_dim))


def posterior() -> fc.Samples:
    z = np.random.default_rng(2).normal([0.2, -0.3, 0.5, 0.1, 0.4], [0.3, 0.2, 0.4, 0.5, 0.6], (400, 5))
    zeros = np.zeros(400)
    return fc.Samples(FITTED.paths, np.asarray(FITTED.from_probit(z)), zeros, zeros, np.random.default_rng(3).normal(0, 0.5, 400))


PROJECTED = fc.project(FITTED, posterior())


def test_it_has_the_structure_and_supports_of_the_old_one_and_new_priors() -> None:
    assert PROJECTED.paths == FITTED.paths
    assert PROJECTED.ties == FITTED.ties
    assert PROJECTED.constraints == FITTED.constraints
    assert [p.support for p in PROJECTED.priors.values()] == [p.support for p in FITTED.priors.values()]
    kinds = [ProbitNormal, ProbitNormal, fc.Normal, fc.LogNormal, fc.TruncatedNormal]
    assert [type(prior) for prior in PROJECTED.priors.values()] == kinds
    assert all(PROJECTED.priors[path] != prior for path, prior in FITTED.priors.items())


def test_every_transform_sees_the_same_priors() -> None:
    theta = np.asarray(PROJECTED.prior_transform(U))
    by_prior = np.stack([np.asarray(prior.transform(U[:, i])) for i, prior in enumerate(PROJECTED.priors.values())], axis=-1)
    np.testing.assert_array_equal(theta, by_prior)
    one_by_one = np.array([PROJECTED.prior_transform(u) for u in U])
    np.testing.assert_allclose(theta, one_by_one, rtol=1e-13)
    np.testing.assert_allclose(np.asarray(compiled(PROJECTED.prior_transform)(jnp.asarray(U))), theta, rtol=1e-11)
    np.testing.assert_allclose(PROJECTED.from_probit(ndtri(U)), theta, rtol=1e-11)
    np.testing.assert_allclose(PROJECTED.inverse_transform(theta), U, atol=1e-11)
    np.testing.assert_allclose(PROJECTED.probit(theta), ndtri(U), atol=1e-9)
    instance, values = PROJECTED.instance_from_vector(theta[0]), theta[0].tolist()
    assert [instance["line"]["center"], instance["line"]["width"], instance["copy"]] == [values[0], values[1], values[0]]
    assert instance["sky"] == [values[2], (values[3], 3.0)]


def test_log_prob_is_the_density_of_that_transform() -> None:
    theta = np.asarray(PROJECTED.prior_transform(U))
    np.testing.assert_allclose(
        PROJECTED.log_prior(theta), sum(p.log_prob(theta[:, i]) for i, p in enumerate(PROJECTED.priors.values())), rtol=1e-14
    )
    step = 1e-6
    slope = (np.asarray(PROJECTED.prior_transform(U + step)) - np.asarray(PROJECTED.prior_transform(U - step))) / (2 * step)
    inside = np.all((U > 0.01) & (U < 0.99), axis=1)
    np.testing.assert_allclose(PROJECTED.log_prior(theta)[inside], -np.log(slope).sum(axis=1)[inside], atol=1e-5)
    np.testing.assert_allclose(np.asarray(compiled(PROJECTED.log_prior)(jnp.asarray(theta))), PROJECTED.log_prior(theta), rtol=1e-10)


def test_dictionary_text_digest_and_pickle_hold_all_of_it() -> None:
    stored = fc.Model.from_dict(json.loads(json.dumps(PROJECTED.to_dict(), allow_nan=False)))
    by_hand = FITTED.replace({path: dataclasses.replace(prior) for path, prior in PROJECTED.priors.items()})
    for same in (stored, by_hand, pickle.loads(pickle.dumps(PROJECTED))):
        assert same == PROJECTED
        assert fc.digest(same) == fc.digest(PROJECTED) != fc.digest(FITTED)
        assert same.describe() == PROJECTED.describe()
        np.testing.assert_array_equal(same.prior_transform(U), PROJECTED.prior_transform(U))
        np.testing.assert_array_equal(same.log_prior(U + 1.0), PROJECTED.log_prior(U + 1.0))
    for path, prior in PROJECTED.priors.items():
        assert str(prior) in PROJECTED.describe(), path
    assert "where line.width &lt; line.center" in PROJECTED._repr_html_()
    assert fc.differences(FITTED, PROJECTED)


class Recording(fc.Analysis):
    """A broad Gaussian of four of the parameters; remembers every instance's leaves where it runs in plain Python."""

    def __init__(self, use_jax: bool = False) -> None:
        super().__init__(use_jax=use_jax)
        self.seen: list[list[float]] = []

    def identity(self) -> dict[str, Any]:
        return {}

    def log_likelihood_function(self, instance: Any) -> Any:
        line, sky = instance["line"], instance["sky"]
        leaves = [line["center"], line["width"], sky[0], sky[1][0], instance["slope"], instance["copy"]]
        if not self.use_jax:
            self.seen.append([float(value) for value in leaves])
        return -0.5 * ((leaves[0] - 6.0) ** 2 + (leaves[2] - 0.3) ** 2 + leaves[4] ** 2)


SEARCHES = {
    "nautilus": fc.Nautilus(n_live=30, n_eff=30, n_shell=3, finish="nautilus"),
    "importance": fc.Importance(n_eff=100, scout_starts=2),
    "multistart": fc.MultiStart(n_starts=3, n_samples=100),
    "dynesty": fc.Dynesty(n_live=40, d_log_z=1.0),
    "nuts": fc.NUTS(n_eff=100, n_chains=2, n_warmup=150),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name == "nuts" else []) for name in SEARCHES])
def test_every_search_draws_from_it_and_hands_the_likelihood_its_instances(name: str) -> None:
    analysis = Recording(use_jax=name == "nuts")
    likelihood, asked = BatchedLikelihood(analysis, PROJECTED), []

    def remembering(u: Any) -> Any:
        asked.append(np.array(u))
        return likelihood(u)

    problem = Problem(
        n_dim=PROJECTED.n_dim,
        paths=PROJECTED.paths,
        log_likelihood=remembering,
        value_and_gradient=None,
        traceable=likelihood.at_probit if analysis.use_jax else None,
        proposal=fc.Mixture.fit(np.random.default_rng(4).standard_normal((400, 5)), np.zeros(400)) if name == "importance" else None,
        n_batch=32,
    )
    outcome = SEARCHES[name].run(problem, seed=1, checkpoint=NoCheckpoint(), progress=silent)
    theta = np.asarray(PROJECTED.prior_transform(np.concatenate(asked)))
    allowed = np.asarray(PROJECTED.is_allowed(theta))
    if not analysis.use_jax:
        expected = np.column_stack([theta, theta[:, 0]])[allowed]
        np.testing.assert_array_equal(np.array(analysis.seen), expected)
    found = np.asarray(PROJECTED.prior_transform(outcome.u))
    plain = [-0.5 * ((t[0] - 6.0) ** 2 + (t[2] - 0.3) ** 2 + t[4] ** 2) for t in found]
    np.testing.assert_allclose(outcome.log_likelihood, plain, rtol=1e-9, atol=1e-9)
    assert np.asarray(PROJECTED.is_allowed(found)).all()


def test_gradients_see_it_too() -> None:
    likelihood = BatchedLikelihood(Recording(use_jax=True), PROJECTED)
    z = np.random.default_rng(5).normal(0.0, 1.0, (5, 5))
    z[0, :2] = [-8.0, 8.0]  # a small center and a large width
    assert set(np.isfinite(likelihood(ndtr(z)))) == {True, False}, "the constraint excludes some of the points"
    np.testing.assert_allclose([float(likelihood.at_probit(point)) for point in z], likelihood(ndtr(z)), rtol=1e-9)
