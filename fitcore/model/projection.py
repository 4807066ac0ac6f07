"""Models whose priors come from a result: projected onto its samples, or centered on given values.

How one prior is projected is the prior's own business; here the parameters are matched by path, ties are pooled and constraints kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from fitcore.errors import LinkError
from fitcore.identity import round_linked
from fitcore.model.model import Model
from fitcore.model.prior import Prior
from fitcore.model.priors import Normal
from fitcore.model.truncated import TruncatedNormal
from fitcore.naming import suggestion


class WeightedSamples(Protocol):
    """What projection needs of samples; `fitcore.samples.Samples` has it."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Names of the parameters."""
        ...

    @property
    def parameters(self) -> Any:
        """Shape (n, n_dim)."""
        ...

    @property
    def log_weight(self) -> Any:
        """Shape (n,)."""
        ...


def project(model: Model, samples: WeightedSamples, *, scale: float = 1.0) -> Model:
    """A model of the same structure in which each prior is replaced by the prior of the same support that matches the samples.

    Parameters are matched by path. Where the samples hold several leaves that are tied in ``model``, their samples are pooled, each
    leaf with the same share. Constraints and fixed values stay as they are.

    Parameters
    ----------
    model : the model to replace priors in; usually the one that was fitted.
    samples : weighted samples with ``paths``, ``parameters`` (n, n_dim) and ``log_weight`` (n,).
    scale : factor on every projected standard deviation; above 1 it widens.

    Raises
    ------
    LinkError : when the samples lack a parameter, or cannot give a sane prior.
    """
    parameters = np.asarray(samples.parameters, dtype=np.float64)
    log_weight = np.asarray(samples.log_weight, dtype=np.float64)
    columns = {path: i for i, path in enumerate(samples.paths)}
    changes: dict[str, Prior] = {}
    for path, prior in model.priors.items():
        found = [leaf for leaf in model.ties.get(path, (path,)) if leaf in columns]
        if not found:
            raise LinkError(
                f"The samples have no parameter {path!r}, so its prior cannot be projected. {suggestion(path, columns, kind='parameters')} "
                "Project a subtree, or replace the rest by hand."
            )
        values = np.concatenate([parameters[:, columns[leaf]] for leaf in found])
        try:
            changes[path] = prior.project(values, np.tile(log_weight, len(found)), scale=scale)
        except LinkError as error:
            raise LinkError(f"{path}: {error}") from error
    return model.replace(changes)


def relative_widths(values: Mapping[str, float], relative: float, *, floor: float = 0.0) -> dict[str, float]:
    """``max(relative |value|, floor)`` for each path; ``floor`` is in the parameters' units."""
    return {path: max(relative * abs(value), floor) for path, value in values.items()}


def centered(model: Model, values: Mapping[str, float], widths: Mapping[str, float] | float) -> Model:
    """A model of the same structure with normal priors around ``values``, cut off where the present priors end.

    Parameters
    ----------
    values : the centers by path, one for each free parameter.
    widths : the standard deviations by path, or one for all, in the parameters' units.

    Raises
    ------
    LinkError : for a missing center, a center outside the present support, or a width that is not above 0.
    """
    changes: dict[str, Prior] = {}
    for path, prior in model.priors.items():
        if path not in values:
            raise LinkError(f"No center for {path!r}. {suggestion(path, values, kind='centers')}")
        width = widths if isinstance(widths, (int, float)) else widths.get(path, math.nan)
        center, sigma = round_linked(values[path]), round_linked(width)
        lower, upper = prior.support
        if not lower <= center <= upper:
            raise LinkError(f"{path}: the center {center!r} is outside [{lower!r}, {upper!r}], the support of {prior}. Widen it first.")
        if not (math.isfinite(sigma) and sigma > 0.0):
            raise LinkError(f"{path}: the width is {sigma!r}; it must be above 0. Give a floor where a relative width vanishes.")
        is_free = math.isinf(lower) and math.isinf(upper)
        changes[path] = Normal(center, sigma) if is_free else TruncatedNormal(center, sigma, lower, upper)
    return model.replace(changes)
