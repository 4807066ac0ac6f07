"""The flow `chain` of the command line (one dataset through all stages), and the tasks that it shares with the deployed flows.

Tasks take and return names, paths and digests only; Prefect caches nothing and stores no results: the store is the truth, Prefect schedules
and shows. The work runs in the worker process (`flows.worker`), so that this process keeps its heartbeat and its main thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import CrashedRun
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.artifacts import Publisher, name_of_run
from flows.branches import BRANCHES, Branches, width
from flows.engines import ASKED, THREADS, Cluster, joined
from flows.launch import most_lanes
from flows.protocol import RemoteError
from flows.settings import read
from flows.telling import logged
from flows.visit import ask_there
from flows.worker_client import WORKERS

RETRIES = 2
LOOK_SECONDS = 0.5
"""Between two looks at whether this process was asked to stop."""
Outcome = dict[str, Any]
Settings = dict[str, dict[str, Any]]


def is_retryable(task: Any, run: TaskRun, state: State) -> bool:
    """Retry what may succeed later, but not a search that was asked to stop; those who call the tasks wait for another process's lease."""
    try:
        state.result()
    except RemoteError as error:
        return error.retryable and error.kind not in ("SearchInterruptedError", "WorkerDied", "LeaseHeldError")
    except Exception:  # anything else is for a person to look at
        return False
    return False


_options: dict[str, Any] = {"persist_result": False, "cache_policy": NO_CACHE}


def ask(engine: str, operation: str, **request: Any) -> Any:
    """The answer of a worker: of this chain's, of one of its branches', or on a cluster of the task's own."""
    if engine != THREADS:
        return ask_there(engine, operation, **request)
    branches = BRANCHES.get()
    return (WORKERS.current() if branches is None else branches).ask(operation, **request)


@task(name="search", task_run_name="{stage}", retries=RETRIES, retry_delay_seconds=10, retry_condition_fn=is_retryable, **_options)
def search(stage: str, earlier: dict[str, Outcome], request: dict[str, Any], engine: str = THREADS) -> Outcome:
    """Run one stage, or find it in the store; its account, as those in ``earlier`` of the stages that it needs."""
    digests = {name: outcome["digest"] for name, outcome in earlier.items()}
    return ask(engine, "stage", stage=stage, digests=digests, **request)


@task(
    name="latents",
    task_run_name="latent variables of {stage}",
    retries=RETRIES,
    retry_delay_seconds=10,
    retry_condition_fn=is_retryable,
    **_options,
)
def compute_latents(stage: str, digests: dict[str, str], request: dict[str, Any], engine: str = THREADS) -> str:
    """Compute the latent variables of a stored stage, or find them; the digest of the result they belong to."""
    answer = ask(engine, "latents", stage=stage, digests=digests, **request)
    if engine == THREADS:
        WORKERS.listener({"event": "latents", **answer})
    return answer["digest"]


@task(name="report", task_run_name="report", **_options)
def write_report(target: str, cached: list[str], request: dict[str, Any]) -> str:
    """Write the report and note the chain in the store's index; the report's path."""
    return WORKERS.current().ask("report", target=target, cached=cached, **request)


def run_stages(
    stages: Sequence[str],
    latent_stage: str,
    target: str,
    request: dict[str, Any],
    latents_of: Callable[[str, dict[str, str]], object] | None = None,
    needs: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Run or find the stages, the latent variables, by ``latents_of`` where it is given, and the report; to be called within a flow.

    One stage follows the other, but where ``needs`` says that they are independent: those run side by side. On a cluster
    (`flows.engines`) all of them and the latent variables do.
    """
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
        run_all(stages, needs, latent_stage, request, latents_of)
        report = write_report(target, cached, request)
        publisher.table("stages", rows)
        publisher.link("report", report, "report")
        return report
    finally:
        WORKERS.listener = listener


def run_all(
    stages: Sequence[str],
    needs: Mapping[str, Sequence[str]] | None,
    latent_stage: str,
    request: dict[str, Any],
    latents_of: Callable[[str, dict[str, str]], object] | None,
) -> None:
    """The searches and the latent variables of `run_stages`, on the engine of the settings."""
    settings = read()
    with joined(settings, most_lanes(settings.threads)) as cluster:
        if cluster is not None:
            known = {stage: stages[:i] for i, stage in enumerate(stages)} if needs is None else needs
            run_on(cluster, stages, known, latent_stage, request, latents_of)
            return
    threads = WORKERS.threads or settings.threads
    n_branches = 1 if needs is None else min(width(stages, needs), most_lanes(threads))
    outcomes: dict[str, Outcome] = {}
    if needs is None or n_branches == 1:
        for stage in stages:
            outcomes[stage] = search(stage, dict(outcomes), request)
            WORKERS.listener({"event": "outcome", **outcomes[stage]})
    else:
        runner = ThreadPoolTaskRunner(max_workers=len(stages))  # one that waits for another must not keep a third from beginning
        with Branches(WORKERS.current(), WORKERS.listener, n_branches, max(1, threads // n_branches)) as branches, runner:
            known_here = BRANCHES.set(branches)
            try:
                outcomes = collected(submitted(runner, stages, needs, request, THREADS))
            except BaseException:
                branches.stop()
                raise
            finally:
                BRANCHES.reset(known_here)
    digests = {stage: outcome["digest"] for stage, outcome in outcomes.items()}
    if latents_of is None:
        compute_latents(latent_stage, digests, request)
    else:
        latents_of(latent_stage, digests)


def run_on(
    cluster: Cluster,
    stages: Sequence[str],
    needs: Mapping[str, Sequence[str]],
    latent_stage: str,
    request: dict[str, Any],
    latents_of: Callable[[str, dict[str, str]], object] | None = None,
) -> None:
    """The searches and the latent variables on a cluster; where this process is asked to stop, or ends, they save."""
    futures: dict[str, PrefectFuture[Any]] = {}
    asked = {**request, "threads": cluster.threads}
    try:
        with cluster.asking({}):
            futures = submitted(cluster.runner, stages, needs, asked, cluster.engine)
        outcomes = collected(futures, cluster)
        digests = {stage: outcome["digest"] for stage, outcome in outcomes.items()}
        if latents_of is not None:
            latents_of(latent_stage, digests)
            return
        given = {"stage": latent_stage, "digests": digests, "request": asked, "engine": cluster.engine}
        with cluster.asking(cluster.latents):
            futures["latents"] = cluster.runner.submit(compute_latents, given)
        answer_of(futures["latents"], cluster)
    except BaseException:
        for future in futures.values():
            cluster.cancel(future)
        raise


def submitted(
    runner: TaskRunner[Any], stages: Sequence[str], needs: Mapping[str, Sequence[str]], request: dict[str, Any], engine: str
) -> dict[str, PrefectFuture[Any]]:
    """A search for each stage, which begins when those that it needs are done."""
    futures: dict[str, PrefectFuture[Any]] = {}
    for stage in stages:
        earlier = {need: futures[need] for need in needs[stage]}
        futures[stage] = runner.submit(search, {"stage": stage, "earlier": earlier, "request": request, "engine": engine})
    return futures


def collected(futures: Mapping[str, PrefectFuture[Any]], cluster: Cluster | None = None) -> dict[str, Outcome]:
    """The account of each stage, told as it comes. Where one fails the others go on, so that their work is kept, and its error follows."""
    outcomes: dict[str, Outcome] = {}
    errors: list[Exception] = []
    for stage, future in futures.items():
        try:
            outcomes[stage] = answer_of(future, cluster)
        except Exception as error:
            errors.append(error)
        else:
            WORKERS.listener({"event": "outcome", **outcomes[stage]})
    if errors:
        raise errors[0]  # in the order of the stages: those that could not begin come after the one that they need
    return outcomes


def answer_of(future: PrefectFuture[Any], cluster: Cluster | None) -> Any:
    """What a task returned; RemoteError where its process is gone, or this process is asked to stop."""
    lost = () if cluster is None else (*cluster.lost, CrashedRun)
    while not ASKED.is_stopping:
        try:
            return future.result(timeout=LOOK_SECONDS)
        except lost as error:
            told = f"the process of the task {future.task_run_id} ended, or its cluster: {type(error).__name__}: {error}. "
            raise RemoteError("WorkerDied", f"{told}Work up to the last checkpoint is saved: run the same command again.", True) from error
        except TimeoutError as error:
            if str(future.task_run_id) not in str(error):  # it is the task's; Prefect's own names the task
                raise
    raise RemoteError("SearchInterruptedError", "asked to stop; the searches on the cluster save, and the same command goes on", True)


@flow(name="chain", flow_run_name=name_of_run, persist_result=False, retries=0)
def chain(
    dataset: str,
    pipeline: str,
    store: str,
    seed: int,
    stages: list[str],
    latent_stage: str,
    target: str,
    settings: Settings,
    needs: dict[str, list[str]] | None = None,
    origins: dict[str, str] | None = None,
) -> str:
    """One dataset through all stages of a pipeline, its latent variables and its report; the report's path.

    Parameters
    ----------
    dataset, store, target : paths of the dataset's folder, the store, and the report to write.
    pipeline : short name of an installed pipeline.
    stages : its stages in order; ``latent_stage`` is the one whose latent variables are computed.
    needs : names of the stages that each stage needs, by its name; None where each needs all before it.
    settings : search settings to replace, by stage and field.
    origins : of pipeline, store, seed and ``stage.field``: file, environment or option; what is not there is a default.
    """
    request = {"dataset": dataset, "pipeline": pipeline, "store": store, "seed": seed, "settings": settings, "origins": origins or {}}
    with logged():
        return run_stages(stages, latent_stage, target, request, needs=needs)
