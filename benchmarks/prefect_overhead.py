"""What Prefect adds to a chain: wall and processor seconds of whole commands, kept in prefect_overhead.json.

    python -m benchmarks.prefect_overhead          some minutes

The chain is the toy of the tests (two stages, latent variables, report). It is run once; then its report is removed before each run, so
that every stage is found and nothing is computed: an empty chain. "plain" does that without Prefect, in one process. "hits" is the whole
chain found, where no Prefect is started. Processor seconds are those of the command and its children; a lasting server has its own.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.server import free_port

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "tests" / "flows" / "plugin"
RUNS = 3
PLAIN = """
import sys
from pathlib import Path
from fitcore import Store, run_latents, run_stage
from flows import catalogue
entry, store = catalogue.find("toy"), Store(sys.argv[2])
dataset = entry.load(Path(sys.argv[1]))
pipeline = catalogue.chain_of(entry, dataset, {})
for stage in pipeline.stage_names:
    assert run_stage(pipeline, stage, dataset, store).cached
run_latents(pipeline, entry.latent_stage, dataset, store)
"""


def timed(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall and processor seconds of a command and of all that it waited for."""
    start = time.perf_counter()
    process = subprocess.Popen(
        words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}:\n{errors.decode()}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime


def medians(run: Callable[[], tuple[float, float]]) -> dict[str, float]:
    """Medians over some runs."""
    found = [run() for _ in range(RUNS)]
    return {name: round(statistics.median(row[i] for row in found), 2) for i, name in enumerate(("wall", "processor"))}


def measured(base: Path) -> dict[str, Any]:
    """All rows."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "FITCORE_"))}
    environment |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{PLUGIN}", "FITCORE_THREADS": "1", "FITCORE_SERVER_SECONDS": "600"}
    environment |= {"FITCORE_CACHE": str(base / "cache"), "FITCORE_DATA": str(base / "data")}
    dataset, store = base / "line", base / "store"
    fitcore = [sys.executable, "-m", "flows.cli"]
    run = [*fitcore, "run", str(dataset), "--pipeline", "toy", "--store", str(store), "--quiet"]
    report = store / "reports" / "toy" / "line.html"

    def empty() -> tuple[float, float]:
        report.unlink()
        return timed(run, environment)

    timed([*fitcore, "simulate", str(dataset), "--pipeline", "toy"], environment)
    first = timed(run, environment)
    rows: dict[str, Any] = {
        "first run, a new database for the embedded server": {"wall": round(first[0], 2), "processor": round(first[1], 2)},
        "import fitcore": medians(lambda: timed([sys.executable, "-c", "import fitcore"], environment)),
        "plain: an empty chain without Prefect": medians(
            lambda: timed([sys.executable, "-c", PLAIN, str(dataset), str(store)], environment)
        ),
        "hits: all is found": medians(lambda: timed(run, environment)),
        "empty chain, embedded server": medians(empty),
    }
    start = timed([*fitcore, "server", "start", "--port", str(free_port())], environment)
    try:
        rows["fitcore server start, new database"] = {"wall": round(start[0], 2)}
        rows["empty chain, lasting server"] = medians(empty)
    finally:
        timed([*fitcore, "server", "stop"], environment)
    return rows


def main() -> None:
    """Run it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        load = os.getloadavg()[0]
        rows = measured(Path(folder))
    plain = rows["plain: an empty chain without Prefect"]["processor"]
    ratios = {name: round(row["processor"] / plain, 2) for name, row in rows.items() if "chain" in name or "hits" in name}
    about = {
        "command": "python -m benchmarks.prefect_overhead",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {load:.0f} before",
        "python": sys.version.split()[0],
        "runs": RUNS,
    }
    whole = {**about, "seconds": rows, "processor seconds over those of plain": ratios}
    print(json.dumps(whole, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
