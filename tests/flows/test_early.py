"""Signals before a run has begun: the imports of the command line take seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flows import early

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("argv", "original", "is_one"),
    [
        (["/usr/bin/fitcore", "run"], ["python", "/usr/bin/fitcore", "run"], True),
        (["-m", "run"], ["python", "-m", "flows.cli", "run"], True),
        (["-m", "run"], ["python", "-W", "ignore", "-m", "flows.cli", "run"], True),
        (["-m"], ["python", "-m", "flows.runner", "12"], False),
        (["/usr/bin/pytest"], ["python", "-m", "pytest", "flows"], False),
        ([], [], False),
    ],
)
def test_who_is_the_command_line(argv: list[str], original: list[str], is_one: bool) -> None:
    assert early.is_command_line(argv, original) is is_one


def test_this_process_is_left_alone() -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def started(process: Any) -> bool:
    """Whether the interpreter runs this package's code: it has taken SIGTERM."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_imports(fitcore: Any, finished: Any, number: int) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # under nohup, or in the background of a script, the tests themselves ignore some
    try:
        process = fitcore.start("run", finished[0], "--pipeline", "toy", "--store", finished[1])
    finally:
        signal.signal(number, before)
    fitcore.wait_for(lambda: started(process), "the first handler", 30.0)
    time.sleep(0.05)  # of about a second, after which the answer is out
    os.kill(process.pid, number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (75, "", early.WORDS.decode())


def test_a_signal_that_is_ignored_stays_ignored(fitcore: Any, finished: Any) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = fitcore.start("table", "--store", finished[1])
    finally:
        signal.signal(signal.SIGHUP, before)
    fitcore.wait_for(lambda: started(process), "the first handler", 30.0)
    os.kill(process.pid, signal.SIGHUP)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "accept" in output


LATE = """
import os, signal, sys
from flows import early
early.answer()
class Late:
    def __del__(self, end=os.kill, pid=os.getpid(), number=signal.SIGTERM):
        end(pid, number)
late = Late()  # goes with the module, when Python has put back the system's handlers
if sys.argv[1] == "ignoring":
    early.ignore()
sys.exit(3)
"""


@pytest.mark.parametrize(("how", "code"), [("ignoring", 3), ("answering", -signal.SIGTERM)])
def test_a_signal_after_the_answer_leaves_the_exit_code_alone(how: str, code: int) -> None:
    assert subprocess.run([sys.executable, "-c", LATE, how], cwd=ROOT, check=False).returncode == code
