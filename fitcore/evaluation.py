"""Batched evaluation: the only place that compiles.

`compiled` is the one door to `jax.jit`. `BatchedLikelihood` turns an analysis and a model into a function of the unit cube with one fixed
batch shape, so that a search compiles once; it counts calls and NaNs. No sampling and no file access here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fitcore.errors import FitcoreError, LikelihoodError, NonFiniteLikelihoodError, PrecisionError

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis
    from fitcore.model import Model

Array = NDArray[np.float64]
F = TypeVar("F", bound=Callable[..., Any])

NAN_FRACTION_ALLOWED = 1e-3
CALLS_BEFORE_NAN_COUNTS = 1000
CALLS_BEFORE_GIVING_UP = 10_000
MAP_CHUNK = 8
"""Points of one call of a function that goes from point to point: one size, so that any number of threads runs the same compiled code."""

del _backend


def compiled(function: F, *, static_argnames: tuple[str, ...] = ()) -> F:
    """``function`` compiled by JAX at its first call; the result is called just the same."""
    return jax.jit(function, static_argnames=static_argnames)  # type: ignore[return-value]  # called as `function` is


def named(paths: tuple[str, ...], theta: Array) -> str:
    """``path = value`` of every parameter, for messages."""
    return ", ".join(f"{path} = {value!r}" for path, value in zip(paths, np.asarray(theta, dtype=float).tolist(), strict=True))


class Clock:
    """Seconds that a likelihood took: the first evaluation of each kind, in which JAX compiles, and all others.

    Attributes
    ----------
    first, rest : seconds; the first are told as those of compiling, though they hold one evaluation too.
    """

    def __init__(self) -> None:
        self.first = 0.0
        self.rest = 0.0
        self._seen: set[str] = set()

    @contextmanager
    def running(self, kind: str) -> Iterator[None]:
        """Around one evaluation."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            if kind in self._seen:
                self.rest += seconds
            else:
                self._seen.add(kind)
                self.first += seconds

    def to_dict(self) -> dict[str, float]:
        """For the record of a result; empty where nothing was evaluated, as by a search that has a likelihood of its own."""
        return {"seconds_compiling": self.first, "seconds_likelihood": self.rest} if self._seen else {}


class BatchedLikelihood:
    """Log-likelihoods of points of the unit cube, in batches of one fixed size.

    Parameters
    ----------
    analysis, model : what is evaluated; the analysis gets instances of ``model``.
    n_batch : points evaluated at a time: by one call of the compiled function, or by calls for `MAP_CHUNK` where ``analysis.batching`` is
        ``"map"``. The last call is padded with copies of its first point.
    n_threads : how many threads share a batch where it takes several calls.

    Attributes
    ----------
    n_calls : likelihoods asked for so far, padding not counted.
    n_nan : how many of them were NaN.
    clock : how long the evaluations took.
    """

    def __init__(self, analysis: Analysis, model: Model, *, n_batch: int = 32, n_threads: int = 1) -> None:
        self.analysis = analysis
        self.model = model
        self.n_calls = 0
        self.n_nan = 0
        self.has_finite = False
        self._is_compiled = False
        self.nan_points: list[Array] = []
        self.n_batch = n_batch
        self.chunk = chunk_of(n_batch, analysis.batching)
        self.n_threads = max(1, min(n_threads, -(-n_batch // self.chunk))) if analysis.use_jax else 1
        analysis.vector_likelihood(model)  # a model that does not fit the analysis is refused here, not while tracing
        self._arrays = analysis.traced_arrays()
        self._pool = ThreadPoolExecutor(self.n_threads) if self.n_threads > 1 else None
        self._function = self._jax_function() if analysis.use_jax else self._numpy_function
        self._gradient: Callable[..., Any] | None = None
        self.clock = Clock()

    def _scalar(self, theta: Any, arrays: Any = None) -> Any:
        value = self.analysis.with_traced_arrays(arrays).vector_likelihood(self.model)(theta)
        return one_number(value, type(self.analysis).__name__)

    def _batched(self) -> Any:
        """The compiled function of parameter vectors, shape (chunk, n_dim), and `traced_arrays` that the search runs."""
        batch = map_batch if self.analysis.batching == "map" else vmap_batch
        return compiled(lambda thetas, arrays: batch(lambda theta: self._scalar(theta, arrays), thetas))

    def _jax_function(self) -> Callable[[Array], Array]:
        function = self._batched()

        def call(thetas: Array) -> Array:
            try:
                return np.asarray(function(thetas, self._arrays))  # here, for a device reports what failed when it is asked
            except FitcoreError:
                raise
            except Exception as error:  # whatever a user's function raises
                raise LikelihoodError(
                    f"log_likelihood_function of {type(self.analysis).__name__} raised {type(error).__name__}: {error}\n"
                    f"while JAX traced it or ran a batch of {len(thetas)} points, the first at {named(self.model.paths, thetas[0])}\n"
                    "Finished work is kept: mend the function and run the same command again."
                ) from error

        return call

    def compiled_for(self, n: int) -> Any:
        """The executables for a batch of ``n`` points, without running them: of the values, and of the values with their gradients."""
        rows = jax.ShapeDtypeStruct((n, self.model.n_dim), np.float64)
        batch = map_batch if self.analysis.batching == "map" else vmap_batch
        slope = jax.value_and_grad(self.at_probit)
        gradient = compiled(lambda points, arrays: batch(lambda point: slope(point, arrays), points))
        return tuple(function.lower(rows, self._arrays).compile() for function in (self._batched(), gradient))  # type: ignore[attr-defined]  # of jit

    def _numpy_function(self, thetas: Array) -> Array:
        values = np.empty(len(thetas))
        name = type(self.analysis).__name__
        function = self.analysis.with_traced_arrays(self._arrays).vector_likelihood(self.model)
        for i, theta in enumerate(thetas):
            try:
                value = one_number(function(theta), name)
            except LikelihoodError as error:
                raise type(error)(f"{error}\nat {named(self.model.paths, theta)}") from None
            except FitcoreError:
                raise
            except Exception as error:  # whatever a user's function raises
                raise LikelihoodError(
                    f"log_likelihood_function of {type(self.analysis).__name__} raised {type(error).__name__}: {error}\n"
                    f"at {named(self.model.paths, theta)}\nFinished work is kept: mend the function and run the same command again."
                ) from error
            values[i] = value
        return values

    def _evaluate(self, thetas: Array) -> Array:
        """Log-likelihoods of at most ``n_batch`` parameter vectors."""
        if not self.analysis.use_jax:
            return self._function(thetas)
        values = np.concatenate(in_chunks(self._function, thetas, self.chunk, self._pool if self._is_compiled else None))
        self._is_compiled = True  # once, not by every thread
        if values.dtype != np.float64:
            raise _single_precision(f"log_likelihood_function of {type(self.analysis).__name__} returned", values.dtype)
        return values[: len(thetas)]

    def __call__(self, u: Array) -> Array:
        """Log-likelihoods at ``u``, shape (n, n_dim) in the unit cube; shape (n,), -inf where a constraint or a NaN excludes the point.

        Raises
        ------
        NonFiniteLikelihoodError
            for +inf, for a first batch that is all NaN, when more than 0.1 % of at least 1,000 calls were NaN, or when 10,000 calls gave
            no finite value.
        PrecisionError
            when the function is not in double precision.
        LikelihoodError
            when the function raises or returns something that is not one number.
        """
        u = np.asarray(u, dtype=np.float64)
        thetas = np.asarray(self.model.prior_transform(u))
        values = np.full(len(u), -np.inf)
        allowed = np.broadcast_to(np.asarray(self.model.is_allowed(thetas)), (len(u),))
        wanted = np.flatnonzero(allowed)
        for start in range(0, len(wanted), self.n_batch):
            rows = wanted[start : start + self.n_batch]
            with self.clock.running("values"):
                values[rows] = self._evaluate(thetas[rows])
        self.n_calls += len(u)
        return self._checked(values, thetas, u)

    def _checked(self, values: Array, thetas: Array, u: Array) -> Array:
        name, paths = type(self.analysis).__name__, self.model.paths
        high = np.flatnonzero(values == np.inf)
        if high.size:
            raise NonFiniteLikelihoodError(
                f"log_likelihood_function of {name} returned +inf at {named(paths, thetas[high[0]])}. A log-likelihood is finite or -inf; "
                "look for a division by zero or a noise of zero."
            )
        bad = np.flatnonzero(np.isnan(values))
        self.has_finite = self.has_finite or bool(np.isfinite(values).any())
        if not self.has_finite and self.n_calls >= CALLS_BEFORE_GIVING_UP:
            raise NonFiniteLikelihoodError(
                f"log_likelihood_function of {name} gave no finite value in {self.n_calls} calls, for example at "
                f"{named(paths, thetas[0])}. -inf means impossible, and everything seems to be: narrow the priors to where the model is "
                "possible" + (", or loosen the model's constraints." if self.model.constraints else ".")
            )
        if not bad.size:
            return values
        first_batch = self.n_nan == 0 and self.n_calls == len(values)
        self.n_nan += bad.size
        self.nan_points.extend(u[bad])
        if (first_batch and bad.size == len(values)) or (
            self.n_calls >= CALLS_BEFORE_NAN_COUNTS and self.n_nan > NAN_FRACTION_ALLOWED * self.n_calls
        ):
            raise NonFiniteLikelihoodError(self._nan_message(thetas[bad[0]]))
        values[bad] = -np.inf
        return values

    def _nan_message(self, theta: Array) -> str:
        return (
            f"log_likelihood_function of {type(self.analysis).__name__} returned NaN in {self.n_nan} of {self.n_calls} calls; at most "
            f"0.1 % is tolerated, and none near the peak. For example at {named(self.model.paths, theta)}. "
            "Return -inf where the model is impossible, or narrow the priors."
        )

    def check_nan(self, u: Array, log_weight: Array) -> None:
        """Refuse a finished search whose NaN points are too many, or lie where the posterior is.

        A NaN point is near the peak when, in probit space, it lies within the 99 % ellipsoid of the weighted posterior.
        """
        if not self.nan_points:
            return
        z = np.asarray(self.model.probit(np.asarray(self.model.prior_transform(u))))
        weight = np.exp(log_weight - np.max(log_weight))
        weight /= weight.sum()
        mean = weight @ z
        deviation = z - mean
        covariance = (deviation * weight[:, None]).T @ deviation + 1e-12 * np.eye(z.shape[1])
        points = np.asarray(self.nan_points)
        theta = np.asarray(self.model.prior_transform(points))
        offset = np.asarray(self.model.probit(theta)) - mean
        distance = np.einsum("ij,ij->i", offset, np.linalg.solve(covariance, offset.T).T)
        dimension = z.shape[1]
        limit = dimension * (1 - 2 / (9 * dimension) + 2.326 * np.sqrt(2 / (9 * dimension))) ** 3  # Wilson-Hilferty, 99 % of chi^2
        near = np.flatnonzero(distance < limit)
        if near.size:
            raise NonFiniteLikelihoodError(self._nan_message(theta[near[0]]))
        if self.n_nan > NAN_FRACTION_ALLOWED * self.n_calls:
            raise NonFiniteLikelihoodError(self._nan_message(theta[0]))

    def at_probit(self, z: Any, arrays: Any = None) -> Any:
        """The log-likelihood at one point of probit space, shape (n_dim,), traceable by JAX; -inf where a constraint excludes it."""
        theta = self.model.from_probit(z)
        value = self._scalar(theta, self._arrays if arrays is None else arrays)
        return jnp.where(self.model.is_allowed(theta), value, -jnp.inf) if self.model.constraints else value

    def value_and_gradient(self, z: Array) -> tuple[Array, Array]:
        """Log-likelihoods and their gradients with respect to ``z`` of shape (n, n_dim) in probit space, point by point."""
        if self._gradient is None:
            self._gradient = compiled(jax.value_and_grad(self.at_probit))
        pairs = []
        for point in np.asarray(z, dtype=np.float64):
            with self.clock.running("gradients"):
                value, gradient = self._gradient(point, self._arrays)
                pairs.append((float(value), np.asarray(gradient)))
        self.n_calls += len(pairs)
        return np.array([value for value, _ in pairs]), np.array([gradient for _, gradient in pairs])

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def one_number(value: Any, name: str) -> Any:
    """``value`` as it is, when it is one real number in double precision; whole numbers become floats.

    Raises
    ------
    PrecisionError
        when it is less precise.
    LikelihoodError
        when it is anything else.
    """
    told = f"log_likelihood_function of {name} returned"
    if not hasattr(value, "dtype"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            what = "None" if value is None else f"{str(value)[:40]!r} of type {type(value).__name__}"
            hint = "is a return missing?" if value is None else "return the natural logarithm of the likelihood."
            raise LikelihoodError(f"{told} {what}; it must return one real number: {hint}")
        return float(value)
    if value.shape != ():
        raise LikelihoodError(f"{told} an array of shape {value.shape}; it must return one number: sum over the data.")
    if jnp.issubdtype(value.dtype, jnp.integer):
        return value * 1.0
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise LikelihoodError(
            f"{told} a number of type {value.dtype}; it must return one real number: the natural logarithm of the likelihood."
        )
    if value.dtype.itemsize < 8:
        raise _single_precision(told, value.dtype)
    return value


def _single_precision(told: str, dtype: Any) -> PrecisionError:
    return PrecisionError(
        f"{told} {dtype}; float64 is required. Import fitcore before anything that makes a JAX array, keep the data in float64, and do not "
        "convert to float32 in the function."
    )


def map_batch(function: Callable[[Any], Any], rows: Any) -> Any:
    """``function`` of every row, one after the other."""
    return jax.lax.map(function, rows)


def vmap_batch(function: Callable[[Any], Any], rows: Any) -> Any:
    """``function`` of every row, all at once."""
    return jax.vmap(function)(rows)


def chunk_of(n_batch: int, batching: str) -> int:
    """Points of one call of a compiled function."""
    return min(n_batch, MAP_CHUNK) if batching == "map" else n_batch


def in_chunks(function: Callable[[Array], Any], rows: Array, chunk: int, pool: ThreadPoolExecutor | None) -> list[Any]:
    """``function`` of ``chunk`` rows at a time, by the threads of ``pool``; the last rows are padded with copies of the first of them."""
    blocks = [rows[start : start + chunk] for start in range(0, len(rows), chunk)]
    short = -len(rows) % chunk
    if short:
        blocks[-1] = np.concatenate([blocks[-1], np.repeat(blocks[-1][:1], short, axis=0)])
    return [function(block) for block in blocks] if pool is None else list(pool.map(function, blocks))
