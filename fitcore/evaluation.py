"""Batched evaluation: the only place that compiles.

`compiled` is the one door to `jax.jit`. `BatchedLikelihood` turns an analysis and a model into a function of the unit cube with one fixed
batch shape, so that a search compiles once; it counts calls and NaNs. No sampling and no file access here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fitcore.errors import LikelihoodError, NonFiniteLikelihoodError, PrecisionError

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis
    from fitcore.model import Model

Array = NDArray[np.float64]
F = TypeVar("F", bound=Callable[..., Any])

NAN_FRACTION_ALLOWED = 1e-3
CALLS_BEFORE_NAN_COUNTS = 1000

del _backend


def compiled(function: F, *, static_argnames: tuple[str, ...] = ()) -> F:
    """``function`` compiled by JAX at its first call; the result is called just the same."""
    return jax.jit(function, static_argnames=static_argnames)  # type: ignore[return-value]


def named(paths: tuple[str, ...], theta: Array) -> str:
    """``path = value`` of every parameter, for messages."""
    return ", ".join(f"{path} = {value!r}" for path, value in zip(paths, np.asarray(theta, dtype=float).tolist(), strict=True))


class BatchedLikelihood:
    """Log-likelihoods of points of the unit cube, in batches of one fixed size.

    Parameters
    ----------
    analysis, model : what is evaluated; the analysis gets instances of ``model``.
    n_batch : points in one call of the compiled function; a last batch is padded with copies of its first point.
    n_threads : how many threads share a batch where ``analysis.batching`` is ``"map"``.

    Attributes
    ----------
    n_calls : likelihoods asked for so far, padding not counted.
    n_nan : how many of them were NaN.
    """

    def __init__(self, analysis: Analysis, model: Model, *, n_batch: int = 32, n_threads: int = 1) -> None:
        self.analysis = analysis
        self.model = model
        self.n_calls = 0
        self.n_nan = 0
        self.nan_points: list[Array] = []
        self.n_threads = max(1, min(n_threads, n_batch)) if analysis.use_jax and analysis.batching == "map" else 1
        self.chunk = -(-n_batch // self.n_threads)
        self.n_batch = self.chunk * self.n_threads
        analysis.vector_likelihood(model)  # a model that does not fit the analysis is refused here, not while tracing
        self._arrays = analysis.traced_arrays()
        self._pool = ThreadPoolExecutor(self.n_threads) if self.n_threads > 1 else None
        self._function = self._jax_function() if analysis.use_jax else self._numpy_function
        self._gradient: Callable[..., Any] | None = None

    def _scalar(self, theta: Any, arrays: Any = None) -> Any:
        value = self.analysis.with_traced_arrays(arrays).vector_likelihood(self.model)(theta)
        if jnp.shape(value) != ():
            raise LikelihoodError(
                f"log_likelihood_function of {type(self.analysis).__name__} returned an array of shape {jnp.shape(value)}; it must return "
                "one number: sum over the data."
            )
        return value

    def _jax_function(self) -> Callable[[Array], Array]:
        batch = map_batch if self.analysis.batching == "map" else vmap_batch
        function = compiled(lambda thetas, arrays: batch(lambda theta: self._scalar(theta, arrays), thetas))
        return lambda thetas: function(thetas, self._arrays)

    def _numpy_function(self, thetas: Array) -> Array:
        values = np.empty(len(thetas))
        for i, theta in enumerate(thetas):
            try:
                value = self._scalar(theta, self._arrays)
            except LikelihoodError:
                raise
            except Exception as error:
                raise LikelihoodError(
                    f"log_likelihood_function of {type(self.analysis).__name__} raised {type(error).__name__}: {error}\n"
                    f"at {named(self.model.paths, theta)}\nFinished work is kept: mend the function and run the same command again."
                ) from error
            values[i] = value
        return values

    def _evaluate(self, thetas: Array) -> Array:
        """Log-likelihoods of at most ``n_batch`` parameter vectors."""
        n = len(thetas)
        if not self.analysis.use_jax:
            return self._function(thetas)
        padded = np.concatenate([thetas, np.repeat(thetas[:1], self.n_batch - n, axis=0)]) if n < self.n_batch else thetas
        if self._pool is None:
            values = np.asarray(self._function(padded))
        else:
            parts = self._pool.map(lambda part: np.asarray(self._function(part)), np.split(padded, self.n_threads))
            values = np.concatenate(list(parts))
        if values.dtype != np.float64:
            raise PrecisionError(
                f"log_likelihood_function of {type(self.analysis).__name__} returned {values.dtype}; float64 is required. "
                "Import fitcore before anything that makes a JAX array, and do not convert to float32 in the function."
            )
        return values[:n]

    def __call__(self, u: Array) -> Array:
        """Log-likelihoods at ``u``, shape (n, n_dim) in the unit cube; shape (n,), -inf where a constraint or a NaN excludes the point.

        Raises
        ------
        NonFiniteLikelihoodError
            for +inf, for a first batch that is all NaN, or when more than 0.1 % of at least 1,000 calls were NaN.
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

    def value_and_gradient(self, z: Array) -> tuple[Array, Array]:
        """Log-likelihoods and their gradients with respect to ``z`` of shape (n, n_dim) in probit space, point by point."""
        if self._gradient is None:
            self._gradient = compiled(jax.value_and_grad(lambda point, arrays: self._scalar(self.model.from_probit(point), arrays)))
        pairs = [self._gradient(point, self._arrays) for point in np.asarray(z, dtype=np.float64)]
        self.n_calls += len(pairs)
        return np.array([float(p[0]) for p in pairs]), np.array([np.asarray(p[1]) for p in pairs])

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def memory_report(analysis: Analysis, model: Model, batch_size: int) -> str:
    """Compiled memory of the batched likelihood and of its gradient, and the largest batch that fits the device, as text."""
    name = type(analysis).__name__
    if not analysis.use_jax:
        return f"{name} has use_jax=False: nothing is compiled, so no device memory is used."
    function = analysis.vector_likelihood(model)
    rows = np.asarray(model.prior_transform(np.full((batch_size, model.n_dim), 0.5)))
    limit = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    lines = [f"{name}: batch of {batch_size}, {model.n_dim} parameters, on {jax.devices()[0].device_kind}"]
    for label, call in (("likelihood", function), ("gradient", jax.grad(function))):
        memory = jax.jit(jax.vmap(call)).lower(rows).compile().memory_analysis()
        if memory is None:
            lines.append(f"{label:<10} this device does not tell")
            continue
        needed = int(memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes)
        fits = f"; the largest batch that fits: {batch_size * limit // max(needed, 1)}" if limit else ""
        lines.append(f"{label:<10} {needed / 2**20:.1f} MiB{fits}")
    return "\n".join(lines)


def map_batch(function: Callable[[Any], Any], rows: Any) -> Any:
    """``function`` of every row, one after the other."""
    return jax.lax.map(function, rows)


def vmap_batch(function: Callable[[Any], Any], rows: Any) -> Any:
    """``function`` of every row, all at once."""
    return jax.vmap(function)(rows)


def batched_rows(function: Callable[[Any, Any], Any], rows: Array, arrays: Any, *, batch_size: int, batching: str) -> list[Array]:
    """Apply a traceable ``function(row, arrays)`` that returns a tuple to every row, in compiled batches of one size.

    Returns a list with one array of shape (n, ...) for each member of the tuple.
    """
    batch = map_batch if batching == "map" else vmap_batch
    batched = compiled(lambda block, given: batch(lambda row: function(row, given), block))
    pieces: list[tuple[Array, ...]] = []
    for start in range(0, len(rows), batch_size):
        block = rows[start : start + batch_size]
        n = len(block)
        padded = np.concatenate([block, np.repeat(block[:1], batch_size - n, axis=0)]) if n < batch_size else block
        pieces.append(tuple(np.asarray(part)[:n] for part in batched(padded, arrays)))
    return [np.concatenate(column) for column in zip(*pieces, strict=True)]
