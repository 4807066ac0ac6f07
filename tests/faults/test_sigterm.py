"""SIGTERM at random instants of the real command line: saved and gone within 20 s, exit 75, no process left, resumed to the same bytes."""

from __future__ import annotations

import itertools
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcore import Store

PAUSE = 0.004
LIMIT = 20.0


def slow_copy(finished: Any, folder: Path) -> Path:
    """The points of ``finished`` with a likelihood that takes its time; the time is no part of its identity."""
    folder.mkdir()
    data = json.loads((finished[0] / "points.json").read_text())
    (folder / "points.json").write_text(json.dumps({**data, "pause": PAUSE}))
    return folder


def wait_for_a_handler(process: Any) -> None:
    """Until the command handles SIGTERM itself: before, in the first second of its imports, the signal simply ends it."""
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt")), 0)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)


def interrupted_at_random(fitcore: Any, finished: Any, server: str, base: Path, count: int, seed: int) -> dict[str, Any]:
    """Interrupt the command again and again, let it finish now and then, and compare; the report of it."""
    dataset = slow_copy(finished, base / "line")
    digests = [stage["digest"] for stage in json.loads(finished[2].stdout)["stages"]]
    truth = {digest: Store(finished[1]).read(digest).path.read_bytes() for digest in digests}
    generator = random.Random(seed)
    failures: list[str] = []
    codes: Counter[str] = Counter()
    longest, begin = 0.0, time.monotonic()
    numbers = itertools.count()
    done = repeated = in_search = lingering = 0
    whole = fitcore.run(dataset, store=base / "whole", PREFECT_API_URL=server)
    failures += [] if whole.returncode == 0 else [f"undisturbed, it ended with {whole.returncode}: {whole.stderr[-1500:]}"]
    window = time.monotonic() - begin  # of random instants: as long as the command takes, its start included
    store = base / "store0"
    while sum(codes.values()) < count or codes[str(75)] == 0:
        mark = f"{base}-{next(numbers)}"
        words = ("run", dataset, "--pipeline", "toy", "--store", store, "--json")
        process = fitcore.start(*words, mark=mark, PREFECT_API_URL=server)
        wait_for_a_handler(process)
        time.sleep(generator.uniform(0.0, window))
        was_over = process.poll() is not None
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=120)
        left = fitcore.processes_of(mark)
        if left:
            lingering += 1
            fitcore.wait_for(lambda mark=mark: not fitcore.processes_of(mark), f"the end of {left}", 30.0)
        gone = time.monotonic() - start
        if not was_over:
            codes[str(process.returncode)] += 1
            longest = max(longest, gone)
        status = json.loads(output)["status"] if output.strip() else "silent"
        # During the imports, and in the moment between the run and its answer, the command ends without one.
        is_silent = (process.returncode, status) == (75, "silent") and "interrupted; nothing is lost" in errors
        is_right = is_silent or (process.returncode, status) in ((75, "interrupted"), (0, "done"))
        if not is_right or gone > LIMIT or "Traceback" in errors:
            failures.append(f"exit {process.returncode}, {status}, {gone:.1f} s, {left}: {errors[-1500:]}")
        if process.returncode == 0:
            found = {digest: Store(store).read(digest).path.read_bytes() for digest in digests}
            failures += [] if found == truth else ["the results differ"]
            failures += [f"damaged: {f.message}" for f in Store(store).verify() if f.is_damage]
            done += 1
            store = base / f"store{done}"
    last = fitcore.run(dataset, store=store, PREFECT_API_URL=server)
    failures += [] if last.returncode == 0 else [f"the last run ended with {last.returncode}: {last.stderr[-1500:]}"]
    failures += [] if {d: Store(store).read(d).path.read_bytes() for d in digests} == truth else ["the last results differ"]
    for path in [base / f"store{number}" for number in range(done + 1)]:
        for digest in digests:
            attempts = Store(path).attempts(digest)
            in_search += sum(attempt.ended == "interrupted" for attempt in attempts)
            repeated += sum(max(a.n_calls - b.n_calls_at_start, 0) for a, b in itertools.pairwise(attempts))
    return {
        "what": "SIGTERM at random instants of the command",
        "count": sum(codes.values()),
        "failures": failures,
        "codes": dict(codes),
        "finished_chains": done + 1,
        "in_search": in_search,
        "lingering": lingering,
        "repeated_calls": repeated,
        "longest_seconds": round(longest, 1),
        "seconds": round(time.monotonic() - begin, 1),
    }


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_soak_sigterm_at_100_random_instants(fitcore: Any, finished: Any, server: str, tmp_path: Path, keep: Callable[..., None]) -> None:
    report = interrupted_at_random(fitcore, finished, server, tmp_path, 100, 4)
    print(report)
    assert report["failures"] == []
    assert report["longest_seconds"] < LIMIT
    keep("sigterm", report)
