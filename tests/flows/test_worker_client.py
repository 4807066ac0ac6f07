"""A worker that dies is noticed at once, also when a process that it left behind holds its output open; one that has grown is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from flows import worker_client
from flows.protocol import RemoteError
from flows.worker_client import WorkerProcess, Workers

# A worker that leaves a child behind, answers once, and is killed as by a lack of memory.
SCRIPT = """
import os, signal, subprocess, sys
child = subprocess.Popen(["sleep", "60"])
sys.stdin.readline()
print('{"event": "child", "pid": %d}' % child.pid, flush=True)
print("printed by a likelihood", flush=True)
print('{"event": "done", "answer": 1}', flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    start = subprocess.Popen

    def started(words: list[str], **options: Any) -> subprocess.Popen[str]:
        return start([sys.executable, "-c", SCRIPT], **options)

    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(worker_client, "LOOK_SECONDS", 0.2)
    return []


def test_a_worker_that_dies_with_a_child_left(events: list[dict[str, Any]]) -> None:
    worker = WorkerProcess(events.append)
    try:
        assert worker.ask("first") == 1
        assert {"event": "log", "text": "printed by a likelihood"} in events
        before = time.monotonic()
        with pytest.raises(RemoteError, match=r"ended by signal SIGKILL during 'second'.*memory") as caught:
            worker.ask("second")
        assert caught.value.kind == "WorkerDied"
        worker.close()
        assert time.monotonic() - before < 10.0
    finally:
        os.kill(next(event["pid"] for event in events if event["event"] == "child"), signal.SIGKILL)
        worker.close()


# A worker that holds as many bytes as it is asked for.
GROWING = """
import json, sys
for text in sys.stdin:
    held = b"x" * json.loads(text)["size"]
    print('{"event": "done", "answer": %d}' % len(held), flush=True)
"""


def test_a_worker_that_has_grown_is_replaced_between_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    start, heard = subprocess.Popen, []
    monkeypatch.setattr(subprocess, "Popen", lambda words, **options: start([sys.executable, "-c", GROWING], **options))
    monkeypatch.setattr(worker_client, "MOST_BYTES", 150e6)
    workers = Workers()
    workers.listener = heard.append
    try:
        first = workers.current()
        assert first.ask("small", size=1) == 1
        workers.renew()
        assert workers.current() is first
        assert first.ask("large", size=200_000_000) == 200_000_000
        assert first.n_bytes > 200_000_000
        workers.renew()
        second = workers.current()
        assert first.process.returncode is not None
        assert first.n_bytes == 0
        assert second.ask("small", size=1) == 1
        assert [event["pid"] for event in heard if event["event"] == "worker"] == [first.process.pid, second.process.pid]
    finally:
        workers.close()
