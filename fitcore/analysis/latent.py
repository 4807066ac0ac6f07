"""Latent variables: derived quantities of every sample, in batches of one size.

The weights are the parent samples' own; a key that is not finite for some samples is NaN there and leaves the other keys alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fitcore.errors import LikelihoodError
from fitcore.evaluation import batched_rows
from fitcore.samples import Samples

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis
    from fitcore.model import Model


def compute_latents(analysis: Analysis, samples: Samples, model: Model, batch_size: int) -> Samples | None:
    """Latent samples of ``samples``: parameters of shape (n, number of keys), the same weights; None when there are no keys.

    Raises
    ------
    LikelihoodError
        when a key has no finite value at all, or a value is not one number.
    """
    keys, columns = _evaluated(analysis, samples, model, batch_size)
    if not keys:
        return None
    values = np.column_stack([_column(key, column, len(samples.parameters)) for key, column in zip(keys, columns, strict=True)])
    values = np.where(np.isfinite(values), values, np.nan)
    empty = [key for key, column in zip(keys, values.T, strict=True) if np.all(np.isnan(column))]
    if empty:
        raise LikelihoodError(
            f"compute_latent_variables of {type(analysis).__name__} gave no finite value of {empty} for any of {len(values)} samples. "
            "Mend the formula, or leave the key out."
        )
    return Samples(
        paths=tuple(keys),
        parameters=values,
        log_likelihood=samples.log_likelihood,
        log_prior=samples.log_prior,
        log_weight=samples.log_weight,
        log_evidence=samples.log_evidence,
        log_evidence_error=samples.log_evidence_error,
    )


def _evaluated(analysis: Analysis, samples: Samples, model: Model, batch_size: int) -> tuple[list[str], list[Any]]:
    keys: list[str] = []

    def row(theta: Any, arrays: Any) -> tuple[Any, ...]:
        latents = analysis.with_traced_arrays(arrays).latents_of(theta, model)
        keys[:] = list(latents)
        return tuple(latents.values())

    if analysis.use_jax:
        size = min(batch_size, len(samples.parameters))
        columns = batched_rows(row, samples.parameters, analysis.traced_arrays(), batch_size=size, batching=analysis.batching)
        return keys, columns
    rows = [row(theta, analysis.traced_arrays()) for theta in samples.parameters]
    return keys, [np.asarray(column, dtype=np.float64) for column in zip(*rows, strict=True)]


def _column(key: str, column: Any, n: int) -> Any:
    column = np.asarray(column, dtype=np.float64)
    if column.shape != (n,):
        raise LikelihoodError(
            f"latent {key!r} has shape {column.shape[1:]} for each sample; it must be one number. Give each entry its own name."
        )
    return column
