"""`fitcore doctor`: what is installed and reachable, and what to do where it is not."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from packaging.requirements import Requirement

from fitcore import FitcoreError, Store
from fitcore.store.probing import NETWORKED, file_system, lock_faults
from fitcore.store.store import REFUSED_BELOW, WARNED_BELOW
from flows import catalogue
from flows.server import NAMED_SECONDS, free_port, wait_until_ready
from flows.settings import DEFAULT, Settings, child_environment
from flows.troubles import ServerError

DEVICE = """
from fitcore import backend
import jax, jax.numpy as jnp
assert jnp.ones(1).dtype == 'float64', 'JAX is in single precision'
print(jax.devices()[0].device_kind, 'x', len(jax.devices()), 'in float64')
"""
LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    is_good: bool
    seen: str
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data; the remedy is empty where all is well."""
        return {**asdict(self), "remedy": "" if self.is_good else self.remedy}

    def text(self) -> str:
        """One line."""
        return f"{'ok  ' if self.is_good else 'BAD '} {self.name}: {self.seen}" + ("" if self.is_good else f". {self.remedy}")


def examine(settings: Settings, store: Path) -> list[Finding]:
    """All findings."""
    return [
        _python(),
        *_packages(),
        _lock(),
        _pipelines(),
        _settings(settings),
        _device(settings),
        _store(store),
        _locks(store),
        _disk("disk of the store", store),
        _cache(settings),
        _disk("disk of the cache", settings.cache),
        _server(settings),
    ]


def _python() -> Finding:
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Finding(name="Python", is_good=good, seen=sys.version.split()[0], remedy="Install Python 3.11, 3.12 or 3.13.")


def _packages() -> Iterator[Finding]:
    wrong = []
    for text in importlib.metadata.requires("fitcore") or []:
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            found = None
        if found is None or not need.specifier.contains(found, prereleases=True):
            wrong.append(f"{need} (found {found})")
    yield Finding(
        name="packages",
        is_good=not wrong,
        seen=", ".join(wrong) or "all as pinned",
        remedy="Run 'pip install --require-hashes -r requirements.lock'.",
    )


def _lock() -> Finding:
    """Versions against the lock of the environment, which lies beside the packages in a checkout and is not installed."""
    path, wrong = LOCK, []
    try:
        pins = [found.groups() for line in path.read_text(encoding="utf-8").splitlines() if (found := PIN.match(line))]
    except OSError:
        return Finding(name="lock", is_good=True, seen="no requirements.lock beside the packages; their ranges were checked")
    n_found = 0
    for name, version in pins:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.version(name)
            n_found += 1
            wrong += [] if found == version else [f"{name} {found} (lock {version})"]
    more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
    return Finding(
        name="lock",
        is_good=not wrong,
        seen=", ".join(wrong[:MOST_NAMED]) + more or f"{n_found} of its {len(pins)} packages are here, all in its versions",
        remedy=f"Run 'pip install --require-hashes --no-deps -r {path}', or accept that results may differ in their last digits.",
    )


def _settings(settings: Settings) -> Finding:
    given = [f"{name} ({origin})" for name, origin in settings.origins.items() if origin != DEFAULT]
    where = "no settings file" if settings.file is None else str(settings.file)
    return Finding(name="settings", is_good=True, seen=f"{where}; not by default: {', '.join(given) or 'none'}")


def _locks(store: Path) -> Finding:
    if not store.is_dir():
        return Finding(name="locks", is_good=True, seen="not tried: there is no store yet")
    kind = file_system(store)
    try:
        faults = lock_faults(store)
    except FitcoreError as error:
        return Finding(name="locks", is_good=False, seen=f"not tried: {error}", remedy="Name a store that can be written by --store.")
    network = f"; {kind} is a network file system, on which this was not tried with several machines" if kind in NETWORKED else ""
    return Finding(
        name="locks",
        is_good=not faults,
        seen="; ".join(faults) or f"files are locked and published once ({kind or 'unknown file system'}){network}",
        remedy="Put the store on a local disk, or let one machine at a time use it.",
    )


def _disk(name: str, path: Path) -> Finding:
    free = shutil.disk_usage(nearest(path)).free
    return Finding(
        name=name,
        is_good=free >= WARNED_BELOW,
        seen=f"{free / 1e9:.1f} GB free",
        remedy=f"Make room: below {WARNED_BELOW / 1e6:.0f} MB runs warn, below {REFUSED_BELOW / 1e6:.0f} MB none begins. "
        "'fitcore gc --remove' removes rubbish of the store.",
    )


def nearest(path: Path) -> Path:
    """The path, or the nearest above it that is there."""
    probe = path.absolute()
    while not probe.exists():
        probe = probe.parent
    return probe


def _pipelines() -> Finding:
    names = catalogue.names()
    return Finding(name="pipelines", is_good=bool(names), seen=", ".join(names) or "none", remedy="Install fitcore: 'pip install -e .'.")


def _device(settings: Settings) -> Finding:
    process = subprocess.run(
        [sys.executable, "-c", DEVICE], env=child_environment(settings), capture_output=True, text=True, timeout=120, check=False
    )
    seen = (process.stdout or process.stderr).strip().splitlines()
    return Finding(
        name="JAX device",
        is_good=process.returncode == 0,
        seen=seen[-1] if seen else "no answer",
        remedy="Install jax and jaxlib of one version; on a GPU, the CUDA build.",
    )


def _store(path: Path) -> Finding:
    if not path.exists():
        return Finding(name="store", is_good=True, seen=f"{path} does not exist yet")
    try:
        Store(path).check_writable()
    except FitcoreError as error:
        return Finding(name="store", is_good=False, seen=str(error), remedy="Name another by --store.")
    return Finding(name="store", is_good=True, seen=f"{path} can be written")


def _cache(settings: Settings) -> Finding:
    probe, compiled = nearest(settings.cache), settings.cache / "jax"
    good = probe.is_dir() and _is_writable(probe)
    sizes = [path.lstat().st_size for path in compiled.rglob("*") if path.is_file()] if compiled.is_dir() else []
    seen = f"{len(sizes):,} compiled functions, {sum(sizes) / 1e6:.0f} MB" if sizes else "nothing compiled yet: a first run compiles"
    return Finding(
        name="compile cache",
        is_good=good,
        seen=f"{compiled}: {seen}" if good else f"{settings.cache} cannot be written",
        remedy="Set FITCORE_CACHE to a folder that can be written.",
    )


def _is_writable(folder: Path) -> bool:
    return subprocess.run(["test", "-w", str(folder)], check=False).returncode == 0


def _server(settings: Settings) -> Finding:
    if settings.prefect_api_url is None:
        return Finding(name="Prefect server", is_good=True, seen=f"none named: a run starts its own (port {free_port()} is free)")
    try:
        wait_until_ready(settings.prefect_api_url, min(NAMED_SECONDS, settings.server_seconds))
    except ServerError as error:
        return Finding(name="Prefect server", is_good=False, seen=str(error), remedy="Start it, or unset PREFECT_API_URL.")
    here, there = importlib.metadata.version("prefect"), _version(settings)
    return Finding(
        name="Prefect server",
        is_good=there in (None, here),
        seen=settings.prefect_api_url
        + ("" if there is None else f", Prefect {there}" + ("" if there == here else f", and here it is {here}")),
        remedy="Let both be of one version: install fitcore's lock on the server's machine.",
    )


def _version(settings: Settings) -> str | None:
    """The version of the server; None where it does not tell."""
    user, _, password = (settings.prefect_api_auth or "").partition(":")
    with contextlib.suppress(httpx.HTTPError, ValueError):
        answer = httpx.get(f"{settings.prefect_api_url}/admin/version", auth=(user, password) if user else None, timeout=NAMED_SECONDS)
        told = answer.json() if answer.is_success else None
        return told if isinstance(told, str) else None
    return None
