"""Child processes that never outlive their parent. Linux only in that promise; elsewhere it is a normal child."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
ORPHAN_SECONDS = 60.0


def hold_terminations() -> None:
    """Block SIGTERM in this process, and in the threads it starts from now on.

    Service managers send SIGTERM to every process of a run at once. Only the command line and the worker act on it; the processes between
    them go on until the search is saved.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def let_terminations() -> None:
    """Let SIGTERM through again: a child inherits what its parent blocks."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Ask the kernel for a signal when the parent ends, however it ends; leave at once if it has ended already.

    Call it first thing in the child, with the parent's process id as the parent gave it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(1)


def end_after(parent: int, seconds: float = ORPHAN_SECONDS) -> None:
    """For a thread of its own: leave at once when the parent has been gone for ``seconds``, even from a call that never returns."""
    while os.getppid() == parent:
        time.sleep(1.0)
    time.sleep(seconds)
    os._exit(1)
