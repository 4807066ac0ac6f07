"""`CombinedAnalysis`: several datasets fitted together. Log-likelihoods add; every hook and the latents are forwarded to each child."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.visualizer import Visualizer
from fitcore.errors import ConfigError

if TYPE_CHECKING:
    from fitcore.model import Model
    from fitcore.result import Result


class CombinedVisualizer(Visualizer):
    """Forwards to the children's visualizers."""

    @staticmethod
    def visualize_before_fit(analysis: Analysis, paths: Any, model: Model) -> None:
        """Each child in turn."""
        assert isinstance(analysis, CombinedAnalysis)
        for child in analysis.analyses:
            child.Visualizer.visualize_before_fit(child, paths, child.bound_model or model)

    @staticmethod
    def visualize(analysis: Analysis, paths: Any, instance: Any, during_analysis: bool) -> None:
        """Each child with its own instance."""
        assert isinstance(analysis, CombinedAnalysis)
        for child, own in zip(analysis.analyses, analysis.spread(instance), strict=True):
            child.Visualizer.visualize(child, paths, own, during_analysis)


class CombinedAnalysis(Analysis):
    """Several analyses as one.

    Parameters
    ----------
    analyses : the children; each may be bound to a model of its own by ``with_model``. All traceable by JAX, or none.

    The instance that the hooks get is a tuple with one instance for each child. Latent names are prefixed by the child's number, ``"0."``.
    """

    Visualizer = CombinedVisualizer

    def __init__(self, analyses: Sequence[Analysis]) -> None:
        if not analyses:
            raise ConfigError("CombinedAnalysis needs at least one analysis; the list is empty.")
        if len({analysis.use_jax for analysis in analyses}) > 1:
            seen = {type(a).__name__: a.use_jax for a in analyses}
            raise ConfigError(f"CombinedAnalysis needs analyses that all use JAX, or none; use_jax is {seen}. Set it alike.")
        super().__init__(use_jax=analyses[0].use_jax, use_jax_for_visualization=all(a.use_jax_for_visualization for a in analyses))
        self.analyses = list(analyses)

    def spread(self, instance: Any) -> tuple[Any, ...]:
        """One instance for each child: a tuple of that length as it is, anything else given to all."""
        if isinstance(instance, tuple) and len(instance) == len(self.analyses):
            return instance
        return (instance,) * len(self.analyses)

    def _with_children(self, children: Sequence[Analysis]) -> CombinedAnalysis:
        combined = copy.copy(self)
        combined.analyses = list(children)
        return combined

    def log_likelihood_function(self, instance: Any) -> Any:
        """Sum of the children's log-likelihoods of their instances."""
        return sum(child.log_likelihood_function(own) for child, own in zip(self.analyses, self.spread(instance), strict=True))

    def instance_of(self, theta: Any, model: Model) -> Any:
        """A tuple with each child's instance."""
        return tuple(child.instance_of(theta, model) for child in self.analyses)

    def vector_likelihood(self, model: Model) -> Callable[[Any], Any]:
        """Sum of the children's log-likelihoods, each of its own model's parameters."""
        functions = [child.vector_likelihood(self.bound_model or model) for child in self.analyses]
        return lambda theta: sum(function(theta) for function in functions)

    def modify_model(self, model: Model) -> Model:
        """Each child in turn."""
        for child in self.analyses:
            model = child.modify_model(model)
        return model

    def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
        """The children that the children return."""
        return self._with_children([child.modify_before_fit(paths, child.bound_model or model) for child in self.analyses])

    def modify_after_fit(self, paths: Any, model: Model, result: Result) -> Analysis:
        """The children that the children return."""
        return self._with_children([child.modify_after_fit(paths, child.bound_model or model, result) for child in self.analyses])

    def save_attributes(self, paths: Any) -> None:
        """Each child in turn."""
        for child in self.analyses:
            child.save_attributes(paths)

    def save_results(self, paths: Any, result: Result) -> None:
        """Each child in turn."""
        for child in self.analyses:
            child.save_results(paths, result)

    def save_results_combined(self, paths: Any, result: Result) -> None:
        """The first child's, once."""
        self.analyses[0].save_results_combined(paths, result)

    def latents_of(self, theta: Any, model: Model) -> dict[str, Any]:
        """Every child's latents under the child's number."""
        return {f"{i}.{key}": value for i, child in enumerate(self.analyses) for key, value in child.latents_of(theta, model).items()}

    def fit_from(self, instance: Any) -> Any:
        """A tuple with each child's fit."""
        return tuple(child.fit_for_visualization(own) for child, own in zip(self.analyses, self.spread(instance), strict=True))

    def perform_quick_update(self, paths: Any, instance: Any) -> None:
        """Each child in turn."""
        for child, own in zip(self.analyses, self.spread(instance), strict=True):
            child.perform_quick_update(paths, own)

    @property
    def supports_background_update(self) -> bool:
        """True when every child does."""
        return all(child.supports_background_update for child in self.analyses)

    @property
    def supports_jax_visualization(self) -> bool:
        """True when every child does."""
        return all(child.supports_jax_visualization for child in self.analyses)

    def identity(self) -> dict[str, Any]:
        """The children's names, versions, identities and bound models."""
        return {"analyses": [analysis_identity(child) for child in self.analyses]}


def analysis_identity(analysis: Analysis) -> dict[str, Any]:
    """Class name, version, identity and bound model of an analysis, for the digest."""
    return {
        "class": f"{type(analysis).__module__}:{type(analysis).__qualname__}",
        "version": analysis.version,
        "identity": analysis.identity(),
        "model": analysis.bound_model,
        "n_batch": analysis.n_batch,
    }
