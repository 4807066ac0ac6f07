"""Size and time of the report of finished lenses, written again by `fitcore report` on one core; kept in reports.json.

    python -m benchmarks.reports --store results NAME...        lenses of a store whose data are where they were

Each report is written twice in a folder of its own: without code that was compiled before, and with it. Told are the wall time of the whole
command, that from the moment on when the data are read (`report_seconds`), the processor time of the command's processes, the size of the
page, and the load of the machine: what else runs makes it slower.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BUDGET = {"bytes": 3e6, "seconds": 10.0}
LIMIT = 280.0


def written(store: Path, name: str, folder: Path, cache: Path, dataset: Path | None) -> dict[str, Any]:
    """One report, in a command of its own on one core."""
    target = folder / f"{name}.html"
    command = [sys.executable, "-m", "flows.cli", "report", name, "--store", str(store), "-o", str(target)]
    if dataset is not None:
        command += ["--dataset", str(dataset)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        command,
        env={**{key: value for key, value in os.environ.items() if not key.startswith("JAX_")}, "FITCORE_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time.monotonic() - start
    told = re.search(r"report, 0 calls, ([\d.]+) s", done.stderr)  # when the worker had started and the data were read
    return {
        "command_seconds": round(seconds, 1),
        "report_seconds": round(seconds - float(told[1]), 1) if told else None,
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "bytes": target.stat().st_size,
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder that holds the datasets' folders")
    parser.add_argument("--keep", type=Path, default=Path(__file__).with_suffix(".json"))
    asked = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in asked.names:
            folder, cache = Path(scratch) / name, Path(scratch) / f"cache-{name}"
            dataset = None if asked.data is None else asked.data / name
            rows[name] = {
                how: written(asked.store, name, folder / how, cache, dataset) for how in ("without compiled code", "with compiled code")
            }
            print(name, json.dumps(rows[name]))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    kept = {
        "command": "python -m benchmarks.reports",
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one used",
        "budget": BUDGET,
        "rows": rows,
    }
    asked.keep.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
