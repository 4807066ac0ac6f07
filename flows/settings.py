"""Settings: the one place that reads the environment, and that says in which environment child processes run.

A variable of the environment stands above the settings file (`flows.settings_file`), and that above the defaults.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flows.settings_file import SettingsError, SettingsFile, load, variable_of

SHORTEST_KEY, LONGEST_KEY = 16, 4096
ENGINES = ("threads", "dask", "ray")
SINGLE_THREADED_XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
NAMES_FILE, FILE_NAME = "FITCORE_SETTINGS", "settings.yaml"
DEFAULT, FILE, ENVIRONMENT, OPTION, DEPLOYMENT = "default", "file", "environment", "option", "deployment"
SECRETS = ("key_file", "database")  # told as set or not


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment and the settings file say.

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
    file : the settings file that was read; None where there is none.
    asked : all fields of the file's form with the values in force, as plain data; what is secret is only said to be set.
    origins : by field of the form, whether its value is a default, the file's or the environment's.
    pipeline, seed, jobs, time_limit, searches : what the options of `fitcore run` are where they are not given; see the form.
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
    file: Path | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    pipeline: str = "lens"
    seed: int = 0
    jobs: int | None = None
    time_limit: str | None = None
    searches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read() -> Settings:
    """The settings, read anew.

    Raises
    ------
    SettingsError
        for a number that is none, or not above 0; for a file of a key that is not there, too short, or open to others; for an engine that
        there is not, or a setting that it has no use for.
    """
    environment = os.environ
    path = file_named(environment)
    form = SettingsFile() if path is None else load(path)
    above = {name: told for name, item in SettingsFile.model_fields.items() if (told := environment.get(variable_of(item)))}
    origins = {
        name: ENVIRONMENT if name in above else FILE if name in form.model_fields_set else DEFAULT for name in SettingsFile.model_fields
    }
    where = Path() if path is None else path.parent

    def folder(name: str, default: Path) -> Path:
        if name in above:
            return Path(above[name])
        told = getattr(form, name)
        return default if told is None else (where / Path(told).expanduser() if origins[name] == FILE else Path(told))

    def text(name: str) -> str | None:
        return above.get(name, getattr(form, name))

    cache = folder("cache", Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fitcore")
    data = folder("data", Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "fitcore")
    cores = form.threads or len(os.sched_getaffinity(0))
    engine = text("engine") or ENGINES[0]
    if engine not in ENGINES:
        raise SettingsError(
            f"The environment variable FITCORE_ENGINE is {engine!r}; it must be one of {', '.join(ENGINES)}. Correct or unset it."
        )
    resources = _resources(above["latents_resources"]) if "latents_resources" in above else form.latents_resources
    for name, value in {"engine_address": text("engine_address"), "latents_resources": above.get("latents_resources") or resources}.items():
        if value and engine == ENGINES[0]:
            variable = variable_of(SettingsFile.model_fields[name])
            told = f"The environment variable {variable}" if name in above else f"{name} in the settings file {path}"
            raise SettingsError(
                f"{told} is {value!r} and FITCORE_ENGINE is {engine!r}, which has no cluster. "
                "Set FITCORE_ENGINE to dask or ray, or unset the other."
            )
    key_file = text("key_file")
    values = {
        "store": folder("store", Path("results")),
        "cache": cache,
        "threads": int(_number(environment, "FITCORE_THREADS", cores, "whole number")),
        "prefect_api_url": text("prefect_api_url"),
        "server_seconds": _number(environment, "FITCORE_SERVER_SECONDS", form.server_seconds, "number"),
        "no_color": "NO_COLOR" in environment or form.no_color,
        "engine": engine,
        "engine_address": text("engine_address"),
        "latents_resources": resources,
        "data": data.absolute(),
        "database": text("database"),
        **{name: getattr(form, name) for name in ("pipeline", "seed", "jobs", "time_limit", "searches")},
    }
    return Settings(
        **values,
        key=None if key_file is None else _key(key_file, "key_file" in above, path),
        prefect_api_auth=environment.get("PREFECT_API_AUTH_STRING") or None,
        file=path,
        asked={**{name: _told(name, value) for name, value in values.items()}, "key_file": _told("key_file", key_file)},
        origins={**origins, "no_color": ENVIRONMENT if "NO_COLOR" in environment else origins["no_color"]},
    )


def file_named(environment: Mapping[str, str] | None = None) -> Path | None:
    """The settings file: what FITCORE_SETTINGS names, or ``fitcore/settings.yaml`` in the user's configuration folder; None without one."""
    known = os.environ if environment is None else environment
    if named := known.get(NAMES_FILE):
        return Path(named).absolute()
    own = own_file(known)
    return own if own.is_file() else None


def own_file(environment: Mapping[str, str] | None = None) -> Path:
    """Where the user's own settings file is, or would be."""
    known = os.environ if environment is None else environment
    return Path(known.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "fitcore" / FILE_NAME


def _told(name: str, value: Any) -> Any:
    """A value as plain data, that may be shown and stored."""
    if name in SECRETS:
        return None if value is None else "set"
    if name == "prefect_api_url" and value is not None:
        parts = urlsplit(value)
        return value if parts.username is None and parts.password is None else f"{parts.scheme}://...@{value.rpartition('@')[2]}"
    return str(value) if isinstance(value, Path) else dict(value) if isinstance(value, Mapping) else value


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


def _key(name: str, is_above: bool, file: Path | None) -> bytes:
    """The key in a file that nobody but its owner can read."""
    told = f"{'The environment variable FITCORE_KEY_FILE' if is_above else f'key_file in the settings file {file}'} names {name}"
    place = Path(name) if is_above or file is None else file.parent / Path(name).expanduser()
    key = secret(place, told, "Correct or unset it.")
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
    if settings.file is not None:
        forced[NAMES_FILE] = str(settings.file)  # wherever the child is
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
