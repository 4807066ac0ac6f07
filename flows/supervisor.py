"""The command line's side of a run: server, flow process and signals; events go to a display. Knows neither Prefect nor JAX.

First SIGINT or SIGTERM: the worker saves at its next batch, and everything ends in order. Second: everything is ended at once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

from flows.protocol import Lines, line, message
from flows.server import RefusedError, available
from flows.settings import Settings, child_environment

Event = dict[str, Any]
Branch = tuple[int, int | str]  # number of a lane, and which of its workers
LOOK_SECONDS = 0.2  # the longest that a signal may wait for its answer


class Interrupts:
    """Counts requests to stop and passes them on."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.count = 0
        self.is_time_up = False
        self.tell = tell
        self.workers: dict[Branch, int] = {}
        self.busy: set[Branch] = set()
        self.runner: subprocess.Popen[str] | None = None
        self.has_begun = False
        self.has_server = True

    def __call__(self, number: int, frame: Any) -> None:
        """Handle one signal."""
        self.count += 1
        if self.count == 1:
            self.tell("saving the search at its next batch; the same command goes on from there (once more: stop at once)")
            self.pass_on()
        else:
            self._signal_workers(signal.SIGKILL)
            if self.runner is not None:
                self.runner.kill()

    def time_is_up(self) -> None:
        """End as at a first signal: the time limit of the run is reached."""
        self.is_time_up = True
        if not self.count:
            self.tell("the time limit is reached: saving the search at its next batch; the same command goes on from there")
            self.pass_on()

    @property
    def is_asked(self) -> bool:
        """Whether anything asked for the end."""
        return self.count > 0 or self.is_time_up

    def pass_on(self) -> None:
        """Ask the workers to save and stop; before the first flow there is nothing to save, and the flow process is ended."""
        self._signal_workers(signal.SIGTERM)
        if self.runner is not None and not self.has_begun:
            self.runner.kill()

    def go_without_server(self) -> None:
        """Save what the workers are at; nothing after it can be reported to Prefect, whose client would try for minutes."""
        self.has_server = False
        self.pass_on()
        self.end_idle()

    def end_idle(self) -> None:
        """End a flow process that has lost its server, once every worker has answered."""
        if not self.has_server and not self.busy and self.runner is not None:
            self.runner.kill()

    def _signal_workers(self, number: int) -> None:
        for pid in list(self.workers.values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def note(self, event: Event) -> None:
        """Take note of what a lane does: it has a new worker, asks it, has its answer, or is at a dataset."""
        kind, branch = event.get("event"), (event.get("lane", 0), event.get("branch", 0))
        if kind == "worker":
            self.workers[branch] = event["pid"]
            if self.is_asked or not self.has_server:
                self.pass_on()
        elif kind == "closed":
            self.workers.pop(branch, None)
        elif kind == "dataset":
            self.has_begun = True
        elif kind == "asked":
            self.busy.add(branch)
        elif kind == "answered":
            self.busy.discard(branch)
            self.end_idle()


@contextlib.contextmanager
def told_aside(tell: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """A function to call instead of ``tell``, which a thread then calls.

    A signal's handler runs wherever the main thread happens to be, in the midst of an import or of another print among the places: it may
    not print itself.
    """
    texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # the one queue that a handler may use
    thread = threading.Thread(target=lambda: [tell(text) for text in iter(texts.get, None)], daemon=True)
    thread.start()
    try:
        yield texts.put
    finally:
        texts.put(None)
        thread.join()


@contextlib.contextmanager
def handling(interrupts: Interrupts) -> Iterator[None]:
    """Send SIGINT, SIGTERM and SIGHUP to ``interrupts`` for a while; SIGHUP that is ignored, as under nohup, stays ignored."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupts) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def alarm(seconds: float | None, call: Callable[[], None]) -> Iterator[None]:
    """Call ``call`` after so many seconds, unless the block has ended by then."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def supervise(
    job: Event, settings: Settings, hear: Callable[[Event], None], tell: Callable[[str], None], *, time_limit: float | None = None
) -> tuple[int, dict[str, Event]]:
    """Run a job in the flow process; number of interrupts, and how each dataset ended, by name.

    Parameters
    ----------
    job : see `flows.runner.Lanes`.
    hear : called with every event.
    tell : called with a sentence for the user.
    time_limit : seconds after which the run saves and ends, as at a first signal.
    """
    ended: dict[str, Event] = {}

    def without_server(reason: str) -> None:
        hear({"event": "fatal", "kind": "ServerError", "error": reason})
        interrupts.go_without_server()

    with contextlib.ExitStack() as stack:
        interrupts = Interrupts(stack.enter_context(told_aside(tell)))
        stack.enter_context(handling(interrupts))
        stack.enter_context(alarm(time_limit, interrupts.time_is_up))
        url, home = stack.enter_context(available(settings, without_server))
        errors = stack.enter_context(tempfile.TemporaryFile(mode="w+", encoding="utf-8"))
        runner = subprocess.Popen(
            [sys.executable, "-m", "flows.runner", str(os.getpid())],
            env=child_environment(settings, prefect_api_url=url, prefect_home=home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
        )
        interrupts.runner = runner
        if interrupts.is_asked:
            interrupts.pass_on()
        interrupts.end_idle()
        assert runner.stdin is not None
        assert runner.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            runner.stdin.write(line(job))
            runner.stdin.close()
        for text in Lines(runner.stdout, look_seconds=LOOK_SECONDS):
            event = message(text)
            interrupts.note(event)
            if event.get("event") == "fatal" and event["kind"] == RefusedError.__name__:
                runner.wait()
                raise RefusedError(event["error"])
            if event.get("event") == "ended":
                if event["status"] == "failed" and not interrupts.has_server:
                    event = {**event, "status": "interrupted", "kind": "SearchInterruptedError"}
                ended[event["name"]] = event
            hear(event)
        code = runner.wait()
        if code != 0 and not interrupts.is_asked and interrupts.has_server:
            errors.seek(0)
            tail = errors.read()[-2000:].strip()
            hear({"event": "fatal", "kind": "RunnerDied", "error": f"the flow process ended with code {code}. {tail}"})
        if not interrupts.has_server:
            lost = {"event": "ended", "status": "interrupted", "kind": "SearchInterruptedError", "error": "its Prefect server ended"}
            ended = {dataset["name"]: {**lost, "name": dataset["name"]} for dataset in job["datasets"]} | ended
    return interrupts.count or int(interrupts.is_time_up), ended
