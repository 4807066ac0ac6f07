"""The flow `chain` of the command line (one dataset through all stages), and the tasks that it shares with the deployed flows.

Tasks take and return names, paths and digests only; Prefect caches nothing and stores no results: the store is the truth, Prefect schedules
and shows. The work runs in the worker process (`flows.worker`), so that this process keeps its heartbeat and its main thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from flows.artifacts import Publisher
from flows.protocol import RemoteError
from flows.worker_client import WORKERS

RETRIES = 2
Settings = dict[str, dict[str, Any]]


def is_retryable(task: Any, run: TaskRun, state: State) -> bool:
    """Retry what may succeed later, but not a search that was asked to stop."""
    try:
        state.result()
    except RemoteError as error:
        return error.retryable and error.kind not in ("SearchInterruptedError", "WorkerDied")
    except Exception:  # anything else is for a person to look at
        return False
    return False


_options: dict[str, Any] = {"persist_result": False, "cache_policy": NO_CACHE}


@task(name="search", retries=RETRIES, retry_delay_seconds=10, retry_condition_fn=is_retryable, **_options)
def search(stage: str, digests: dict[str, str], request: dict[str, Any]) -> str:
    """Run one stage, or find it in the store; its digest."""
    answer = WORKERS.current().ask("stage", stage=stage, digests=digests, **request)
    WORKERS.listener({"event": "outcome", **answer})
    return answer["digest"]


@task(name="latents", retries=RETRIES, retry_delay_seconds=10, retry_condition_fn=is_retryable, **_options)
def compute_latents(stage: str, digests: dict[str, str], request: dict[str, Any]) -> str:
    """Compute the latent variables of a stored stage, or find them; the digest of the result they belong to."""
    answer = WORKERS.current().ask("latents", stage=stage, digests=digests, **request)
    WORKERS.listener({"event": "latents", **answer})
    return answer["digest"]


@task(name="report", **_options)
def write_report(target: str, cached: list[str], request: dict[str, Any]) -> str:
    """Write the report and note the chain in the store's index; the report's path."""
    return WORKERS.current().ask("report", target=target, cached=cached, **request)


def run_stages(
    stages: Sequence[str], latent_stage: str, target: str, request: dict[str, Any], latents_of: Callable[[str, dict[str, str]], object]
) -> str:
    """Run or find the stages in order, the latent variables by ``latents_of``, and the report; to be called within a flow."""
    publisher, listener = Publisher(), WORKERS.listener
    cached: list[str] = []
    rows: list[dict[str, Any]] = []

    def hear(event: dict[str, Any]) -> None:
        if event.get("event") == "outcome":
            rows.append({key: event[key] for key in ("name", "digest", "cached", "n_calls", "log_evidence", "seconds", "grade")})
            cached.extend([event["name"]] if event["cached"] else [])
        publisher.tell("progress", event)
        listener(event)

    WORKERS.listener = hear
    try:
        digests: dict[str, str] = {}
        for stage in stages:
            digests[stage] = search(stage, dict(digests), request)
        latents_of(latent_stage, digests)
        report = write_report(target, cached, request)
        publisher.table("stages", rows)
        return report
    finally:
        WORKERS.listener = listener


@flow(name="chain", persist_result=False, retries=0)
def chain(dataset: str, pipeline: str, store: str, seed: int, stages: list[str], latent_stage: str, target: str, settings: Settings) -> str:
    """One dataset through all stages of a pipeline, its latent variables and its report; the report's path.

    Parameters
    ----------
    dataset, store, target : paths of the dataset's folder, the store, and the report to write.
    pipeline : short name of an installed pipeline.
    stages : its stages in order; ``latent_stage`` is the one whose latent variables are computed.
    settings : search settings to replace, by stage and field.
    """
    request = {"dataset": dataset, "pipeline": pipeline, "store": store, "seed": seed, "settings": settings}
    return run_stages(stages, latent_stage, target, request, lambda stage, digests: compute_latents(stage, digests, request))
