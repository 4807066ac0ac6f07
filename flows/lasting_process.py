"""The lasting server's own process: ``python -m flows.lasting_process HOST PORT LOCK LOG``, started by `flows.lasting_life`.

Its output is the log, which it keeps bounded itself: where it has grown too long it gets another name, and a new one takes its place.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn

MOST_BYTES = 5_000_000
LOOK_SECONDS = 10.0
GRACE_SECONDS = 10
"""For connections that are open at the end, such as those of workers."""


def keep_bounded(log: Path, most: int = MOST_BYTES, look_seconds: float = LOOK_SECONDS) -> None:
    """For a thread of its own: turn the log over, for good, whenever it is longer than ``most`` bytes."""
    while True:
        if os.fstat(1).st_size > most:
            turn_over(log)
        time.sleep(look_seconds)


def turn_over(log: Path) -> None:
    """Give the log another name, and write on into a new one; nothing that is written meanwhile is lost."""
    os.replace(log, log.with_name(f"{log.name}.1"))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def detach() -> None:
    """Go on as a process of a session of its own that is nobody's child, with its output where its errors go; who started it is told its
    number.
    """
    if pid := os.fork():
        os.write(1, f"{pid}\n".encode())
        os._exit(0)
    os.setsid()
    os.dup2(2, 1)


def leave(number: int, frame: Any) -> None:
    """Handle SIGTERM where the server itself does not: before it listens, and after it has ended."""
    raise SystemExit(0)


def main() -> int:
    """Serve Prefect's API until told to end."""
    detach()
    host, port, lock, log = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)
    held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # until this process ends
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"another server works in {lock.parent}, and its record is lost. Find it, for example by 'fuser {lock}', and end it")
        return 1
    threading.Thread(target=keep_bounded, args=(log,), daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
