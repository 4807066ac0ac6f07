"""Lines of JSON between processes, and the error that stands for one raised on the other side. Knows neither Prefect nor fitcore."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any

SERVER_LOST = "ServerLost"
"""How a dataset ended whose Prefect server went away: nothing is wrong with it."""


class RemoteError(RuntimeError):
    """An error that was raised in the worker process.

    Parameters
    ----------
    kind : name of its class there.
    message : its text.
    retryable : whether the same call may succeed later.
    """

    def __init__(self, kind: str, message: str, retryable: bool = False) -> None:
        super().__init__(kind, message, retryable)
        self.kind = kind
        self.message = message
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def line(message: dict[str, Any]) -> str:
    """One message as one line."""
    return json.dumps(message, separators=(",", ":"), allow_nan=True) + "\n"


def message(text: str) -> dict[str, Any]:
    """The message of one line; anything else that was printed becomes a ``log`` event."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"event": "log", "text": text.rstrip("\n")}


class Lines:
    """The lines of a child's output, read by a thread, so that who waits for one never sleeps for longer than ``look_seconds``.

    Python runs a signal's handler in the main thread, between two of its steps. A signal that arrives just before a read has begun does not
    end that read: its handler would wait for the next line, which may be a minute away.

    Parameters
    ----------
    stream : the output.
    look_seconds : between two looks at whether it is over, while nothing comes.
    is_over : whether nothing more is to be waited for: a child of the child may outlive it and hold its output open.
    """

    def __init__(self, stream: IO[str], *, look_seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        self._stream = stream
        self._look_seconds = look_seconds
        self._is_over = is_over
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for text in self._stream:
                self._lines.put(text)
        finally:
            self._lines.put(None)

    def __iter__(self) -> Iterator[str]:
        """Each line that has not been taken yet, until the end of the output or of the waiting for it."""
        while True:
            try:
                text = self._lines.get(timeout=self._look_seconds)
            except queue.Empty:
                if self._is_over() and self._lines.empty():
                    return
                continue
            if text is None:
                return
            yield text

    def close(self) -> None:
        """Close the output, unless somebody still holds it open."""
        self._reader.join(self._look_seconds)
        if not self._reader.is_alive():
            self._stream.close()
