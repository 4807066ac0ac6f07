"""Against a real Prefect server: a pool on Kubernetes is kept as it was sent, and a run in a batch job goes on after its signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deploy.__main__ import deploy
from fitcore import Store

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
EXECUTE = ROOT / "deploy" / "slurm" / "execute.sbatch"
STAND_INS = Path(__file__).parent / "slurm"
MINUTES = 900.0


@pytest.fixture
def deployed(server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], list[str]]]:
    """Deploys a file and returns the lines that were printed; what was made is removed afterwards."""
    monkeypatch.setenv("PREFECT_API_URL", server)

    def made(path: Path) -> list[str]:
        capsys.readouterr()
        with temporary_settings({PREFECT_API_URL: server}):
            deploy(path, is_dry=False, is_pruning=True)
        return capsys.readouterr().out.splitlines()

    yield made
    for kind in ("deployments", "automations"):
        for item in httpx.post(f"{server}/{kind}/filter", json={}, timeout=60).json():
            httpx.delete(f"{server}/{kind}/{item['id']}", timeout=60)
    for item in httpx.post(f"{server}/work_pools/filter", json={}, timeout=60).json():
        httpx.delete(f"{server}/work_pools/{item['name']}", timeout=60)


def test_a_pool_on_kubernetes_is_kept_as_it_was_sent(deployed: Callable[[Path], list[str]], write_spot: Callable[..., Path]) -> None:
    more: dict[str, Any] = {"gpus": 1, "env_from_secret": "a", "key_secret": "b", "node_selector": {"spot": "true"}}
    assert deployed(write_spot(**more))[0] == "made: pool spot"
    assert deployed(write_spot(**more))[-1] == "5 things, nothing to change"
    changed = deployed(write_spot(**more, image_pull_policy="Always"))
    assert changed[0] == "changed: pool spot: template.variables.properties.image_pull_policy.default 'IfNotPresent' -> 'Always'"
    assert deployed(write_spot(**more, image_pull_policy="Always"))[-1] == "5 things, nothing to change"


def states_of(url: str, run: str) -> list[str]:
    states = httpx.get(f"{url}/flow_run_states/", params={"flow_run_id": run}, timeout=60).json()
    return [state["name"] for state in sorted(states, key=lambda state: state["timestamp"])]


def test_a_run_in_a_batch_job_that_is_told_to_end_goes_on(
    server: str,
    deployed: Callable[[Path], list[str]],
    write: Callable[..., Path],
    make_points: Callable[..., Path],
    fitcore: Any,
    tmp_path: Path,
) -> None:
    deployed(write(deployments__night=None))
    deployment = httpx.get(f"{server}/deployments/name/fit/toy", timeout=60).json()["id"]
    dataset = make_points(pause=0.02)
    run = httpx.post(
        f"{server}/deployments/{deployment}/create_flow_run", json={"parameters": {"dataset": str(dataset)}}, timeout=60
    ).json()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "prefect").write_text(f'#!/bin/bash\nexec "{sys.executable}" -m prefect "$@"\n')
    (tmp_path / "bin" / "prefect").chmod(0o755)
    environment = {
        **fitcore.environment,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{STAND_INS}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{fitcore.environment['PYTHONPATH']}",
        "PREFECT_API_URL": server,
        "PREFECT_HOME": str(tmp_path / "home"),
        "STANDIN_FOLDER": str(tmp_path),
        "STANDIN_TELL": str(tmp_path / "tell"),
        "FITCORE_TEST_MARK": str(tmp_path),
    }
    store = Store(tmp_path / "store")

    def calls() -> int:
        return sum(attempt.n_calls for digest in digests() for attempt in store.attempts(digest))

    def digests() -> list[str]:
        return [folder.name for folder in (tmp_path / "store").glob("*/*/*") if len(folder.name) == 64]

    process = subprocess.Popen(
        [str(STAND_INS / "sbatch"), str(EXECUTE), run["id"]], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        fitcore.wait_for(lambda: calls() >= 200 or process.poll() is not None, "200 calls", MINUTES)
        (tmp_path / "tell").touch()
        output, _ = process.communicate(timeout=MINUTES)
    finally:
        for pid in fitcore.processes_of(str(tmp_path)):
            os.kill(pid, signal.SIGKILL)
    log = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert output.splitlines() == ["7001 ended with 0, queued again", "7001 ended with 0, over"], log
    states = states_of(server, run["id"])
    assert [name for name in states if name in ("Running", "AwaitingRetry", "Crashed", "Completed")] == [
        "Running",
        "AwaitingRetry",
        "Running",
        "Completed",
    ]
    (noted,) = store.runs()
    assert [attempt.ended for attempt in store.attempts(noted["stages"]["first"])] == ["interrupted", "done"]
    assert not [finding for finding in store.verify() if finding.is_damage]
