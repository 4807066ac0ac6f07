"""Tasks on a Dask cluster: the one at FITCORE_ENGINE_ADDRESS, or one of this machine for the time of the run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import dask
import distributed
from distributed.comm.core import CommClosedError
from distributed.core import Status
from distributed.scheduler import KilledWorker
from prefect_dask.task_runners import DaskTaskRunner

from fitcore import ConfigError
from flows.engines import Cluster
from flows.settings import Settings

CONNECT_SECONDS = 30.0
WANTED = ("executing", "long-running", "resumed")
LIVING = (Status.running, Status.paused)


@contextlib.contextmanager
def joined(settings: Settings, n_workers: int, threads: int) -> Iterator[Cluster]:
    """See `flows.engines.Adapter`."""
    with contextlib.ExitStack() as stack:
        runner = _runner(settings, n_workers)
        try:
            stack.enter_context(runner)
            assert runner.client is not None  # it connects when it is first asked for
        except (OSError, TimeoutError) as error:
            raise ConfigError(
                f"FITCORE_ENGINE_ADDRESS is {settings.engine_address!r}, and no Dask scheduler answers there within "
                f"{CONNECT_SECONDS:.0f} s: {error}. Start one by 'dask scheduler', or correct the address, such as tcp://127.0.0.1:8786."
            ) from error
        yield Cluster(
            engine="dask",
            runner=runner,
            asking=_asking,
            cancel=lambda future: future.wrapped_future.cancel(),
            lost=(KilledWorker, distributed.CancelledError, CommClosedError),
            threads=None if settings.engine_address else threads,
            latents=settings.latents_resources,
        )


def _runner(settings: Settings, n_workers: int) -> DaskTaskRunner:
    if settings.engine_address:
        return DaskTaskRunner(address=settings.engine_address, client_kwargs={"timeout": CONNECT_SECONDS})
    options = {
        "n_workers": n_workers,
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": None,
        "resources": dict(settings.latents_resources),
        "memory_limit": 0,  # a task's memory is its search's, which is a process of its own
    }
    return DaskTaskRunner(cluster_class=distributed.LocalCluster, cluster_kwargs=options)


def _asking(resources: Mapping[str, float]) -> AbstractContextManager[Any]:
    annotate: Any = getattr(dask, "annotate")  # noqa: B009 - public, and not exported by its package's types
    return annotate(resources=dict(resources)) if resources else contextlib.nullcontext()


def watch() -> Callable[[], bool]:
    """See `flows.engines.Adapter`. A task that runs cannot be ended by Dask; it finds here that its client or its worker is leaving."""
    worker = distributed.get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in WANTED and worker.status in LIVING

    return is_wanted
