"""Workers for independent stages of one chain, side by side: each has one of its own, and the threads of the chain are divided.

The tasks run in threads of Prefect's and find the `Branches` of their chain in the context that Prefect copies for them. What a task on a
cluster has instead is in `flows.visit`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from flows.protocol import RemoteError
from flows.worker_client import Listener, WorkerProcess


def width(stages: Sequence[str], needs: Mapping[str, Sequence[str]]) -> int:
    """How many stages may run side by side: the most that are equally many steps from the beginning; 1 where each needs the one before."""
    steps: dict[str, int] = {}
    for stage in stages:
        steps[stage] = 1 + max((steps[need] for need in needs[stage]), default=0)
    return max(list(steps.values()).count(step) for step in set(steps.values()))


class Branches:
    """The workers of one chain, for as long as the context lasts.

    Parameters
    ----------
    first : the worker that the chain has already, with nothing to do; it goes on afterwards.
    listener : called with every event, from any thread; those of further workers say by ``branch`` whose they are.
    n : how many there may be.
    threads : likelihoods that each evaluates side by side.
    """

    def __init__(self, first: WorkerProcess, listener: Listener, n: int, threads: int) -> None:
        self._first, self._first_listener = first, first.listener
        self._listener = listener
        self._threads = threads
        self._lock = threading.Lock()
        self._places = threading.Semaphore(n)
        self._free = [first]
        self._busy: list[WorkerProcess] = []
        self._n_started = 0
        self._is_over = False

    def __enter__(self) -> Branches:
        self._first.listener = self._listener  # its own is for events of the thread that asks it
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        for worker in self._free:
            if worker is not self._first:
                worker.close()
        self._first.listener = self._first_listener

    def ask(self, operation: str, **request: Any) -> Any:
        """The answer of a worker that has nothing else to do, started or waited for where there is none; as `WorkerProcess.ask`."""
        with self._places:
            with self._lock:
                worker = self._taken()
                self._busy.append(worker)
            try:
                return worker.ask(operation, threads=self._threads, **request)
            finally:
                with self._lock:
                    self._busy.remove(worker)
                    self._free.append(worker)

    def stop(self) -> None:
        """Let the searches under way save, and begin no other; waits for them, as `WorkerProcess.close` does."""
        with self._lock:
            self._is_over = True
            busy = list(self._busy)
        for worker in busy:
            worker.ask_to_stop()
        for worker in busy:
            worker.close()

    def _taken(self) -> WorkerProcess:
        if self._is_over:
            raise RemoteError("SearchInterruptedError", "asked to stop before it began; the same command goes on", retryable=True)
        while self._free:
            worker = self._free.pop(0)
            if worker.process.poll() is None:
                return worker
        self._n_started += 1
        number = self._n_started
        return WorkerProcess(lambda event: self._listener({**event, "branch": number}), self._threads)


BRANCHES: ContextVar[Branches | None] = ContextVar("branches", default=None)
