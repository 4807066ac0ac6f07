"""Hears by itself that its run was cancelled.

Prefect tells a process of it through the process that started it, which stops listening for good when the server has been away for half a
minute: the run would go on to its end. So it asks, seldom, and leaves a Cancel that comes in the usual way the time to come.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException

NO_ANSWER = (httpx.HTTPError, PrefectException, RuntimeError)
"""What Prefect's client raises when the server does not answer as it should; RuntimeError at the first question of a process."""
ASK_SECONDS = 45.0
"""Between two questions. The usual way takes 40 s at most: a look every 10 s, and 30 s to end in order."""


class CancelledRunError(RuntimeError):
    """The run was cancelled; what it had is saved."""


class Watch:
    """Whether the run was asked to end, twice in a row.

    Parameters
    ----------
    is_cancelling : asks; called from a thread.
    stop : called once, then.
    """

    def __init__(self, is_cancelling: Callable[[], bool], stop: Callable[[], None]) -> None:
        self.is_cancelled = False
        self._is_cancelling = is_cancelling
        self._stop = stop
        self._over = threading.Event()

    def run(self) -> None:
        """Ask until it is so, or `end`."""
        n_times = 0
        while not self._over.wait(ASK_SECONDS):
            n_times = n_times + 1 if self._is_cancelling() else 0
            if n_times == 2:
                self.is_cancelled = True
                self._stop()
                return

    def end(self) -> None:
        """Ask no more."""
        self._over.set()

    def refuse(self) -> None:
        """Raise CancelledRunError where the run was cancelled."""
        if self.is_cancelled:
            raise CancelledRunError("cancelled; what it had is saved")


@contextlib.contextmanager
def watching(run_id: str | None, pid: Callable[[], int | None]) -> Iterator[Watch]:
    """Watch a run for a while; its search saves at its next batch when the run is cancelled.

    Parameters
    ----------
    run_id : None where there is no server to ask.
    pid : of the process that searches.
    """

    def is_cancelling() -> bool:
        try:
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(UUID(run_id)).state
        except NO_ANSWER:
            return False
        return state is not None and state.type is StateType.CANCELLING

    def stop() -> None:
        if (found := pid()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found, signal.SIGTERM)

    watch = Watch(is_cancelling, stop)
    if run_id is not None:
        threading.Thread(target=watch.run, daemon=True).start()
    try:
        yield watch
    finally:
        watch.end()
