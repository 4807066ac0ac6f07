"""Latent variables: derived quantities of every sample, in batches of one size.

The weights are the parent samples' own. A key that is not finite for some samples is NaN there and leaves the other keys alone; one that is
never finite stays as a column of NaN, with a loud warning.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fitcore.device import device_of
from fitcore.errors import ConfigError, FitcoreError, LikelihoodError
from fitcore.evaluation import named
from fitcore.rows import batched_rows, is_out_of_memory
from fitcore.samples import Samples
from fitcore.search.streams import stream

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis
    from fitcore.model import Model

SHARE_WARNED = 0.5
"""Of the posterior's weight: a latent variable that is masked in more of it is warned about."""


class LatentWarning(UserWarning):
    """A latent variable is not finite in most of the posterior, or in all of it; or the memory allowed smaller batches only."""


def compute_latents(analysis: Analysis, samples: Samples, model: Model, batch_size: int | None) -> Samples | None:
    """Latent samples of ``samples``: parameters of shape (n, number of keys), the same weights; None when there are no keys.

    ``batch_size`` None leaves the size to `fitcore.rows`. What computed them, and in which batches, is told to ``latent_listener``.

    Raises
    ------
    LikelihoodError
        when the user's function raises, a value is not one real number, or one sample at a time does not fit into memory.
    ConfigError
        for a batch size below 1.
    """
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise ConfigError(f"the batch size of latent variables is {batch_size!r}; it must be an integer of at least 1.")
    keys, columns = _evaluated(analysis, samples, model, batch_size)
    if not keys:
        return None
    values = np.column_stack([_column(key, column, len(samples.parameters)) for key, column in zip(keys, columns, strict=True)])
    values = np.where(np.isfinite(values), values, np.nan)
    _warn_of_masked(type(analysis).__name__, keys, values, samples.weight)
    return Samples(
        paths=tuple(keys),
        parameters=values,
        log_likelihood=samples.log_likelihood,
        log_prior=samples.log_prior,
        log_weight=samples.log_weight,
        log_evidence=samples.log_evidence,
        log_evidence_error=samples.log_evidence_error,
    )


def equal_weight(samples: Samples, n: int, seed: int) -> Samples:
    """``n`` draws of equal weight, with replacement, in the samples' order; from the stream ``"latents"`` of ``seed``."""
    rows = np.sort(stream(seed, "latents").choice(len(samples), size=n, p=samples.weight))
    return replace(
        samples,
        parameters=samples.parameters[rows],
        log_likelihood=samples.log_likelihood[rows],
        log_prior=samples.log_prior[rows],
        log_weight=np.full(n, -np.log(n)),
    )


def _warn_of_masked(name: str, keys: Sequence[str], values: Any, weight: Any) -> None:
    for key, masked in zip(keys, np.isnan(values).T, strict=True):
        if masked.all():
            warnings.warn(
                f"compute_latent_variables of {name} gave no finite value of {key!r} for any of {len(values)} samples. It is kept as NaN, "
                "and the other keys are right. Mend the formula, raise the analysis's version, and fit again; or leave the key out.",
                LatentWarning,
                stacklevel=4,
            )
        elif (share := float(weight[masked].sum())) > SHARE_WARNED:
            warnings.warn(
                f"the latent variable {key!r} of {name} is not finite in {int(masked.sum())} of {len(values)} samples, which hold "
                f"{100 * share:.0f} % of the posterior: its median and errors speak of the rest alone.",
                LatentWarning,
                stacklevel=4,
            )


def _evaluated(analysis: Analysis, samples: Samples, model: Model, batch_size: int | None) -> tuple[list[str], list[Any]]:
    keys: list[str] = []

    def row(theta: Any, arrays: Any) -> tuple[Any, ...]:
        latents = analysis.with_traced_arrays(arrays).latents_of(theta, model)
        if keys and keys != list(latents):
            raise LikelihoodError(
                f"compute_latent_variables of {type(analysis).__name__} gave the keys {list(latents)} after {keys}; give the same keys, in "
                "the same order, for every sample, with NaN where one is not defined."
            )
        for key, value in latents.items():
            _check_real(type(analysis).__name__, key, value)
        keys[:] = list(latents)
        return tuple(latents.values())

    tell = analysis.latent_listener or (lambda facts: None)
    if analysis.use_jax:
        with _explained(analysis, model, None):
            columns, batches = batched_rows(
                row,
                samples.parameters,
                analysis.traced_arrays(),
                n_batch=analysis.n_batch,
                batching=analysis.batching,
                batch_size=batch_size,
                n_threads=analysis.latent_threads,
            )
        if batches.n_halved:
            warnings.warn(
                f"the memory of {device_of(analysis).kind} ran out while the latent variables of {type(analysis).__name__} were computed: "
                f"what was computed at once was halved {batches.n_halved} times, to {batches.n_threads} x {batches.size} samples. The "
                "numbers are the same up to rounding.",
                LatentWarning,
                stacklevel=4,
            )
        tell({"device": device_of(analysis).to_dict(), "batches": batches.to_dict()})
        return keys, columns
    tell({"device": device_of(analysis).to_dict()})
    arrays, rows = analysis.traced_arrays(), []
    for theta in samples.parameters:
        with _explained(analysis, model, theta):
            rows.append(tuple(np.asarray(value, dtype=np.float64) for value in row(theta, arrays)))
    return keys, [np.asarray(column) for column in zip(*rows, strict=True)]


def _check_real(name: str, key: str, value: Any) -> None:
    kind = np.dtype(value.dtype).kind if hasattr(value, "dtype") else np.asarray(value).dtype.kind
    if kind not in "fiub":
        shown = "a complex number" if kind == "c" else f"{value!r:.40}"
        raise LikelihoodError(f"compute_latent_variables of {name} gave {shown} for {key!r}; it must be one real number, or NaN.")


@contextlib.contextmanager
def _explained(analysis: Analysis, model: Model, theta: Any) -> Iterator[None]:
    """What the user's function raises becomes an error that names the parameters; fitcore's own errors pass."""
    try:
        yield
    except FitcoreError:
        raise
    except Exception as error:  # whatever a user's function raises
        where = (
            f"while JAX traced it or ran it in batches, as a function of {', '.join(model.paths)}"
            if theta is None
            else f"at {named(model.paths, theta)}"
        )
        if is_out_of_memory(error):
            raise LikelihoodError(
                f"the latent variables of {type(analysis).__name__} do not fit into the memory of {device_of(analysis).kind}, one sample "
                f"at a time: {type(error).__name__}: {error}\n{where}\nThe search's result is untouched: compute them on a device with "
                "more memory, or by a function that takes less, and run the same command again."
            ) from error
        raise LikelihoodError(
            f"compute_latent_variables of {type(analysis).__name__} raised {type(error).__name__}: {error}\n{where}\n"
            "The search's result is untouched: mend the function and run the same command again."
        ) from error


def _column(key: str, column: Any, n: int) -> Any:
    column = np.asarray(column, dtype=np.float64)
    if column.shape != (n,):
        raise LikelihoodError(
            f"latent {key!r} has shape {column.shape[1:]} for each sample; it must be one number. Give each entry its own name."
        )
    return column
