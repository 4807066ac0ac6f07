"""The hooks around a search: which analysis runs, which is the result's, and what becomes of a hook that fails after the commit.

Results are made here of what is stored; a result's analysis is the same whether it was just computed or was in the store, since the next
stage may be built from it. Nothing is sampled.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import dill
import numpy as np

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.combined import analysis_identity, returned_analysis
from fitcore.errors import ConfigError
from fitcore.identity import canonical, form_differences
from fitcore.model import Model
from fitcore.result import Result, ResultSource
from fitcore.samples import Samples
from fitcore.store import Store
from fitcore.store.internal import internal_of
from fitcore.stored import StoredRequest, read_latents, specified_analysis, stored_request, summary_of

if TYPE_CHECKING:
    from fitcore.fitting import Request


class HookWarning(UserWarning):
    """A hook that runs after the commit failed; the result is safe."""


def running_analysis(request: Request | StoredRequest, store: Store) -> Analysis:
    """The analysis that runs: what `modify_before_fit` returns."""
    asked = request.analysis
    return returned_analysis(asked, asked.modify_before_fit(store.paths(request.digest), request.model), hook="modify_before_fit")


def _running_again(request: Request | StoredRequest, store: Store) -> Analysis:
    """The analysis that ran, for a result that is in the store: made anew from the one that was asked with."""
    remedy = "mend the hook and run the same command again"
    return guarded(request, "modify_before_fit", lambda: running_analysis(request, store), remedy) or request.analysis


def _modified(
    request: Request | StoredRequest, running: Analysis, store: Store, attributes: Mapping[str, Any], *, is_cached: bool
) -> Result:
    """The result, with the analysis that `modify_after_fit` returns."""
    paths = store.paths(request.digest)
    result = _result(request, running, running, store, attributes, is_cached=is_cached)

    def changed() -> Analysis:
        returned = running.modify_after_fit(paths, request.model, result)
        return running if returned is None else returned_analysis(running, returned, hook="modify_after_fit")

    analysis = guarded(request, "modify_after_fit", changed) or running
    return _result(request, running, analysis, store, attributes, is_cached=is_cached)


def cached_result(request: Request, store: Store, attributes: Mapping[str, Any]) -> Result:
    """The result that is in the store, with the analysis that a first run's result has."""
    return _modified(request, _running_again(request, store), store, attributes, is_cached=True)


def after_commit(request: Request | StoredRequest, running: Analysis, store: Store, attributes: Mapping[str, Any]) -> Result:
    """The result that was just committed, and every hook that runs then."""
    paths = store.paths(request.digest)
    result = _modified(request, running, store, attributes, is_cached=False)
    analysis = result.source.analysis
    guarded(request, "save_results", lambda: analysis.save_results(paths, result))
    guarded(request, "save_results_combined", lambda: analysis.save_results_combined(paths, result))
    best = np.asarray(result.samples_summary.best)
    guarded(request, "visualize", lambda: analysis.Visualizer.visualize(analysis, paths, analysis.instance_of(best, request.model), False))
    return result


def guarded(
    request: Request | StoredRequest, hook: str, call: Callable[[], Any], remedy: str = "mend the hook and call fitcore.rerun_hooks"
) -> Any:
    """What ``call`` returns; None and a `HookWarning` where it fails."""
    try:
        return call()
    except Exception as error:  # whatever a user's hook does, the committed result stands
        warnings.warn(
            f"{hook} of {type(request.analysis).__name__} failed after the fit {request.name!r} was stored as {request.digest[:12]}: "
            f"{type(error).__name__}: {error}. The result is safe; {remedy}.",
            HookWarning,
            stacklevel=2,
        )
        return None


def rerun_hooks(
    what: Result | Request | Analysis, store: Store | None = None, *, analysis: Analysis | None = None, digest: str | None = None
) -> Result:
    """Run the hooks after the commit once more for a stored result: `modify_after_fit`, `make_result`, `save_results`, the last picture.

    They run on what `modify_before_fit` returns, as in the first run. Nothing is sampled, and no latent variable is computed.

    Parameters
    ----------
    what : the result; or, with ``store``, the request, or the analysis whose result it is.
    analysis : a mended one to run the hooks of; it must be the same by identity. Default: the one that was fitted.
    digest : of the result, or its beginning, where the store holds several of the analysis.

    Raises
    ------
    ConfigError
        when ``analysis`` is another one than was fitted, ``store`` is missing, or the result meant is not clear.
    ResultNotFoundError
        when the store holds no such result.
    """
    if isinstance(what, Result):
        return what.source.rerun_hooks(analysis)
    if store is None:
        raise ConfigError(f"rerun_hooks of a {type(what).__name__} needs the store that holds its result: give it, or give the result.")
    request = stored_request(what, store, digest=digest) if isinstance(what, Analysis) else what
    return _rerun(store, request, analysis)


def _rerun(store: Store, request: Request | StoredRequest, analysis: Analysis | None) -> Result:
    record = store.read(request.digest)
    if analysis is not None:
        differing = form_differences(specified_analysis(record), canonical(analysis_identity(analysis)))
        if differing:
            raise ConfigError(
                f"The analysis given to rerun_hooks is not the one that was fitted as {request.digest[:12]}: {'; '.join(differing[:3])}. "
                "Hooks may differ, data and version may not: give the same analysis, or fit again."
            )
        request = replace(request, analysis=analysis)
    return after_commit(request, _running_again(request, store), store, record.attributes)


def _result(
    request: Request | StoredRequest,
    running: Analysis,
    analysis: Analysis,
    store: Store,
    attributes: Mapping[str, Any],
    *,
    is_cached: bool,
) -> Result:
    summary = summary_of(attributes)
    paths = store.paths(request.digest)

    def made() -> Result:
        result = analysis.make_result(summary, paths, analysis=analysis)
        if not isinstance(result, Result):
            raise TypeError(f"it returned {result!r:.60}; it must return a fitcore.Result, such as self.Result(samples_summary, ...)")
        return result

    result = guarded(request, "make_result", made) or Result(summary, paths=paths, analysis=analysis)
    return result.attach(
        ResultSource(
            model=request.model,
            digest=request.digest,
            is_cached=is_cached,
            running=running,
            analysis=analysis,
            read_samples=partial(_read_samples, store, request.digest, request.model),
            read_latents=partial(read_latents, store, request.digest, request.n_latents),
            read_internal=partial(_read_internal, store, request.digest),
            read_provenance=partial(_read_provenance, store, request.digest),
            rerun_hooks=partial(_rerun, store, request),
        )
    )


def _read_samples(store: Store, key: str, model: Model) -> Samples:
    return Samples.from_arrays(store.read(key).arrays()).with_model(model)


def _read_provenance(store: Store, key: str) -> Mapping[str, Any]:
    return store.read(key).provenance


def _read_internal(store: Store, key: str, trust: bool) -> Any:
    plain = internal_of(store.read(key))
    if plain is not None:
        return plain
    return dill.loads(store.read_internal(key, trust=trust))  # refused by the store unless trusted
