"""Dask and Ray on this machine: the same chain as without them ends in the same bytes, whatever is killed or stopped on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fitcore import Store
from flows.server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).resolve().parent / "plugin"
MINUTES = 900.0
FIT = "import sys; from flows.deployed import fit; fit(dataset=sys.argv[1], pipeline='fork', store=sys.argv[2])"


def published(store: Path) -> dict[str, str]:
    """The sha256 of the arrays of every result and part: a part's file also has its commit record, which tells of times."""
    found = Store(store)
    return {f"{d}/{part}": found.read(d, part).sha256 for d in found.digests() for part in ("result", *found.parts(d))}


def words_for(dataset: Path, store: Path) -> tuple[str | Path, ...]:
    return ("run", dataset, "--pipeline", "fork", "--store", store, "--json")


@pytest.fixture(scope="module")
def plain(fitcore: Any, server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, str], list[str]]:
    """Points, the files that a run without a cluster makes of them, and the digests by stage."""
    base = tmp_path_factory.mktemp("plain")
    assert fitcore("simulate", base / "line", "--pipeline", "fork", "--seed", "3").returncode == 0
    answer = fitcore(*words_for(base / "line", base / "store"), PREFECT_API_URL=server)
    assert answer.returncode == 0, answer.stderr
    files = published(base / "store")
    assert len(files) == 4
    stages = json.loads(answer.stdout)["stages"]
    return json.loads((base / "line" / "points.json").read_text()), files, [stage["digest"] for stage in stages]


@pytest.fixture
def dataset(plain: Any, tmp_path: Path) -> Callable[..., Path]:
    """The same points, with more that is no part of their identity."""

    def made(**more: Any) -> Path:
        folder = tmp_path / "line"
        folder.mkdir()
        (folder / "points.json").write_text(json.dumps({**plain[0], **more}))
        return folder

    return made


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_cluster_of_this_machine_makes_the_same_bytes(
    engine: str, fitcore: Any, plain: Any, dataset: Callable[..., Path], server: str, tmp_path: Path
) -> None:
    mark, home, short = str(tmp_path), tmp_path / "home", tempfile.mkdtemp(prefix="ray-")  # its sockets allow no long path
    home.mkdir()
    environment = {"FITCORE_ENGINE": engine, "FITCORE_LATENTS_RESOURCES": "GPU=1", "FITCORE_THREADS": "2", "PREFECT_API_URL": server}
    try:
        process = fitcore.start(*words_for(dataset(), tmp_path / "store"), mark=mark, HOME=str(home), RAY_TMPDIR=short, **environment)
        output, errors = process.communicate(timeout=MINUTES)
        assert process.returncode == 0, errors
        assert [stage["digest"] for stage in json.loads(output)["stages"]] == plain[2]
        assert published(tmp_path / "store") == plain[1]
        assert not (home / ".ray").exists()
        fitcore.wait_for(lambda: not fitcore.processes_of(mark), "the end of all processes", 60.0)
    finally:
        for pid in fitcore.processes_of(mark):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(short, ignore_errors=True)


@dataclass
class Dask:
    """A scheduler and two workers, one of which says that it has a GPU; each has a mark of its own, which its children inherit."""

    fitcore: Any
    server: str
    folder: Path
    address: str = field(default_factory=lambda: f"tcp://127.0.0.1:{free_port()}")
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        cluster = {"FITCORE_ENGINE": "dask", "FITCORE_ENGINE_ADDRESS": self.address, "FITCORE_LATENTS_RESOURCES": "GPU=1"}
        own = {"PYTHONPATH": f"{ROOT}{os.pathsep}{PLUGIN}", "PREFECT_API_URL": self.server, "PREFECT_HOME": str(self.folder / "home")}
        return {**self.fitcore.environment, **own, **cluster, "FITCORE_THREADS": "1"}

    def mark(self, name: str) -> str:
        return f"{self.folder.name}-{name}"

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        environment = {**self.environment, "FITCORE_TEST_MARK": self.mark(name)}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, *words], cwd=self.folder, env=environment, stdout=log, stderr=log)
        self.started[name] = process
        return process

    def search_of(self, name: str) -> int | None:
        """The search process of a worker."""
        found = [pid for pid, words in self.fitcore.processes_of(self.mark(name)).items() if "flows.worker" in words]
        return found[0] if found else None

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture
def dask(fitcore: Any, server: str, tmp_path: Path) -> Iterator[Dask]:
    made = Dask(fitcore, server, tmp_path)
    made.start("scheduler", "-m", "distributed.cli.dask_scheduler", "--host", made.address, "--no-dashboard")
    common = ("-m", "distributed.cli.dask_worker", made.address, "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard")
    made.start("plain", *common)
    made.start("with-gpu", *common, "--resources", "GPU=1")
    yield made
    for process in made.started.values():
        process.terminate()
    for process in made.started.values():
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for name in made.started:
        for pid in fitcore.processes_of(made.mark(name)):
            os.kill(pid, signal.SIGKILL)


def under_way(fitcore: Any, process: subprocess.Popen[Any], store: Path, digests: list[str]) -> None:
    """Wait until both independent searches have made some calls, or the process has ended."""

    def calls(digest: str) -> int:
        return max((attempt.n_calls for attempt in Store(store).attempts(digest)), default=0) if store.is_dir() else 0

    fitcore.wait_for(
        lambda: process.poll() is not None or all(calls(digest) > 100 for digest in digests[:2]), "100 calls of both searches", MINUTES
    )


def ends_of(store: Path, digests: list[str]) -> list[list[str]]:
    return [[attempt.ended for attempt in Store(store).attempts(digest)] for digest in digests[:2]]


@pytest.mark.parametrize("victim", ["the search", "the worker", "the flow"])
def test_a_run_on_a_dask_cluster_goes_on_after_a_kill(
    victim: str, dask: Dask, fitcore: Any, plain: Any, dataset: Callable[..., Path], tmp_path: Path
) -> None:
    store, trace = tmp_path / "store", tmp_path / "trace"
    trace.mkdir()
    words = ("-c", FIT, str(dataset(pause=0.01, trace=str(trace))), str(store))
    flow = dask.start("flow", *words)
    under_way(fitcore, flow, store, plain[2])
    assert flow.poll() is None, dask.log("flow")
    if victim == "the search":
        pid = dask.search_of("plain")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    elif victim == "the worker":
        dask.started["plain"].kill()
    else:
        flow.kill()
        flow.wait()
        fitcore.wait_for(lambda: ends_of(store, plain[2]) == [["interrupted"]] * 2, "both searches to save", 120.0)
        flow = dask.start("flow", *words)
    assert flow.wait(MINUTES) == 0, dask.log("flow")
    assert published(store) == plain[1]
    assert [path.name for path in trace.iterdir()] == [dask.mark("with-gpu")]
    ends = ends_of(store, plain[2])
    print(victim, ends)
    assert all(end[-1] == "done" for end in ends)
    assert max(len(end) for end in ends) >= 2
    assert not [finding for finding in Store(store).verify() if finding.is_damage]


def test_a_signal_saves_the_searches_on_a_dask_cluster(
    dask: Dask, fitcore: Any, plain: Any, dataset: Callable[..., Path], tmp_path: Path
) -> None:
    store, folder = tmp_path / "store", dataset(pause=0.01)
    environment = {key: value for key, value in dask.environment.items() if key.startswith(("FITCORE_E", "FITCORE_L", "PREFECT_API"))}
    process = fitcore.start(*words_for(folder, store), mark=dask.mark("command"), **environment)
    under_way(fitcore, process, store, plain[2])
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=MINUTES)
    assert process.returncode == 75, errors
    assert json.loads(output)["status"] == "interrupted"
    fitcore.wait_for(lambda: ends_of(store, plain[2]) == [["interrupted"]] * 2, "both searches to save", 120.0)
    fitcore.wait_for(lambda: not dask.search_of("plain") and not dask.search_of("with-gpu"), "the end of the searches", 60.0)
    answer = fitcore(*words_for(folder, store), **environment)
    assert answer.returncode == 0, answer.stderr
    assert published(store) == plain[1]
    fitcore.wait_for(lambda: not fitcore.processes_of(dask.mark("command")), "the end of all processes", 60.0)
