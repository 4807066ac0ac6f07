"""Settings: the one place that reads the environment, and that says in which environment child processes run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SERVER_SECONDS = 120.0
SINGLE_THREADED_XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class SettingsError(ValueError):
    """A variable of the environment has a value that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says.

    Parameters
    ----------
    store : FITCORE_STORE, ./results by default.
    cache : FITCORE_CACHE, the user's cache folder by default: compiled code and the embedded Prefect server's database.
    threads : FITCORE_THREADS, the number of cores by default: likelihoods evaluated side by side.
    prefect_api_url : PREFECT_API_URL; None means a server of our own for the time of the run.
    server_seconds : FITCORE_SERVER_SECONDS, 120 by default: how long to wait for a Prefect server's first answer.
    no_color : NO_COLOR is set.
    """

    store: Path
    cache: Path
    threads: int
    prefect_api_url: str | None
    server_seconds: float
    no_color: bool


def read() -> Settings:
    """The settings, read anew.

    Raises
    ------
    SettingsError
        for a number that is none, or not above 0.
    """
    environment = os.environ
    cache = environment.get("FITCORE_CACHE") or Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fitcore"
    threads = _number(environment, "FITCORE_THREADS", len(os.sched_getaffinity(0)), "whole number")
    return Settings(
        store=Path(environment.get("FITCORE_STORE") or "results"),
        cache=Path(cache),
        threads=int(threads),
        prefect_api_url=environment.get("PREFECT_API_URL") or None,
        server_seconds=_number(environment, "FITCORE_SERVER_SECONDS", SERVER_SECONDS, "number"),
        no_color="NO_COLOR" in environment,
    )


def _number(environment: Mapping[str, str], name: str, default: float, kind: str) -> float:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = float(int(text) if kind == "whole number" else float(text))
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SettingsError(f"The environment variable {name} is {text!r}; it must be a {kind} above 0. Correct or unset it.")
    return value


def child_environment(settings: Settings, *, prefect_api_url: str | None = None, prefect_home: Path | None = None) -> dict[str, str]:
    """The environment of a child process.

    One thread in each XLA and BLAS call makes a run bit for bit repeatable; the cores are used by evaluating points side by side. Compiled
    code is kept on disk, so that the second process starts at once. What the user has set stays, but for a server of our own: of the user's
    Prefect settings it and its clients take those of logging alone (a database, key or profile is meant for another server), and no proxy
    stands before it.
    """
    defaults = {
        "XLA_FLAGS": SINGLE_THREADED_XLA,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(settings.cache / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "PYTHONUNBUFFERED": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "DO_NOT_TRACK": "1",
    }
    inherited: Mapping[str, str] = os.environ
    forced = {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
    if prefect_api_url is not None:
        forced["PREFECT_API_URL"] = prefect_api_url
    if prefect_home is not None:
        inherited = {k: v for k, v in os.environ.items() if k.startswith("PREFECT_LOGGING_") or not k.startswith("PREFECT_")}
        direct = ",".join(filter(None, (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1")))
        forced |= {"PREFECT_HOME": str(prefect_home), "NO_PROXY": direct, "no_proxy": direct}
    return {**defaults, **inherited, **forced}
