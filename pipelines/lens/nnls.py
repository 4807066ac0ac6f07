"""Non-negative least squares on a Gram matrix, exactly, inside compiled code.

The active-set method of Lawson & Hanson 1974 in the Gram form of Bro & de Jong 1997 (J. Chemometrics 11, 393): shapes are fixed, one masked
Cholesky factor a step. A ridge of 1e-10 on the scaled matrix keeps factors finite where columns are copies of each other.
"""

from __future__ import annotations

from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve

del _backend

RIDGE = 1e-10
TOLERANCE = 1e-9
STEPS_PER_COLUMN = 4
NEGLIGIBLE = 1e-6
"""Columns whose norm is this fraction of the largest are left out: they are zero inside the mask, up to rounding."""


def scaled(gram: Any, projection: Any) -> tuple[Any, Any, Any]:
    """Gram matrix with unit diagonal, the projection to match, and the scale of each column (infinite for one left out)."""
    norm = jnp.sqrt(jnp.maximum(jnp.diag(gram), 0.0))
    used = norm > NEGLIGIBLE * jnp.max(norm)
    scale = jnp.where(used, norm, jnp.inf)
    unit = jnp.where(used[:, None] & used[None, :], gram / norm[:, None] / norm[None, :], jnp.eye(len(norm)))
    return unit, jnp.where(used, projection / norm, -1.0), scale


def factor(unit: Any, active: Any) -> Any:
    """Lower Cholesky factor of the active block of a unit-diagonal Gram matrix; identity elsewhere."""
    block = jnp.where(active[:, None] & active[None, :], unit, 0.0)
    return jnp.linalg.cholesky(block + jnp.diag(jnp.where(active, RIDGE, 1.0)))


def _solution(unit: Any, projection: Any, active: Any) -> Any:
    right = jnp.where(active, projection, 0.0)
    return jnp.where(active, cho_solve((factor(unit, active), True), right), 0.0)


def nnls(gram: Any, projection: Any) -> tuple[Any, Any]:
    """The non-negative amplitudes a that minimize a' G a / 2 - d' a, and which of them are positive.

    Parameters
    ----------
    gram : G = A A', shape (n, n), for columns A.
    projection : d = A b, shape (n,), for data b.

    Returns
    -------
    amplitudes, active : shape (n,), float64 and bool.
    """
    n = projection.shape[0]
    if n == 0:
        return jnp.zeros(0), jnp.zeros(0, dtype=bool)
    unit, target, scale = scaled(gram, projection)
    threshold = TOLERANCE * jnp.max(jnp.abs(target))

    def unfinished(state: tuple[Any, ...]) -> Any:
        return ~state[3] & (state[4] < STEPS_PER_COLUMN * n)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        amplitude, active, is_feasible, _, count = state
        gradient = jnp.where(active, -jnp.inf, target - unit @ amplitude)
        entering = jnp.argmax(gradient)
        is_optimal = is_feasible & (gradient[entering] <= threshold)
        trial = active.at[entering].set(active[entering] | (is_feasible & ~is_optimal))
        solution = _solution(unit, target, trial)
        negative = trial & (solution <= 0.0)
        blocked = jnp.any(negative)
        reach = jnp.where(negative, amplitude / jnp.where(negative, amplitude - solution, 1.0), jnp.inf)
        fraction = jnp.where(blocked, jnp.min(reach), 1.0)
        moved = amplitude + fraction * (solution - amplitude)
        kept = jnp.where(blocked, trial & ~(negative & (reach <= fraction)), trial)
        moved = jnp.where(kept, jnp.maximum(moved, 0.0), 0.0)
        return (
            jnp.where(is_optimal, amplitude, moved),
            jnp.where(is_optimal, active, kept),
            ~blocked,
            is_optimal,
            count + 1,
        )

    start = (jnp.zeros(n), jnp.zeros(n, dtype=bool), jnp.array(True), jnp.array(False), 0)
    amplitude, active, *_ = jax.lax.while_loop(unfinished, step, start)
    return amplitude / scale, active
