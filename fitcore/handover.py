"""Samples in the forms that other tools read: ArviZ, anesthetic, GetDist, and a figure by corner.

The packages are optional (``pip install 'fitcore[handover]'``) and imported when asked for; `fitcore.samples.Samples` has a method for
each. What is handed over are the parameters in their own units under their paths, never a unit cube. Nothing is written to disk here.

None of these tools knows what a masked value (NaN) is: medians and densities come out wrong, or not at all. So samples that have some are
refused unless the caller says ``masked="drop"``, which leaves out the parameters that are known nowhere, then the samples that lack any of
the others. That changes the posterior of *all* parameters to the one of the samples kept.
"""

from __future__ import annotations

import importlib
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitcore.errors import ConfigError, SpecError
from fitcore.statistics import systematic_resampling

if TYPE_CHECKING:
    from fitcore.samples import Samples

Labels = Mapping[str, str] | None


def to_arviz(samples: Samples, *, n: int | None = None, seed: int = 0, labels: Labels = None, masked: str = "refuse") -> Any:
    """What ArviZ reads, in either of its lines; see `fitcore.samples.Samples.to_arviz`."""
    arviz = _arviz()
    kept = _known(samples, masked, "to_arviz")
    n = max(1, math.floor(kept.effective_sample_size)) if n is None else n
    index = systematic_resampling(kept.weight, n, seed)
    told = {
        "log_evidence": kept.log_evidence,
        "log_evidence_error": kept.log_evidence_error,
        "effective_sample_size": kept.effective_sample_size,
        "n_weighted_samples": len(kept),
        "resampling": f"systematic, {n} draws of equal weight, seed {seed}",
    }
    log_likelihood, log_prior = kept.log_likelihood[index], kept.log_prior[index]
    groups = {
        "posterior": {path: kept.column(path)[index][None] for path in kept.paths},
        "sample_stats": {
            "lp": (log_likelihood + log_prior)[None],
            "log_likelihood": log_likelihood[None],
            "log_prior": log_prior[None],
        },
    }
    # the first line takes the groups by name and makes an InferenceData, the second takes one dict and makes a DataTree
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # of line 0, where it would have the log-likelihood
        made = arviz.from_dict(**groups) if arviz.__name__ == "arviz" else arviz.from_dict(groups)
    for group in groups:
        made[group].attrs.update(told)
    for path, label in _labels(kept, labels).items():
        made["posterior"][path].attrs["long_name"] = label
    return made


def to_anesthetic(samples: Samples, *, labels: Labels = None, masked: str = "refuse") -> Any:
    """An ``anesthetic.Samples``, weighted; see `fitcore.samples.Samples.to_anesthetic`."""
    anesthetic = _package("anesthetic", "to_anesthetic")
    kept = _known(samples, masked, "to_anesthetic")
    made = anesthetic.Samples(
        data=kept.parameters.copy(),
        columns=list(kept.paths),
        weights=kept.weight.copy(),
        logL=kept.log_likelihood,
        labels=list(_labels(kept, labels).values()),
    )
    made["log_prior"] = kept.log_prior
    made.set_label("log_prior", r"$\ln\pi$")
    made.attrs.update(log_evidence=kept.log_evidence, log_evidence_error=kept.log_evidence_error)
    return made


def to_getdist(samples: Samples, *, labels: Labels = None, masked: str = "refuse") -> Any:
    """A ``getdist.MCSamples``, weighted; see `fitcore.samples.Samples.to_getdist`."""
    getdist = _package("getdist", "to_getdist")
    kept = _weighty(_known(samples, masked, "to_getdist"))
    minus_log_posterior = -(kept.log_likelihood + kept.log_prior)
    supports = {} if kept.model is None else {path: prior.support for path, prior in kept.model.priors.items()}
    return getdist.MCSamples(
        samples=kept.parameters.copy(),
        weights=kept.weight.copy(),
        loglikes=minus_log_posterior if np.isfinite(minus_log_posterior).all() else None,
        names=list(kept.paths),
        labels=[in_math_mode(label) for label in _labels(kept, labels).values()],
        ranges={path: [end if math.isfinite(end) else None for end in ends] for path, ends in supports.items() if path in kept.paths},
        sampler="uncorrelated",
        settings={"ignore_rows": 0},
    )


def to_corner(samples: Samples, *, labels: Labels = None, masked: str = "refuse", **options: Any) -> Any:
    """A ``matplotlib`` figure, weighted; see `fitcore.samples.Samples.to_corner`."""
    corner = _package("corner", "to_corner")
    kept = _weighty(_known(samples, masked, "to_corner"))
    constant = [path for path, column in zip(kept.paths, kept.parameters.T, strict=True) if column.min() == column.max()]
    if constant and "range" not in options:
        raise SpecError(f"to_corner: {', '.join(constant)} has a single value in all samples, so no axis can be drawn; give range=.")
    given = {"labels": list(_labels(kept, labels).values()), "quantiles": [0.16, 0.5, 0.84], **options}
    return corner.corner(kept.parameters, weights=kept.weight, **given)


def _arviz() -> ModuleType:
    """What makes ArviZ's groups: arviz-base of its line 1, else arviz of its line 0."""
    try:
        return _package("arviz_base", "to_arviz")
    except ConfigError as error:
        try:
            return _package("arviz", "to_arviz")
        except ConfigError:
            raise error from None


def _package(name: str, method: str) -> ModuleType:
    """The package, imported now.

    Raises
    ------
    ConfigError : it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        project = name.replace("_", "-")
        raise ConfigError(
            f"Samples.{method} needs the package {project}, which is not installed: `pip install {project}`, or "
            f"`pip install 'fitcore[handover]'` for all tools that samples can be handed to"
        ) from error


def _known(samples: Samples, masked: str, method: str) -> Samples:
    """The samples without a masked value; see the module's text.

    Raises
    ------
    SpecError : there are some and ``masked`` is not "drop", or nothing would be left.
    """
    if masked not in ("refuse", "drop"):
        raise SpecError(f"{method}: masked is {masked!r}; it must be 'refuse' or 'drop'.")
    unknown = np.isnan(samples.parameters)
    if not unknown.any():
        return samples
    if masked == "refuse":
        counts = ", ".join(f"{path} in {count}" for path, count in samples.n_masked.items() if count)
        raise SpecError(
            f"{method}: values are masked (NaN) in some of the {len(samples)} samples ({counts}), and other tools cannot leave them out "
            f"one parameter at a time. Say masked='drop' to keep only the samples that know all parameters; that changes the posterior "
            f"of the others too."
        )
    columns = np.asarray((~unknown & (samples.weight > 0.0)[:, None]).any(axis=0))
    rows = np.asarray((~unknown[:, columns]).all(axis=1))
    if not columns.any() or not (samples.weight[rows] > 0.0).any():
        raise SpecError(f"{method}: no sample of weight above zero knows all of {', '.join(samples.paths)}, so none is left to hand over.")
    paths = tuple(path for path, is_kept in zip(samples.paths, columns, strict=True) if is_kept)
    model = samples.model if columns.all() else None
    return replace(_rows(samples, rows), paths=paths, parameters=samples.parameters[np.ix_(rows, columns)], model=model)


def _weighty(samples: Samples) -> Samples:
    """The samples whose weight is above zero: the others would stretch axes and turn sums of -inf into NaN."""
    has_weight = samples.weight > 0.0
    return samples if has_weight.all() else _rows(samples, has_weight)


def _rows(samples: Samples, rows: NDArray[np.bool_]) -> Samples:
    names = ("parameters", "log_likelihood", "log_prior", "log_weight")
    return replace(samples, **{name: getattr(samples, name)[rows] for name in names})


def _labels(samples: Samples, labels: Labels) -> dict[str, str]:
    """By path, the label given or else the path.

    Raises
    ------
    SpecError : a label is for a parameter that is not there.
    """
    strange = sorted(set(labels or {}) - set(samples.paths))
    if strange:
        raise SpecError(f"labels names {', '.join(strange)}, and the parameters are {', '.join(samples.paths)}.")
    return {path: (labels or {}).get(path, path) for path in samples.paths}


def in_math_mode(label: str) -> str:
    """A label as GetDist wants it, which always sets it in math mode: the inside of ``$...$``, and plain text upright."""
    inside = re.fullmatch(r"\$([^$]+)\$", label)
    return inside[1] if inside else r"\mathrm{" + re.sub(r"([_#%&])", r"\\\1", label) + "}"
