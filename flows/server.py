"""A Prefect server of our own, for the time of one run: on loopback, on a free port, with a database that no other process uses.

Where PREFECT_API_URL is set nothing is started, and the flow goes to that server.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import httpx

from flows.settings import Settings, child_environment
from flows.troubles import ServerError

SLOTS = 64
END_SECONDS = 20.0
NAMED_SECONDS = 15.0
LOG_TAIL = 2000


class RefusedError(ServerError):
    """A Prefect server does not let us in."""


def password_refused(url: str, code: int) -> str:
    """What it means that a server refuses with 401 or 403."""
    return (
        f"The Prefect server at {url} does not accept the password ({code}). Set PREFECT_API_AUTH_STRING to what the server has in "
        "PREFECT_SERVER_API_AUTH_STRING, as user:password; for the server of 'fitcore server start' run: eval \"$(fitcore server env)\"."
    )


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def claim_home(settings: Settings) -> tuple[Path, IO[str]]:
    """A PREFECT_HOME that no other process holds, and the open lock file that holds it.

    Two servers on one SQLite file lock each other out, so each process gets a folder of its own; they are used again, which saves the
    migrations of a new database.
    """
    for number in range(SLOTS):
        home = settings.cache / "prefect" / str(number)
        try:
            home.mkdir(parents=True, exist_ok=True)
            lock = (home / "lock").open("w", encoding="utf-8")  # closed by the caller, when the server has ended
        except OSError as error:
            raise ServerError(
                f"The cache folder {settings.cache} cannot be written: {error}. Set FITCORE_CACHE to one that can."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        return home, lock
    raise ServerError(
        f"All {SLOTS} folders in {settings.cache / 'prefect'} are in use. End some runs, or set PREFECT_API_URL to one server for all."
    )


class Watched:
    """A server process, and a thread that tells when it ends though nobody asked it to."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes], on_end: Callable[[str], None]) -> None:
        self.process = process
        self._log = log
        self._on_end = on_end
        self._is_asked = False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        code = self.process.wait()
        if not self._is_asked:
            size = os.fstat(self._log.fileno()).st_size
            tail = os.pread(self._log.fileno(), LOG_TAIL, max(0, size - LOG_TAIL)).decode(errors="replace").strip()
            self._on_end(
                f"The Prefect server started for this run ended with code {code}. What is saved stays: the same command goes on. "
                f"Its last words: {tail or 'none'}"
            )

    def end(self) -> None:
        """Ask it to end; kill it when it does not."""
        self._is_asked = True
        end = time.monotonic() + END_SECONDS
        while self._thread.is_alive() and time.monotonic() < end:
            self.process.send_signal(signal.SIGINT)  # again: the first may come before it listens
            self._thread.join(3.0)
        if self._thread.is_alive():
            self.process.kill()
            self._thread.join()


@contextlib.contextmanager
def available(settings: Settings, on_end: Callable[[str], None]) -> Iterator[tuple[str, Path | None]]:
    """The URL of a Prefect API and the PREFECT_HOME to use; a server is started (not yet ready) where none is named, and ended after.

    Parameters
    ----------
    on_end : called, from another thread, with the reason when the server ends before its time.

    Raises
    ------
    ServerError
        when the named server does not answer, or the cache folder cannot be written.
    """
    if settings.prefect_api_url is not None:
        wait_until_ready(settings.prefect_api_url, min(NAMED_SECONDS, settings.server_seconds))  # it should be there already
        yield settings.prefect_api_url, None
        return
    home, lock = claim_home(settings)
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    with lock, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.embedded", str(port), str(os.getpid())],
            env=child_environment(settings, prefect_api_url=url, prefect_home=home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C in the terminal must not reach it before the flow has ended
        )
        watched = Watched(process, log, on_end)
        try:
            yield url, home
        finally:
            watched.end()


def wait_until_ready(url: str, seconds: float) -> float:
    """Wait for a Prefect API to answer; the seconds it took.

    Raises
    ------
    ServerError
        when it does not answer in time, or at once when the URL is none.
    """
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        try:
            if httpx.get(f"{url}/health", timeout=5.0).status_code == httpx.codes.OK:
                return time.monotonic() - start
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError) as error:
            raise ServerError(f"PREFECT_API_URL is {url!r}, which is no URL ({error}); it must be like http://host:4200/api.") from error
        except httpx.HTTPError:
            pass  # not yet
        time.sleep(0.1)
    raise ServerError(
        f"No Prefect server answers at {url} within {seconds:g} s. Check PREFECT_API_URL, or unset it to use a server of our own; "
        "'fitcore doctor' tells what is wrong."
    )
