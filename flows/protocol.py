"""Lines of JSON between processes, and the error that stands for one raised on the other side. Knows neither Prefect nor fitcore."""

from __future__ import annotations

import json
from typing import Any


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
