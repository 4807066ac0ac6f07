"""`deploy/prefect.yaml` is read by Prefect's own loader, and says what `deploy/nightly.yaml` does."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.cli.deploy._config import _load_deploy_configs_and_actions as load_prefect_yaml
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from rich.console import Console

from deploy.schema import load
from deploy.server import Server
from deploy.wanted import things_of

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BASE = Path("/data/deploy")
VARIABLES = {"FITCORE_STORE": "/data/results", "FITCORE_INBOX": "/data/inbox"}
OF_OURS = ("parameter_schema", "description")
"""What Prefect's command fills in by itself."""


def wanted() -> dict[str, dict[str, Any]]:
    """The fields of the deployments of nightly.yaml by name, but for what Prefect's command fills in by itself."""
    things = things_of(load(DEPLOY / "nightly.yaml"), BASE)
    return {
        thing.name: {key: value for key, value in thing.fields.items() if key not in OF_OURS}
        for thing in things
        if thing.kind == "deployment"
    }


def fields_of(config: dict[str, Any]) -> dict[str, Any]:
    """An entry of prefect.yaml in the form of `deploy.wanted`."""
    limit = config["concurrency_limit"]
    return {
        "pool": config["work_pool"]["name"],
        "parameters": config["parameters"],
        "schedules": config["schedules"],
        "paused": config["paused"],
        "concurrency": limit["limit"],
        "collision": limit["collision_strategy"],
        "environment": config["work_pool"]["job_variables"]["env"],
        "entrypoint": config["entrypoint"],
        "tags": sorted(config["tags"]),
    }


def replaced(value: Any) -> Any:
    """The value with the variables of the environment in place, as Prefect's command has them."""
    if isinstance(value, dict):
        return {key: replaced(item) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item) for item in value]
    if isinstance(value, str):
        for name, text in VARIABLES.items():
            value = value.replace(f"{{{{ ${name} }}}}", text)
    return value


def test_it_says_what_nightly_says() -> None:
    said = io.StringIO()
    configs, actions = load_prefect_yaml(DEPLOY / "prefect.yaml", console=Console(file=said))
    assert said.getvalue() == ""
    assert actions == {"build": [], "push": [], "pull": []}
    found = {f"{config['entrypoint'].rpartition('.')[2]}/{config['name']}": fields_of(replaced(config)) for config in configs}
    assert found == wanted()


@pytest.mark.slow
def test_prefects_own_command_deploys_it(fitcore: Any, lasting: Any, tmp_path: Path) -> None:
    lasting.start()
    named = lasting.named()
    environment = {**fitcore.environment, **VARIABLES, **named, "PREFECT_HOME": str(tmp_path), "PYTHONPATH": str(DEPLOY.parent)}
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    deploys = [["deploy", "--name", name.partition("/")[2], "--prefect-file", "deploy/prefect.yaml"] for name in wanted()]
    for words in (["work-pool", "create", "cpu", "--type", "process"], *deploys):
        done = subprocess.run(
            [*prefect, *words], cwd=DEPLOY.parent, env=environment, capture_output=True, text=True, timeout=500, check=False
        )
        # Prefect 3.8.8 makes the deployment, and then fails at a question about workers that its own server refuses.
        assert done.returncode == 0 or "/workers/filter" in done.stdout + done.stderr, done.stdout + done.stderr
    here = {PREFECT_API_URL: named["PREFECT_API_URL"], PREFECT_API_AUTH_STRING: named["PREFECT_API_AUTH_STRING"]}
    with temporary_settings(here), get_client(sync_client=True) as client:
        there = {item.thing.name: item.thing.fields for item in Server(client, "nightly").found() if item.thing.kind == "deployment"}
    schemas = {name: fields.pop("parameter_schema")["properties"].keys() for name, fields in there.items()}
    for fields in there.values():
        fields.pop("description")
    assert there == wanted()
    assert "dataset" in schemas["fit/lens"]
