"""The server that lasts: one for a data folder, found again and never taken for another process, its password shown nowhere.

A stand-in takes the place of Prefect's server here; the real one is in `test_lasting_server`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from fitcore.store.attempts import Process
from flows import cli, lasting_life
from flows.lasting import LOST, RUNNING, STOPPED, Place, Record, preferred, shell_lines, url_of
from flows.lasting_life import end, start, stop
from flows.lasting_told import asked, described
from flows.server import free_port
from flows.settings import Settings, SettingsError
from flows.troubles import DatabaseError, ServerError

PLUGIN = Path(__file__).resolve().parent / "plugin"
ROOT = Path(__file__).resolve().parents[2]
DATABASE = "postgresql://someone:very-secret@127.0.0.1:5432/runs"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A data folder of the test's own, and the stand-in for the server."""
    monkeypatch.setenv("PYTHONPATH", f"{PLUGIN}{os.pathsep}{ROOT}")
    monkeypatch.setattr(lasting_life, "PROCESS", "lasting_stand_in")
    monkeypatch.setattr(lasting_life.database, "check", lambda plain, settings: "15.0")
    given = Settings(
        store=tmp_path / "s",
        cache=tmp_path / "c",
        threads=1,
        prefect_api_url=None,
        server_seconds=60.0,
        no_color=True,
        data=tmp_path / "my data",
    )
    yield given
    with contextlib.suppress(ServerError):  # damaged on purpose
        record = Place.of(given).record() if Place.of(given).folder.is_dir() else None
        if record is not None and record.standing == RUNNING:
            end(record.process, 20.0)


@pytest.fixture
def up(settings: Settings) -> Record:
    return start(settings, host=None, port=free_port(), given=None)[0]


def test_it_starts_once_and_stops(settings: Settings, up: Record) -> None:
    assert up.url == f"http://127.0.0.1:{up.port}/api"
    assert up.database == "SQLite"
    assert start(settings, host=None, port=None, given=None) == (up, True)
    assert start(settings, host=None, port=up.port, given=None) == (up, True)
    assert described(settings)["is_healthy"] is True
    record, standing, was_killed = stop(settings)
    assert (standing, was_killed) == (RUNNING, False)
    assert record == up
    assert not up.process.is_alive()
    assert described(settings)["standing"] == STOPPED
    assert stop(settings)[1:] == (STOPPED, False)


def test_it_is_in_a_session_of_its_own(up: Record) -> None:
    assert os.getsid(up.process.pid) == up.process.pid


def test_two_starts_at_once_make_one_server(settings: Settings) -> None:
    port, found = free_port(), []
    threads = [threading.Thread(target=lambda: found.append(start(settings, host=None, port=port, given=None))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record.process for record, _ in found}) == 1
    assert sorted(was_running for _, was_running in found) == [False, True, True, True]


def test_what_differs_from_the_running_one_is_refused(settings: Settings, up: Record) -> None:
    with pytest.raises(
        ServerError, match=rf"runs already at {up.url} with SQLite; asked is .*:{up.port + 1}/api with SQLite. Run 'fitcore"
    ):
        start(settings, host=None, port=up.port + 1, given=None)
    with pytest.raises(ServerError, match=r"asked is .* with postgresql://someone:\*\*\*@127.0.0.1:5432/runs"):
        start(settings, host=None, port=None, given=DATABASE)


def test_a_port_that_is_taken(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=rf"port {port} of 127.0.0.1 is taken by another program. The next free one is \d+: fitcore"):
            start(settings, host=None, port=port, given=None)


def test_a_server_whose_record_is_lost_is_recognized(settings: Settings, up: Record) -> None:
    try:
        (Place.of(settings).folder / "record.json").unlink()
        with pytest.raises(ServerError, match=r"is taken by a Prefect server that was not started here, or whose record is lost"):
            start(settings, host=None, port=up.port, given=None)
    finally:
        Place.of(settings).note(up)


def test_two_servers_never_share_a_database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting_life, "PROCESS", "flows.lasting_process")
    place = Place.of(settings)
    place.make()
    with (place.home / "lock").open("w") as held:
        lasting_life.fcntl.flock(held, lasting_life.fcntl.LOCK_EX)
        with pytest.raises(
            ServerError, match=r"(?s)ended before it answered.*another server works in .*home, and its record is lost. Find"
        ):
            start(settings, host=None, port=free_port(), given=None)


def test_after_a_kill_it_is_told_and_started_again(settings: Settings, up: Record) -> None:
    os.kill(up.process.pid, signal.SIGKILL)
    while up.process.is_alive():
        time.sleep(0.01)
    found = described(settings)
    assert (found["standing"], found["is_healthy"]) == (LOST, False)
    assert preferred(settings) == settings
    assert stop(settings)[1:] == (LOST, False)
    again, was_running = start(settings, host=None, port=up.port, given=None)
    assert not was_running
    assert again.process != up.process


def test_another_process_of_that_number_is_never_ended(settings: Settings, tmp_path: Path) -> None:
    place = Place.of(settings)
    place.make()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"]) as other:
        try:
            mistaken = replace(Process.of(other.pid), started="1")
            place.note(Record(process=mistaken, url=url_of("127.0.0.1", 1), port=1, database="SQLite", since="", version=""))
            assert described(settings)["standing"] == LOST
            assert end(mistaken, 1.0) is False
            assert stop(settings)[1:] == (LOST, False)
            assert other.poll() is None
        finally:
            other.kill()


def test_one_that_does_not_end_is_killed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "stubborn")
    monkeypatch.setattr(lasting_life, "END_SECONDS", 0.5)
    record, _ = start(settings, host=None, port=free_port(), given=None)
    assert stop(settings) == (record, RUNNING, True)
    assert not record.process.is_alive()


def test_one_that_fails_tells_why_and_keeps_the_password(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "fails")
    with pytest.raises(ServerError, match=r"ended before it answered. Its log is .*no such table") as raised:
        start(settings, host=None, port=free_port(), given=DATABASE)
    assert "very-secret" not in str(raised.value)
    assert described(settings)["standing"] == STOPPED


def test_one_that_never_answers_is_ended(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "silent")
    with pytest.raises(ServerError, match=r"(?s)does not answer within 5 s.*FITCORE_SERVER_SECONDS"):
        start(replace(settings, server_seconds=5.0), host=None, port=free_port(), given=None)
    record = Place.of(settings).record()
    assert record is not None
    assert not record.process.is_alive()


def test_the_record_of_another_machine_is_respected(settings: Settings, up: Record) -> None:
    Place.of(settings).note(replace(up, process=replace(up.process, host="login2")))
    try:
        for command in (lambda: start(settings, host=None, port=None, given=None), lambda: stop(settings)):
            with pytest.raises(ServerError, match="was started on login2"):
                command()
        assert preferred(settings) == settings
    finally:
        Place.of(settings).note(up)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"process": {}}', '{"process": 1}', json.dumps({"process": asdict(Process.own()), "port": "x"})]
)
def test_a_damaged_record_is_told(settings: Settings, text: str) -> None:
    place = Place.of(settings)
    place.make()
    (place.folder / "record.json").write_text(text)
    for command in (lambda: start(settings, host=None, port=None, given=None), lambda: stop(settings), lambda: described(settings)):
        with pytest.raises(ServerError, match=r"record.json, cannot be used .*remove that file"):
            command()


def test_the_password_is_its_owners_and_shown_nowhere(settings: Settings, up: Record) -> None:
    place = Place.of(settings)
    password = place.auth()
    assert len(password) > 40
    assert stat.S_IMODE(place.password.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.log.stat().st_mode) == 0o600
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            assert password.encode() not in words
    shown = f"{up!r} {shell_lines(place, up)} {described(settings)} {preferred(settings)!r} {place.tail()}"
    assert password not in shown
    place.password.chmod(0o640)
    with pytest.raises(SettingsError, match="which others can read or change"):
        place.auth()


def test_a_shell_gets_address_and_password(settings: Settings, up: Record) -> None:
    lines = "\n".join(shell_lines(Place.of(settings), up))
    shown = subprocess.run(
        ["sh", "-c", f'{lines}\necho "$PREFECT_API_URL $PREFECT_API_AUTH_STRING"'], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"{up.url} {Place.of(settings).auth()}\n"


def test_a_run_prefers_the_server_unless_another_is_named(settings: Settings, up: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    found = preferred(settings)
    assert (found.prefect_api_url, found.prefect_api_auth) == (up.url, Place.of(settings).auth())
    named = replace(settings, prefect_api_url="http://h/api")
    assert preferred(named) == named
    os.kill(up.process.pid, signal.SIGSTOP)
    try:
        monkeypatch.setattr("flows.lasting.ANSWER_SECONDS", 0.5)
        monkeypatch.setattr("flows.lasting.answers", lambda url: False)
        with pytest.warns(UserWarning, match=rf"process {up.process.pid}\) does not answer at {up.url}, and is not used"):
            assert preferred(settings) == settings
    finally:
        os.kill(up.process.pid, signal.SIGCONT)


def test_a_server_that_tells_nothing_is_no_fault_of_status(up: Record) -> None:
    assert asked(up.url, "a:b")["fault"].startswith("HTTPStatusError: Server error '501 Unsupported method")


def test_a_database_that_is_none(settings: Settings) -> None:
    with pytest.raises(DatabaseError, match=r"'mysql://u:\*\*\*@h/d'; it must be like postgresql://"):
        start(settings, host=None, port=None, given="mysql://u:pw@h/d")


def test_an_address_that_is_none(settings: Settings) -> None:
    with pytest.raises(ServerError, match=r"'no.such.address.invalid' is no address of this machine"):
        start(settings, host="no.such.address.invalid", port=None, given=None)


def test_a_data_folder_that_cannot_be_written(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerError, match=r"data folder .* cannot be written: .*Set FITCORE_DATA to one that can"):
        start(replace(settings, data=tmp_path / "file"), host=None, port=None, given=None)


def test_the_log_is_turned_over_and_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    code = (
        "import threading, sys\nfrom pathlib import Path\nfrom flows.lasting_process import keep_bounded\n"
        "threading.Thread(target=keep_bounded, args=(Path(sys.argv[1]), 20_000, 0.001), daemon=True).start()\n"
        "import os, time\n"
        "for number in range(1000):\n    os.write(1, f'{number:063d}\\n'.encode())\n    time.sleep(0.0005)\n"
    )
    with log.open("ab") as stream:
        subprocess.run([sys.executable, "-c", code, str(log)], stdout=stream, stderr=subprocess.PIPE, check=True, timeout=100)
    before, after = (log.with_name("server.log.1")).read_text().split(), log.read_text().split()
    assert 0 < len(after) < 1000
    numbers = [int(line) for line in before + after]
    assert numbers == list(range(numbers[0], 1000))
    assert not list(tmp_path.glob("*.2"))


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`fitcore server ...` in this process: exit code, output, errors."""
    monkeypatch.setenv("FITCORE_DATA", str(settings.data))
    monkeypatch.delenv("FITCORE_DATABASE", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.app(["server", *words])
        output, errors = capsys.readouterr()
        assert Place.of(settings).folder.is_dir() is False or Place.of(settings).auth() not in output + errors
        return int(ended.value.code or 0), output, errors

    return run


def test_the_commands(command: Any, settings: Settings) -> None:
    assert command("status")[:2] == (1, "not running; 'fitcore server start' starts it\n")
    assert command("stop") == (0, "not running\n", "")
    assert command("env")[::2] == (2, "error: No server runs. Run 'fitcore server start'.\n")
    assert not settings.data.exists()
    port = str(free_port())
    code, output, errors = command("start", "--port", port)
    assert (code, errors) == (0, "")
    assert output.startswith(f"started: http://127.0.0.1:{port}/api, process ")
    lines = command("env")[1].splitlines()
    assert lines[0] == f"export PREFECT_API_URL=http://127.0.0.1:{port}/api"
    assert all(f"  {line}\n" in output for line in lines)
    assert command("start")[:2] == (0, output.replace("started", "runs already"))
    code, output, _ = command("status", "--json")
    assert (code, json.loads(output)["url"]) == (0, f"http://127.0.0.1:{port}/api")
    code, output, _ = command("status")
    assert output.startswith(f"healthy: http://127.0.0.1:{port}/api, process ")
    assert "Prefect 3.8.8, SQLite, log " in output
    code, output, errors = command("start", "--database", DATABASE)
    assert code == 2
    assert "others on this machine can see a password that is on a command line" in errors
    assert "very-secret" not in errors
    code, output, _ = command("stop", "--json")
    assert (code, json.loads(output)["standing"]) == (0, "running")
    assert command("status")[1].startswith("not running: stopped at 20")
    code, output, errors = command("start", "--port", port, "--host", "0.0.0.0", "--database", DATABASE)
    assert code == 0
    assert "note: the database is postgresql://someone:***@127.0.0.1:5432/runs; the last time it was SQLite" in errors
    assert "is not encrypted: put TLS before it" in errors
    assert command("stop")[0] == 0
