"""`fitcore doctor`: what is installed and reachable, and what to do where it is not."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from fitcore import FitcoreError, Store
from flows import catalogue
from flows.server import NAMED_SECONDS, ServerError, free_port, wait_until_ready
from flows.settings import Settings, child_environment

DEVICE = """
from fitcore import backend
import jax, jax.numpy as jnp
assert jnp.ones(1).dtype == 'float64', 'JAX is in single precision'
print(jax.devices()[0].device_kind, 'x', len(jax.devices()), 'in float64')
"""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    is_good: bool
    seen: str
    remedy: str = ""

    def text(self) -> str:
        """One line."""
        return f"{'ok  ' if self.is_good else 'BAD '} {self.name}: {self.seen}" + ("" if self.is_good else f". {self.remedy}")


def examine(settings: Settings, store: Path) -> list[Finding]:
    """All findings."""
    return [_python(), *_packages(), _pipelines(), _device(settings), _store(store), _cache(settings), _server(settings)]


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
    probe = settings.cache
    while not probe.exists():
        probe = probe.parent
    good = probe.is_dir() and _is_writable(probe)
    return Finding(name="cache", is_good=good, seen=str(settings.cache), remedy="Set FITCORE_CACHE to a folder that can be written.")


def _is_writable(folder: Path) -> bool:
    return subprocess.run(["test", "-w", str(folder)], check=False).returncode == 0


def _server(settings: Settings) -> Finding:
    if settings.prefect_api_url is None:
        return Finding(name="Prefect server", is_good=True, seen=f"none named: a run starts its own (port {free_port()} is free)")
    try:
        wait_until_ready(settings.prefect_api_url, min(NAMED_SECONDS, settings.server_seconds))
    except ServerError as error:
        return Finding(name="Prefect server", is_good=False, seen=str(error), remedy="Start it, or unset PREFECT_API_URL.")
    return Finding(name="Prefect server", is_good=True, seen=settings.prefect_api_url)
