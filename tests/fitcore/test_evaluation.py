"""Batches of one size: padding, threads, constraints, gradients, and that everything is compiled once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.analysis.analysis import Analysis
from fitcore.errors import NonFiniteLikelihoodError
from fitcore.evaluation import MAP_CHUNK, BatchedLikelihood, named
from fitcore.model import Less, LogUniform, Model, Normal, Uniform

MODEL = Model({"a": Uniform(-1, 1), "b": Normal(0.5, 2), "c": LogUniform(0.1, 10)})
U = np.random.default_rng(4).random((11, 3))


class Curved(Analysis):
    """A smooth function of three numbers that counts how often it is traced, or called."""

    def __init__(self, use_jax: bool = True, shift: float = 0.3) -> None:
        super().__init__(use_jax=use_jax)
        self.shift = jnp.full(4, shift) if use_jax else np.full(4, shift)
        self.n_python = [0]

    def log_likelihood_function(self, instance: Any) -> Any:
        self.n_python[0] += 1
        xp = jnp if self.use_jax else np
        bend = xp.sin(3 * instance["a"]) * instance["b"] - xp.log(instance["c"]) ** 2
        return bend - xp.sum((instance["a"] - self.shift) ** 2)


class Mapped(Curved):
    batching = "map"


class Passing(Mapped):
    """Hands its array to the compiled function as an argument."""

    def traced_arrays(self) -> Any:
        return self.shift

    def with_traced_arrays(self, arrays: Any) -> Analysis:
        other = Passing()
        other.shift, other.n_python = arrays, self.n_python
        return other


def expected(u: np.ndarray = U, shift: float = 0.3) -> np.ndarray:
    a, b, c = np.asarray(MODEL.prior_transform(u)).T
    return np.sin(3 * a) * b - np.log(c) ** 2 - 4 * (a - shift) ** 2


@pytest.fixture
def batched() -> Iterator[Any]:
    made: list[BatchedLikelihood] = []

    def make(analysis: Analysis, model: Model = MODEL, **options: Any) -> BatchedLikelihood:
        made.append(BatchedLikelihood(analysis, model, **options))
        return made[-1]

    yield make
    for likelihood in made:
        likelihood.close()


@pytest.mark.parametrize("kind", [Curved, Mapped, Passing])
@pytest.mark.parametrize(("n", "n_batch"), [(1, 1), (1, 4), (4, 4), (11, 4), (11, 32)])
def test_values_at_any_number_of_points(kind: Any, n: int, n_batch: int, batched: Any) -> None:
    likelihood = batched(kind(), n_batch=n_batch)
    assert likelihood(U[:n]) == pytest.approx(expected()[:n], rel=1e-12)
    assert likelihood.n_calls == n
    assert likelihood(U[:0]).shape == (0,)


@pytest.mark.parametrize("kind", [Curved, Mapped, Passing])
def test_one_compilation_serves_full_and_padded_batches(kind: Any, batched: Any) -> None:
    analysis = kind()
    likelihood = batched(analysis, n_batch=4)
    likelihood(U)
    traces = analysis.n_python[0]
    for n in (1, 3, 4, 9):
        likelihood(U[:n])
    assert analysis.n_python[0] == traces
    assert traces <= 2  # lax.map may trace its body twice


def test_a_likelihood_without_jax_is_called_once_for_a_point_and_never_for_padding(batched: Any) -> None:
    analysis = Curved(use_jax=False)
    assert batched(analysis, n_batch=4)(U) == pytest.approx(expected(), rel=1e-13)
    assert analysis.n_python[0] == len(U)


def test_map_and_vmap_and_two_threads_agree(batched: Any) -> None:
    whole = batched(Curved(), n_batch=6)(U)
    single, double = batched(Mapped(), n_batch=6), batched(Mapped(), n_batch=6, n_threads=2)
    many = np.tile(U, (5, 1))[:20]
    one, three = batched(Mapped(), n_batch=20), batched(Mapped(), n_batch=20, n_threads=5)
    assert (single.n_threads, double.n_threads, single.chunk) == (1, 1, 6)
    assert (one.n_threads, three.n_threads, three.chunk, three.n_batch) == (1, 3, MAP_CHUNK, 20)
    for _ in range(2):  # compiled, then shared by the threads
        np.testing.assert_array_equal(one(many), three(many))
    np.testing.assert_allclose(whole, single(U), rtol=1e-13)


def test_threads_are_for_map_only_and_no_more_than_points(batched: Any) -> None:
    assert batched(Curved(), n_batch=6, n_threads=2).n_threads == 1
    assert batched(Curved(use_jax=False), n_batch=6, n_threads=2).n_threads == 1
    assert batched(Mapped(), n_batch=1, n_threads=4).n_threads == 1


def test_arrays_are_arguments_of_the_compiled_function_and_not_constants(batched: Any) -> None:
    likelihood = batched(Passing(), n_batch=4)
    likelihood(U)
    likelihood._arrays = jnp.full(4, -0.7)
    assert likelihood(U) == pytest.approx(expected(shift=-0.7), rel=1e-12)


@pytest.mark.parametrize("use_jax", [False, True])
def test_points_outside_a_constraint_are_minus_infinity_and_not_evaluated(use_jax: bool, batched: Any) -> None:
    constrained = Model({"a": Uniform(-1, 1), "b": Normal(0.5, 2), "c": LogUniform(0.1, 10)}, (Less("a", "b"),))
    analysis = Curved(use_jax=use_jax)
    values = batched(analysis, constrained, n_batch=4)(U)
    theta = np.asarray(constrained.prior_transform(U))
    allowed = theta[:, 0] < theta[:, 1]
    assert 0 < allowed.sum() < len(U)
    assert (values[~allowed] == -np.inf).all()
    assert values[allowed] == pytest.approx(expected()[allowed], rel=1e-12)
    assert use_jax or analysis.n_python[0] == allowed.sum()


def test_gradient_is_that_of_central_differences(batched: Any) -> None:
    likelihood = batched(Passing(), n_batch=4)
    z = np.random.default_rng(1).standard_normal((3, 3))

    def at(points: np.ndarray) -> np.ndarray:
        a, b, c = np.asarray(MODEL.from_probit(points)).T
        return np.sin(3 * a) * b - np.log(c) ** 2 - 4 * (a - 0.3) ** 2

    value, gradient = likelihood.value_and_gradient(z)
    step = 1e-5 * np.eye(3)
    assert value == pytest.approx(at(z), rel=1e-12)
    assert gradient == pytest.approx(np.stack([(at(z + s) - at(z - s)) / 2e-5 for s in step], axis=1), rel=1e-7, abs=1e-8)
    assert likelihood.n_calls == 3


def test_few_nan_are_excluded_points_and_the_share_is_judged_after_a_thousand_calls(batched: Any) -> None:
    class Patchy(Curved):
        def log_likelihood_function(self, instance: Any) -> Any:
            return np.where(instance["a"] > 0.9, np.nan, -(instance["a"] ** 2))

    model = Model({"a": Uniform(-1, 1)})
    likelihood = batched(Patchy(use_jax=False), model, n_batch=100)
    inside, hole = np.linspace(0.1, 0.9, 999)[:, None], np.array([[0.99]])
    values = likelihood(np.concatenate([inside, hole]))
    assert values[-1] == -np.inf
    assert np.isfinite(values[:-1]).all()
    assert likelihood.n_nan == 1
    likelihood.check_nan(np.concatenate([inside[:99] / 10, hole]), np.log(np.r_[np.full(99, 1.0), 1e-300]))
    with pytest.raises(NonFiniteLikelihoodError, match=r"returned NaN in 2 of 1001 calls; at most 0\.1 % .* For example at a = 0\.98"):
        likelihood(hole)


def test_names_and_values_of_a_point() -> None:
    assert named(("a", "mass.b"), np.array([0.1, 2.0])) == "a = 0.1, mass.b = 2.0"


def test_the_time_of_the_first_call_is_told_apart() -> None:
    likelihood = BatchedLikelihood(Slow(), Model({"x": Uniform(0.0, 1.0)}), n_batch=4)
    assert likelihood.clock.to_dict() == {}
    likelihood(np.full((4, 1), 0.5))
    assert likelihood.clock.first > 0.03
    assert likelihood.clock.rest == 0.0
    likelihood(np.full((8, 1), 0.5))
    assert likelihood.clock.rest > 0.06
    assert set(likelihood.clock.to_dict()) == {"seconds_compiling", "seconds_likelihood"}


class Slow(Analysis):
    """Takes its time."""

    def log_likelihood_function(self, instance: Any) -> float:
        time.sleep(0.01)
        return -float(instance["x"])
