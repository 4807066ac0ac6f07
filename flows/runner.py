"""The flow process: ``python -m flows.runner PARENT``. Started by the command line only when something has to be computed.

It reads one line of JSON (which datasets, which pipeline) from standard input, runs one `chain` flow for each dataset against the
Prefect API that its environment names, and prints events as lines of JSON.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

from flows.chain import chain
from flows.processes import die_with_parent, hold_terminations
from flows.protocol import RemoteError, line, message
from flows.server import ServerError, wait_until_ready
from flows.settings import read
from flows.worker_client import WORKERS

_LOCK = threading.Lock()


def send(event: dict[str, Any]) -> None:
    """Print one event."""
    output = sys.__stdout__
    assert output is not None
    with _LOCK:
        output.write(line(event))
        output.flush()


def run_one(request: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    """Run the chain of one dataset; how it ended."""
    send({"event": "dataset", "name": request["name"]})
    try:
        chain(**request["flow"], **common)
    except RemoteError as error:
        status = "interrupted" if error.kind == "SearchInterruptedError" else "failed"
        return {"event": "ended", "name": request["name"], "status": status, "kind": error.kind, "error": error.message}
    except Exception as error:  # one bad dataset must not end the others
        return {"event": "ended", "name": request["name"], "status": "failed", "kind": type(error).__name__, "error": str(error)}
    return {"event": "ended", "name": request["name"], "status": "done"}


def main() -> int:
    """Run what the parent asks for."""
    die_with_parent(int(sys.argv[1]), signal.SIGKILL)
    hold_terminations()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command line decides what Ctrl-C means
    job = message(sys.stdin.readline())
    WORKERS.listener = send
    WORKERS.current()  # imports and compiles while the server starts
    try:
        settings = read()
        url = settings.prefect_api_url
        assert url is not None
        send({"event": "server", "url": url, "seconds": wait_until_ready(url, settings.server_seconds)})
        for request in job["datasets"]:
            ended = run_one(request, job["common"])
            send(ended)
            if ended["status"] == "interrupted":
                break
    except ServerError as error:
        send({"event": "fatal", "kind": "ServerError", "error": str(error)})
        return 1
    finally:
        WORKERS.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
