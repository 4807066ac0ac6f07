"""The life of the lasting server: start, and stop. Who it is and where its things are is in `flows.lasting`."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import importlib.metadata
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from fitcore.store.attempts import Process
from flows import database
from flows.lasting import ELSEWHERE, HOST, LOST, PORT, RUNNING, STOPPED, Place, Record, answers, url_of
from flows.settings import Settings, child_environment
from flows.troubles import ServerError

END_SECONDS = 40.0
PROCESS = "flows.lasting_process"


def start(settings: Settings, *, host: str | None, port: int | None, given: str | None) -> tuple[Record, bool]:
    """Start the server, and wait until it answers; its record, and whether it ran already.

    Parameters
    ----------
    host, port : None for loopback and 4200.
    given : the URL of a PostgreSQL database; None for SQLite.

    Raises
    ------
    ServerError
        when it does not come up, its port is taken, or one that differs from what is asked runs already.
    DatabaseError
        when the database cannot be used.
    """
    place = Place.of(settings)
    try:
        place.make()
    except OSError as error:
        raise ServerError(f"The data folder {settings.data} cannot be written: {error}. Set FITCORE_DATA to one that can.") from error
    plain = None if given is None else database.plain_url(given)
    with _lock(place, settings.server_seconds):
        record = place.record()
        if record is not None and record.standing == ELSEWHERE:
            raise ServerError(
                f"A server of this data folder was started on {record.process.host} and not stopped there; whether it runs cannot be told "
                f"from {socket.gethostname()}. Stop it there, set FITCORE_DATA to another folder, or remove {place.folder / 'record.json'} "
                "if that machine is gone."
            )
        if record is not None and record.standing == RUNNING:
            _refuse_another(record, url_of(host or HOST, port or record.port), port, plain)
            _wait(place, record, settings, "")
            return record, True
        _refuse_taken(host or HOST, port or PORT)
        if plain is not None:
            database.check(plain, settings)
        return _started(place, settings, host or HOST, port or PORT, plain), False


def _started(place: Place, settings: Settings, host: str, port: int, plain: str | None) -> Record:
    url = url_of(host, port)
    descriptor = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        launched = subprocess.run(
            [sys.executable, "-m", PROCESS, host, str(port), str(place.home / "lock"), str(place.log)],
            env=_environment(place, settings, host, port, plain),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # its number; the server itself writes to the log
            stderr=descriptor,
            timeout=settings.server_seconds,
            check=True,
        )
        pid = int(launched.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise ServerError(f"The Prefect server could not be started: {error}. The last words of its log: {place.tail()}") from error
    finally:
        os.close(descriptor)
    record = Record(
        process=Process.of(pid),
        url=url,
        port=port,
        database=database.told(plain),
        since=_now(),
        version=importlib.metadata.version("prefect"),
    )
    place.note(record)  # before it answers: a start that is killed here leaves a server that the next one knows
    try:
        _wait(place, record, settings, database.password_of(plain))
    except ServerError:
        end(record.process, END_SECONDS)
        place.note(replace(record, ended=_now()))
        raise
    return record


def _environment(place: Place, settings: Settings, host: str, port: int, plain: str | None) -> dict[str, str]:
    url = url_of(host, port)
    environment = {
        **child_environment(settings, prefect_api_url=url, prefect_home=place.home),
        "PREFECT_SERVER_API_AUTH_STRING": place.auth(),
        "PREFECT_SERVER_API_HOST": host,
        # which run has a place within a limit: lost with the server otherwise, and then Prefect ends the runs
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url.removesuffix("/api"),
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(place.home / "ui"),
    }
    if plain is not None:
        environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database.prefect_url(plain)
    return environment


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _wait(place: Place, record: Record, settings: Settings, password: str) -> None:
    """Wait until the server answers."""
    until = time.monotonic() + settings.server_seconds
    while time.monotonic() < until:
        if not record.process.is_alive():
            raise ServerError(
                f"The Prefect server ended before it answered. Its log is {place.log}, the last words: "
                f"{database.without(place.tail(), password)}"
            )
        if answers(record.url):
            return
        time.sleep(0.2)
    raise ServerError(
        f"The Prefect server does not answer within {settings.server_seconds:g} s. Its log is {place.log}, the last words: "
        f"{database.without(place.tail(), password)}\nSet FITCORE_SERVER_SECONDS to wait longer on a slow machine."
    )


def _refuse_another(record: Record, url: str, port: int | None, plain: str | None) -> None:
    """One that runs is not changed by starting it again."""
    if (port is not None and url != record.url) or (plain is not None and database.told(plain) != record.database):
        asked = f"{url} with {database.told(plain) if plain is not None else record.database}"
        raise ServerError(
            f"A server runs already at {record.url} with {record.database}; asked is {asked}. Run 'fitcore server stop' first, or start "
            "without options."
        )


def _refuse_taken(host: str, port: int) -> None:
    if _is_free(host, port):
        return
    url = url_of(host, port)
    who = "a Prefect server that was not started here, or whose record is lost" if answers(url, 2.0) else "another program"
    following = next((number for number in range(port + 1, min(port + 1000, 65536)) if _is_free(host, number)), None)
    advice = "" if following is None else f" The next free one is {following}: fitcore server start --port {following}"
    raise ServerError(f"The port {port} of {host} is taken by {who}.{advice}")


def _is_free(host: str, port: int) -> bool:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise ServerError(f"{host!r} is no address of this machine ({error}). Give --host 127.0.0.1, or leave it out.") from error
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _lock(place: Place, seconds: float) -> Iterator[None]:
    """Hold the lock of start and stop."""
    descriptor = os.open(place.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise ServerError(
                        f"Another 'fitcore server' command has been at work for {seconds:g} s. Wait for it, or end it."
                    ) from None
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


# ---- stop ----------------------------------------------------------------------------------------------------------------------------


def stop(settings: Settings) -> tuple[Record | None, str, bool]:
    """End the server where it runs, and wait for its end: its record, how it stood before, and whether it had to be killed.

    Raises
    ------
    ServerError
        when it runs on another machine.
    """
    place = Place.of(settings)
    if not place.folder.is_dir():
        return None, STOPPED, False
    with _lock(place, settings.server_seconds):
        record = place.record()
        if record is None or record.standing in (STOPPED, LOST):
            return record, STOPPED if record is None else record.standing, False
        if record.standing == ELSEWHERE:
            raise ServerError(f"The server was started on {record.process.host}; stop it there.")
        was_killed = end(record.process, END_SECONDS)
        place.note(replace(record, ended=_now()))
        return record, RUNNING, was_killed


def end(process: Process, seconds: float) -> bool:
    """Ask a process to end and wait for it; True when it had to be killed. Never another one that was given its number since."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not process.is_alive():  # the handle is of whoever has the number now: of that process, if it is alive
                return False
            signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], seconds)[0]:
                return number == signal.SIGKILL
    finally:
        os.close(handle)
    raise ServerError(f"The server, process {process.pid}, does not end though it was killed. Is its disk gone?")
