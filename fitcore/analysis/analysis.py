"""`Analysis`: what a user writes to fit a model to data.

Only ``log_likelihood_function`` is required; every other member has a default that does nothing or the usual thing. The table of
which hook runs when is in ``docs/hooks.md``. Searching, storing and compiling are done elsewhere (`fitcore.fit`, `fitcore.store`,
`fitcore.evaluation`).
"""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from fitcore.analysis.latent import compute_latents
from fitcore.analysis.visualizer import Visualizer
from fitcore.errors import LinkError, ModelError
from fitcore.evaluation import compiled
from fitcore.memory import memory_report
from fitcore.model import Model, special
from fitcore.result import Result

if TYPE_CHECKING:
    from fitcore.samples import Samples
    from fitcore.summary import SamplesSummary

_FIT_FUNCTIONS: weakref.WeakKeyDictionary[Analysis, Callable[[Any], Any]] = weakref.WeakKeyDictionary()


class Analysis:
    """Derive from this, keep the data as attributes, and write ``log_likelihood_function``.

    Parameters
    ----------
    use_jax : the likelihood is traceable by JAX; it is compiled and evaluated in batches. Otherwise it is called once per sample.
    use_jax_for_visualization : ``fit_for_visualization`` runs compiled, where `supports_jax_visualization`.
    **kwargs : kept in ``self.kwargs`` and part of the identity.

    Class attributes: ``version`` is raised by the author when numbers change; ``batching`` says how a compiled batch runs, ``"vmap"`` (all
    points at once) or ``"map"`` (one point after the other, the batch shared by threads: right where one point fills the caches of a core);
    ``n_batch`` is the number of points in a batch, part of the digest because searches draw whole batches. ``latent_threads``, threads that
    share the latent variables of a ``"map"``, is set on a copy by whoever computes them, as is ``latent_listener``, which is told what
    computed them and in which batches; neither ever changes a number.

    Examples
    --------
    >>> class Mean(Analysis):
    ...     def __init__(self, data):
    ...         super().__init__()
    ...         self.data = data
    ...     def log_likelihood_function(self, instance):
    ...         return -0.5 * sum((x - instance["mean"]) ** 2 for x in self.data)
    >>> Mean([1.0, 2.0]).log_likelihood_function({"mean": 1.5})
    -0.25
    """

    version: ClassVar[int] = 1
    LATENT_KEYS: ClassVar[tuple[str, ...]] = ()
    Result: ClassVar[type[Result]] = Result
    Visualizer: ClassVar[type[Visualizer]] = Visualizer
    batching: ClassVar[Literal["vmap", "map"]] = "vmap"
    n_batch: ClassVar[int] = 32
    latent_threads: int = 1
    latent_listener: Callable[[Mapping[str, Any]], None] | None = None

    use_jax: bool = False
    use_jax_for_visualization: bool = False
    bound_model: Model | None = None

    def __init__(self, use_jax: bool = False, use_jax_for_visualization: bool = False, **kwargs: Any) -> None:
        self.use_jax = use_jax
        self.use_jax_for_visualization = use_jax_for_visualization
        self.kwargs = kwargs

    # -- the likelihood

    def log_likelihood_function(self, instance: Any) -> Any:
        """Natural logarithm of the likelihood of one instance of the model: one number."""
        raise ModelError(f"{type(self).__name__} has no log_likelihood_function(self, instance): write one that returns a number.")

    def with_model(self, model: Model) -> Analysis:
        """A copy whose likelihood, latents and pictures get instances of ``model``, matched by path to the fitted parameters."""
        if not isinstance(model, Model):
            raise ModelError(f"with_model() got {model!r:.60}; it must be a fitcore.Model.")
        bound = copy.copy(self)
        bound.bound_model = model
        return bound

    def instance_of(self, theta: Any, model: Model) -> Any:
        """The instance that the hooks get, for the parameter vector ``theta``, shape (n_dim,), of the fitted ``model``."""
        return (self.bound_model or model).instance_from_vector(self.own_vector(model)(theta))

    def vector_likelihood(self, model: Model) -> Callable[[Any], Any]:
        """The log-likelihood as a function of the fitted ``model``'s parameter vector, shape (n_dim,).

        Raises
        ------
        ModelError
            when this analysis is bound to a model with a parameter that ``model`` does not have.
        """
        own, seen = self.own_vector(model), self.bound_model or model
        return lambda theta: self.log_likelihood_function(seen.instance_from_vector(own(theta)))

    def traced_arrays(self) -> Any:
        """Large arrays of the data as a pytree, to be handed to compiled functions as arguments; None keeps them inside as constants.

        With it, one compiled function, kept on disk, serves every dataset of one shape. Goes with `with_traced_arrays`.
        """
        return None

    def with_traced_arrays(self, arrays: Any) -> Analysis:
        """The analysis with ``arrays`` (of the structure of `traced_arrays`, being traced) in the place of its own."""
        return self

    def own_vector(self, model: Model) -> Callable[[Any], Any]:
        """A function from the fitted ``model``'s parameter vector to that of the model which this analysis is bound to.

        A parameter of the bound model takes the value that the leaf of the same path has in ``model``, be it free, tied or fixed there.
        """
        bound = self.bound_model
        if bound is None:
            return lambda theta: theta
        sources = _sources(bound, model)
        missing = [path for path, source in zip(bound.paths, sources, strict=True) if source is None]
        if missing:
            raise ModelError(
                f"{type(self).__name__} is bound to a model with the free parameters {missing}, which the fitted model does not have. "
                f"It has {list(model.leaf_paths)}. Give both the same paths, or replace those parameters by numbers in the model given to "
                "with_model."
            )
        positions = [source for source in sources if isinstance(source, int)]
        if len(positions) == len(sources):
            return lambda theta: (theta if hasattr(theta, "shape") else np.asarray(theta, dtype=np.float64))[..., positions]

        def own(theta: Any) -> Any:
            xp, values = special.floats(theta)
            return xp.stack([values[..., s] if isinstance(s, int) else xp.full(values.shape[:-1], s) for s in sources], axis=-1)

        return own

    # -- before the search

    def modify_model(self, model: Model) -> Model:
        """First of all; the model returned is the one that is fitted, and part of the digest."""
        return model

    def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
        """Before a search that will run; the analysis returned is the one that runs."""
        return self

    def save_attributes(self, paths: Any) -> None:
        """Before a search that will run: save what belongs beside the result, through ``paths`` only."""

    # -- after the search

    def modify_after_fit(self, paths: Any, model: Model, result: Result) -> Analysis:
        """After the commit; the analysis returned is the result's."""
        return self

    def make_result(
        self,
        samples_summary: SamplesSummary,
        paths: Any,
        samples: Samples | None = None,
        search_internal: Any = None,
        analysis: Analysis | None = None,
    ) -> Result:
        """The result handed to the user: an instance of ``self.Result``."""
        own = self if analysis is None else analysis
        return self.Result(samples_summary, paths=paths, samples=samples, search_internal=search_internal, analysis=own)

    def save_results(self, paths: Any, result: Result) -> None:
        """After the commit: a failure here is reported and can be rerun; the fit is never lost."""

    def save_results_combined(self, paths: Any, result: Result) -> None:
        """As `save_results`, once for a fit of several datasets."""

    # -- latent variables

    def compute_latent_variables(self, parameters: Any, model: Model) -> Mapping[str, Any] | tuple[Any, ...]:
        """Derived quantities of one parameter vector, shape (n_dim,): a tuple in the order of ``LATENT_KEYS``, or a dict.

        Pure; NaN where undefined. Nested dicts become dotted names.
        """
        return {}

    def latents_of(self, theta: Any, model: Model) -> dict[str, Any]:
        """`compute_latent_variables` for the fitted ``model``'s vector, as a flat dict."""
        vector = self.own_vector(model)(theta)
        values = self.compute_latent_variables(vector, self.bound_model or model)
        name = f"compute_latent_variables of {type(self).__name__}"
        if isinstance(values, Mapping):
            return _flat(values, name)
        if not isinstance(values, tuple | list):
            raise ModelError(f"{name} returned {values!r:.60}; return a tuple in the order of LATENT_KEYS, or a dict.")
        if len(values) != len(self.LATENT_KEYS):
            raise ModelError(
                f"{name} returned {len(values)} values; LATENT_KEYS names "
                f"{len(self.LATENT_KEYS)}, {list(self.LATENT_KEYS)}. Return one value for each, in that order, or a dict."
            )
        return dict(zip(self.LATENT_KEYS, values, strict=True))

    def compute_latent_samples(self, samples: Samples, batch_size: int | None = None) -> Samples | None:
        """Latent variables of every sample, with the weights of ``samples``; None when there are none.

        Evaluated in batches of ``batch_size``, compiled once where ``use_jax``; by default of ``n_batch``, and on an accelerator of as many
        as its memory allows. A batch for which the memory runs out is halved. A value that is not finite is NaN for that key alone;
        `Samples.n_masked` counts them, and a `LatentWarning` is given where most of the posterior is masked.

        Raises
        ------
        LikelihoodError
            when ``compute_latent_variables`` raises, naming the parameters; or gives something that is not one number.
        """
        if samples.model is None:
            raise LinkError(
                "compute_latent_samples needs samples that know their model: take result.samples, or samples.with_model(model)."
            )
        return compute_latents(self, samples, samples.model, batch_size)

    # -- looking at it

    def fit_from(self, instance: Any) -> Any:
        """The fit of one instance, for looking at: whatever the visualizer draws. Default: the log-likelihood."""
        return self.log_likelihood_function(instance)

    def fit_for_visualization(self, instance: Any) -> Any:
        """`fit_from`, through a compiled function kept for this analysis where ``use_jax_for_visualization``."""
        if not (self.use_jax_for_visualization and self.supports_jax_visualization):
            return self.fit_from(instance)
        if self not in _FIT_FUNCTIONS:
            reference = weakref.ref(self)  # the cache must not keep its own key alive

            def call(argument: Any) -> Any:
                analysis = reference()
                assert analysis is not None
                return analysis.fit_from(argument)

            _FIT_FUNCTIONS[self] = compiled(call)
        return _FIT_FUNCTIONS[self](instance)

    @property
    def supports_jax_visualization(self) -> bool:
        """Whether `fit_from` is traceable and returns a pytree."""
        return False

    @property
    def supports_background_update(self) -> bool:
        """Whether `perform_quick_update` may be called from another thread while the search runs."""
        return False

    def perform_quick_update(self, paths: Any, instance: Any) -> None:
        """Show the best instance so far; at most one call is pending, and its failure never ends the search."""
        self.Visualizer.visualize(self, paths, instance, True)

    def print_vram_use(self, model: Model, batch_size: int) -> str:
        """Compiled memory of the batched likelihood and of its gradient, and the largest batch that fits; printed and returned.

        The figures are the compiler's own; see `fitcore.memory`.
        """
        text = memory_report(self, model, batch_size)
        print(text)
        return text

    # -- identity

    def identity(self) -> dict[str, Any]:
        """What can change a number, for the digest: all attributes, arrays by content.

        Attributes in ``__slots__`` are among them; a `functools.cached_property` is not, since it follows from the others and is there only
        once somebody has asked for it. Attributes of the class are its code: raise ``version`` when they change.
        """
        classes = type(self).__mro__
        slots = {name for cls in classes for name in _slots(cls) if hasattr(self, name)}
        derived = {name for cls in classes for name, value in vars(cls).items() if isinstance(value, functools.cached_property)}
        names = ({*vars(self)} | slots) - derived - {"use_jax_for_visualization", "bound_model"}
        return {name: getattr(self, name) for name in sorted(names)}


def _slots(cls: type) -> set[str]:
    """The attributes that a class keeps outside of the dictionary of its instances, by the names under which they are found."""
    found = vars(cls).get("__slots__", ())
    names = {found} if isinstance(found, str) else set(found)
    mangled = {f"_{cls.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name for name in names}
    return mangled - {"__dict__", "__weakref__"}


@functools.lru_cache(maxsize=64)
def _sources(bound: Model, model: Model) -> tuple[int | float | None, ...]:
    """Where ``bound``'s parameters come from: a position in ``model``'s vector, the value of a fixed leaf, or None for nowhere."""
    position = {path: i for i, free in enumerate(model.paths) for path in (free, *model.ties.get(free, ()))}
    fixed = {path: float(value) for path, value in model.leaf_values(np.zeros(model.n_dim)).items() if path not in position}
    return tuple(position.get(path, fixed.get(path)) for path in bound.paths)


def _flat(values: Mapping[str, Any], name: str, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        found = _flat(value, name, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        if twice := sorted(flat.keys() & found.keys()):
            raise ModelError(f"{name} gives {twice[0]!r} twice, by a dotted name and in a nested dict; every latent needs its own name.")
        flat |= found
    return flat
