"""What all priors share: projected priors, a user's own class, stored forms, text."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.errors import ModelError, PriorError
from fitcore.identity import digest
from fitcore.model import LogUniform, Model, Normal, Prior, ProbitNormal, TruncatedNormal, Uniform


@dataclass(frozen=True)
class Triangle(Prior):
    """Density 2 x / width^2 on [0, width]."""

    width: float

    def transform(self, u):
        return self.width * u**0.5

    def inverse(self, x):
        return (x / self.width) ** 2

    def log_prob(self, x):
        inside = (x > 0) & (x <= self.width)
        return np.where(inside, np.log(2 * np.where(inside, x, 1.0) / self.width**2), -np.inf)

    @property
    def support(self):
        return 0.0, self.width


class NotADataclass(Triangle):
    pass


def test_a_users_own_prior_works_everywhere() -> None:
    model = Model({"a": Triangle(2.0)})
    assert float(model.prior_transform([0.25])[0]) == 1.0
    assert float(model.probit([1.0])[0]) == pytest.approx(-0.6744897501960817, abs=1e-12)
    assert float(model.from_probit([0.0])[0]) == pytest.approx(2**0.5, abs=1e-12)
    assert Model.from_dict(json.loads(json.dumps(model.to_dict()))) == model
    projected = Triangle(2.0).project([0.9, 1.0, 1.1], np.zeros(3))
    assert projected.support == (0.0, 2.0)
    assert float(projected.transform(0.5)) == pytest.approx(1.0, abs=2e-3)
    assert digest(Triangle(2.0)) != digest(Triangle(3.0))


def test_a_prior_must_be_a_dataclass_of_its_own() -> None:
    with pytest.raises(PriorError, match="NotADataclass is not a dataclass: decorate it with"):
        Model({"a": NotADataclass(1.0)})


def test_projected_prior_is_a_normalized_prior_of_the_same_support() -> None:
    projected = ProbitNormal(Uniform(2, 4), 0.5, 0.7)
    x = np.linspace(2, 4, 200_001)
    density = np.exp(np.asarray(projected.log_prob(x)))
    assert np.trapezoid(density, x) == pytest.approx(1.0, abs=1e-7)
    assert projected.support == (2.0, 4.0)
    assert float(projected.log_prob(1.9)) == -math.inf


def test_projection_with_mean_zero_and_sigma_one_is_the_base_itself() -> None:
    base, same = LogUniform(0.1, 10), ProbitNormal(LogUniform(0.1, 10), 0, 1)
    u = np.linspace(0, 1, 21)
    np.testing.assert_allclose(same.transform(u), base.transform(u), rtol=1e-13)
    x = np.asarray(base.transform(u[1:-1]))
    np.testing.assert_allclose(same.log_prob(x), base.log_prob(x), rtol=1e-12)


def test_projecting_a_projected_prior_goes_back_to_its_base() -> None:
    x, w = [2, 3, 4], np.zeros(3)
    once = Uniform(0, 10).project(x, w)
    assert once.project(x, w) == once


def test_projected_priors_do_not_nest() -> None:
    with pytest.raises(PriorError, match=r"base is .* must be a prior that is not itself a ProbitNormal"):
        ProbitNormal(ProbitNormal(Uniform(0, 1), 0, 1), 0, 1)


@pytest.mark.parametrize(
    "prior",
    [Uniform(0.1, 1 / 3), TruncatedNormal(0, 1, -math.inf, 2), Normal(1e-300, 1e300), ProbitNormal(LogUniform(0.1, 1), 0.1, 0.2)],
    ids=str,
)
def test_stored_form_is_strict_json_and_exact(prior: Prior) -> None:
    assert Prior.from_dict(json.loads(json.dumps(prior.to_dict(), allow_nan=False, sort_keys=True))) == prior


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(ModelError, match="The prior class 'elsewhere:Odd' is not known"):
        Prior.from_dict({"prior": "elsewhere:Odd", "x": 1.0})


def test_text_shows_the_numbers() -> None:
    assert str(Uniform(0, 100)) == "Uniform(0, 100)"
    assert str(ProbitNormal(Uniform(0, 1), 0.5, 2)) == "ProbitNormal(Uniform(0, 1), 0.5, 2)"


def test_huge_values_give_no_overflow() -> None:
    assert float(Normal(0, 1e-140).log_prob(1e30)) < -1e290
    assert np.isfinite(float(TruncatedNormal(0, 1e-200, -1, 1).log_prob(jnp.asarray(0.5))))
