"""Listing and filtering 3,000 results: whole processes of `fitcore table`, and the same from Python; kept in tables.json.

    python -m benchmarks.tables                    some minutes, most of it to make the store
    python -m benchmarks.tables --from results     the notes of the chains of a real store, varied

Each chain has one stage here, so that 3,000 chains are 3,000 results. "first" is the first listing, which reads every note; later ones take
what has not changed from the index of the store. Seconds are those of the wall and of the processor; memory is the process's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.many import fill, notes_of
from fitcore import Store

ROOT = Path(__file__).resolve().parent.parent
N, RUNS = 3000, 3
BUDGET = {"seconds": 2.0, "megabytes": 300.0}
PYTHON = """
import fitcore as fc
table = fc.Store({store!r}).table()
print(len(table.where("n_calls > 0").sorted_by("-seconds")))
"""


def with_usage(words: list[str]) -> dict[str, float]:
    """Wall seconds, processor seconds and peak memory of a process, as the system tells them to one in between that has no other child."""
    code = (
        "import json, resource, subprocess, sys\n"
        "ended = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)\n"
        "if ended.returncode: raise SystemExit(ended.stderr.decode())\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))\n"
    )
    start = time.perf_counter()
    answer = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    processor, megabytes = json.loads(answer.stdout)
    return {"wall": time.perf_counter() - start, "processor": processor, "megabytes": megabytes}


def medians(words: list[str]) -> dict[str, float]:
    """Of several runs."""
    runs = [with_usage(words) for _ in range(RUNS)]
    return {key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]}


def main() -> None:
    """Print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sources = [{**note, "outcomes": note["outcomes"][-1:]} for note in notes_of(options.source)]
        store = fill(Path(folder) / "store", sources, N).path
        time.sleep(2.5)  # files younger than two seconds are read again
        table = [sys.executable, "-m", "flows.cli", "table", "--store", str(store)]
        filtered = [*table, "--where", "slope<2.0 and verdict=accepted", "--sort", "-einstein_radius_effective"]
        short = [*filtered, "--columns", "name,verdict,einstein_radius_effective,slope"]
        forms = {name: [*filtered, "--format", name] for name in ("csv", "json")}
        whole = ("csv", "fits", "latex", "parquet")
        every = {f"all as {name}": [*table, "--format", name, "--output", f"{folder}/t.{name}"] for name in whole}
        python = [sys.executable, "-c", PYTHON.format(store=str(store))]
        found: dict[str, Any] = {"first, as csv": {key: round(value, 2) for key, value in with_usage(forms["csv"]).items()}}
        found |= {"filtered, four columns": medians(short), "filtered, as text": medians(filtered)}
        found |= {f"filtered, as {name}": medians(words) for name, words in forms.items()}
        found |= {name: medians(words) for name, words in every.items()}
        found["store.table(), first"] = {key: round(value, 2) for key, value in with_usage(python).items()}
        found["store.table()"] = medians(python)
        found["an import of fitcore alone"] = medians([sys.executable, "-c", "import fitcore"])
        index = {path.name: path.stat().st_size for path in sorted(store.glob("index-*.json"))}
        files = [path for path in store.rglob("*") if path.is_file() and path.parent.name != "attempts"]
        assert len(Store(store).chains()) == N
    told = {
        "n": N,
        "source": "the small note" if options.source is None else f"{len(sources)} notes of real chains",
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
        "budget": BUDGET,
        "index_bytes": index,
        "n_files_a_result": round(len(files) / N, 2),
        "runs": found,
    }
    print(json.dumps(told, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
