"""What `fitcore show` tells of a finished chain, and of one of its stages."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from fitcore import ConfigError, Store
from fitcore.naming import did_you_mean
from fitcore.store.chains import checked, row_of
from fitcore.store.layout import report_file
from flows.console import one_line, printable, quantity, rows_table


def whole(store: Store, name: str) -> dict[str, Any]:
    """The row of a chain; its report is where the store is now."""
    row = row_of(checked(store.run(name)))
    return {**row, "report": str(report_file(store.reports, row["pipeline"], row["name"]))}


def one_stage(store: Store, name: str, stage: str) -> dict[str, Any]:
    """The summary of a stage, and how it was made: the settings in force, versions, times, attempts.

    Raises
    ------
    ConfigError
        when the chain has no such stage, with the nearest.
    """
    item = store.run(name)
    names = [entry["name"] for entry in row_of(checked(item))["stages"]]
    if stage not in names:
        hint = did_you_mean(stage, names)
        raise ConfigError(f"{name} has no stage {stage!r}; it has {names}.{hint}")
    record = store.read(item["stages"][stage])
    summary_of = importlib.import_module("fitcore.stored").summary_of  # it needs JAX, which a chain as a whole does not
    summary = summary_of(record.attributes).to_dict()
    return {"name": name, "stage": stage, "digest": record.digest, **summary, "provenance": dict(record.provenance)}


def show(row: Mapping[str, Any], console: Console) -> None:
    """A chain in words: its row, parameters, latent variables, and the reasons of its verdict."""
    console.print(rows_table([row]))
    for title in ("parameters", "latents"):
        console.print(f"\n{title}", style="bold")
        for path, value in row[title].items():
            unit = one_line(row["units"].get(path, ""))
            console.print(f"  {one_line(path):<32} {quantity(value)} {unit}".rstrip(), markup=False)
    if row["reasons"]:
        console.print(printable("\n" + "\n".join(row["reasons"])), markup=False)
