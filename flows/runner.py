"""The flow process: ``python -m flows.runner PARENT``. Started by the command line only when something has to be computed.

It reads one line of JSON (which datasets, which pipeline) from standard input, runs one `chain` flow for each dataset against the
Prefect API that its environment names, some of them side by side, and prints events as lines of JSON.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx
from prefect import get_client

from fitcore import ConfigError
from flows.chain import chain
from flows.engines import ASKED, THREADS, joined
from flows.launch import most_lanes
from flows.processes import die_with_parent, hold_terminations
from flows.protocol import SERVER_LOST, RemoteError, line, message
from flows.server import RefusedError, password_refused, wait_until_ready
from flows.settings import read
from flows.troubles import ServerError
from flows.worker_client import WORKERS

_LOCK = threading.Lock()
HELD = "LeaseHeldError"
LOOK_SECONDS = 2.0
"""Between two looks at whether another process is done with a dataset."""


def send(event: dict[str, Any]) -> None:
    """Print one event."""
    output = sys.__stdout__
    assert output is not None
    with _LOCK:
        output.write(line(event))
        output.flush()


def ending(name: str, error: RemoteError) -> dict[str, Any]:
    """How a dataset ended whose worker answered with an error."""
    status = "interrupted" if error.kind == "SearchInterruptedError" else "failed"
    return {"event": "ended", "name": name, "status": status, "kind": error.kind, "error": error.message}


def run_one(request: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    """Run the chain of one dataset; how it ended."""
    WORKERS.listener({"event": "dataset", "name": request["name"]})
    try:
        chain(**request["flow"], **common)
    except RemoteError as error:
        return ending(request["name"], error)
    except httpx.TransportError as error:  # its client has tried for minutes
        told = (
            f"the Prefect server no longer answers ({type(error).__name__}). What is computed is in the store: when the server is back, or "
            "with another one, the same command goes on"
        )
        return {"event": "ended", "name": request["name"], "status": "interrupted", "kind": SERVER_LOST, "error": told}
    except Exception as error:  # one bad dataset must not end the others
        return {"event": "ended", "name": request["name"], "status": "failed", "kind": type(error).__name__, "error": str(error)}
    return {"event": "ended", "name": request["name"], "status": "done"}


class Lanes:
    """Datasets side by side: each lane is a thread with a worker of its own, and takes the next dataset when it is done with one.

    A dataset that another process is at work on goes to the end of the queue, and is waited for when the others are done: it is in the
    store then, or that process has ended and this one goes on.

    Parameters
    ----------
    job : ``{"datasets": [...], "common": {...}, "lanes": n, "threads": n}``; ``threads`` are those of one worker.
    is_on_cluster : the searches run elsewhere: no worker is started before its time.
    """

    def __init__(self, job: dict[str, Any], *, is_on_cluster: bool = False) -> None:
        self.is_on_cluster = is_on_cluster
        self.common: dict[str, Any] = job["common"]
        self.threads: int = job["threads"]
        self.n: int = job["lanes"]
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._held: set[str] = set()
        for request in job["datasets"]:
            self._waiting.put(request)
        self._is_ready = threading.Event()
        self._is_over = threading.Event()

    def run(self, wait: Callable[[], None]) -> None:
        """Run them all, once ``wait`` has returned; where that fails, none."""
        threads = [threading.Thread(target=self._lane, args=(number,)) for number in range(self.n)]
        for thread in threads:
            thread.start()
        try:
            wait()
        except BaseException:
            self._is_over.set()
            raise
        finally:
            self._is_ready.set()
            for thread in threads:
                thread.join()

    def _lane(self, number: int) -> None:
        WORKERS.listener = lambda event: send({**event, "lane": number})
        WORKERS.threads = self.threads
        try:
            if not self.is_on_cluster:
                WORKERS.current()  # imports and compiles while the server starts
            self._is_ready.wait()
            while not self._is_over.is_set():
                request = self._waiting.get_nowait()
                WORKERS.renew()
                ended = self._ended(request)
                if ended is None:
                    self._waiting.put(request)
                    self._is_over.wait(LOOK_SECONDS)
                    continue
                WORKERS.listener(ended)
                if ended["status"] == "interrupted":
                    self._is_over.set()
        except queue.Empty:
            pass
        finally:
            WORKERS.close()

    def _ended(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """How a dataset ended, after it was run; None where another process is at work on it."""
        name = request["name"]
        try:
            if name in self._held and WORKERS.current().ask("is_held", dataset=request["flow"]["dataset"], **self.common):
                return None
        except RemoteError as error:
            return ending(name, error)
        ended = run_one(request, self.common)
        if ended.get("kind") != HELD:
            return ended
        if name not in self._held:
            WORKERS.listener({"event": "held", "name": name, "text": ended["error"]})
        self._held.add(name)
        return None


def take_signals(*, is_on_cluster: bool) -> None:
    """The command line decides what Ctrl-C and SIGTERM mean.

    It signals the workers; where these are on a cluster it signals this process, which lets the searches there save. The processes of a
    cluster on this machine inherit what is ignored and held back, and are told by these signals: so nothing is, then.
    """
    if not is_on_cluster:
        hold_terminations()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return
    signal.signal(signal.SIGTERM, lambda number, frame: setattr(ASKED, "is_stopping", True))
    signal.signal(signal.SIGINT, lambda number, frame: None)
    send({"event": "worker", "pid": os.getpid(), "branch": "cluster"})


def check_access(url: str) -> None:
    """Raise RefusedError where the server wants a password that we do not have: its health is open to all."""
    try:
        with get_client(sync_client=True) as client:
            client.api_version()
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise RefusedError(password_refused(url, error.response.status_code)) from error
    except httpx.HTTPError:
        pass  # the flows meet it, and their client tries for longer


def main() -> int:
    """Run what the parent asks for."""
    die_with_parent(int(sys.argv[1]), signal.SIGKILL)
    settings = read()
    is_on_cluster = settings.engine != THREADS
    take_signals(is_on_cluster=is_on_cluster)
    url = settings.prefect_api_url
    assert url is not None

    def wait() -> None:
        send({"event": "server", "url": url, "seconds": wait_until_ready(url, settings.server_seconds)})
        check_access(url)

    try:
        with joined(settings, most_lanes(settings.threads)):  # once, for all lanes
            Lanes(message(sys.stdin.readline()), is_on_cluster=is_on_cluster).run(wait)
    except (ServerError, ConfigError) as error:
        send({"event": "fatal", "kind": type(error).__name__, "error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
