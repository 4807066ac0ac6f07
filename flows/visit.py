"""A task on a cluster: it has a worker process of its own there, which ends with it, so that nothing stays behind in memory or on a GPU.

Events go where they can: warnings into the log of Prefect's task, progress to its artifact. The outcome is the task's answer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from prefect import get_run_logger

from flows.artifacts import Publisher
from flows.engines import adapter
from flows.worker_client import WorkerProcess

LOOK_SECONDS = 1.0
"""Between two looks at whether the task is still wanted."""


def ask_there(engine: str, operation: str, **request: Any) -> Any:
    """The answer of a worker of this task's own, in a process of a cluster; as `WorkerProcess.ask`.

    A task that is not wanted any more, or whose process is ending, lets its search save.
    """
    logger, publisher = get_run_logger(), Publisher()
    logger.info("%s of %s: on %s, in process %d", operation, request["stage"], socket.gethostname(), os.getpid())

    def hear(event: dict[str, Any]) -> None:
        publisher.tell("progress", event)
        if event.get("event") == "warning":
            logger.warning("%s: %s", event["kind"], event["text"])

    with contextlib.closing(WorkerProcess(hear, request.get("threads"))) as worker, watched(worker, adapter(engine).watch()):
        return worker.ask(operation, **request)


@contextlib.contextmanager
def watched(worker: WorkerProcess, is_wanted: Callable[[], bool]) -> Iterator[None]:
    """Ask the worker to stop once it is not wanted any more."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(LOOK_SECONDS):
            if not is_wanted():
                worker.ask_to_stop()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
