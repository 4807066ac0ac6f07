"""`CombinedAnalysis`: several datasets fitted together. Log-likelihoods add; every hook and the latents are forwarded to each child."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.visualizer import Visualizer
from fitcore.errors import ConfigError
from fitcore.evaluation import one_number

if TYPE_CHECKING:
    from fitcore.model import Model
    from fitcore.result import Result


class CombinedVisualizer(Visualizer):
    """Forwards to the children's visualizers."""

    @staticmethod
    def visualize_before_fit(analysis: Analysis, paths: Any, model: Model) -> None:
        """Each child in turn."""
        assert isinstance(analysis, CombinedAnalysis)
        for i, child in enumerate(analysis.analyses):
            child.Visualizer.visualize_before_fit(child, corner(paths, i), analysis.model_of(i, model))

    @staticmethod
    def visualize(analysis: Analysis, paths: Any, instance: Any, during_analysis: bool) -> None:
        """Each child with its own instance; one that fails keeps no other from drawing."""
        assert isinstance(analysis, CombinedAnalysis)
        pairs = zip(analysis.analyses, analysis.spread(instance), strict=True)
        each([partial(child.Visualizer.visualize, child, corner(paths, i), own, during_analysis) for i, (child, own) in enumerate(pairs)])


class CombinedAnalysis(Analysis):
    """Several analyses as one.

    Parameters
    ----------
    analyses : the children; each may be bound to a model of its own by ``with_model``. All traceable by JAX, or none.

    The instance that the hooks get is a tuple with one instance for each child. Latent names are prefixed by the child's number, ``"0."``;
    each child's hooks write into a folder of that name, so that children of one class do not overwrite each other's files. Batches run by
    ``"map"`` when a child's do, and have the points of the child with the fewest.
    """

    Visualizer = CombinedVisualizer

    def __init__(self, analyses: Sequence[Analysis]) -> None:
        if not isinstance(analyses, Sequence):
            raise ConfigError(f"CombinedAnalysis needs a list of analyses; it got {analyses!r:.60}.")
        if not analyses:
            raise ConfigError("CombinedAnalysis needs at least one analysis; the list is empty.")
        if strangers := [type(analysis).__name__ for analysis in analyses if not isinstance(analysis, Analysis)]:
            raise ConfigError(f"CombinedAnalysis needs instances of Analysis; it got {', '.join(strangers)}.")
        if len({analysis.use_jax for analysis in analyses}) > 1:
            seen = {f"{i} {type(a).__name__}": a.use_jax for i, a in enumerate(analyses)}
            raise ConfigError(f"CombinedAnalysis needs analyses that all use JAX, or none; use_jax is {seen}. Set it alike.")
        super().__init__(use_jax=analyses[0].use_jax, use_jax_for_visualization=all(a.use_jax_for_visualization for a in analyses))
        self.analyses = list(analyses)
        self.batching = "map" if any(child.batching == "map" for child in analyses) else "vmap"  # type: ignore[misc]  # an instance's own
        self.n_batch = min(child.n_batch for child in analyses)  # type: ignore[misc]  # an instance's own

    def model_of(self, i: int, model: Model) -> Model:
        """The model that child ``i`` sees, when ``model`` is fitted."""
        return self.analyses[i].bound_model or self.bound_model or model

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
        vector, whole = self.own_vector(model)(theta), self.bound_model or model
        return tuple(child.instance_of(vector, whole) for child in self.analyses)

    def vector_likelihood(self, model: Model) -> Callable[[Any], Any]:
        """Sum of the children's log-likelihoods, each of its own model's parameters."""
        own = self.own_vector(model)
        functions = [child.vector_likelihood(self.bound_model or model) for child in self.analyses]

        def total(theta: Any) -> Any:
            vector = own(theta)
            return sum(one_number(function(vector), type(child).__name__) for child, function in zip(self.analyses, functions, strict=True))

        return total

    def traced_arrays(self) -> Any:
        """A tuple with each child's arrays."""
        arrays = tuple(child.traced_arrays() for child in self.analyses)
        return None if all(part is None for part in arrays) else arrays

    def with_traced_arrays(self, arrays: Any) -> CombinedAnalysis:
        """Each child with its own."""
        if arrays is None:
            return self
        return self._with_children([child.with_traced_arrays(part) for child, part in zip(self.analyses, arrays, strict=True)])

    def modify_model(self, model: Model) -> Model:
        """Each child in turn."""
        for child in self.analyses:
            model = child.modify_model(model)
        return model

    def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
        """The children that the children return; one that forgets the model it was bound to is bound to it again."""
        return self._modified("modify_before_fit", paths, model)

    def modify_after_fit(self, paths: Any, model: Model, result: Result) -> Analysis:
        """The children that the children return, bound as before."""
        return self._modified("modify_after_fit", paths, model, result)

    def _modified(self, hook: str, paths: Any, model: Model, *more: Any) -> CombinedAnalysis:
        returned = [getattr(child, hook)(corner(paths, i), self.model_of(i, model), *more) for i, child in enumerate(self.analyses)]
        pairs = zip(self.analyses, returned, strict=True)
        return self._with_children([returned_analysis(child, changed, hook=hook) for child, changed in pairs])

    def save_attributes(self, paths: Any) -> None:
        """Each child in turn, in its own folder."""
        for i, child in enumerate(self.analyses):
            child.save_attributes(corner(paths, i))

    def save_results(self, paths: Any, result: Result) -> None:
        """Each child in turn, in its own folder; one that fails keeps no other from saving."""
        each([partial(child.save_results, corner(paths, i), result) for i, child in enumerate(self.analyses)])

    def save_results_combined(self, paths: Any, result: Result) -> None:
        """The first child's, once."""
        self.analyses[0].save_results_combined(paths, result)

    def compute_latent_variables(self, parameters: Any, model: Model) -> dict[str, Any]:
        """Every child's latents under the child's number."""
        children = enumerate(self.analyses)
        return {f"{i}.{key}": value for i, child in children for key, value in child.latents_of(parameters, model).items()}

    def fit_from(self, instance: Any) -> Any:
        """A tuple with each child's fit."""
        return tuple(child.fit_for_visualization(own) for child, own in zip(self.analyses, self.spread(instance), strict=True))

    def perform_quick_update(self, paths: Any, instance: Any) -> None:
        """Each child in turn."""
        for i, (child, own) in enumerate(zip(self.analyses, self.spread(instance), strict=True)):
            child.perform_quick_update(corner(paths, i), own)

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


def each(calls: Sequence[Callable[[], Any]]) -> None:
    """Make every call, also after one that fails; then raise what failed.

    Raises
    ------
    ExceptionGroup
        where several failed; the one error where it was one.
    """
    failures: list[Exception] = []
    for call in calls:
        try:
            call()
        except Exception as error:  # whatever a child's hook does, the next child's turn comes
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        told = "; ".join(f"{type(failure).__name__}: {failure}" for failure in failures)
        raise ExceptionGroup(f"{len(failures)} of {len(calls)} children failed: {told}", failures)


def corner(paths: Any, i: int) -> Any:
    """The folder of child ``i`` inside a result's corner of the store; ``paths`` itself where it has no folders."""
    return paths.child(str(i)) if hasattr(paths, "child") else paths


def returned_analysis(asked: Analysis, returned: Any, *, hook: str) -> Analysis:
    """What a hook of ``asked`` returned, bound to the model of ``asked`` where it forgot it.

    Raises
    ------
    ConfigError
        when it is no analysis.
    """
    if not isinstance(returned, Analysis):
        raise ConfigError(f"{hook} of {type(asked).__name__} returned {returned!r:.60}; it must return an Analysis, such as self.")
    bound = asked.bound_model
    return returned.with_model(bound) if bound is not None and returned.bound_model is None else returned


def analysis_identity(analysis: Analysis) -> dict[str, Any]:
    """Class name, version, identity and bound model of an analysis, for the digest."""
    return {
        "class": f"{type(analysis).__module__}:{type(analysis).__qualname__}",
        "version": analysis.version,
        "identity": analysis.identity(),
        "model": analysis.bound_model,
        "n_batch": analysis.n_batch,
    }
