"""Running a pipeline: one stage, what is already there, or everything. No Prefect here; the flow calls the same functions.

A stage is asked of the store first. Its specification needs the earlier results' summaries only, so a finished chain is answered
without one likelihood call and without compiling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fitcore.analysis.analysis import Analysis
from fitcore.device import require
from fitcore.errors import ConfigError, ResultNotFoundError
from fitcore.fitting import Request, find, latents, run
from fitcore.limits import Limits
from fitcore.result import Result
from fitcore.search.base import Progress
from fitcore.stage import Pipeline, Stage
from fitcore.store import Store
from fitcore.stored import latents_part


@dataclass(frozen=True, kw_only=True)
class StageOutcome:
    """One stage's line in the account of a chain; ``seconds`` is the time of the run that made the result."""

    name: str
    digest: str
    cached: bool
    n_calls: int
    log_evidence: float
    log_evidence_error: float
    seconds: float
    grade: str

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StageOutcome:
        """From `to_dict`."""
        return cls(**data)


@dataclass(frozen=True, kw_only=True)
class LatentOutcome:
    """What became of a stage's latent variables.

    Parameters
    ----------
    digest : of the result that they belong to.
    n_samples : 0 where the analysis has none.
    cached : they were in the store.
    device : what computed them, in words; empty where their record does not tell.
    """

    digest: str
    n_samples: int
    cached: bool
    device: str = ""


def outcome_of(name: str, result: Result, store: Store) -> StageOutcome:
    """The account of a stored result."""
    record = store.read(result.digest)
    summary = result.samples_summary
    seconds = record.provenance.get("seconds")
    return StageOutcome(
        name=name,
        digest=result.digest,
        cached=result.is_cached,
        n_calls=summary.n_calls,
        log_evidence=summary.log_evidence,
        log_evidence_error=summary.log_evidence_error,
        seconds=float(seconds) if isinstance(seconds, int | float) else math.nan,
        grade=str(summary.diagnostics.get("grade", "")),
    )


class _Visible(dict[str, Result]):
    """The results that one stage may use; asking for another says what to do."""

    def __init__(self, stage: Stage, results: Mapping[str, Result]) -> None:
        super().__init__(results)
        self.stage = stage

    def __missing__(self, name: str) -> Result:
        raise ConfigError(
            f"Stage {self.stage.name!r} asks for the result of {name!r} and has those of {list(self)}: its needs are "
            f"{list(self.stage.needs)}. Add the stage to needs."
        )


def request_of(pipeline: Pipeline, stage: Stage, dataset: Any, results: Mapping[str, Result], seed: int) -> Request:
    """What a stage asks for, given the earlier results."""
    ancestors = _ancestors(pipeline, stage.name)
    visible = _Visible(stage, {name: results[name] for name in results if name in ancestors})
    analysis = stage.build_analysis(dataset, visible)
    if not isinstance(analysis, Analysis):
        raise ConfigError(f"The analysis of stage {stage.name!r} is {analysis!r:.60}; it must be a fitcore.Analysis: is a return missing?")
    model = analysis.modify_model(stage.build_model(visible))
    return Request(
        model=model,
        analysis=analysis,
        search=stage.search,
        seed=pipeline.stage_seed(seed, stage.name),
        proposal=stage.build_proposal(visible, model),
        name=f"{pipeline.name}.{stage.name}",
        n_latents=stage.n_latents,
    )


def _upstream(
    pipeline: Pipeline, until: str, dataset: Any, store: Store, *, seed: int, digests: Mapping[str, str] | None
) -> dict[str, Result]:
    """Stored results of the stages before ``until`` that ``until`` depends on."""
    needed = _ancestors(pipeline, until)
    results: dict[str, Result] = {}
    for stage in pipeline:
        if stage.name not in needed:
            continue
        request = request_of(pipeline, stage, dataset, results, seed)
        _check_digest(stage.name, request.digest, digests)
        result = find(request, store)
        if result is None:
            raise ResultNotFoundError(
                f"Stage {until!r} needs {stage.name!r}, whose result {request.digest[:12]} is not in the store {store.path}. "
                "Run that stage first."
            )
        results[stage.name] = result
    return results


def _check_digest(stage: str, found: str, digests: Mapping[str, str] | None) -> None:
    if digests is not None and digests.get(stage, found) != found:
        raise ConfigError(
            f"Stage {stage!r} was given as {digests[stage][:12]}, but this dataset, pipeline and seed ask for {found[:12]}. Did the data "
            "or the settings change while the chain ran, or are they others on another machine? Run it again."
        )


def _ancestors(pipeline: Pipeline, name: str) -> set[str]:
    found: set[str] = set()
    waiting = list(pipeline.stage(name).needs)
    while waiting:
        need = waiting.pop()
        if need not in found:
            found.add(need)
            waiting.extend(pipeline.stage(need).needs)
    return found


def run_stage(
    pipeline: Pipeline,
    stage: str,
    dataset: Any,
    store: Store,
    *,
    seed: int = 0,
    digests: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    n_threads: int = 1,
    limits: Limits | None = None,
    about: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> StageOutcome:
    """Look up or run one stage, whose earlier stages are in the store.

    Parameters
    ----------
    digests : digests of the earlier stages, checked against what this dataset, pipeline and seed ask for.
    stop : asked at every batch; True saves and raises `SearchInterruptedError`.
    limits : on time and calls; meeting one does the same.
    about : what the work is, in words, for those who look at the store; see `Store.lease`.
    provenance : JSON-able facts to record beside the result where it is computed, such as the dataset's name and the settings in force.

    Raises
    ------
    ResultNotFoundError
        when an earlier stage is not in the store.
    """
    results = _upstream(pipeline, stage, dataset, store, seed=seed, digests=digests)
    request = request_of(pipeline, pipeline.stage(stage), dataset, results, seed)
    result = run(request, store, progress=progress, stop=stop, n_threads=n_threads, limits=limits, about=about, provenance=provenance)
    return outcome_of(stage, result, store)


def run_latents(
    pipeline: Pipeline,
    stage: str,
    dataset: Any,
    store: Store,
    *,
    seed: int = 0,
    digests: Mapping[str, str] | None = None,
    batch_size: int | None = None,
    n_threads: int = 1,
    device: str = "any",
) -> LatentOutcome:
    """Compute the latent variables of a stored stage's samples, once; they are stored beside the result.

    One process at a time does so, by a lease; the attempts are those of `Store.attempts` for the part.

    Parameters
    ----------
    digests : digests of this and the earlier stages, checked against what this dataset, pipeline and seed ask for.
    device : gpu, cpu or any; what shall compute them where they are not stored. It changes no digest.

    Raises
    ------
    ResultNotFoundError
        when the stage, or an earlier one, is not in the store.
    ConfigError
        when ``device`` is not there.
    LeaseHeldError
        when another process computes them.
    LikelihoodError
        when ``compute_latent_variables`` fails, naming the parameters; the stage's result is untouched.
    """
    results = _upstream(pipeline, stage, dataset, store, seed=seed, digests=digests)
    request = request_of(pipeline, pipeline.stage(stage), dataset, results, seed)
    _check_digest(stage, request.digest, digests)
    result = find(request, store)
    if result is None:
        raise ResultNotFoundError(f"Stage {stage!r} ({request.digest[:12]}) is not in the store {store.path}. Run it before its latents.")
    part = latents_part(request.n_latents)
    if store.lookup(request.digest, part) is not None:
        n_samples, cached = latents(request, result, store)
    else:
        require(device, request.analysis, f"The latent variables of stage {stage!r}")
        with store.lease(request.digest, part=part):
            n_samples, cached = latents(request, result, store, batch_size=batch_size, n_threads=n_threads)
    told = store.read(request.digest, part).provenance.get("device")
    words = f"{told.get('kind')} ({told.get('platform')})" if isinstance(told, Mapping) else ""
    return LatentOutcome(digest=result.digest, n_samples=n_samples, cached=cached, device=words)


def asked(pipeline: Pipeline, dataset: Any, store: Store, *, seed: int = 0) -> dict[str, Request]:
    """What the chain asks for now, by stage: those whose needs are in the store; what the others ask for depends on results to come."""
    requests: dict[str, Request] = {}
    results: dict[str, Result] = {}
    for stage in pipeline:
        if not set(stage.needs) <= set(results):
            continue
        requests[stage.name] = request_of(pipeline, stage, dataset, results, seed)
        result = find(requests[stage.name], store)
        if result is not None:
            results[stage.name] = result
    return requests


def stored_results(pipeline: Pipeline, dataset: Any, store: Store, *, seed: int = 0) -> dict[str, Result]:
    """The results of the chain that are in the store, but for those that need one that is not. No likelihood call, nothing compiled."""
    results: dict[str, Result] = {}
    for stage in pipeline:
        if not set(stage.needs) <= set(results):
            continue
        result = find(request_of(pipeline, stage, dataset, results, seed), store)
        if result is not None:
            results[stage.name] = result
    return results


def walk(pipeline: Pipeline, dataset: Any, store: Store, *, seed: int = 0) -> list[StageOutcome]:
    """`stored_results` as accounts."""
    return [outcome_of(name, result, store) for name, result in stored_results(pipeline, dataset, store, seed=seed).items()]


def run_pipeline(
    pipeline: Pipeline,
    dataset: Any,
    store: Store,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    n_threads: int = 1,
    limits: Limits | None = None,
) -> dict[str, Result]:
    """Every stage in order, without Prefect, and the latent variables of each; results by stage name."""
    results: dict[str, Result] = {}
    for stage in pipeline:
        request = request_of(pipeline, stage, dataset, results, seed)
        result = run(request, store, progress=progress, stop=stop, n_threads=n_threads, limits=limits)
        latents(request, result, store, n_threads=n_threads)
        results[stage.name] = result
    return results
