"""Puts the counts of a soak into ``benchmarks/faults.json``."""

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[2] / "benchmarks" / "faults.json"


def keep(name: str, report: dict[str, Any]) -> None:
    """Keep one report under its name: what, count, failures, the upper bound on the rate of failures, seconds, and what else it tells.

    With no failure in n trials the rate is below 3 / n with 95 % confidence; with failures no bound is given.
    """
    rows = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    rest = {key: value for key, value in report.items() if key not in ("what", "count", "failures", "seconds")}
    rows[name] = {
        "what": report["what"],
        "count": report["count"],
        "failures": len(report["failures"]),
        "rate_below": None if report["failures"] else 3.0 / report["count"],
        "seconds": report["seconds"],
        **rest,
    }
    TARGET.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n")
