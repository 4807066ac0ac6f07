"""`fitcore server` on a real PostgreSQL: reached by one setting, refused in words, and good for deploying and running.

Needs the PostgreSQL server of the system: on Debian and Ubuntu ``apt-get install postgresql``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import fitcore as fc
from flows.server import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "tests" / "flows" / "plugin"
MINUTES = 900.0
PASSWORD = "very-secret"


def programs() -> Path | None:
    """The folder of PostgreSQL's own programs, the newest where there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a fresh database, on a port of its own, with a user who owns it."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed: 'apt-get install postgresql' on Debian and Ubuntu")
    port = free_port()
    prefix: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("there is no user postgres, and PostgreSQL does not run as root")
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    with tempfile.TemporaryDirectory(prefix="postgresql-") as name:  # the folders of pytest are closed to other users
        base = Path(name)
        if prefix:
            os.chown(base, owner.pw_uid, owner.pw_gid)
        yield from running(folder, base, port, prefix)


def running(folder: Path, base: Path, port: int, prefix: list[str]) -> Iterator[str]:
    """A server with its data in ``base``, for a while; the URL of a database in it."""

    def run(program: str, *words: str) -> None:
        done = subprocess.run([*prefix, str(folder / program), *words], cwd=base, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run("initdb", "-D", str(base / "data"), "-A", "trust", "-U", "postgres", "--no-sync")
    rules = base / "data" / "pg_hba.conf"
    rules.write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    options = f"-p {port} -k {base} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", str(base / "data"), "-l", str(base / "log"), "-w", "-t", "200", "-o", options, "start")
    try:
        for statement in (
            f"create role prefect login password '{PASSWORD}'",
            "create database prefect owner prefect",
            "create database others",
        ):
            run("psql", "-h", str(base), "-p", str(port), "-U", "postgres", "-c", statement)
        yield f"postgresql://prefect:{PASSWORD}@127.0.0.1:{port}/prefect"
    finally:
        run("pg_ctl", "-D", str(base / "data"), "-w", "-t", "200", "-m", "fast", "stop")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (PASSWORD, "wrong", "password authentication failed for user"),
        ("/prefect", "/nothing", 'database "nothing" does not exist'),
        ("/prefect", "/others", "its user may not make tables in it: make the user the owner of the database"),
    ],
)
def test_a_database_that_cannot_be_used(lasting: Any, postgresql: str, old: str, new: str, told: str) -> None:
    head, _, tail = postgresql.rpartition(old)
    url = f"{head}{new}{tail}"
    answer = lasting.fitcore("server", "start", "--port", str(lasting.port), **lasting.environment, FITCORE_DATABASE=url)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert told in answer.stderr
    assert "prefect:***@127.0.0.1" in answer.stderr
    assert PASSWORD not in answer.stderr
    assert "wrong" not in answer.stderr


def test_nobody_listens_there(lasting: Any) -> None:
    url = f"postgresql://prefect:{PASSWORD}@127.0.0.1:9/prefect"
    answer = lasting.fitcore("server", "start", "--port", str(lasting.port), **lasting.environment, FITCORE_DATABASE=url)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "The database postgresql://prefect:***@127.0.0.1:9/prefect cannot be used: " in answer.stderr
    assert "Check that PostgreSQL runs there" in answer.stderr
    assert PASSWORD not in answer.stderr


def test_it_deploys_once_and_runs(
    lasting: Any, postgresql: str, fitcore: Any, write: Callable[..., Path], make_points: Callable[..., Path], tmp_path: Path
) -> None:
    lasting.environment["FITCORE_DATABASE"] = postgresql
    lasting.start()
    found = lasting.status()
    assert (found["is_healthy"], found["database"]) == (True, postgresql.replace(PASSWORD, "***"))
    assert not list((lasting.data / "server" / "home").glob("*.db"))
    file = write(deployments__night=None)
    first, again = (fitcore("deploy", file, **lasting.environment) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1] == "5 things, 5 changed"
    assert again.stdout.splitlines()[-1] == "5 things, nothing to change"
    named = lasting.named()
    client = httpx.Client(base_url=named["PREFECT_API_URL"], auth=tuple(named["PREFECT_API_AUTH_STRING"].split(":")), timeout=60)
    environment = {**fitcore.environment, **named, "PYTHONPATH": f"{ROOT}{os.pathsep}{PLUGIN}", "PREFECT_HOME": str(tmp_path / "home")}
    words = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cpu", "--name", "w1"]
    with client, (tmp_path / "log").open("wb") as log:
        (deployment,) = client.post("deployments/filter", json={}).json()
        run = client.post(f"deployments/{deployment['id']}/create_flow_run", json={"parameters": {"dataset": str(make_points())}}).json()
        worker = subprocess.Popen(words, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:

            def state() -> str:
                return client.get(f"flow_runs/{run['id']}").json()["state_type"]

            fitcore.wait_for(lambda: lasting.status()["workers"] == {"cpu": ["w1"]}, "the worker in the status", MINUTES)
            fitcore.wait_for(lambda: state() in ("COMPLETED", "FAILED", "CRASHED"), "the end of the run", MINUTES)
            assert state() == "COMPLETED"
        finally:
            worker.send_signal(signal.SIGINT)
            try:
                worker.wait(60)
            except subprocess.TimeoutExpired:  # where these tests were started with SIGINT ignored, so is it there
                worker.kill()
                worker.wait()
    (noted,) = fc.Store(tmp_path / "store").runs()
    assert noted["name"] == "line"
    stopped = lasting("stop")
    assert (stopped.returncode, stopped.stdout.split(":")[0]) == (0, "stopped")
    log_text = (lasting.data / "server" / "server.log").read_text()
    assert PASSWORD not in log_text
