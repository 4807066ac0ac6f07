"""The parent's side of the worker process: start it, ask it, hear that it died. Knows neither Prefect nor fitcore."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.protocol import Lines, RemoteError, line, message
from flows.settings import child_environment, read

Listener = Callable[[dict[str, Any]], None]
SAVE_SECONDS = 60.0
MOST_BYTES = 1.5e9
"""Resident memory beyond which a worker is replaced before its next dataset: compiled functions pile up."""
LOOK_SECONDS = 2.0  # between two looks at whether the worker lives, while it says nothing


class WorkerProcess:
    """One worker, started at once; `ask` waits for its answers.

    Parameters
    ----------
    listener : called with every event (progress, warning, log) as it comes.
    threads : likelihoods that it evaluates side by side; by default those of the settings.
    """

    def __init__(self, listener: Listener, threads: int | None = None) -> None:
        settings = read()
        self.listener = listener
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flows.worker_start", str(os.getpid()), str(threads or settings.threads)],
            env=child_environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self.process.stdout is not None
        self._said = Lines(self.process.stdout, look_seconds=LOOK_SECONDS, is_over=lambda: self.process.poll() is not None)
        self.listener({"event": "worker", "pid": self.process.pid})

    @property
    def n_bytes(self) -> int:
        """Its resident memory; 0 when it has ended."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def ask(self, operation: str, **request: Any) -> Any:
        """The answer to a request.

        Raises
        ------
        RemoteError
            with the class and text of what was raised in the worker; of kind ``WorkerDied`` when the process ended instead.
        """
        self.listener({"event": "asked"})
        try:
            return self._answer(operation, request)
        finally:
            self.listener({"event": "answered"})

    def _answer(self, operation: str, request: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line({"operation": operation, **request}))
            self.process.stdin.flush()
            for text in self._said:
                event = message(text)
                if event.get("event") == "done":
                    return event["answer"]
                if event.get("event") == "error":
                    raise RemoteError(event["kind"], event["message"], event["retryable"])
                self.listener(event)
        except BrokenPipeError:
            pass
        code = self.process.wait()
        if code == -signal.SIGTERM:  # it came before the worker could handle it: nothing had begun
            raise RemoteError("SearchInterruptedError", "asked to stop before it began; the same command goes on", retryable=True)
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise RemoteError(
            "WorkerDied",
            f"the worker process ended {how} during {operation!r}. Work up to the last checkpoint is saved: run the same command again. "
            "If it happens again, see whether the memory ran out.",
            retryable=True,
        )

    def close(self) -> None:
        """End the worker: it saves a search in progress first, within a minute."""
        with contextlib.suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(SAVE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._said.close()
        self.listener({"event": "closed", "pid": self.process.pid})

    def ask_to_stop(self) -> None:
        """Let it save at its next batch; what it was asked is then answered by an error."""
        with contextlib.suppress(OSError):
            self.process.terminate()


class Workers(threading.local):
    """The worker of this thread, started when first asked for: flows side by side, each in a thread, have one each."""

    def __init__(self) -> None:
        self.listener: Listener = lambda event: None
        self.threads: int | None = None
        self._worker: WorkerProcess | None = None

    def __reduce__(self) -> str:
        return "WORKERS"  # what is sent to a process of a cluster finds the one there

    def _hear(self, event: dict[str, Any]) -> None:
        self.listener(event)

    def current(self) -> WorkerProcess:
        """The worker, started anew where there is none or it died."""
        if self._worker is None or self._worker.process.poll() is not None:
            self._worker = WorkerProcess(self._hear, self.threads)
        return self._worker

    def renew(self) -> None:
        """End a worker that has grown beyond `MOST_BYTES`, so that the next request starts another; for when it holds nothing unsaved."""
        if self._worker is not None and self._worker.n_bytes > MOST_BYTES:
            self.close()

    def close(self) -> None:
        """End it where there is one."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


WORKERS = Workers()
