"""Settings: the one place that reads the environment, and that says in which environment child processes run."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SERVER_SECONDS = 120.0
SHORTEST_KEY, LONGEST_KEY = 16, 4096
ENGINES = ("threads", "dask", "ray")
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
    data : FITCORE_DATA, the user's data folder by default: what `fitcore server` keeps.
    database : FITCORE_DATABASE: the PostgreSQL database of `fitcore server`; None means SQLite.
    threads : FITCORE_THREADS, the number of cores by default: likelihoods evaluated side by side.
    prefect_api_url : PREFECT_API_URL; None means the server of `fitcore server` where it runs, or one of our own for the time of the run.
    prefect_api_auth : PREFECT_API_AUTH_STRING: user and password for that server.
    server_seconds : FITCORE_SERVER_SECONDS, 120 by default: how long to wait for a Prefect server's first answer.
    no_color : NO_COLOR is set.
    key : the content of the file that FITCORE_KEY_FILE names, without the end of its line: signs the store. Child processes read it for
        themselves, so that it is on no command line and in no log.
    engine : FITCORE_ENGINE, where the tasks of a chain run: ``threads`` by default, ``dask`` or ``ray``.
    engine_address : FITCORE_ENGINE_ADDRESS, of a Dask or Ray cluster; None means one on this machine for the time of the run.
    latents_resources : FITCORE_LATENTS_RESOURCES, such as GPU=1: what the cluster must give to the computation of latent variables.
    """

    store: Path
    cache: Path
    threads: int
    prefect_api_url: str | None
    server_seconds: float
    no_color: bool
    key: bytes | None = field(default=None, repr=False)
    engine: str = "threads"
    engine_address: str | None = None
    latents_resources: Mapping[str, float] = field(default_factory=dict)
    data: Path = Path("fitcore-data")
    database: str | None = field(default=None, repr=False)
    prefect_api_auth: str | None = field(default=None, repr=False)


def read() -> Settings:
    """The settings, read anew.

    Raises
    ------
    SettingsError
        for a number that is none, or not above 0; for a file of a key that is not there, too short, or open to others; for an engine that
        there is not, or a setting that it has no use for.
    """
    environment = os.environ
    cache = environment.get("FITCORE_CACHE") or Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fitcore"
    data = environment.get("FITCORE_DATA") or Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "fitcore"
    threads = _number(environment, "FITCORE_THREADS", len(os.sched_getaffinity(0)), "whole number")
    engine = environment.get("FITCORE_ENGINE") or ENGINES[0]
    if engine not in ENGINES:
        raise SettingsError(
            f"The environment variable FITCORE_ENGINE is {engine!r}; it must be one of {', '.join(ENGINES)}. Correct or unset it."
        )
    for name in ("FITCORE_ENGINE_ADDRESS", "FITCORE_LATENTS_RESOURCES"):
        if environment.get(name) and engine == ENGINES[0]:
            raise SettingsError(
                f"The environment variable {name} is {environment[name]!r} and FITCORE_ENGINE is {engine!r}, which has no cluster. "
                "Set FITCORE_ENGINE to dask or ray, or unset the other."
            )
    return Settings(
        store=Path(environment.get("FITCORE_STORE") or "results"),
        cache=Path(cache),
        threads=int(threads),
        prefect_api_url=environment.get("PREFECT_API_URL") or None,
        server_seconds=_number(environment, "FITCORE_SERVER_SECONDS", SERVER_SECONDS, "number"),
        no_color="NO_COLOR" in environment,
        key=_key(environment.get("FITCORE_KEY_FILE")),
        engine=engine,
        engine_address=environment.get("FITCORE_ENGINE_ADDRESS") or None,
        latents_resources=_resources(environment.get("FITCORE_LATENTS_RESOURCES")),
        data=Path(data).absolute(),
        database=environment.get("FITCORE_DATABASE") or None,
        prefect_api_auth=environment.get("PREFECT_API_AUTH_STRING") or None,
    )


def _resources(text: str | None) -> dict[str, float]:
    """Numbers by name, of a text such as ``GPU=1,memory=2e9``."""
    found = {}
    for item in filter(None, (text or "").split(",")):
        name, _, number = item.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            found[name.strip()] = 0.0
        if not name.strip() or not 0 < found[name.strip()] < float("inf"):
            raise SettingsError(
                f"The environment variable FITCORE_LATENTS_RESOURCES is {text!r}, in which {item!r} is no NAME=NUMBER with a number above "
                "0, such as GPU=1. Correct or unset it."
            )
    return found


def _key(name: str | None) -> bytes | None:
    """The key in a file that nobody but its owner can read."""
    if not name:
        return None
    told = f"The environment variable FITCORE_KEY_FILE names {name}"
    key = secret(Path(name), told, "Correct or unset it.")
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise SettingsError(
            f"{told}, which holds {min(len(key), LONGEST_KEY + 1)} bytes; a key has {SHORTEST_KEY} to {LONGEST_KEY}. Make one, for example "
            f"with 'openssl rand -hex 32'."
        )
    return key


def secret(path: Path, told: str, remedy: str) -> bytes:
    """The first bytes of a file that nobody but its owner can read, without the end of its line.

    Parameters
    ----------
    told : what names the file, for the message.
    remedy : what to do where it cannot be read.

    Raises
    ------
    SettingsError
        when it cannot be read, is no plain file, or others can read or change it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SettingsError(f"{told}, which is not a plain file. Name the file that holds the key.")
            if status.st_mode & 0o077 or status.st_uid not in (os.geteuid(), 0):
                raise SettingsError(
                    f"{told}, which others can read or change (mode {stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}); a key "
                    f"must be its user's alone, mode 0600 or 0400. Run 'chmod 600' on it, and make a new key if others may have seen it."
                )
            return file.read(LONGEST_KEY + 3).rstrip(b"\r\n")
    except OSError as error:
        raise SettingsError(f"{told}, which cannot be read: {error.strerror}. {remedy}") from error


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
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # a hundred small functions, a fiftieth of a second each
        "PYTHONUNBUFFERED": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "INFO",  # what the flows themselves say
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
        if settings.prefect_api_auth is not None:
            forced["PREFECT_API_AUTH_STRING"] = settings.prefect_api_auth
    if prefect_home is not None:
        inherited = {k: v for k, v in os.environ.items() if k.startswith("PREFECT_LOGGING_") or not k.startswith("PREFECT_")}
        forced.pop("PREFECT_API_AUTH_STRING", None)
    if prefect_home is not None or (prefect_api_url or "").startswith("http://127.0.0.1:"):
        direct = ",".join(filter(None, (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1")))
        forced |= {"NO_PROXY": direct, "no_proxy": direct}
    if prefect_home is not None:
        forced["PREFECT_HOME"] = str(prefect_home)
    return {**defaults, **inherited, **forced}


def settle_ray(*, is_local: bool) -> None:
    """Set what Ray reads from the environment, where the user has not: nothing is told of its use, and a cluster of our own has a token.

    Ray would write its token into the home folder; one in the environment is passed on to the cluster's processes and kept nowhere.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if is_local and not any(name.startswith("RAY_AUTH_") for name in os.environ):
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
