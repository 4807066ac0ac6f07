"""Run by path from the tests, in a process of its own that may fork: holders of a lease that stand still and wake, and clocks that jump.

python sleepers.py stop FOLDER COUNT SEED      SIGSTOP at COUNT changes of the disk; another process takes over, the first one wakes
python sleepers.py clock FOLDER COUNT SEED     the clock jumps by 25 hours, forwards and backwards, COUNT times, under a chain or after its
                                               kill; another process then asks for its lease and collects rubbish

The machine's own clock is left alone: the calls that read it are replaced, and every file in the store is stamped as if the clock had
jumped since it was written.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")  # pandas imports pyarrow where it is

import datetime
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from harness import Board, Diary, arm, end_of, reporting, start_child
from kills import calls_of_a_chain
from toychain import Truth, broken_promises, difference, go_on, run_chain, undisturbed

from fitcore.errors import LeaseHeldError
from fitcore.store import Store

SHORT = {"heartbeat": 0.02, "patience": 5}
JUMP = 25 * 3600.0
HELD = 75
CERTAIN = {0: "done", HELD: "lease held", -signal.SIGKILL: "killed"}


def unless_held(function: Callable[[], Any]) -> Callable[[], Any]:
    """The function, with an exit code of its own where another process holds the lease."""

    def call() -> None:
        try:
            function()
        except LeaseHeldError:
            os._exit(HELD)

    return call


def ended(pid: int) -> bool:
    """Whether a child has ended, without taking note of it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


# ---- holders that stand still --------------------------------------------------------------------------------------------------------


def stop_once(base: Path, truth: Truth, point: int, when: str, rng: random.Random) -> tuple[list[str], str]:
    """Stop a chain at a change of the disk, let another one take over, wake the first, kill the second in half of the cases, go on."""
    folder, board, diary = base / "store", Board(), Diary(base / "diary")

    def first() -> None:
        arm(point, when, signal.SIGSTOP)
        run_chain(folder, Board(), diary.note, save_every=2, heartbeat=60.0)

    sleeper = start_child(unless_held(first))
    os.waitpid(sleeper, os.WUNTRACED)
    successor = start_child(unless_held(lambda: run_chain(folder, board, diary.note, save_every=2, **SHORT)))
    time.sleep(rng.uniform(0.12, 1.0))
    os.kill(sleeper, signal.SIGCONT)
    if rng.random() < 0.5:
        time.sleep(rng.uniform(0.0, 0.3))
        if not ended(successor):
            os.kill(successor, signal.SIGKILL)
    codes = [end_of(successor), end_of(sleeper)]
    wrong = [f"ended with {code}" for code in codes if code not in CERTAIN]
    # The second may rightly have begun what the first committed a moment later; those who come after both may not.
    lines = [line for line in diary.lines() if line[0] != "searching"]
    diary.path.write_text("".join(" ".join(line) + "\n" for line in lines))
    wrong += broken_promises(folder, diary.lines(), truth)
    wrong += go_on(folder, board, diary, truth, save_every=2, **SHORT)
    return wrong, f"successor {CERTAIN.get(codes[0])}, sleeper {CERTAIN.get(codes[1])}"


def stops(base: Path, count: int, seed: int) -> None:
    with reporting(what="holders that were stopped and woke after takeover") as report:
        truth, rng = undisturbed(base), random.Random(seed)
        calls = calls_of_a_chain(base)
        saving = [i + 1 for i, (_, phase) in enumerate(calls) if phase == "checkpoint"]
        outcomes: Counter[str] = Counter()
        for number in range(count):
            # Half of them in a checkpoint, where a sleeper could do most harm.
            point = rng.choice(saving) if number % 2 else 1 + (2 * number + 1) * len(calls) // (2 * count)
            when = rng.choice(("before", "after"))
            wrong, outcome = stop_once(base, truth, point, when, rng)
            outcomes[outcome] += 1
            if wrong:
                report["failures"].append({"point": point, "when": when, "outcome": outcome, "wrong": wrong})
                shutil.rmtree(base / f"failed-{number}", ignore_errors=True)
                shutil.copytree(base / "store", base / f"failed-{number}")
            shutil.rmtree(base / "store")
            (base / "diary").unlink()
        report |= {"count": count, "calls": len(calls), "outcomes": dict(sorted(outcomes.items()))}


# ---- clocks that jump ----------------------------------------------------------------------------------------------------------------


@contextmanager
def clock_moved(seconds: float) -> Iterator[None]:
    """Every clock of people is ahead by so many seconds in this process; the monotonic one is not, as in life."""
    real_time, real_class = time.time, datetime.datetime

    class Moved(real_class):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real_class.now(tz) + datetime.timedelta(seconds=seconds)

    def moved() -> float:
        return real_time() + seconds

    with mock.patch.object(time, "time", moved), mock.patch.object(datetime, "datetime", Moved):
        yield


def stamp_all(folder: Path, seconds: float) -> None:
    """Every file was written by so many seconds earlier, as the clock sees it that jumped since."""
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
            os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds), follow_symlinks=False)
        except FileNotFoundError:
            continue


def look_around(folder: Path, digest: str, seconds: float, diary: Diary) -> None:
    """What another process does after the jump: it asks for the lease, and collects rubbish."""
    with clock_moved(seconds):
        store = Store(folder, **SHORT)
        try:
            with store.lease(digest):
                diary.note("taken")
        except LeaseHeldError:
            diary.note("held")
        found = store.collect_garbage(dry_run=False)
        diary.note("removed", *(finding.kind for finding in found))


def jump_once(base: Path, truth: Truth, seconds: float, rng: random.Random, *, is_killed: bool) -> tuple[list[str], str]:
    """Let the clock jump in the middle of a chain, or after its kill; then look around, and go on to the end."""
    folder, diary, looks = base / "store", Diary(base / "diary"), Diary(base / "looks")
    board = Board()

    def first() -> None:
        with clock_moved(0.0 if rng.random() < 0.5 else seconds):
            run_chain(folder, board, diary.note, save_every=2, **SHORT)

    holder = start_child(first)
    while not [line for line in diary.lines() if line[0] == "searching"]:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.6))
    if is_killed:
        os.kill(holder, signal.SIGKILL)
        end_of(holder)
    stamp_all(folder, seconds)
    digest = [line[1] for line in diary.lines() if line[0] == "searching"][-1]
    wrong = [] if end_of(start_child(lambda: look_around(folder, digest, seconds, looks))) == 0 else ["the look failed"]
    was_at_work = ["committed", digest, "result"] not in diary.lines()
    if not is_killed:
        code = end_of(holder)
        wrong += [] if code == 0 else [f"the holder ended with {code}"]
        if was_at_work and ["taken"] in looks.lines():
            wrong.append("the lease of a living holder was taken over")
    wrong += broken_promises(folder, diary.lines(), truth)
    wrong += difference(folder, truth) if not is_killed and not wrong else go_on(folder, board, diary, truth, save_every=2)
    lines = looks.lines()
    return wrong, " ".join(["killed," if is_killed else "alive,", *lines[0], *lines[-1]])


def jumps(base: Path, count: int, seed: int) -> None:
    with reporting(what="jumps of the clock by 25 hours") as report:
        truth, rng = undisturbed(base), random.Random(seed)
        outcomes: Counter[str] = Counter()
        for number in range(count):
            seconds = JUMP if number % 2 else -JUMP
            wrong, outcome = jump_once(base, truth, seconds, rng, is_killed=number % 4 > 1)
            outcomes[outcome] += 1
            if wrong:
                report["failures"].append({"number": number, "seconds": seconds, "outcome": outcome, "wrong": wrong})
            shutil.rmtree(base / "store")
            (base / "diary").unlink()
            (base / "looks").unlink()
        report |= {"count": count, "outcomes": dict(sorted(outcomes.items()))}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stop", folder, count, seed]:
            stops(Path(folder), int(count), int(seed))
        case ["clock", folder, count, seed]:
            jumps(Path(folder), int(count), int(seed))
        case _:
            sys.exit(__doc__)
