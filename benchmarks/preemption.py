"""Deployed runs that are killed: real Prefect servers, real workers, a pipeline of toys; what became of each run.

python -m benchmarks.preemption FOLDER kills       kinds of ends, in phases in turn, five times each
python -m benchmarks.preemption FOLDER pending     the worker dies between taking a run and starting it
python -m benchmarks.preemption FOLDER holds       150 s without the interpreter's lock, in the search and in the flow process
python -m benchmarks.preemption FOLDER hopeless    a run that cannot start, a search that always dies
python -m benchmarks.preemption FOLDER limited     the server dies under a run of a deployment with a limit
python -m benchmarks.preemption FOLDER late        Cancel after the server was killed and started again
python -m benchmarks.preemption FOLDER crowd       twelve datasets on two workers, killed all the time
python -m benchmarks.preemption FOLDER crowd --pipeline lens         twelve simulated lenses instead of toys
python -m benchmarks.preemption FOLDER scheduled --lens DATASET      a lens, fitted by schedule on a fresh server
  [--database sqlite|postgresql]

Each part replaces its own rows of benchmarks/preemption.json. FOLDER keeps servers' and workers' logs and ``rows.jsonl``, one line for each
case: kinds of ends that are in it are not done again, so that a campaign that was stopped goes on.
"""

from __future__ import annotations

import argparse
import functools
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.preemption_log import Log, database_of, disturbed, in_threads, one, world
from benchmarks.preemption_more import TOY, crowd, holds, hopeless, late, limited, scheduled

REPEATS = 5
KINDS = ("kill flow", "kill worker", "kill both", "kill search", "term flow", "term worker", "term both", "cancel")
SERVER_KINDS = {"kill server": 5.0, "kill server, a minute": 60.0, "term server": 5.0}
BETWEEN_SERVERS = 10.0
AT_ONCE = 5


def kills(folder: Path, database: str) -> None:
    """All kinds of ends, in phases in turn."""
    log = Log(folder)
    part = f"kills {database}"
    done = {row["case"] for row in log.rows() if row["part"] == part and "error" not in row}
    with database_of(database, folder) as url, world.World(folder / "world", AT_ONCE, database=url) as there:
        there.add_tender()
        truth = disturbed.undisturbed(there)
        case = functools.partial(hit, there, log, part, truth)
        cases = [(kind, disturbed.PHASES[(repeat + number) % 3], repeat) for repeat in range(REPEATS) for number, kind in enumerate(KINDS)]
        cases = [item for item in cases if name_of(*item) not in done]
        while cases:
            in_threads([functools.partial(case, number, *item) for number, item in enumerate(cases[:AT_ONCE])])
            cases = cases[AT_ONCE:]
            log.keep(part)
        for kind, seconds in SERVER_KINDS.items():
            there.server.delay, turn = seconds, threading.Lock()
            wanted = [(repeat, kind, disturbed.PHASES[repeat % 3], repeat) for repeat in range(REPEATS)]
            in_threads([functools.partial(case, *item, turn) for item in wanted if name_of(*item[1:]) not in done])
            log.keep(part)


def name_of(kind: str, phase: str, repeat: int) -> str:
    """The name of a case."""
    return f"{kind}, {phase}, {repeat}"


def hit(
    there: Any, log: Log, part: str, truth: Any, number: int, kind: str, phase: str, repeat: int, turn: threading.Lock | None = None
) -> None:
    """One case; those that hit the server take turns."""
    case = name_of(kind, phase, repeat)
    with one(log, {"part": part, "case": case, "kind": kind, "phase": phase}) as row:
        made = disturbed.Case(there, number, case.replace(", ", "-").replace(" ", "-"), truth)
        made.reach(phase, random.Random(case))
        if turn is None:
            made.disturb(kind)
        else:
            with turn:
                made.disturb(kind.partition(",")[0])
                time.sleep(there.server.delay)
                there.ask("health", "GET")
                time.sleep(BETWEEN_SERVERS)
        row.update(made.row())


def pending(folder: Path, database: str) -> None:
    """The worker and what it has started die as soon as it has taken the run."""
    log = Log(folder)
    part = f"pending {database}"
    with database_of(database, folder) as url, world.World(folder / "world", REPEATS, database=url) as there:
        there.add_tender()
        truth = disturbed.undisturbed(there)

        def case(number: int) -> None:
            with one(log, {"part": part, "case": f"taken and not begun, {number}"}) as row:
                made = disturbed.Case(there, number, f"taken-{number}", truth)
                world.wait_for(lambda: there.run(made.id)["state_type"] == "PENDING", "a worker", 300.0, every=0.02)
                made.hit = time.time()
                world.send([*there.worker(number), *there.flows(number)], signal.SIGKILL)
                row.update({"state_when_hit": there.run(made.id)["state_name"], **made.row()})

        in_threads([functools.partial(case, number) for number in range(REPEATS)])
    log.keep(part)


def main() -> None:
    """Do one part."""
    parts = {
        "kills": kills,
        "pending": pending,
        "holds": holds,
        "hopeless": hopeless,
        "limited": limited,
        "late": late,
        "crowd": crowd,
        "scheduled": scheduled,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("part", choices=list(parts))
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--lens", type=Path)
    parser.add_argument("--pipeline", help="of a crowd [default: toys], or of what is scheduled [default: lens]")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of what ends the servers and workers
    if options.part == "scheduled":
        if options.lens is None:
            parser.error("scheduled needs --lens DATASET, a folder as for 'fitcore run'")
        scheduled(options.folder.absolute(), options.database, options.lens, options.pipeline or "lens")
    elif options.part == "crowd":
        crowd(options.folder.absolute(), options.database, options.pipeline or TOY)
    else:
        parts[options.part](options.folder.absolute(), options.database)


if __name__ == "__main__":
    main()
