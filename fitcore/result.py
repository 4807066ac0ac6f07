"""`Result`: what a fit hands back, and how it seeds the next one.

The summary is in memory; samples, latent samples and the search's internals are read from the store when first touched. Nothing is sampled
or written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fitcore.errors import FitcoreError, LinkError, ResultNotFoundError
from fitcore.model import Model, centered, project, relative_widths
from fitcore.proposal import Proposal
from fitcore.text import summary_html

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis
    from fitcore.samples import Samples
    from fitcore.summary import SamplesSummary


@dataclass(frozen=True, kw_only=True)
class ResultSource:
    """Where a result's larger parts come from: the fitted model, its digest, functions that read, and one that runs the hooks again.

    ``running`` is the analysis that the search ran, which computes the latent variables; ``analysis`` is the result's own.
    """

    model: Model
    digest: str
    is_cached: bool
    running: Analysis
    analysis: Analysis
    read_samples: Callable[[], Samples]
    read_latents: Callable[[], Samples | None]
    read_internal: Callable[[bool], Any]
    read_provenance: Callable[[], Mapping[str, Any]]
    rerun_hooks: Callable[[Analysis | None], Result]


class Result:
    """The outcome of one fit.

    Parameters
    ----------
    samples_summary : best point, medians, errors, evidence, counts.
    paths : the result's corner of the store.
    samples, search_internal : given where they are in memory already; otherwise read when touched.
    analysis : the analysis that `modify_after_fit` returned.
    """

    def __init__(
        self,
        samples_summary: SamplesSummary,
        paths: Any = None,
        samples: Samples | None = None,
        search_internal: Any = None,
        analysis: Analysis | None = None,
    ) -> None:
        self.samples_summary = samples_summary
        self.paths = paths
        self.analysis = analysis
        self._samples = samples
        self._search_internal = search_internal
        self._source: ResultSource | None = None

    def attach(self, source: ResultSource) -> Result:
        """Tell the result where its larger parts are, and its analysis where it has none; done by `fitcore.fit`."""
        self._source = source
        self.analysis = self.analysis or source.analysis
        return self

    def __repr__(self) -> str:
        n_dim = len(self.samples_summary.paths)
        of = "" if self.analysis is None else f" of {type(self.analysis).__name__} with {n_dim} parameter{'' if n_dim == 1 else 's'}"
        where = "" if self._source is None else f" {self.digest[:12]}{', from the store,' if self.is_cached else ''}"
        return f"<{type(self).__name__}{where}{of}: {self.samples_summary}>"

    def _repr_html_(self) -> str:
        of = type(self).__name__ if self._source is None else f"{type(self).__name__} {self.digest[:12]}"
        try:
            priors: Mapping[str, Any] | None = self.model.priors
        except FitcoreError:  # no store, or components that are not imported here
            priors = None
        return summary_html(self.samples_summary, of, priors)

    @property
    def source(self) -> ResultSource:
        """Model, digest and readers of this result."""
        if self._source is None:
            raise ResultNotFoundError(
                "This result is not attached to a store. Results come from fitcore.fit or a pipeline, not from Result()."
            )
        return self._source

    @property
    def model(self) -> Model:
        """The model that was fitted; that of the samples where the result was made of samples that know theirs, without a store."""
        if self._source is None and self._samples is not None and self._samples.model is not None:
            return self._samples.model
        return self.source.model

    @property
    def digest(self) -> str:
        """The digest under which the result is stored."""
        return self.source.digest

    @property
    def is_cached(self) -> bool:
        """True when the result was found in the store rather than computed by this call."""
        return self.source.is_cached

    @property
    def samples(self) -> Samples:
        """The weighted samples; they know their model."""
        if self._samples is None:
            self._samples = self.source.read_samples()
        return self._samples

    @property
    def latent_samples(self) -> Samples | None:
        """Latent variables with the parent's weights; None until they are computed, or where there are none."""
        return self.source.read_latents()

    @property
    def search_internal(self) -> Any:
        """What the search kept for specialists: plain data of the searches of fitcore. What another search kept may be dill data, and
        reading that may run code.

        Raises
        ------
        ConfigError
            where it is dill data; call ``read_search_internal(trust=True)`` to say that the store is trusted.
        """
        return self._search_internal if self._search_internal is not None else self.source.read_internal(False)

    def read_search_internal(self, *, trust: bool) -> Any:
        """`search_internal` from the store, where ``trust=True`` says that its writer is trusted to run code here."""
        return self.source.read_internal(trust)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """How the result came about: seconds, versions, host, attempts, NaN values met, quick updates. No part of its value."""
        return self.source.read_provenance()

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence; NaN where the search gives none."""
        return self.samples_summary.log_evidence

    @property
    def log_evidence_error(self) -> float:
        """Claimed standard deviation of `log_evidence`."""
        return self.samples_summary.log_evidence_error

    @cached_property
    def max_log_likelihood_instance(self) -> Any:
        """The instance of the sample with the largest log-likelihood."""
        return self.model.instance_from_vector(np.asarray(self.samples_summary.best))

    @property
    def instance(self) -> Any:
        """The instance of largest log-likelihood."""
        return self.max_log_likelihood_instance

    @cached_property
    def projected_model(self) -> Model:
        """The same model with every prior replaced by the prior of the same support that matches the posterior's mean and variance."""
        return project(self.model, self.samples)

    def proposal(self, model: Model, *, scale: float = 1.0) -> Proposal:
        """The posterior as a proposal for fitting ``model`` under ``model``'s own priors; parameters new in it keep their prior.

        Parameters
        ----------
        model : the model of the next stage; parameters are matched by path.
        scale : factor on the standard deviations of the mixture's components, > 0.

        Raises
        ------
        LinkError
            when no path is shared, or ``scale`` is not positive.
        """
        return Proposal.from_result(self, model, scale=scale)

    def model_centred(self, *, absolute: float | None = None, relative: float | None = None, sigmas: float | None = None) -> Model:
        """The model with normal priors around the medians, truncated to the old supports.

        Exactly one width is given: ``absolute`` (the parameter's own unit), ``relative`` (times the absolute median), or ``sigmas`` (times
        the posterior's standard deviation).
        """
        given = {"absolute": absolute, "relative": relative, "sigmas": sigmas}
        chosen = [value for value in given.values() if value is not None]
        if len(chosen) != 1 or isinstance(chosen[0], bool) or not isinstance(chosen[0], Real) or not chosen[0] > 0:
            raise LinkError(f"model_centred got {given}; exactly one of absolute, relative and sigmas is allowed, and it must be positive.")
        medians, width = self.samples_summary.by_path("median"), float(chosen[0])
        widths: dict[str, float] | float
        if absolute is not None:
            widths = width
        elif relative is not None:
            widths = relative_widths(medians, width)
        else:
            deviations = np.sqrt(np.diag(self.samples.covariance())).tolist()
            widths = {path: width * deviation for path, deviation in zip(self.model.paths, deviations, strict=True)}
        return centered(self.model, medians, widths)
