"""Ten thousand flipped bits, a thousand truncations, a disk that fails at every call, hostile files: what came of them.

python -m benchmarks.hostile [damage|disk|files ...]     all by default; each part replaces its own rows of benchmarks/hostile.json
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests" / "hostile"
TARGET = HERE / "hostile.json"
sys.path.insert(0, str(TESTS))

FLIPS, CUTS = 10_000, 1_000


def row(what: str, count: int, failures: list[str], seconds: float, **more: Any) -> dict[str, Any]:
    """One line of the account; none of n bounds the rate below 3 / n, at 95 per cent confidence."""
    bound = round(3 / count, 7) if not failures else None
    first = failures[:10]
    return {
        "what": what,
        "count": count,
        "failures": len(failures),
        "rate_below": bound,
        "seconds": round(seconds, 1),
        "first": first,
        **more,
    }


def damage_rows(folder: Path) -> list[dict[str, Any]]:
    damage = importlib.import_module("damage")
    damage.unforced(setattr)
    rows = []
    for what, flips, cuts in (("single flipped bits", FLIPS, 0), ("truncations", 0, CUTS)):
        start = time.monotonic()
        account = damage.run(folder / f"{flips}-{cuts}", seed=flips, flips=flips, cuts=cuts)
        told = {"by_file": dict(account.by_kind), "outcomes": dict(account.outcomes)}
        rows.append(row(what, account.n, account.failures, time.monotonic() - start, **told))
    return rows


def disk_rows(folder: Path) -> list[dict[str, Any]]:
    failing = importlib.import_module("failing")
    rows = []
    patient = failing.Patient(folder)
    for error in failing.ERRORS:
        start, broken, n = time.monotonic(), [], 0
        for lasts in (False, True):
            for point, name in enumerate(patient.calls, 1):
                n += 1
                found = patient.check(point, error, lasts=lasts)
                broken += [f"{name} {point}, lasting {lasts}: {found}"] if found else []
        rows.append(row(f"disk failing with {error} at every durable call, once and from then on", n, broken, time.monotonic() - start))
    return rows


def file_rows(folder: Path) -> list[dict[str, Any]]:
    start = time.monotonic()
    run = subprocess.run([sys.executable, str(TESTS / "guard.py"), str(folder)], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    bad = [
        f"{name}: {told['how']}"
        for name, told in found.items()
        if told["ran"] or told["how"] not in ("told", "SettingsError", "ConfigError") or told["says"] not in told["text"]
    ]
    most = {key: round(max(told[key] for told in found.values()), 1) for key in ("seconds", "megabytes")}
    executed = sum(told["ran"] for told in found.values())
    return [row("hostile files", len(found), bad, time.monotonic() - start, executed=executed, most=most)]


PARTS = {"damage": damage_rows, "disk": disk_rows, "files": file_rows}


def main(names: list[str]) -> None:
    kept = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    for name in names or list(PARTS):
        memory = Path("/dev/shm")
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            kept[name] = PARTS[name](Path(folder))
        TARGET.write_text(json.dumps({"command": "python -m benchmarks.hostile", **kept}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
