"""The engine by setting: what is refused, what a cluster is asked for, and what becomes of tasks that fail, are lost, or are stopped."""

from __future__ import annotations

import contextlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from fitcore import ConfigError
from flows import chain, cli, engine_dask, engines, visit
from flows.deployed import fit
from flows.engines import Cluster, joined
from flows.protocol import RemoteError
from flows.settings import Settings


def settings(engine: str, address: str | None = None, **resources: float) -> Settings:
    return Settings(
        store=Path("s"),
        cache=Path("c"),
        threads=2,
        prefect_api_url=None,
        server_seconds=1.0,
        no_color=True,
        engine=engine,
        engine_address=address,
        latents_resources=resources,
    )


@pytest.mark.parametrize(("engine", "packages"), [("dask", "prefect-dask, distributed"), ("ray", "prefect-ray, ray")])
def test_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, engine: str, packages: str) -> None:
    monkeypatch.setattr(engines, "is_installed", lambda name: False)
    told = rf"'{engine}', and the packages it needs are not installed here: {packages} missing\. Run 'pip install fitcore\[{engine}\]'"
    with pytest.raises(ConfigError, match=told), joined(settings(engine), 1):
        pass
    engines.check("threads")


def test_the_command_line_says_so_before_anything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make_points: Callable[..., Path], installed: None
) -> None:
    monkeypatch.setattr(engines, "is_installed", lambda name: False)
    monkeypatch.setenv("FITCORE_ENGINE", "ray")
    with pytest.raises(SystemExit) as caught:
        cli.app(["run", str(make_points()), "--pipeline", "toy"])
    assert caught.value.code == 2
    assert "pip install fitcore[ray]" in capsys.readouterr().err


def test_a_cluster_is_joined_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster: Any = object()
    asked: list[Any] = []

    class Fake:
        @contextlib.contextmanager
        def joined(self, *given: Any) -> Any:
            asked.append(given[1:])
            yield cluster

    monkeypatch.setattr(engines, "adapter", lambda name: Fake())
    with joined(settings("threads"), 2) as none:
        assert none is None
    for _ in range(2):
        with joined(settings("dask"), 2) as outer, joined(settings("dask"), 2) as inner:
            assert outer is inner is cluster
    assert asked == [(2, 1), (2, 1)]


def test_a_dask_cluster_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_dask, "CONNECT_SECONDS", 1.0)
    told = r"FITCORE_ENGINE_ADDRESS is 'tcp://127\.0\.0\.1:9', and no Dask scheduler answers there within 1 s.*'dask scheduler'"
    with pytest.raises(ConfigError, match=told), joined(settings("dask", "tcp://127.0.0.1:9"), 1):
        pass


def test_tasks_can_be_sent_to_another_process() -> None:
    for task in (chain.search, chain.compute_latents):
        sent = pickle.loads(cloudpickle.dumps(task))
        assert (sent.name, sent.retries) == (task.name, task.retries)
    for flow in (chain.chain, fit):  # they are sent along, as the context of a task
        assert pickle.loads(cloudpickle.dumps(flow)).name == flow.name
    assert pickle.loads(cloudpickle.dumps(chain.WORKERS)) is chain.WORKERS


class Future:
    """Ends as it is told to, after so many looks."""

    def __init__(self, end: Any, looks: int = 0) -> None:
        self.end, self.looks, self.is_cancelled = end, looks, False
        self.task_run_id = "79d"

    def result(self, timeout: float) -> Any:
        self.looks -= 1
        if self.looks >= 0:
            raise TimeoutError(f"Task run {self.task_run_id} did not complete within {timeout} seconds")
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end


class LostError(Exception):
    pass


class Runner:
    def __init__(self, ends: dict[str, Any]) -> None:
        self.ends, self.given, self.futures = ends, [], {}

    def submit(self, task: Any, parameters: dict[str, Any]) -> Future:
        self.given.append((task.name, parameters))
        name = parameters["stage"] if task.name == "search" else "latents"
        self.futures[name] = self.ends[name] if isinstance(self.ends[name], Future) else Future(self.ends[name])
        return self.futures[name]


def cluster_of(runner: Runner, contexts: list[Any]) -> Cluster:
    @contextlib.contextmanager
    def asking(resources: Any) -> Any:
        contexts.append(dict(resources))
        yield

    def cancel(future: Any) -> None:
        future.is_cancelled = True

    return Cluster(engine="dask", runner=runner, asking=asking, cancel=cancel, lost=(LostError,), threads=3, latents={"GPU": 1.0})


STAGES, NEEDS = ("left", "right", "joint"), {"left": [], "right": [], "joint": ["left", "right"]}


def ends(**more: Any) -> dict[str, Any]:
    return {**{name: {"name": name, "digest": name[0]} for name in STAGES}, "latents": "j", **more}


def test_what_is_sent_to_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    runner, contexts, heard = Runner(ends(right=Future({"name": "right", "digest": "r"}, looks=3))), [], []
    monkeypatch.setattr(chain.WORKERS, "listener", heard.append)
    chain.run_on(cluster_of(runner, contexts), STAGES, NEEDS, "joint", {"seed": 0})
    assert [given["stage"] for _, given in runner.given] == ["left", "right", "joint", "joint"]
    assert runner.given[2][1]["earlier"] == {"left": runner.futures["left"], "right": runner.futures["right"]}
    assert runner.given[3] == (
        "latents",
        {
            "stage": "joint",
            "digests": {"left": "l", "right": "r", "joint": "j"},
            "request": {"seed": 0, "threads": 3},
            "engine": "dask",
        },
    )
    assert contexts == [{}, {"GPU": 1.0}]
    assert [event["name"] for event in heard] == list(STAGES)


def test_where_one_fails_the_others_go_on_and_its_error_follows() -> None:
    broken, late = ValueError("no"), Future({"name": "right", "digest": "r"}, looks=2)
    runner = Runner(ends(left=broken, right=late, joint=RuntimeError("not begun")))
    with pytest.raises(ValueError, match="no"):
        chain.run_on(cluster_of(runner, []), STAGES, NEEDS, "joint", {})
    assert late.looks < 0
    assert "latents" not in runner.futures


def test_a_time_that_ran_out_in_a_task_is_its_error() -> None:
    late: Any = Future(TimeoutError("the disk did not answer"), looks=2)
    with pytest.raises(TimeoutError, match="the disk did not answer"):
        chain.answer_of(late, None)


def test_a_process_that_is_gone_is_a_worker_that_died() -> None:
    with pytest.raises(RemoteError, match=r"process of the task 79d ended, or its cluster: LostError: node7.*same command again") as caught:
        chain.run_on(cluster_of(Runner(ends(left=LostError("node7"))), []), STAGES, NEEDS, "joint", {})
    assert caught.value.kind == "WorkerDied"


@pytest.mark.parametrize("is_asked", [True, False])
def test_who_is_stopped_cancels_what_runs(monkeypatch: pytest.MonkeyPatch, is_asked: bool) -> None:
    """By a note of the signal's handler, or as Prefect stops a flow: by an exception that is no `Exception`."""
    monkeypatch.setattr(engines.ASKED, "is_stopping", is_asked)
    runner = Runner(ends(right=KeyboardInterrupt()))
    with pytest.raises(RemoteError if is_asked else KeyboardInterrupt):
        chain.run_on(cluster_of(runner, []), STAGES, NEEDS, "joint", {})
    assert [future.is_cancelled for future in runner.futures.values()] == [True] * 3


def test_a_task_that_is_not_wanted_any_more_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "LOOK_SECONDS", 0.01)
    stopped: list[int] = []
    looks = iter([True, True, False])

    class Worker:
        def ask_to_stop(self) -> None:
            stopped.append(1)

    worker: Any = Worker()
    with visit.watched(worker, lambda: True):
        pass
    assert not stopped
    with visit.watched(worker, lambda: next(looks)):
        while not stopped:
            pass
    assert stopped == [1]


def test_resources_by_the_names_of_each_engine() -> None:
    from flows import engine_ray

    assert engine_ray._options({"GPU": 1.0, "CPU": 2.0, "memory": 3.0}) == {"num_gpus": 1.0, "num_cpus": 2.0, "resources": {"memory": 3.0}}
    local, named = engine_ray._runner(settings("ray", GPU=1), 2), engine_ray._runner(settings("ray", "127.0.0.1:6379"), 2)
    assert (local.address, local.init_kwargs["num_gpus"], local.init_kwargs["_node_ip_address"]) == (None, 1, "127.0.0.1")
    assert (named.address, "num_cpus" in named.init_kwargs) == ("127.0.0.1:6379", False)
    local, named = engine_dask._runner(settings("dask", GPU=1), 2), engine_dask._runner(settings("dask", "tcp://node1:8786"), 2)
    assert (local.cluster_kwargs["resources"], local.cluster_kwargs["n_workers"]) == ({"GPU": 1}, 2)
    assert (named.address, named.cluster_kwargs) == ("tcp://node1:8786", {})
    assert json.dumps(local.cluster_kwargs)
