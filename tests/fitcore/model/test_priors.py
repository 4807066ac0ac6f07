"""Every family's transform, density, support and tails: against scipy, by properties, in NumPy, JAX and batches."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fitcore.errors import LinkError, PriorError
from fitcore.evaluation import compiled
from fitcore.model import LogNormal, LogUniform, Normal, Prior, ProbitNormal, TruncatedNormal, Uniform

EXAMPLES = [
    Uniform(-3, 7.5),
    Uniform(0, 10),
    LogUniform(0.01, 100),
    LogUniform(1.0, 1.0001),
    Normal(2.5, 0.3),
    LogNormal(1.0, 0.5),
    TruncatedNormal(1, 0.5, 0, 3),
    TruncatedNormal(0, 1, 12, 13),
    TruncatedNormal(5, 1, -math.inf, 0),
    ProbitNormal(Uniform(0, 10), -0.475, 0.179),
    ProbitNormal(LogUniform(0.1, 10), 1.5, 1.3),
]
EDGES = [0.0, 1e-300, 1e-16, 1e-3, 0.25, 0.5, 0.75, 1 - 1e-3, 1 - 1e-16, 1.0]

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 6))
sigmas = st.floats(1e-3, 1e3)


@st.composite
def limits(draw, least: float = -1e6):
    lower = draw(st.floats(least, 1e6))
    return lower, lower + draw(st.floats(1e-3, 1e6)) * max(1.0, abs(lower) * 1e-6)


@st.composite
def priors(draw) -> Prior:
    family = draw(st.sampled_from(["uniform", "loguniform", "normal", "lognormal", "truncated", "probit"]))
    if family == "uniform":
        return Uniform(*draw(limits()))
    if family == "loguniform":
        lower = draw(st.floats(1e-6, 1e3))
        return LogUniform(lower, lower * (1 + draw(st.floats(1e-3, 1e6))))
    if family == "normal":
        return Normal(draw(numbers), draw(sigmas))
    if family == "lognormal":
        return LogNormal(draw(st.floats(-20, 20)), draw(st.floats(1e-3, 3)))
    if family == "truncated":
        lower, upper = draw(limits(-1e3))
        width = upper - lower
        return TruncatedNormal(lower + width * draw(st.floats(-5, 6)), width * draw(st.floats(0.05, 10)), lower, upper)
    return ProbitNormal(Uniform(*draw(limits(-1e3))), draw(st.floats(-3, 3)), draw(st.floats(0.01, 1.5)))


@pytest.mark.parametrize("prior", EXAMPLES, ids=str)
def test_transform_stays_inside_the_support_and_is_monotonic(prior: Prior) -> None:
    x = np.asarray(prior.transform(np.array(EDGES)))
    assert np.all(np.isfinite(x))
    assert np.all((x >= prior.support[0]) & (x <= prior.support[1]))
    assert np.all(np.diff(x) >= 0)


@pytest.mark.parametrize("prior", EXAMPLES, ids=str)
def test_points_outside_the_unit_interval_are_held_at_its_ends(prior: Prior) -> None:
    np.testing.assert_array_equal(prior.transform(np.array([-0.1, 1.1])), prior.transform(np.array([0.0, 1.0])))


@given(priors(), st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_transform_and_inverse_agree_for_any_prior(prior: Prior, u: float) -> None:
    x = float(prior.transform(u))
    lower, upper = prior.support
    assert lower <= x <= upper
    slack = 1e-11 + 4 * np.spacing(abs(x)) * math.exp(min(float(prior.log_prob(x)), 60.0))  # what one ulp of x is worth in u
    assert float(prior.inverse(x)) == pytest.approx(u, abs=slack)


@given(priors(), st.floats(-8, 8))
@settings(max_examples=300, deadline=None)
def test_probit_inverts_from_probit_for_any_prior(prior: Prior, z: float) -> None:
    x = float(prior.from_probit(z))
    log_slope = float(prior.log_prob(x)) + 0.5 * z * z + 0.9189385
    largest = max([abs(x), *(abs(s) for s in prior.support if math.isfinite(s))])
    resolved = 4 * np.spacing(largest) * math.exp(min(log_slope, 300.0))  # what one ulp of x is worth in z
    assume(resolved < 1e-3)
    assume(x not in prior.support)  # rounded onto a bound, where the density is another, x says nothing of z
    assert float(prior.probit(x)) == pytest.approx(z, abs=1e-9 + resolved)


@given(priors(), st.floats(1e-9, 1 - 1e-9))
@settings(max_examples=40, deadline=None)
def test_numpy_jax_batches_and_single_points_agree(prior: Prior, u: float) -> None:
    for name, value in (("transform", u), ("from_probit", 3 * u - 1.5)):
        method = getattr(prior, name)
        single = float(method(value))
        width = abs(single) + abs(float(method(0.3)))
        assert np.shape(method(value)) == ()
        assert np.shape(method(np.full((1,), value))) == (1,)
        assert np.shape(method(np.full((2, 3), value))) == (2, 3)
        np.testing.assert_allclose(np.asarray(method(np.full((2, 3), value))), single, rtol=0, atol=0)
        np.testing.assert_allclose(np.asarray(method(jnp.full((1,), value))), single, rtol=1e-11, atol=1e-11 * width)


@pytest.mark.parametrize("prior", EXAMPLES, ids=str)
def test_density_integrates_to_one_and_is_the_slope_of_the_inverse(prior: Prior) -> None:
    low, middle, high = (float(prior.transform(u)) for u in (1e-12, 0.5, 1 - 1e-12))
    parts = [
        scipy.integrate.quad(lambda x: math.exp(prior.log_prob(x)), *ends, limit=400, epsabs=1e-12)[0]
        for ends in ((low, middle), (middle, high))
    ]
    assert sum(parts) == pytest.approx(1.0, abs=1e-8)
    x = jnp.asarray([float(prior.transform(u)) for u in (0.2, 0.5, 0.7)])
    slope = jax.vmap(jax.grad(prior.inverse))(x)
    np.testing.assert_allclose(slope, np.exp(prior.log_prob(np.asarray(x))), rtol=1e-8)


@pytest.mark.parametrize("prior", EXAMPLES, ids=str)
def test_density_vanishes_outside_the_support_without_a_warning(prior: Prior) -> None:
    lower, upper = prior.support
    outside = [lower - 1.0, -math.inf] if math.isfinite(lower) else []
    outside += [upper + 1.0, math.inf] if math.isfinite(upper) else []
    for x in outside:
        assert float(prior.log_prob(x)) == -math.inf
    assert math.isnan(float(prior.log_prob(math.nan)))
    assert math.isnan(float(prior.probit(math.nan)))


@pytest.mark.parametrize("prior", EXAMPLES, ids=str)
def test_gradients_are_finite_everywhere(prior: Prior) -> None:
    transform = jax.jit(jax.vmap(jax.grad(prior.transform)))(jnp.asarray(EDGES))
    assert np.all(np.isfinite(transform))
    assert np.all(transform[2:-2] > 0)
    z = jnp.linspace(-12.0, 12.0, 25)
    assert np.all(np.isfinite(jax.jit(jax.vmap(jax.grad(prior.from_probit)))(z)))
    assert np.all(np.isfinite(jax.jit(jax.vmap(jax.hessian(prior.from_probit)))(z)))
    x = prior.from_probit(jnp.linspace(-3.0, 3.0, 7))
    assert np.all(np.isfinite(jax.jit(jax.vmap(jax.grad(prior.log_prob)))(x)))
    assert np.all(np.isfinite(jax.jit(jax.vmap(jax.grad(prior.probit)))(x)))


@pytest.mark.parametrize("prior", EXAMPLES, ids=str)
def test_gradient_of_from_probit_is_the_density_ratio(prior: Prior) -> None:
    z = jnp.asarray([-6.0, -1.0, 0.0, 0.2, 3.0, 6.0]) * (0.25 if isinstance(prior, ProbitNormal) else 1.0)
    x = prior.from_probit(z)
    slope = jax.jit(jax.vmap(jax.grad(prior.from_probit)))(z)
    expected = jnp.exp(-0.5 * z * z - 0.5 * jnp.log(2 * jnp.pi) - prior.log_prob(x))
    np.testing.assert_allclose(slope, expected, rtol=1e-9)


def test_uniform_against_scipy() -> None:
    u = np.linspace(0, 1, 11)
    np.testing.assert_allclose(Uniform(-3, 7.5).transform(u), scipy.stats.uniform(-3, 10.5).ppf(u), rtol=1e-15, atol=1e-15)
    assert float(Uniform(-3, 7.5).log_prob(0.0)) == pytest.approx(-math.log(10.5), abs=1e-15)


def test_loguniform_against_scipy() -> None:
    u, x = np.linspace(0, 1, 11), np.array([0.01, 0.5, 99.0])
    np.testing.assert_allclose(LogUniform(0.01, 100).transform(u), scipy.stats.loguniform(0.01, 100).ppf(u), rtol=1e-13)
    np.testing.assert_allclose(LogUniform(0.01, 100).log_prob(x), scipy.stats.loguniform(0.01, 100).logpdf(x), rtol=1e-13)


@pytest.mark.parametrize("lower", [49.0, 103.0, 99.72127258534218])
def test_loguniform_compiled_is_the_same_at_limits_whose_quotient_is_rounded(lower: float) -> None:
    prior = LogUniform(lower, 20 * lower)  # a compiler may turn x / lower into x * (1 / lower), and 49 * (1 / 49) is below 1
    x = lower * np.array([1.0, 1.5, 2.0, 5.0, 9.9, 10.0, 15.0, 20.0])
    for method in (prior.probit, prior.inverse):
        np.testing.assert_allclose(np.asarray(compiled(method)(jnp.asarray(x))), method(x), rtol=1e-12, atol=1e-14)


def test_normal_and_lognormal_against_scipy() -> None:
    u, x = np.linspace(0.01, 0.99, 11), np.array([0.1, 2.5, 30.0])
    np.testing.assert_allclose(Normal(2.5, 0.3).transform(u), scipy.stats.norm(2.5, 0.3).ppf(u), rtol=1e-13)
    np.testing.assert_allclose(Normal(2.5, 0.3).log_prob(x), scipy.stats.norm(2.5, 0.3).logpdf(x), rtol=1e-13)
    np.testing.assert_allclose(LogNormal(1, 0.5).transform(u), scipy.stats.lognorm(0.5, scale=math.e).ppf(u), rtol=1e-13)
    np.testing.assert_allclose(LogNormal(1, 0.5).log_prob(x), scipy.stats.lognorm(0.5, scale=math.e).logpdf(x), rtol=1e-12)


def test_tails_of_bounded_priors_are_resolved_where_doubles_are_dense() -> None:
    z = np.array([-37.0, -20.0, -8.3, -3.0])
    np.testing.assert_allclose(Uniform(0, 10).probit(Uniform(0, 10).from_probit(z)), z, rtol=1e-9)
    np.testing.assert_allclose(Uniform(-3, 0).probit(Uniform(-3, 0).from_probit(-z)), -z, rtol=1e-9)
    prior = LogUniform(1e-200, 1e200)  # x is known to 1e-16 of itself, that is to 1e-19 of the width in ln x
    np.testing.assert_allclose(prior.probit(prior.from_probit(z[2:] * 0.7)), z[2:] * 0.7, rtol=1e-6)
    np.testing.assert_allclose(prior.probit(prior.from_probit(-z[2:] * 0.7)), -z[2:] * 0.7, rtol=1e-6)


def test_ends_of_the_support_have_a_finite_probit() -> None:
    for prior in (Uniform(0, 1), LogUniform(1, 2), TruncatedNormal(0, 1, -1, 1)):
        assert float(prior.probit(prior.support[0])) == -37.5
        assert float(prior.probit(prior.support[1])) == 37.5


def test_numbers_of_one_value_make_equal_priors() -> None:
    assert Uniform(0, 10) == Uniform(-0.0, 10.0) == Uniform(np.float64(0), np.int64(10)) == Uniform(lower=0, upper=jnp.asarray(10.0))
    assert hash(Uniform(0, 10)) == hash(Uniform(0.0, 10.0))
    assert Uniform(0.1, 1) != LogUniform(0.1, 1)
    assert Normal(0, 1) != LogNormal(0, 1)
    assert type(Uniform(0, 10).lower) is float


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Uniform(3, 2), "lower 3.0 is not below upper 2.0. Swap them"),
        (lambda: Uniform(1, 1), "give one number to fix it"),
        (lambda: Uniform("0", 1), "lower is '0'; it must be one real number"),
        (lambda: Uniform(True, 2), "lower is True; it must be one real number"),
        (lambda: Uniform(np.zeros(2), 2), "it must be one real number"),
        (lambda: Uniform(0, math.inf), "upper is inf; it must be finite"),
        (lambda: Uniform(-1.5e308, 1.5e308), "the width of .* is inf; it must be from 2.57e-290 to 2.25e.307: narrow the limits"),
        (lambda: Uniform(-2e307, 2e307), r"is 4e\+307; it must be from .* narrow the limits, or choose another unit"),
        (lambda: Uniform(0, 1e-320), "is 1e-320; it must be from .* widen the limits, give one number to fix it, or choose another unit"),
        (lambda: Normal(10**400, 1), "mean is 1000.*; it must be one real number that a double can hold"),
        (lambda: LogUniform(0, 1), "lower is 0.0; it must be above 0 .* Use Uniform to include 0"),
        (lambda: Normal(0, 0), "sigma is 0.0; it must be above 0. To fix a parameter, give its number"),
        (lambda: Normal(math.nan, 1), "mean is nan; it must be finite"),
        (lambda: LogNormal(0, -1), "sigma is -1.0; it must be above 0"),
        (lambda: TruncatedNormal(0, 1e-200, 1, 2), r"more than 1e\+100 sigma outside \[1.0, 2.0\], which leaves one value"),
        (lambda: TruncatedNormal(0, 1, 2, 1), "lower 2.0 is not below upper 1.0"),
        (lambda: TruncatedNormal(0, 1, math.nan, 1), "lower is nan"),
        (lambda: Normal(1j, 1), "mean is 1j; it must be one real number"),
        (lambda: Normal(None, 1), "mean is None; it must be one real number"),
    ],
)
def test_wrong_numbers_say_what_is_allowed(make, text: str) -> None:
    with pytest.raises(PriorError, match=text):
        make()


@pytest.mark.parametrize("prior", [Uniform(-1e307, 1.2e307), Uniform(0, 3e-290)], ids=str)
def test_the_widest_and_the_narrowest_limits_are_right_when_compiled(prior: Prior) -> None:
    u = np.array([0.0, 1e-16, 0.16, 0.5, 0.84, 1.0])
    x = np.asarray(prior.transform(u))
    np.testing.assert_allclose(np.asarray(jax.jit(prior.inverse)(jnp.asarray(x))), prior.inverse(x), rtol=1e-12)


def test_priors_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Uniform(0, 1).lower = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("prior", "samples", "text"),
    [
        (Uniform(0, 1), [0.5, 1.5], "a sample at 1.5 lies outside the support .* Project onto the model that was fitted"),
        (Uniform(0, 1), [0.5, math.nan], "1 samples of positive weight are not finite"),
        (LogNormal(0, 1), [1.0, -2.0], "a sample at -2.0 lies outside the support"),
        (Normal(0, 1), [math.inf, 0.0], "not finite"),
    ],
)
def test_samples_that_give_no_sane_prior_are_refused(prior: Prior, samples: list[float], text: str) -> None:
    with pytest.raises(LinkError, match=text):
        prior.project(samples, np.zeros(2))


def test_weights_that_give_no_sane_prior_are_refused() -> None:
    with pytest.raises(LinkError, match="none of 2 samples has a weight above zero"):
        Uniform(0, 1).project([0.1, 0.2], [-math.inf, -math.inf])
    with pytest.raises(LinkError, match="1 log-weights are NaN or"):
        Uniform(0, 1).project([0.1, 0.2], [0.0, math.nan])
    with pytest.raises(LinkError, match="both must be"):
        Uniform(0, 1).project([0.1, 0.2], [0.0])
    with pytest.raises(LinkError, match="scale is 0; it must be a finite number above 0"):
        Uniform(0, 1).project([0.1, 0.2], [0.0, 0.0], scale=0)
    with pytest.raises(LinkError, match="scale is '2'; it must be a finite number above 0"):
        Uniform(0, 1).project([0.1, 0.2], [0.0, 0.0], scale="2")  # type: ignore[arg-type]


def test_a_spread_that_no_double_holds_is_refused() -> None:
    with pytest.raises(LinkError, match=r"the projected sigma is inf; lower the scale 1\.0, or rescale the parameter"):
        Normal(0, 1e200).project([1e200, -1e200], np.zeros(2))


@pytest.mark.parametrize("prior", [*EXAMPLES[:7], EXAMPLES[8]], ids=str)
def test_projection_recovers_what_the_samples_were_drawn_from(prior: Prior) -> None:
    z = np.random.default_rng(4).normal(0.4, 0.25, 20_000)
    projected = prior.project(np.asarray(prior.from_probit(z)), np.zeros(z.size))
    assert projected.support == prior.support
    u = np.array([0.16, 0.5, 0.84])
    wanted = np.asarray(prior.from_probit(0.4 + 0.25 * scipy.stats.norm.ppf(u)))
    spread = wanted[2] - wanted[0]
    tolerance = (
        0.06 if isinstance(prior, TruncatedNormal) else 0.02
    )  # a truncated normal is another family than a normal in its probit space
    np.testing.assert_allclose(np.asarray(projected.transform(u)), wanted, atol=tolerance * spread)


def test_projection_matches_the_worked_example() -> None:
    x, w = [2, 3, 4, 3.5, 2.5], np.log([0.1, 0.35, 0.25, 0.2, 0.1])
    projected = Uniform(0, 10).project(x, w)
    assert isinstance(projected, ProbitNormal)
    assert projected.mean == pytest.approx(-0.475552, abs=5e-7)
    assert projected.sigma == pytest.approx(0.179348, abs=5e-7)
    np.testing.assert_allclose(projected.transform(np.array([0.16, 0.5, 0.84])), [2.56586, 3.17197, 3.83157], atol=5e-6)


def test_linked_numbers_have_twelve_digits() -> None:
    one = Normal(0, 1).project([0.1, 0.2, 0.4], np.zeros(3))
    other = Normal(0, 1).project(np.nextafter([0.1, 0.2, 0.4], 1), np.zeros(3))
    assert one == other
    assert one.mean == float(f"{0.7 / 3:.11e}")


def test_a_narrow_posterior_far_from_zero_is_not_moved_by_rounding() -> None:
    x = 1e8 + np.array([-1e-6, 1e-6])
    projected = Normal(1e8, 1.0).project(x, np.zeros(2))
    assert abs(projected.mean - x.mean()) < 1e-6 * max(projected.sigma, 1e-6) + 2 * np.spacing(1e8)


@pytest.mark.parametrize("prior", [*EXAMPLES[:3], *EXAMPLES[4:7], EXAMPLES[9]], ids=str)
@pytest.mark.parametrize("place", [0.0, 0.3, 1.0])
def test_a_degenerate_posterior_gets_a_floor(prior: Prior, place: float) -> None:
    x = float(prior.transform(place)) if all(math.isfinite(s) for s in prior.support) else float(prior.transform(0.3))
    for samples in ([x], [x, x, x]):
        projected = prior.project(samples, np.zeros(len(samples)))
        assert projected.sigma > 0
        values = np.asarray(projected.transform(np.array([0.0, 0.3, 0.5, 1.0])))
        assert np.all(np.isfinite(values))
        assert np.all((values >= prior.support[0]) & (values <= prior.support[1]))
        assert np.isfinite(float(projected.log_prob(values[2])))


def test_a_sample_on_a_bound_is_moved_inside() -> None:
    projected = Uniform(0, 1).project([0.0, 0.5, 0.6], np.zeros(3))
    assert math.isfinite(projected.mean)
    assert projected.mean == pytest.approx((-8.21 + 0.0 + scipy.stats.norm.ppf(0.6)) / 3, abs=1e-9)
    assert LogNormal(0, 1).project([0.0, 1.0], np.zeros(2)).mean == pytest.approx(-8.21 / 2, abs=1e-9)


def test_samples_of_zero_weight_drop_out_even_when_not_finite() -> None:
    log_weight = [0.0, -math.inf, 0.0]
    assert Normal(0, 9).project([1.0, math.nan, 3.0], log_weight) == Normal(2.0, 1.0)
    assert Uniform(0, 4).project([1, 99.0, 3], log_weight) == Uniform(0, 4).project([1, 3], [0.0, 0.0])


def test_scale_widens() -> None:
    narrow, wide = (Uniform(0, 1).project([0.4, 0.5, 0.6], np.zeros(3), scale=s) for s in (1.0, 3.0))
    assert wide.sigma == pytest.approx(3 * narrow.sigma, rel=1e-11)
    assert wide.mean == narrow.mean
