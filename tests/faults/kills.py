"""Run by path from the tests, in a process of its own that may fork: kills a chain of searches, looks, goes on, and looks again.

python kills.py random FOLDER COUNT SEED     SIGKILL at COUNT random instants, a tenth of them at least in each phase
python kills.py points FOLDER SHARE          SIGKILL before, in the middle of and after every SHARE-th change of the disk
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")  # pandas imports pyarrow where it is

import itertools
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from harness import PHASES, Board, Diary, arm, end_of, every_call, reporting, start_child
from toychain import Truth, broken_promises, difference, go_on, run_chain, undisturbed

LONGEST = 60.0


class Killer:
    """Starts the chain and kills it within a phase."""

    def __init__(self, base: Path, seed: int) -> None:
        self.base = base
        self.random = random.Random(seed)
        self.board = Board()
        self.truth: Truth = undisturbed(base)
        self.seconds = self._lengths()
        self.kills: Counter[str] = Counter()
        self.chains = self.too_late = 0

    def _lengths(self) -> dict[str, list[float]]:
        """How long the chain is in each phase, every time that it enters it."""
        diary = Diary(self.base / "lengths")

        class Timed(Board):
            def enter(self, phase: str) -> None:
                super().enter(phase)
                diary.note(phase, time.monotonic_ns())

        assert end_of(start_child(lambda: run_chain(self.base / "timed", Timed(), lambda *_: None, save_every=2))) == 0
        shutil.rmtree(self.base / "timed")
        lines = diary.lines()
        found: dict[str, list[float]] = {phase: [] for phase in PHASES}
        for (phase, begin), (_, end) in itertools.pairwise(lines):
            found[phase].append((int(end) - int(begin)) / 1e9)
        return found

    def run_and_kill(self, folder: Path, diary: Diary, phase: str) -> str:
        """Run the chain on a store and kill it in a phase if that comes; the phase it died in, or "" when it came to its end first."""
        self.board.clear()
        lengths = self.seconds[phase]
        # A chain that goes on enters some phases less often.
        which = self.random.randrange(len(lengths) if not folder.exists() else -(-len(lengths) // 3))
        delay = self.random.uniform(0, 1.2 * lengths[which])
        pid = start_child(lambda: run_chain(folder, self.board, diary.note, save_every=2))
        start = time.monotonic()
        while self.board.entries(phase) <= which and time.monotonic() - start < LONGEST:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return ""
            time.sleep(0.0002)
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
        return self.board.phase if end_of(pid) == -signal.SIGKILL else ""

    def wanted_phase(self, at_least: int) -> str:
        """A phase that was not hit often enough yet; any, when all were."""
        rare = [phase for phase in PHASES if self.kills[phase] < at_least]
        return self.random.choice(rare or PHASES)

    def campaign(self, count: int, report: dict[str, Any]) -> None:
        """Kill until there were enough kills in all and in each phase; several in one chain, which is let go to its end after them."""
        at_least = -(-count // 10)
        while sum(self.kills.values()) < count or min(self.kills[phase] for phase in PHASES) < at_least:
            self.chains += 1
            folder, diary = self.base / "store", Diary(self.base / "diary")
            wrong: list[str] = []
            is_done = False
            progress = [0]
            most = self.random.randint(2, 8)
            # Three kills without progress would count against the state, which is then set aside: this is for others to test.
            while len(progress) <= most and not (len(progress) > 2 and len(set(progress[-3:])) == 1):
                phase = self.run_and_kill(folder, diary, self.wanted_phase(at_least))
                is_done = not phase
                if is_done:
                    self.too_late += 1
                    break
                self.kills[phase] += 1
                progress.append(sum(line[0] in ("saved", "committed") for line in diary.lines()))
                wrong += broken_promises(folder, diary.lines(), self.truth)
            if is_done:
                wrong += [*broken_promises(folder, diary.lines(), self.truth), *difference(folder, self.truth)]
            else:
                wrong += go_on(folder, self.board, diary, self.truth, save_every=2)
            if wrong:
                report["failures"].append({"chain": self.chains, "wrong": wrong, "diary": diary.lines()[-5:]})
                shutil.move(folder, self.base / f"failed-{self.chains}")
            shutil.rmtree(folder, ignore_errors=True)
            diary.path.unlink(missing_ok=True)


def at_random(base: Path, count: int, seed: int) -> None:
    with reporting(what="SIGKILL at random instants") as report:
        killer = Killer(base, seed)
        killer.campaign(count, report)
        report |= {"count": sum(killer.kills.values()), "phases": dict(killer.kills), "chains": killer.chains, "too_late": killer.too_late}


def calls_of_a_chain(base: Path) -> list[tuple[str, str]]:
    """The names of all changes of the disk of one undisturbed chain, in order, each with the phase that it falls in."""
    diary, board = Diary(base / "calls"), Board()

    def hook(name: str, real: Any, arguments: tuple[Any, ...]) -> Any:
        diary.note(name, board.phase)
        return real(*arguments)

    def action() -> None:
        with every_call(hook):
            run_chain(base / "counted", board, lambda *_: None, save_every=2, heartbeat=60.0)

    assert end_of(start_child(action)) == 0
    shutil.rmtree(base / "counted")
    return [(name, phase) for name, phase in diary.lines()]


def at_points(base: Path, share: int) -> None:
    with reporting(what="SIGKILL at changes of the disk") as report:
        truth, board = undisturbed(base), Board()
        calls = [name for name, _ in calls_of_a_chain(base)]
        written = ("write", "write_at_start", "write_foreign")
        points = [
            (i + 1, when) for i, name in enumerate(calls) for when in ("before", "middle", "after") if when != "middle" or name in written
        ]
        killed: Counter[str] = Counter()
        for point, when in points[share // 2 :: share]:
            folder, diary = base / "store", Diary(base / "diary")

            def action(point: int = point, when: str = when, folder: Path = folder, diary: Diary = diary) -> None:
                arm(point, when)
                run_chain(folder, board, diary.note, save_every=2, heartbeat=60.0)

            code = end_of(start_child(action))
            wrong = [] if code == -signal.SIGKILL else [f"was not killed, but ended with {code}"]
            wrong += broken_promises(folder, diary.lines(), truth)
            wrong += go_on(folder, board, diary, truth, save_every=2)
            killed[f"{when} {calls[point - 1]}"] += 1
            if wrong:
                report["failures"].append({"point": point, "when": when, "call": calls[point - 1], "wrong": wrong})
            shutil.rmtree(folder, ignore_errors=True)
            diary.path.unlink(missing_ok=True)
        report |= {"count": sum(killed.values()), "calls": len(calls), "points": len(points), "by_call": dict(sorted(killed.items()))}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["random", folder, count, seed]:
            at_random(Path(folder), int(count), int(seed))
        case ["points", folder, share]:
            at_points(Path(folder), int(share))
        case _:
            sys.exit(__doc__)
