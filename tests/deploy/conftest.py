"""A settings file of the toy pipeline, and the fixtures of the flows' tests."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("flows_conftest", ROOT / "tests" / "flows" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_flows = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _flows
_spec.loader.exec_module(_flows)
fitcore, server, make_points, installed, finished = _flows.fitcore, _flows.server, _flows.make_points, _flows.installed, _flows.finished
lasting = _flows.lasting
PLUGIN = _flows.PLUGIN


def settings_of(**changes: Any) -> dict[str, Any]:
    """A whole settings file as data; a change names a place by its keys with two underscores between them."""
    whole: dict[str, Any] = {
        "name": "toys",
        "store": "store",
        "pools": {"cpu": {"concurrency": 2}},
        "deployments": {
            "toy": {
                "flow": "fit",
                "pool": "cpu",
                "concurrency": 2,
                "threads": 1,
                "parameters": {"pipeline": "toy", "attempts": 3},
            },
            "night": {
                "flow": "campaign",
                "pool": "cpu",
                "schedule": {"cron": "0 2 * * *", "timezone": "Europe/Paris"},
                "parameters": {"folder": "inbox", "fit": "toy", "most": 20},
            },
        },
        "recovery": {"requeue": 20},
    }
    for place, value in changes.items():
        *path, key = place.split("__")
        part = whole
        for name in path:
            part = part[name]
        if value is None:
            del part[key]
        else:
            part[key] = value
    return whole


@pytest.fixture
def write(tmp_path: Path, installed: None) -> Callable[..., Path]:
    """Writes a settings file."""

    def made(**changes: Any) -> Path:
        path = tmp_path / "settings.yaml"
        path.write_text(yaml.safe_dump(settings_of(**changes), sort_keys=False))
        return path

    return made


@pytest.fixture
def spot() -> dict[str, Any]:
    """The least that a pool on Kubernetes says."""
    return {
        "type": "kubernetes",
        "image": "registry.example.org/fitcore:0.1.0",
        "grace_period": 60,
        "cpu_request": "2",
        "cpu_limit": "2",
        "memory_request": "4Gi",
        "memory_limit": "6Gi",
        "claims": {"results": "/data/results", "inbox": "/data/inbox"},
    }


@pytest.fixture
def write_spot(write: Callable[..., Path], spot: dict[str, Any]) -> Callable[..., Path]:
    """Writes a settings file with one pool, on Kubernetes; a change is one of that pool's settings, None leaves it out."""

    def made(**changes: Any) -> Path:
        pool = {key: value for key, value in {**spot, **changes}.items() if value is not None}
        return write(pools={"spot": pool}, store="/data/results", deployments__toy__pool="spot", deployments__night=None)

    return made
