"""From frozen importance draws to a `SearchOutcome`. Nothing is drawn or evaluated here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.search.adaptation import Adapted
from fitcore.search.base import Array, SearchOutcome
from fitcore.search.frozen import Frozen
from fitcore.search.journal import unit_cube
from fitcore.search.mixture import Mixture

WEIGHT_IGNORED = 1e-9  # of the total: points that together carry less are left out

Diagnostics = Mapping[str, float | int | str | bool]


def kept(log_weight: Array) -> NDArray[np.intp]:
    """Indices, in order, of the points that carry all but a billionth of the weight."""
    weight = np.exp(log_weight - np.max(log_weight))
    order = np.argsort(weight, kind="stable")
    negligible = np.cumsum(weight[order]) <= WEIGHT_IGNORED * weight.sum()
    return np.sort(order[~negligible])


def outcome_of(
    *,
    u: Array,
    log_likelihood: Array,
    log_weight: Array,
    log_evidence: float,
    log_evidence_error: float,
    n_calls: int,
    diagnostics: Diagnostics,
    internal: Any = None,
) -> SearchOutcome:
    """An outcome without its weightless points, the weights summing to one."""
    rows = kept(log_weight)
    weight = log_weight[rows]
    return SearchOutcome(
        u=u[rows],
        log_likelihood=log_likelihood[rows],
        log_weight=weight - np.logaddexp.reduce(weight),
        log_evidence=log_evidence,
        log_evidence_error=log_evidence_error,
        n_calls=n_calls,
        diagnostics=diagnostics,
        internal=internal,
    )


def frozen_outcome(frozen: Frozen, adapted: Adapted, *, n_calls: int, diagnostics: Diagnostics) -> SearchOutcome:
    """The outcome of a frozen sample of grade A or B."""
    return outcome_of(
        u=unit_cube(frozen.z),
        log_likelihood=frozen.log_likelihood,
        log_weight=frozen.log_weight,
        log_evidence=frozen.log_evidence,
        log_evidence_error=frozen.log_evidence_error,
        n_calls=n_calls,
        diagnostics=diagnostics,
        internal={"mixture": adapted.mixture.to_arrays()},
    )


def importance_diagnostics(adapted: Adapted, frozen: Frozen, *, n_adapt: int, prefix: str = "") -> dict[str, float | int | str | bool]:
    """What is reported of an adaptation and its frozen sample.

    ``shift`` (in the proposal's standard deviations) and the width ratios tell how far the posterior lies from the proposal; they say
    nothing about modes that neither knows. ``first_efficiency`` and ``first_k`` are those of the first round, in which Gaussians at the
    scouted modes take part beside the proposal.
    """
    found: dict[str, float | int | str | bool] = {
        "grade": frozen.grade,
        "pareto_k": frozen.k,
        "efficiency": frozen.efficiency,
        "n_eff": frozen.n_eff,
        "n_draws": len(frozen.z),
        "n_adapt": n_adapt,
        "n_rounds": adapted.n_rounds,
        "n_attempts": frozen.n_attempts,
        "has_adapted": adapted.is_converged,
        "n_components": len(adapted.mixture.weight),
        "n_bends": len(adapted.mixture.bending),
        "first_efficiency": adapted.first_efficiency,
        "first_k": adapted.first_k,
        "shift": adapted.shift,
        "width_ratio_min": adapted.narrowest,
        "width_ratio_max": adapted.widest,
    }
    return {prefix + name: value for name, value in found.items()}


def mixture_of(internal: Any) -> Mixture | None:
    """The frozen mixture from an outcome's ``internal``, or None."""
    arrays = internal.get("mixture") if isinstance(internal, dict) else None
    return None if arrays is None else Mixture.from_arrays(arrays)
