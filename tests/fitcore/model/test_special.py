"""The normal distribution against 60-digit arithmetic and scipy, in NumPy and JAX."""

from __future__ import annotations

from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from fitcore.model import special


def upper_tail(x: float) -> Decimal:
    """Q(x) by the Taylor series of erf in 400 digits: independent of every library."""
    with localcontext() as context:
        context.prec = 400
        half = Decimal(x) * Decimal(x) / 2
        term, total, k = Decimal(x), Decimal(x), 0
        while abs(term) > Decimal(10) ** -390:
            k += 1
            term = -term * half / k
            total += term / (2 * k + 1)
        pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651")
        # pi to 108 digits bounds the result's absolute error by 1e-108, so this is good for x up to 18
        return Decimal("0.5") - total / (2 * pi).sqrt()


@pytest.mark.parametrize("x", [0.0, 0.3, 1.0, 4.0, 7.5, 12.0, 15.0])
def test_mills_ratio_against_long_arithmetic(x: float) -> None:
    with localcontext() as context:
        context.prec = 400
        density = (-Decimal(x) * Decimal(x) / 2).exp() / (2 * Decimal(float(np.pi))).sqrt()
        exact = float(upper_tail(x) / density)
    assert special.mills(x) == pytest.approx(exact, rel=4e-15)
    assert float(special.mills(jnp.asarray(x))) == pytest.approx(exact, rel=4e-15)


def test_mills_ratio_in_jax_has_no_gap_where_its_erfcx_has_one() -> None:
    x = np.concatenate([np.linspace(0.0, 60.0, 4001), np.geomspace(60.0, 1e8, 40)])
    np.testing.assert_allclose(np.asarray(special.mills(jnp.asarray(x))), special.mills(x), rtol=5e-15)


def test_log_ndtr_in_both_tails() -> None:
    z = np.concatenate([np.linspace(-37.5, 8.0, 901), [-1e3, -1e5]])
    np.testing.assert_allclose(special.log_ndtr(z), scipy.special.log_ndtr(z), rtol=1e-13)
    np.testing.assert_allclose(np.asarray(special.log_ndtr(jnp.asarray(z))), special.log_ndtr(z), rtol=1e-13)


@pytest.mark.parametrize("xp", [np, jnp])
def test_ndtri_is_finite_at_the_ends_of_the_unit_interval(xp) -> None:
    u = xp.asarray([0.0, 1e-300, 1e-16, 0.5, 1 - 1e-16, 1.0])
    z = np.asarray(special.ndtri(u))
    assert z[0] == -special.LARGEST_Z
    assert z[-1] == special.LARGEST_Z
    assert z[3] == 0.0
    assert np.all(np.diff(z) > 0)
    np.testing.assert_allclose(z[1:3], scipy.special.ndtri([1e-300, 1e-16]), rtol=1e-14)


def test_ndtri_has_finite_gradients_at_the_ends() -> None:
    gradient = jax.vmap(jax.grad(special.ndtri))(jnp.asarray([0.0, 1e-16, 0.5, 1 - 1e-16, 1.0]))
    assert np.all(np.isfinite(gradient))
    assert float(gradient[2]) == pytest.approx(np.sqrt(2 * np.pi), rel=1e-14)


@pytest.mark.parametrize(("a", "b"), [(-1.0, 2.0), (12.0, 20.0), (12.0, 12.3), (-20.0, -12.0), (0.0, 1e-9), (-50.0, 50.0), (300.0, 301.0)])
@pytest.mark.parametrize("xp", [np, jnp])
def test_log_mass_against_quadrature(a: float, b: float, xp) -> None:
    mode = min(max(0.0, a), b)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    start, end = max(a, mode - 40.0), min(b, mode + 40.0)
    half = 0.5 * (end - start)
    t = start + half * (1 + nodes)
    exact = np.log(half * np.sum(weights * np.exp(-0.5 * (t - mode) * (t + mode))))
    assert float(special.log_mass(xp.asarray(b - a), a, mode - a)) == pytest.approx(exact, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize(("a", "c"), [(-1.0, 1.0), (12.0, 0.0), (-20.0, 8.0), (0.0, 0.0), (-40.0, 40.0), (-0.1, 0.1)])
@pytest.mark.parametrize("xp", [np, jnp])
def test_distance_inverts_log_mass(a: float, c: float, xp) -> None:
    whole = float(special.log_mass(8.0 if a == -20.0 else 60.0, a, c))
    target = whole + np.log(np.array([1e-300, 1e-100, 1e-16, 1e-3, 0.1, 0.5]))
    d = special.distance(xp.asarray(target), a, c)
    assert np.all(np.asarray(d) > 0)
    np.testing.assert_allclose(np.asarray(special.log_mass(d, a, c)), target, rtol=1e-12, atol=1e-12)


def test_masses_on_either_side_keep_both_tails() -> None:
    z = special.probit_of_masses(np.array([1e-200, 0.5, 1.0]), np.array([1.0, 0.5, 1e-200]))
    np.testing.assert_allclose(z, [scipy.special.ndtri(1e-200), 0.0, -scipy.special.ndtri(1e-200)], rtol=1e-14)


def test_answers_come_in_the_kind_of_array_that_was_given() -> None:
    assert isinstance(special.ndtr(jnp.zeros(2)), jax.Array)
    assert not isinstance(special.ndtr(np.zeros(2)), jax.Array)
    assert special.namespace(1.0, jnp.zeros(1)) is jnp
    assert special.namespace(1.0, np.zeros(1)) is np
