"""The toy pipeline of ``plugin`` as installed, a cache of the tests' own, and a way to run the command line in processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.server import free_port, wait_until_ready

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).resolve().parent / "plugin"
WAIT_SECONDS = 300.0


def wait_for(condition: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come in {seconds:.0f} s")


def processes_of(mark: str) -> dict[int, str]:
    """Living processes with FITCORE_TEST_MARK=mark in their environment: all descendants of a started command, by process id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"FITCORE_TEST_MARK={mark}".encode() in environment.split(b"\0"):
            found[int(folder.name)] = command.replace(b"\0", b" ").decode()
    return found


@dataclass
class Command:
    """The command line in processes of their own, with one cache for all."""

    environment: dict[str, str]
    wait_for = staticmethod(wait_for)
    processes_of = staticmethod(processes_of)

    def start(self, *words: str | Path, mark: str = "none", **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *map(str, words)],
            cwd=ROOT,
            env={**self.environment, "FITCORE_TEST_MARK": mark, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, **environment)
        try:
            output, errors = process.communicate(timeout=WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            raise AssertionError(f"{words} hangs\n{output}\n{errors}") from None
        return subprocess.CompletedProcess(words, process.returncode, output, errors)

    def run(self, *datasets: Path, store: Path, more: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
        return self("run", *datasets, "--pipeline", "toy", "--store", store, "--json", *more, **environment)


@pytest.fixture(scope="session")
def fitcore(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command line as the user has it, with the toy pipeline installed, and no server named."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "FITCORE_"))}
    environment |= {
        "PYTHONPATH": str(PLUGIN),
        "FITCORE_CACHE": str(tmp_path_factory.mktemp("cache")),
        "FITCORE_DATA": str(tmp_path_factory.mktemp("data") / "fitcore"),
        "FITCORE_THREADS": "1",
        "COLUMNS": "200",
    }
    return Command(environment)


@pytest.fixture
def make_points(tmp_path: Path) -> Callable[..., Path]:
    """Writes a dataset folder of the toy."""

    def make(name: str = "line", **more: Any) -> Path:
        folder = tmp_path / "data" / more.pop("folder", name)
        folder.mkdir(parents=True)
        x = [i / 19 for i in range(20)]
        y = [0.5 + 0.3 * value + 0.1 * ((-1) ** i) for i, value in enumerate(x)]
        (folder / "points.json").write_text(json.dumps({"name": name, "x": x, "y": y, **more}))
        return folder

    return make


@pytest.fixture(scope="session")
def finished(fitcore: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, subprocess.CompletedProcess[str]]:
    """A dataset of the toy run to its end once: dataset folder, store, and what the command said."""
    base = tmp_path_factory.mktemp("finished")
    made = fitcore("simulate", base / "line", "--pipeline", "toy", "--seed", "3")
    assert made.returncode == 0, made.stderr
    store = base / "store"
    answer = fitcore.run(base / "line", store=store)
    assert answer.returncode == 0, answer.stderr
    return base / "line", store, answer


@pytest.fixture(scope="session")
def server(fitcore: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API's URL of a lasting Prefect server."""
    home, port = tmp_path_factory.mktemp("server"), free_port()
    environment = {**fitcore.environment, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.embedded", str(port), str(os.getpid())], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/api", WAIT_SECONDS)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy pipeline as installed in this process."""
    monkeypatch.syspath_prepend(PLUGIN)


class Lasting:
    """`fitcore server` with a data folder of the test's own."""

    def __init__(self, fitcore: Any, data: Path) -> None:
        self.fitcore, self.data = fitcore, data
        self.port = free_port()
        self.environment = {"FITCORE_DATA": str(data), "FITCORE_SERVER_SECONDS": "500"}

    def __call__(self, *words: str) -> Any:
        answer = self.fitcore("server", *words, **self.environment)
        password = self.data / "server" / "password"
        assert not password.exists() or password.read_text().strip() not in answer.stdout + answer.stderr
        return answer

    def start(self, *words: str) -> dict[str, Any]:
        """Start it; what the command tells as JSON."""
        answer = self("start", "--port", str(self.port), "--json", *words)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def named(self) -> dict[str, str]:
        """What a shell sets by the lines that `start` tells."""
        auth = (self.data / "server" / "password").read_text().strip()
        return {"PREFECT_API_URL": self.status()["url"], "PREFECT_API_AUTH_STRING": auth}

    def status(self) -> dict[str, Any]:
        return json.loads(self("status", "--json").stdout)

    def kill(self) -> None:
        """End it as a machine does."""
        os.kill(self.status()["pid"], signal.SIGKILL)
        self.fitcore.wait_for(lambda: self.status()["standing"] == "lost", "the end of the server")

    def count(self, state: str) -> int:
        """Runs in a state, by the server."""
        body = {"flow_runs": {"state": {"type": {"any_": [state]}}}}
        named = self.named()
        user, _, password = named["PREFECT_API_AUTH_STRING"].partition(":")
        answer = httpx.post(f"{named['PREFECT_API_URL']}/flow_runs/count", json=body, auth=(user, password), timeout=60)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture
def lasting(fitcore: Any, tmp_path: Path) -> Iterator[Lasting]:
    made = Lasting(fitcore, tmp_path / "data")
    yield made
    made("stop")
