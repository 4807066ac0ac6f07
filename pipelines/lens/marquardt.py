"""Levenberg-Marquardt on a variable projection, with normal penalties and box limits. NumPy only: the costly part is the projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FIRST_DAMPING, LEAST_GAIN, PATIENCE, LARGEST_DAMPING = 0.03, 0.02, 2, 1e4


class Projection(Protocol):
    """What can be descended on, such as `varpro.VariableProjection`."""

    @property
    def parameters(self) -> NDArray[np.int_]:
        """Indices of the parameters that matter."""
        ...

    def gauss_newton(self, p: Array) -> tuple[float, Array, Array]:
        """chi^2, projected J'J and J'r of `parameters` at ``p``, shape (all parameters,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """Normal penalties and limits on all parameters: ``mean``, ``sigma``, ``lower``, ``upper``, each of shape (all parameters,)."""

    mean: Array
    sigma: Array
    lower: Array
    upper: Array

    def value(self, p: Array, parameters: NDArray[np.int_]) -> float:
        """Sum of squared deviations in sigma, over these parameters."""
        return float((((p - self.mean) / self.sigma) ** 2)[parameters].sum())

    def clipped(self, p: Array) -> Array:
        """``p`` within the limits."""
        return np.clip(p, self.lower, self.upper)


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """Where a descent ended.

    Parameters
    ----------
    p : all parameters, those that the model does not have as they were.
    objective : chi^2 plus penalty; ``chi2`` alone beside it.
    curvature : half the second derivative of the objective over ``parameters``, whose inverse is their covariance.
    n_evaluations : projections computed.
    """

    p: Array
    objective: float
    chi2: float
    curvature: Array
    parameters: NDArray[np.int_]
    n_evaluations: int


def descend(projection: Projection, start: Array, penalty: Penalty, *, n_steps: int, fixed: tuple[int, ...] = ()) -> Minimum:
    """Go down from ``start`` for at most ``n_steps`` evaluations; parameters in ``fixed`` stay."""
    own = projection.parameters
    free = np.flatnonzero(~np.isin(own, fixed))
    weight = 1.0 / penalty.sigma[own] ** 2

    def evaluate(p: Array) -> tuple[float, Array, Array, float]:
        chi2, matrix, gradient = projection.gauss_newton(p)
        return chi2 + penalty.value(p, own), matrix + np.diag(weight), gradient - (p - penalty.mean)[own] * weight, chi2

    p = penalty.clipped(np.asarray(start, dtype=np.float64))
    objective, matrix, gradient, chi2 = evaluate(p)
    damping, still, count = FIRST_DAMPING, 0, 1
    while count < n_steps and still < PATIENCE:
        block = matrix[np.ix_(free, free)]
        step = np.linalg.solve(block + damping * np.diag(np.diag(block)), gradient[free])
        trial = p.copy()
        trial[own[free]] += step
        trial = penalty.clipped(trial)
        new = evaluate(trial)
        count += 1
        if new[0] < objective:
            still = still + 1 if objective - new[0] < LEAST_GAIN else 0
            p, (objective, matrix, gradient, chi2) = trial, new
            damping *= 0.2
        else:
            damping *= 6.0
            still = still + 1 if damping > LARGEST_DAMPING else 0
    return Minimum(p=p, objective=objective, chi2=chi2, curvature=matrix, parameters=own, n_evaluations=count)
