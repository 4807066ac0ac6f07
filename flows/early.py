"""What a signal does to the command line outside a run: before, it ends it at once, in words, with the exit code of an interruption; once
the answer is out, nothing.

The imports take seconds. Without this a Ctrl-C in the midst of them prints a traceback, or is lost where a library catches what its own
optional imports raise; SIGTERM and SIGHUP end the process with a code that tells a scheduler of a crash. A run has handlers of its own.
"""

import os
import signal
import sys
from typing import Any

INTERRUPTED = 75
WORDS = b"interrupted; nothing is lost: the same command goes on\n"
NAMES = ("fitcore", "fitcore.exe")
MODULE = ["-m", "flows.cli"]


def is_command_line(argv: list[str], original: list[str]) -> bool:
    """Whether this process is the command line, as installed or as a module; its children and those who import it are not."""
    return os.path.basename(argv[0] if argv else "") in NAMES or any(original[i : i + 2] == MODULE for i in range(len(original)))


def answer() -> None:
    """Answer signals from now on; one that is ignored, as SIGHUP under nohup, stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def ignore() -> None:
    """Let signals change nothing any more: the answer is out, and its exit code is the one that counts.

    Python itself would put back the system's handlers as it ends, and a signal in that moment make a crash of a run that is done.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: Any) -> None:
    try:
        os.write(2, WORDS)
    finally:
        os._exit(INTERRUPTED)  # an exception would be at the mercy of whatever import is under way


if is_command_line(sys.argv, sys.orig_argv):
    answer()
