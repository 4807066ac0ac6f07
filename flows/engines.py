"""Where the tasks of a chain run, by settings alone: beside this process, or on a Dask or Ray cluster. No Prefect here.

What is peculiar to a cluster is in `flows.engine_dask` and `flows.engine_ray`, imported only where the settings ask for it.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from fitcore import ConfigError
from flows.settings import Settings, settle_ray

THREADS = "threads"
PACKAGES = {"dask": ("prefect-dask", "distributed"), "ray": ("prefect-ray", "ray")}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that this process has joined.

    Parameters
    ----------
    engine : ``"dask"`` or ``"ray"``.
    runner : Prefect's task runner, entered.
    asking : a context within which what is submitted asks for these resources.
    cancel : tells the cluster that the task of a future is not wanted any more; its search saves.
    lost : what a future raises when the process of its task, or the cluster, is gone.
    threads : likelihoods side by side in one task; None leaves it to the settings of the far process.
    latents : resources that the computation of latent variables asks for.
    """

    engine: str
    runner: Any
    asking: Callable[[Mapping[str, float]], AbstractContextManager[Any]]
    cancel: Callable[[Any], None]
    lost: tuple[type[BaseException], ...]
    threads: int | None
    latents: Mapping[str, float]


class Adapter(Protocol):
    """What the module of an engine has."""

    def joined(self, settings: Settings, n_workers: int, threads: int) -> AbstractContextManager[Cluster]:
        """The cluster at the address of the settings, or one on this machine for as long as the context lasts."""
        ...

    def watch(self) -> Callable[[], bool]:
        """For a task of the cluster: a function that tells whether the task is still wanted, callable from any thread."""
        ...


class Asked:
    """Whether this process was asked to stop; a plain attribute, since a signal's handler sets it."""

    is_stopping = False


ASKED = Asked()
_JOINED: list[Cluster] = []
_LOCK = threading.Lock()


def check(engine: str) -> None:
    """Raise ConfigError when an engine cannot be used with what is installed here."""
    absent = [package for package in PACKAGES.get(engine, ()) if not is_installed(package)]
    if absent:
        raise ConfigError(
            f"FITCORE_ENGINE is {engine!r}, and the packages it needs are not installed here: {', '.join(absent)} missing. "
            f"Run 'pip install fitcore[{engine}]', or set FITCORE_ENGINE to {THREADS!r}."
        )


def is_installed(package: str) -> bool:
    """Whether a package is there, by its name in an index; nothing of it is imported."""
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def adapter(engine: str) -> Adapter:
    """The module of an engine."""
    module: Any = importlib.import_module(f"flows.engine_{engine}")
    return module


@contextlib.contextmanager
def joined(settings: Settings, n_workers: int) -> Iterator[Cluster | None]:
    """The cluster of the settings, joined once in a process; None where tasks run beside this process.

    Where the settings name none it is one on this machine, of ``n_workers`` processes that share the threads of the settings.

    Raises
    ------
    ConfigError
        where the engine is not installed, or nobody answers at the address.
    """
    if settings.engine == THREADS:
        yield None
        return
    with _LOCK:
        known = _JOINED[0] if _JOINED else None
    if known is not None:
        yield known
        return
    check(settings.engine)
    if settings.engine == "ray":
        settle_ray(is_local=not settings.engine_address)  # before its import, which reads the environment
    with adapter(settings.engine).joined(settings, n_workers, max(1, settings.threads // n_workers)) as cluster:
        _JOINED.append(cluster)
        try:
            yield cluster
        finally:
            _JOINED.remove(cluster)
