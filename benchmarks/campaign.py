"""The whole chain on a folder of real lenses, against published Einstein radii.

    fitcore run LENSES/* --store results --json > rows.jsonl
    python -m benchmarks.campaign rows.jsonl published.csv      prints the table; kept in campaign.json

`published.csv` has the columns `name` and `b_sie` (arcsec, intermediate axis; Bolton et al. 2008, ApJ 682, 964). Ours is the effective
Einstein radius, shear included; the one on the intermediate axis, which leaves the shear out, stands beside it.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np


def row_of(answer: dict[str, Any], published: float) -> dict[str, Any]:
    """One lens of the table."""
    row: dict[str, Any] = {"name": answer["name"], "published": published, "status": answer["status"], "verdict": answer["verdict"]}
    if answer["status"] != "done":
        return row
    for key in ("einstein_radius_effective", "einstein_radius_intermediate", "slope"):
        value = answer["latents"][key]
        row[key] = [round(value[part], 4) for part in ("median", "lower", "upper")]
    row["off"] = round(row["einstein_radius_effective"][0] / published - 1.0, 4)
    row["off_intermediate"] = round(row["einstein_radius_intermediate"][0] / published - 1.0, 4)
    row["calls"] = [stage["n_calls"] for stage in answer["stages"]]
    row["grades"] = [stage["grade"] for stage in answer["stages"]]
    row["seconds"] = round(sum(stage["seconds"] for stage in answer["stages"]), 1)
    row["reasons"] = answer["reasons"]
    return row


def rates(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts and means over the table."""
    size = np.array([abs(row["off"]) for row in rows if "off" in row])
    accepted = np.array([row["verdict"] == "accepted" for row in rows if "off" in row])
    return {
        "lenses": len(rows),
        "within_10_percent": int((size < 0.10).sum()),
        "within_5_percent": int((size < 0.05).sum()),
        "mean_off": round(float(size.mean()), 4),
        "median_off": round(float(np.median(size)), 4),
        "verdicts": {name: sum(row["verdict"] == name for row in rows) for name in ("accepted", "review", "failed")},
        "accepted_beyond_10_percent": int((accepted & (size >= 0.10)).sum()),
        "median_seconds": round(float(np.median([row["seconds"] for row in rows if "seconds" in row])), 1),
    }


def main() -> None:
    """Print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("published", type=Path)
    options = parser.parse_args()
    with options.published.open(encoding="utf-8") as file:
        published = {row["name"]: float(row["b_sie"]) for row in csv.DictReader(file)}
    answers = [json.loads(text) for text in options.rows.read_text(encoding="utf-8").splitlines()]
    rows = [row_of(answer, published[answer["name"]]) for answer in answers]
    for row in rows:
        print(json.dumps(row))
    table = {"rates": rates(rows), "lenses": rows}
    print(table["rates"])
    Path(__file__).with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
