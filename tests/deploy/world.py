"""A real Prefect server, process workers that are started again when they end, and a store for each run; for tests that kill.

Nothing here dies with a test that is killed itself: every process has FITCORE_TEST_WORLD in its environment, and `World.clear` ends those
that are left, also of an earlier try in the same folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from flows.server import free_port, wait_until_ready

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = (ROOT / "tests" / "flows" / "plugin", ROOT / "tests" / "deploy" / "plugin")
RESTART_SECONDS = 2.0
START_SECONDS = 900.0
ASKED_SECONDS = 300.0
FINAL = ("COMPLETED", "FAILED", "CANCELLED")
QUICK = {"heartbeat": 30, "zombie": 90, "requeue": 20, "start": 180}


def wait_for(condition: Callable[[], Any], what: str, seconds: float, every: float = 0.2) -> Any:
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(every)
    raise AssertionError(f"{what} did not come in {seconds:.0f} s")


def marked(variable: str, value: str) -> dict[int, str]:
    """The command lines of living processes that have a variable in their environment, by process id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"{variable}={value}".encode() in environment.split(b"\0"):
            found[int(folder.name)] = command.replace(b"\0", b" ").decode()
    return found


def send(pids: list[int], number: int) -> None:
    """A signal to processes, those that have ended left out."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@dataclass
class Kept:
    """A process that is started again a little after its end, as a service manager would; ``is_wanted`` False leaves it ended."""

    words: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    is_wanted: bool = True
    ended: float = 0.0
    delay: float = RESTART_SECONDS

    def look(self) -> None:
        """Start it where it is time."""
        if self.process is not None and self.process.poll() is None:
            self.ended = 0.0
            return
        if self.process is not None and not self.ended:
            self.ended = time.monotonic()
        if self.is_wanted and (self.process is None or time.monotonic() - self.ended >= self.delay):
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self.words,
                    cwd=self.log.parent,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.ended = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return None if self.process is None or self.process.poll() is not None else self.process.pid


class World:
    """A server with its workers; a pool and a deployment of the flow `fit` for each of them, ``slot-0`` and so on.

    Parameters
    ----------
    base : a folder of its own.
    n_workers : and pools; ``shared`` puts all of them into one pool.
    database : None for SQLite, or the URL of a database.
    leases : where the server keeps which run has a place within a limit: filesystem or memory.
    settings : of the deployments in the settings file; ``campaign`` is a whole deployment of its own, ``night``.
    """

    def __init__(
        self, base: Path, n_workers: int, *, database: str | None = None, shared: bool = False, leases: str = "filesystem", **settings: Any
    ) -> None:
        self.base, self.n_workers, self.shared = base, n_workers, shared
        base.mkdir(parents=True, exist_ok=True)
        self.clear()
        shutil.rmtree(base / "server", ignore_errors=True)  # runs of an earlier try would go on
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # inherited from a shell's background; a worker would inherit it, too
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "FITCORE_"))}
        self.environment = inherited | {
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *PLUGINS))),
            "FITCORE_TEST_WORLD": str(base),
            "FITCORE_THREADS": "1",
            "FITCORE_CACHE": str(base / "cache"),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "5",
        }
        storage = f"prefect.server.concurrency.lease_storage.{leases}"
        serving = {"PREFECT_HOME": str(base / "server"), "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": storage}
        if database is not None:
            serving["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
        words = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port), "--no-ui"]
        self.server = Kept(words, self.environment | serving, base / "server.log", delay=5.0)
        self.workers: list[Kept] = []
        self.tenders: list[Kept] = []
        self.settings = settings
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> World:
        self._thread.start()
        wait_until_ready(self.url, START_SECONDS)
        self.deploy()
        for number in range(self.n_workers):
            self.add_worker(number)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.clear()

    def clear(self) -> None:
        """End every process of this world."""
        while found := marked("FITCORE_TEST_WORLD", str(self.base)):
            send(list(found), signal.SIGKILL)
            time.sleep(0.2)

    def _keep(self) -> None:
        while not self._over.wait(0.2):
            for kept in (self.server, *self.workers, *self.tenders):
                kept.look()

    def file(self) -> dict[str, Any]:
        """The settings file."""
        names = ["slot-0"] if self.shared else [f"slot-{number}" for number in range(self.n_workers)]
        more = {"threads": 1, **self.settings}
        parameters = {"pipeline": "slow", "attempts": 6, **more.pop("parameters", {})}
        night = more.pop("campaign", None)
        fits = {name: {"flow": "fit", "pool": name, "parameters": parameters, **more} for name in names}
        return {
            "name": "world",
            "store": str(self.base / "store"),
            "pools": {name: {} for name in names},
            "deployments": fits if night is None else {**fits, "night": night},
            "recovery": QUICK,
        }

    def deploy(self) -> str:
        """`fitcore deploy`; what it prints."""
        path = self.base / "settings.yaml"
        path.write_text(yaml.safe_dump(self.file(), sort_keys=False))
        words = [sys.executable, "-m", "flows.cli", "deploy", str(path)]
        answer = subprocess.run(words, env=self.environment, cwd=self.base, check=False, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def add_worker(self, number: int, **environment: str) -> None:
        """A worker that is kept alive."""
        words = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "slot-0" if self.shared else f"slot-{number}"]
        words += ["--name", f"w{number}"]
        own = {"PREFECT_HOME": str(self.base / f"home-{number}"), "FITCORE_TEST_WORKER": f"{self.base}:{number}", **environment}
        self.workers.append(Kept(words, self.environment | own, self.base / f"worker-{number}.log"))

    def add_tender(self) -> None:
        """`fitcore tend`, kept alive."""
        words = [sys.executable, "-m", "flows.cli", "tend", str(self.base / "settings.yaml")]
        self.tenders.append(Kept(words, self.environment, self.base / "tend.log"))

    def worker(self, number: int) -> list[int]:
        """The process of a worker, in a list; empty while there is none."""
        pid = self.workers[number].pid
        return [] if pid is None else [pid]

    def flows(self, number: int) -> list[int]:
        """The flow processes of a worker, also of one that has ended."""
        found = marked("FITCORE_TEST_WORKER", f"{self.base}:{number}")
        return [pid for pid, words in found.items() if "worker start" not in words and "flows.worker_start" not in words]

    def searches(self, number: int) -> list[int]:
        """The processes that search, of a worker's flow processes."""
        found = marked("FITCORE_TEST_WORKER", f"{self.base}:{number}")
        return [pid for pid, words in found.items() if "flows.worker_start" in words]

    def ask(self, what: str, method: str = "POST", **body: Any) -> Any:
        """The answer; asked again while the server is away or locked."""
        end = time.monotonic() + ASKED_SECONDS
        while True:
            try:
                answer = httpx.request(method, f"{self.url}/{what}", json=body or None, timeout=60)
                if answer.status_code < 500:
                    break
            except httpx.HTTPError:
                pass
            assert time.monotonic() < end, f"{what}: no answer in {ASKED_SECONDS:.0f} s"
            time.sleep(1.0)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def start(self, slot: str, flow: str = "fit", **parameters: Any) -> str:
        """A run of a deployment; its identity."""
        deployment = self.ask(f"deployments/name/{flow}/{slot}", "GET")
        key = uuid.uuid4().hex  # or a question that is asked again would start another
        return self.ask(f"deployments/{deployment['id']}/create_flow_run", parameters=parameters, idempotency_key=key)["id"]

    def run(self, identity: str) -> dict[str, Any]:
        """A run as the server has it."""
        return self.ask(f"flow_runs/{identity}", "GET")

    def states(self, identity: str) -> list[dict[str, Any]]:
        """Its states in order."""
        return sorted(self.ask(f"flow_run_states/?flow_run_id={identity}", "GET"), key=lambda state: state["timestamp"])

    def names(self, identity: str) -> list[str]:
        """The names of its states in order."""
        return [state["name"] for state in self.states(identity)]

    def end_of(self, identity: str, seconds: float) -> str:
        """The name of its last state, once it is final."""
        try:
            wait_for(lambda: self.run(identity)["state_type"] in FINAL, "the end", seconds, every=3.0)
        except AssertionError:
            return f"not ended: {self.run(identity)['state_name']}"
        return self.run(identity)["state_name"]


def make_points(folder: Path, shift: float = 0.0, **more: Any) -> Path:
    """A dataset of the slow toy: the same points each time, but for a shift of all."""
    folder.mkdir(parents=True, exist_ok=True)
    x = [i / 19 for i in range(20)]
    y = [0.5 + shift + 0.3 * value + 0.1 * ((-1) ** i) for i, value in enumerate(x)]
    (folder / "points.json").write_text(json.dumps({"name": folder.name, "x": x, "y": y, **more}))
    return folder


def diary(folder: Path) -> list[tuple[float, int, str]]:
    """What the slow toy noted: when, in which process, what."""
    path = folder / "diary"
    lines = [line.split() for line in path.read_text().splitlines()] if path.is_file() else []
    return [(float(when), int(pid), what) for when, pid, what in lines]
