"""Against a real Prefect server and a real process worker: what is deployed runs by itself, and goes on by itself after a kill."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

import fitcore as fc
from deploy.__main__ import deploy
from fitcore.chain import asked, run_latents
from flows.catalogue import chain_of, find

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "tests" / "flows" / "plugin"
FINAL = ("COMPLETED", "FAILED", "CANCELLED")
MINUTES = 900.0


class Api:
    """The server, and a settings file with a name of this test's own."""

    def __init__(self, url: str, write: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
        self.url, self.write, self.capsys = url, write, capsys
        self.name = f"t{uuid.uuid4().hex[:8]}"
        self.pool = f"cpu-{self.name}"

    def deploy(self, *, is_dry: bool = False, is_pruning: bool = False, **changes: Any) -> list[str]:
        """The lines that a deploy prints."""
        places = {"name": self.name, "pools": {self.pool: {"concurrency": 2}}, "deployments__toy__pool": self.pool}
        if changes.get("deployments__night", 1) is not None:
            places["deployments__night__pool"] = self.pool
        path = self.write(**{**places, **changes})
        self.capsys.readouterr()
        with temporary_settings({PREFECT_API_URL: self.url}):
            deploy(path, is_dry=is_dry, is_pruning=is_pruning)
        return self.capsys.readouterr().out.splitlines()

    def ask(self, what: str, **body: Any) -> Any:
        """The answer; asked again, as Prefect's client does, where SQLite was locked (503), which changes nothing."""
        for _ in range(10):
            answer = httpx.post(f"{self.url}/{what}", json=body, timeout=60)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(1.0)
        assert answer.is_success, answer.text
        return answer.json()

    def clear(self) -> None:
        """Leave nothing behind: the names of the deployments are the same in every test."""
        for item in self.ask("deployments/filter", deployments={"tags": {"all_": [f"fitcore-{self.name}"]}}):
            httpx.delete(f"{self.url}/deployments/{item['id']}", timeout=60)
        for item in self.ask("automations/filter"):
            if item["name"].startswith(f"fitcore {self.name}:"):
                httpx.delete(f"{self.url}/automations/{item['id']}", timeout=60)
        for pool in self.there()[0]:
            httpx.delete(f"{self.url}/work_pools/{pool}", timeout=60)

    def there(self) -> tuple[list[str], list[str], list[str]]:
        """Names of the pools, deployments and automations of this test."""
        tagged = {"deployments": {"tags": {"all_": [f"fitcore-{self.name}"]}}}
        pools = [pool["name"] for pool in self.ask("work_pools/filter") if pool["name"].endswith(self.name)]
        automations = [item["name"] for item in self.ask("automations/filter") if item["name"].startswith(f"fitcore {self.name}:")]
        return pools, sorted(item["name"] for item in self.ask("deployments/filter", **tagged)), automations

    def deployment(self, name: str) -> str:
        return next(
            item["id"]
            for item in self.ask("deployments/filter", deployments={"name": {"any_": [name]}, "tags": {"all_": [f"fitcore-{self.name}"]}})
        )

    def runs(self, name: str) -> list[dict[str, Any]]:
        return self.ask("flow_runs/filter", flow_runs={"deployment_id": {"any_": [self.deployment(name)]}})

    def read(self, what: str, **words: str) -> Any:
        """What is there; asked again where the server was too busy to answer."""
        for _ in range(10):
            try:
                answer = httpx.get(f"{self.url}/{what}", params=words, timeout=60)
            except httpx.TimeoutException:
                continue
            if answer.is_success:
                return answer.json()
        raise AssertionError(f"the server does not tell of {what}")

    def run(self, identity: str) -> dict[str, Any]:
        return self.read(f"flow_runs/{identity}")

    def states(self, identity: str) -> list[str]:
        states = self.read("flow_run_states/", flow_run_id=identity)
        return [state["name"] for state in sorted(states, key=lambda state: state["timestamp"])]


@pytest.fixture
def api(server: str, write: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("PREFECT_API_URL", server)
    made = Api(server, write, capsys)
    yield made
    made.clear()


@pytest.fixture
def worker(fitcore: Any, api: Api, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a process worker with default signals; the mark of all its processes."""
    mark, started = str(tmp_path), []

    def start(pool: str = api.pool) -> str:
        environment = {
            **fitcore.environment,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{PLUGIN}",
            "FITCORE_TEST_MARK": mark,
            "PREFECT_API_URL": api.url,
            "PREFECT_HOME": str(tmp_path / "home"),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        }
        words = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--name", f"w-{pool}"]
        with (tmp_path / "worker.log").open("ab") as log:
            started.append(subprocess.Popen(words, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return mark

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pid in fitcore.processes_of(mark):
        os.kill(pid, signal.SIGKILL)


def test_deploy_again_dry_run_and_prune(api: Api) -> None:
    dry = api.deploy(is_dry=True)
    assert [line.split(":")[0] for line in dry[:-1]] == ["would be made"] * 6
    assert dry[-1] == "6 things, 6 would change"
    assert api.there() == ([], [], [])
    assert api.deploy()[-1] == "6 things, 6 changed"
    before = api.there()
    assert (before[0], before[1], len(before[2])) == ([api.pool], ["night", "toy"], 3)
    again = api.deploy()
    assert {line.split(":")[0] for line in again[:-1]} == {"same"}
    assert again[-1] == "6 things, nothing to change"
    changed = api.deploy(deployments__toy__parameters__attempts=4, deployments__night__schedule__timezone="UTC", recovery__requeue=30)
    assert [line for line in changed if "fit/toy" in line] == ["changed: deployment fit/toy: parameters.attempts 3 -> 4"]
    assert [line for line in changed if f"fitcore {api.name}: crashed:" in line and "trigger.within 20.0 -> 30.0" in line]
    api.deploy()
    assert api.there()[1] == ["night", "toy"]
    assert len(api.there()[2]) == 3
    gone: dict[str, Any] = {"deployments__night": None}
    assert "not in the file: deployment campaign/night (--prune removes it)" in api.deploy(**gone)
    assert "would be removed: deployment campaign/night" in api.deploy(is_dry=True, is_pruning=True, **gone)
    assert api.there()[1] == ["night", "toy"]
    assert "removed: deployment campaign/night" in api.deploy(is_pruning=True, **gone)
    assert api.there()[1] == ["toy"]


def test_what_others_made_stays(api: Api) -> None:
    api.ask("work_pools/", name=f"others-{api.name}", type="process")
    api.deploy(deployments__night=None)
    api.deploy(deployments__night=None, is_pruning=True)
    assert f"others-{api.name}" in api.there()[0]
    with pytest.raises(fc.ConfigError, match=r"was not made from this settings file"):
        api.deploy(pools={f"others-{api.name}": {}}, deployments__toy__pool=f"others-{api.name}", deployments__night=None)


def test_a_schedule_fits_a_dataset_with_nobody_touching_it(
    api: Api, worker: Callable[[], str], fitcore: Any, make_points: Callable[..., Path], tmp_path: Path
) -> None:
    dataset = make_points("line")
    parameters = {"pipeline": "toy", "attempts": 3, "dataset": str(dataset)}
    every_minute = {"cron": "* * * * *", "timezone": "UTC"}
    api.deploy(deployments__toy__parameters=parameters, deployments__toy__schedule=every_minute, deployments__night__paused=True)
    worker()
    ended = fitcore.wait_for(lambda: [run for run in api.runs("toy") if run["state_type"] in FINAL], "the end of a run", MINUTES)
    assert ended[0]["state_type"] == "COMPLETED", ended[0]["state"]["message"]
    assert ended[0]["auto_scheduled"]
    (noted,) = fc.Store(tmp_path / "store").runs()
    assert (noted["name"], noted["pipeline"]) == ("line", "toy")
    assert (tmp_path / "store" / "reports" / "toy" / "line.html").is_file()


def test_a_campaign_starts_each_dataset_once(
    api: Api, worker: Callable[[], str], fitcore: Any, make_points: Callable[..., Path], tmp_path: Path
) -> None:
    make_points("a", folder="a")
    make_points("b", folder="b")
    (tmp_path / "data" / "empty").mkdir()
    api.deploy(deployments__night__parameters__folder=str(tmp_path / "data"), deployments__night__schedule=None)
    worker()
    for _ in range(2):
        run = api.ask(f"deployments/{api.deployment('night')}/create_flow_run")
        fitcore.wait_for(lambda run=run: api.run(run["id"])["state_type"] in FINAL, "the end of the campaign", MINUTES)
        assert api.run(run["id"])["state_type"] == "COMPLETED"
        ended = fitcore.wait_for(
            lambda: all(item["state_type"] in FINAL for item in api.runs("toy")) and api.runs("toy"), "both fits", MINUTES
        )
        assert sorted((item["name"], item["state_type"]) for item in ended) == [("a", "COMPLETED"), ("b", "COMPLETED")]
    assert sorted(noted["name"] for noted in fc.Store(tmp_path / "store").runs()) == ["a", "b"]


def test_a_flow_process_that_is_killed_goes_on_as_the_same_run(
    api: Api, worker: Callable[[], str], fitcore: Any, make_points: Callable[..., Path], tmp_path: Path
) -> None:
    dataset = make_points("slow", pause=0.02)
    api.deploy(deployments__night=None)
    mark = worker()
    run = api.ask(f"deployments/{api.deployment('toy')}/create_flow_run", parameters={"dataset": str(dataset)})
    store = fc.Store(tmp_path / "store")
    entry = find("toy")
    loaded = entry.load(dataset)
    first = asked(chain_of(entry, loaded, {}), loaded, store)["first"].digest
    fitcore.wait_for(lambda: any(attempt.n_calls > 300 for attempt in store.attempts(first)), "300 calls", MINUTES)
    (pid,) = [pid for pid, words in fitcore.processes_of(mark).items() if "worker" not in words]
    os.kill(pid, signal.SIGKILL)
    fitcore.wait_for(lambda: api.run(run["id"])["state_type"] in FINAL, "the end of the run", MINUTES)
    assert api.run(run["id"])["state_type"] == "COMPLETED"
    states = api.states(run["id"])
    assert [name for name in states if name in ("Crashed", "AwaitingRetry", "Running", "Completed")] == [
        "Running",
        "Crashed",
        "AwaitingRetry",
        "Running",
        "Completed",
    ]
    assert len(api.runs("toy")) == 1
    attempts = store.attempts(first)
    assert len(attempts) == 2
    assert attempts[-1].ended == "done"
    assert attempts[-1].n_calls_at_start > 0
    (noted,) = store.runs()
    assert noted["stages"]["first"] == first
    assert not [finding for finding in store.verify() if finding.is_damage]


def test_a_run_that_cannot_start_ends_as_failed(
    api: Api, worker: Callable[[], str], fitcore: Any, make_points: Callable[..., Path]
) -> None:
    api.deploy(deployments__night=None, deployments__toy__parameters__attempts=1)
    answer = httpx.patch(f"{api.url}/deployments/{api.deployment('toy')}", json={"entrypoint": "flows.absent.fit"}, timeout=60)
    assert answer.is_success
    worker()
    run = api.ask(f"deployments/{api.deployment('toy')}/create_flow_run", parameters={"dataset": str(make_points())})
    fitcore.wait_for(lambda: api.run(run["id"])["state_type"] in FINAL, "the end of the run", MINUTES)
    assert api.states(run["id"])[-1] == "Failed"
    assert api.states(run["id"]).count("Crashed") == 2
    assert "crashed 2 times" in api.run(run["id"])["state"]["message"]


def kill_processes_of(identity: str, fitcore: Any, mark: str) -> int:
    """Kill the processes of one flow run, among all that the workers of this test have started; how many there were."""
    found = [pid for pid in fitcore.processes_of(mark) if identity.encode() in Path(f"/proc/{pid}/environ").read_bytes()]
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


def with_latents(api: Api, device: str) -> str:
    """Deploy `fit` with its latent variables on a pool of their own; that pool."""
    pool = f"gpu-{api.name}"
    api.deploy(
        deployments__night=None,
        pools={api.pool: {"concurrency": 2}, pool: {"concurrency": 1}},
        deployments__gpu={"flow": "latents", "pool": pool, "parameters": {"device": device, "attempts": 3}},
        deployments__toy__parameters__latents="gpu",
    )
    return pool


@pytest.mark.parametrize("killed", ["child", "parent"])
def test_latents_on_another_pool_survive_a_kill(
    killed: str, api: Api, worker: Callable[..., str], fitcore: Any, make_points: Callable[..., Path], tmp_path: Path
) -> None:
    dataset = make_points("two", latent_pause=0.02)
    pool = with_latents(api, "any")
    mark = worker()
    worker(pool)
    run = api.ask(f"deployments/{api.deployment('toy')}/create_flow_run", parameters={"dataset": str(dataset)})
    loaded, store = find("toy").load(dataset), fc.Store(tmp_path / "store")
    pipeline = chain_of(find("toy"), loaded, {})

    def second() -> str:
        requests = asked(pipeline, loaded, store)
        return requests["second"].digest if "second" in requests else ""

    fitcore.wait_for(lambda: (key := second()) and store.attempts(key, "latents"), "the begin of the latent variables", MINUTES)
    digest = second()
    searched = store.read(digest).path
    before = searched.read_bytes(), searched.stat().st_mtime_ns, len(store.attempts(digest))
    (child,) = api.runs("gpu")
    n_killed = kill_processes_of(child["id"] if killed == "child" else run["id"], fitcore, mark)
    assert n_killed == (2 if killed == "child" else 1)  # the one that waits has no worker process
    assert store.lookup(digest, "latents") is None  # it was in the midst of them
    fitcore.wait_for(lambda: api.run(run["id"])["state_type"] in FINAL, "the end of the run", MINUTES)
    assert api.run(run["id"])["state_type"] == "COMPLETED", api.run(run["id"])["state"]["message"]
    fitcore.wait_for(lambda: api.run(child["id"])["state_type"] in FINAL, "the end of its child", MINUTES)
    assert [item["id"] for item in api.runs("gpu")] == [child["id"]]
    assert child["idempotency_key"].startswith(digest)
    assert child["parent_task_run_id"] is not None
    states = {
        name: [s for s in api.states(item["id"]) if s in ("Crashed", "Completed")] for name, item in (("child", child), ("parent", run))
    }
    assert states == {name: ["Crashed", "Completed"] if name == killed else ["Completed"] for name in ("child", "parent")}
    assert [attempt.ended for attempt in store.attempts(digest, "latents")] == (["lost", "done"] if killed == "child" else ["done"])
    assert (searched.read_bytes(), searched.stat().st_mtime_ns, len(store.attempts(digest))) == before
    computed = store.read(digest, "latents")
    assert computed.provenance["device"]["platform"] == "cpu"
    shutil.copytree(store.path, tmp_path / "copy")
    copy = fc.Store(tmp_path / "copy")
    for path in copy.read(digest).path.parent.glob("latents*"):
        path.unlink()
    assert not run_latents(pipeline, "second", dataclasses.replace(loaded, latent_pause=0.0), copy).cached
    assert copy.read(digest, "latents").path.read_bytes() == computed.path.read_bytes()
    assert (store.reports / "toy" / "two.html").is_file()


def test_a_gpu_that_is_required_and_absent_fails_at_once(
    api: Api, worker: Callable[..., str], fitcore: Any, make_points: Callable[..., Path]
) -> None:
    pool = with_latents(api, "gpu")
    worker()
    worker(pool)
    run = api.ask(f"deployments/{api.deployment('toy')}/create_flow_run", parameters={"dataset": str(make_points())})
    fitcore.wait_for(lambda: api.run(run["id"])["state_type"] in FINAL, "the end of the run", MINUTES)
    (child,) = api.runs("gpu")
    assert (child["state_type"], api.states(child["id"]).count("Running")) == ("FAILED", 1)
    assert "a gpu is required" in child["state"]["message"]
    ended = api.run(run["id"])["state"]
    assert (ended["type"], api.states(run["id"]).count("Running")) == ("FAILED", 1)
    assert "latents/gpu" in ended["message"]
    assert child["id"] in ended["message"]
