"""Tasks on a Ray cluster: the one at FITCORE_ENGINE_ADDRESS, or one of this machine for the time of the run."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ray
from prefect_ray.context import remote_options
from prefect_ray.task_runners import RayTaskRunner
from ray.exceptions import RayError

from fitcore import ConfigError
from flows.engines import Cluster
from flows.settings import Settings

NAMED = {"CPU": "num_cpus", "GPU": "num_gpus"}


@contextlib.contextmanager
def joined(settings: Settings, n_workers: int, threads: int) -> Iterator[Cluster]:
    """See `flows.engines.Adapter`."""
    with contextlib.ExitStack() as stack:
        runner = _runner(settings, n_workers)
        try:
            with _handlers_kept():
                stack.enter_context(runner)
        except (ConnectionError, TimeoutError) as error:
            raise ConfigError(
                f"FITCORE_ENGINE_ADDRESS is {settings.engine_address!r}, and no Ray cluster answers there: {error} "
                "Start one by 'ray start --head', or correct the address, such as 127.0.0.1:6379."
            ) from error
        yield Cluster(
            engine="ray",
            runner=runner,
            asking=lambda resources: remote_options(num_cpus=1, max_retries=0, **_options(resources)),
            cancel=lambda future: ray.cancel(future.wrapped_future),
            lost=(RayError,),
            threads=None if settings.engine_address else threads,
            latents=settings.latents_resources,
        )


def _runner(settings: Settings, n_workers: int) -> RayTaskRunner:
    quiet = {"log_to_driver": False}
    if settings.engine_address:
        return RayTaskRunner(address=settings.engine_address, init_kwargs=quiet)
    options = {**_options(settings.latents_resources), "num_cpus": n_workers, "include_dashboard": False, **quiet}
    return RayTaskRunner(init_kwargs={**options, "_node_ip_address": "127.0.0.1"})


def _options(resources: Mapping[str, float]) -> dict[str, Any]:
    """Resources as Ray takes them: processors and GPUs by names of their own."""
    others = {name: number for name, number in resources.items() if name not in NAMED}
    named = {NAMED[name]: number for name, number in resources.items() if name in NAMED}
    return named | ({"resources": others} if others else {})


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put back the handler of SIGTERM: Ray's own ends the process, and the flow's saves first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def watch() -> Callable[[], bool]:
    """See `flows.engines.Adapter`. Ray tells a task by a KeyboardInterrupt in its main thread, which runs it."""
    return lambda: True
