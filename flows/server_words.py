"""What `fitcore server` says."""

from __future__ import annotations

from typing import Any

from flows.lasting import ELSEWHERE, LOST, RUNNING, Record

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def told(record: Record) -> dict[str, Any]:
    """The record as plain data, by the names of `status`."""
    return {
        "url": record.url,
        "pid": record.process.pid,
        "host": record.process.host,
        "since": record.since,
        "version": record.version,
        "database": record.database,
    }


def lines_of(found: dict[str, Any]) -> list[str]:
    """What `status` says."""
    if "pid" not in found:
        return ["not running; 'fitcore server start' starts it"]
    where = f"{found['url']}, process {found['pid']} on {found['host']}, since {found['since']}"
    if found["standing"] == LOST:
        return [f"not running: {where}, ended without being stopped; 'fitcore server start' starts it again. Its log: {found['log']}"]
    if found["standing"] == ELSEWHERE:
        return [f"unknown: {where}; whether it runs can be told on that machine alone"]
    if found["standing"] != RUNNING:
        return [f"not running: stopped at {found['ended']}; 'fitcore server start' starts it"]
    lines = [
        f"{'healthy' if found['is_healthy'] else 'running, and does not answer'}: {where}",
        f"Prefect {found['version']}, {found['database']}, log {found['log']}",
    ]
    if "fault" in found:
        return [*lines, f"workers and runs: not told ({found['fault']})"]
    if "workers" in found:
        pools = [f"{name} ({', '.join(names) or 'no worker'})" for name, names in found["workers"].items()]
        runs = [f"{number} {state}" for state, number in found["runs"].items()]
        lines += [f"pools: {', '.join(pools) or 'none'}", f"runs: {', '.join(runs) or 'none that wait, run or failed'}"]
    return lines
