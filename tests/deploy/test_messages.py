"""Each row of the table of messages in deploy/README.md: the cause is made, and what is said and the exit code are held against it."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prefect.exceptions import ObjectNotFound

import fitcore as fc
from deploy.__main__ import main as deploy_main
from deploy.changes import Found, compare
from deploy.schema import load
from deploy.wanted import Thing, things_of
from flows import campaign, deployed, runner
from flows.launch import _row
from flows.server import free_port

README = Path(__file__).resolve().parents[2] / "deploy" / "README.md"
ABSENT = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "FITCORE_SERVER_SECONDS": "0.5"}
FAILED = "the run is Failed"


def rows() -> dict[str, tuple[str, str]]:
    """Cause: what is said, and the exit code or what becomes of the run."""
    section = README.read_text(encoding="utf-8").partition("## What is said when something is wrong")[2].partition("\n## ")[0]
    found = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| ([^|]+) \|$", section, flags=re.MULTILINE)
    return {cause: (said, end) for cause, said, end in found}


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """What a run says that is refused."""
    with pytest.raises(fc.ConfigError) as raised:
        call()
    return str(raised.value), FAILED


class Causes:
    """Each cause by the method of its name."""

    def __init__(self, command: Any, write: Callable[..., Path], make_points: Callable[..., Path], tmp_path: Path, patch: Any) -> None:
        self.command, self.write, self.make_points, self.tmp_path, self.patch = command, write, make_points, tmp_path, patch

    def said(self, *words: Any, **environment: str) -> tuple[str, str]:
        answer = self.command(*words, **environment)
        return answer.stdout + answer.stderr, str(answer.returncode)

    def deploy(self, file: Path, **environment: str) -> tuple[str, str]:
        """`fitcore deploy` in this process, where Prefect is imported already; `test_command` has the command."""
        for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
            self.patch.delenv(name, raising=False)
        for name, value in environment.items():
            self.patch.setenv(name, value)
        self.patch.setattr(sys, "argv", ["fitcore deploy", str(file)])
        with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(output):
            code = deploy_main()
        return output.getvalue(), str(code)

    def run(self, dataset: Path, **environment: str) -> tuple[str, str]:
        return self.said("run", dataset, "--pipeline", "toy", "--store", self.tmp_path / "store", **environment)

    def no_server_is_named(self) -> tuple[str, str]:
        return self.deploy(self.write())

    def server_absent_deploy(self) -> tuple[str, str]:
        return self.deploy(self.write(), **ABSENT)

    def server_absent_run(self) -> tuple[str, str]:
        return self.run(self.make_points(), **ABSENT)

    def server_lost(self) -> tuple[str, str]:
        def broken(**more: Any) -> None:
            raise httpx.ConnectError("All connection attempts failed")

        self.patch.setattr(runner, "chain", broken)
        ended = runner.run_one({"name": "a", "flow": {}}, {})
        plan: Any = SimpleNamespace(dataset=SimpleNamespace(name="a"))
        row = _row(plan, SimpleNamespace(name="toy"), fc.Store(self.tmp_path / "store"), ended, interrupted=False)  # type: ignore[arg-type]
        return row["error"], {"interrupted": "75"}[row["status"]]

    def pool_not_in_the_file(self) -> tuple[str, str]:
        return self.deploy(self.write(deployments__toy__pool="cpus"), **ABSENT)

    def pool_of_others(self) -> tuple[str, str]:
        things = things_of(load(self.write()), self.tmp_path)
        other = Found(thing=Thing(kind="pool", name="cpu", fields={}), id=SimpleNamespace(), is_ours=False)  # type: ignore[arg-type]
        return refused(lambda: compare(things, [other]))[0], "2"

    def bad_cron(self) -> tuple[str, str]:
        return self.deploy(self.write(deployments__night__schedule__cron="0 25 * * *"), **ABSENT)

    def dataset_unknown_to_run(self) -> tuple[str, str]:
        return self.said("run", self.tmp_path / "nowhere", "--store", self.tmp_path / "store")

    def dataset_unknown_to_fit(self) -> tuple[str, str]:
        common: dict[str, Any] = {"pipeline": "toy", "store": str(self.tmp_path), "seed": 0, "settings": {}, "attempts": 1}
        return refused(lambda: deployed.checked_request(dataset="/nowhere/lens", **common))

    def store_not_shared(self) -> tuple[str, str]:
        self.patch.setattr(deployed.deployment, "get_id", lambda: "d1")
        return refused(lambda: deployed.fit.fn(dataset=str(self.make_points()), pipeline="toy", store=str(self.tmp_path / "absent")))

    def pool_removed(self) -> tuple[str, str]:
        self.patch.setattr(campaign, "get_client", lambda **more: Client(SimpleNamespace(id=1, work_pool_name=None)))
        return refused(lambda: campaign.target_of("fit/toy"))

    def deployment_removed(self) -> tuple[str, str]:
        self.patch.setattr(campaign, "get_client", lambda **more: Client(None))
        return refused(lambda: campaign.target_of("fit/toy"))

    def port_taken(self) -> tuple[str, str]:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            return self.said("server", "start", "--port", str(other.getsockname()[1]))

    def database_unusable(self) -> tuple[str, str]:
        url = "postgresql://u:p@127.0.0.1:9/d"
        return self.said("server", "start", "--port", str(free_port()), FITCORE_DATABASE=url)


class Client:
    """Prefect's client, of a server with one deployment or none."""

    def __init__(self, deployment: Any) -> None:
        self.deployment = deployment

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def read_deployment_by_name(self, name: str) -> Any:
        if self.deployment is None:
            raise ObjectNotFound(Exception(name))
        return self.deployment


CAUSES = {
    "`fitcore deploy`, no server named and none of `fitcore server`": "no_server_is_named",
    "`fitcore deploy`, server absent": "server_absent_deploy",
    "`fitcore run`, server absent": "server_absent_run",
    "`fitcore run`, the server goes away and stays away": "server_lost",
    "deployment on a pool that is not in the file": "pool_not_in_the_file",
    "pool of that name made by others, or by a worker that was started first": "pool_of_others",
    "bad cron": "bad_cron",
    "`fitcore run`, dataset unknown": "dataset_unknown_to_run",
    "`fit`, dataset unknown on the worker's machine": "dataset_unknown_to_fit",
    "`fit` or `campaign`, store not on the worker's machine": "store_not_shared",
    "`campaign`, pool of the deployment removed": "pool_removed",
    "`campaign`, deployment removed": "deployment_removed",
    "`fitcore server start`, port taken": "port_taken",
    "`fitcore server start`, database not to be used": "database_unusable",
}
ELSEWHERE = {"`fitcore deploy`, wrong password": "test_command", "`fitcore run`, wrong password": "test_lasting_server"}


def test_every_row_has_its_test() -> None:
    assert rows().keys() == CAUSES.keys() | ELSEWHERE.keys()
    assert {said for said, _ in (rows()[cause] for cause in ELSEWHERE)} == {"does not accept the password (401)"}
    assert {end for _, end in (rows()[cause] for cause in ELSEWHERE)} == {"2"}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_table_tells_what_is_said(
    cause: str,
    fitcore: Any,
    write: Callable[..., Path],
    make_points: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said, end = rows()[cause]
    text, found = getattr(Causes(fitcore, write, make_points, tmp_path, monkeypatch), CAUSES[cause])()
    assert said in text
    assert found == end
    assert "Traceback" not in text
    assert not (tmp_path / "absent").exists()
