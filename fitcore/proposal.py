"""`Proposal`: an earlier posterior used to steer a search, not as a prior.

It names the result it comes from and the model it is for; its mixture is fitted only when a search needs it, so that looking up a finished
fit reads no samples. The mixture itself is `fitcore.search.mixture.Mixture`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fitcore.errors import LinkError
from fitcore.model import Model
from fitcore.search.mixture import Mixture

if TYPE_CHECKING:
    from fitcore.result import Result


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A posterior as a proposal density under another model's priors.

    Parameters
    ----------
    parent : digest of the result it comes from.
    model : the model it is for.
    shared : paths of ``model`` that the parent had too; the others are drawn from their prior.
    scale : factor on the standard deviations of the mixture's components.
    """

    parent: str
    model: Model
    shared: tuple[str, ...]
    scale: float = 1.0
    result: Result = field(repr=False, compare=False)

    @classmethod
    def from_result(cls, result: Result, model: Model, *, scale: float = 1.0) -> Proposal:
        """See `Result.proposal`."""
        if not (math.isfinite(scale) and scale > 0):
            raise LinkError(f"The scale of a proposal is {scale!r}; it must be a positive number, 1 for the posterior's own width.")
        shared = tuple(path for path in model.paths if path in result.model.paths)
        if not shared:
            raise LinkError(
                f"The result has the parameters {list(result.model.paths)} and the model {list(model.paths)}: none is shared, so there is "
                "nothing to propose. Match their paths, or start the search without a proposal."
            )
        return cls(parent=result.digest, model=model, shared=shared, scale=float(scale), result=result)

    def identity(self) -> dict[str, Any]:
        """The parent's digest and how it is used. The mixture follows from them, so it need not be computed for a look-up."""
        return {"kind": "mixture", "parent": self.parent, "shared": list(self.shared), "scale": self.scale}

    @cached_property
    def mixture(self) -> Mixture:
        """The mixture in the probit space of ``model``'s priors.

        Samples outside the new priors' support are left out.

        Raises
        ------
        LinkError
            when less than 1 % of the parent's posterior lies inside the new priors.
        """
        samples = self.result.samples
        columns = [samples.paths.index(path) for path in self.shared]
        priors = [self.model.priors[path] for path in self.shared]
        theta = samples.parameters[:, columns]
        z = np.column_stack([np.asarray(prior.probit(column)) for prior, column in zip(priors, theta.T, strict=True)])
        inside = np.all(np.isfinite(z), axis=1) & np.isfinite(samples.log_weight)
        for i, prior in enumerate(priors):
            inside &= (theta[:, i] >= prior.support[0]) & (theta[:, i] <= prior.support[1])
        weight = np.exp(samples.log_weight - np.max(samples.log_weight))
        fraction = float(weight[inside].sum() / weight.sum())
        if fraction < 0.01:
            raise LinkError(
                f"Only {fraction:.2%} of the earlier posterior lies inside the new priors of {list(self.shared)}; at least 1 % is needed "
                "for a proposal. Widen the priors, or start the search without a proposal."
            )
        fitted = Mixture.fit(z[inside], samples.log_weight[inside], scale=self.scale)
        if len(self.shared) == self.model.n_dim:
            return fitted
        return fitted.embed([self.model.paths.index(path) for path in self.shared], self.model.n_dim)
