"""What the lasting server tells of itself, its workers and its runs, as plain data. Nothing is changed."""

from __future__ import annotations

from typing import Any

import httpx

from flows.lasting import ANSWER_SECONDS, RUNNING, STOPPED, Place, answers
from flows.settings import Settings

ONLINE, COUNTED = "ONLINE", ("RUNNING", "PENDING", "SCHEDULED", "PAUSED", "CRASHED", "FAILED")


def described(settings: Settings) -> dict[str, Any]:
    """All that can be told of the server, as plain data; nothing is changed."""
    place = Place.of(settings)
    record = place.record() if place.folder.is_dir() else None
    if record is None:
        return {"standing": STOPPED, "is_healthy": False, "folder": str(place.folder)}
    is_running = record.standing == RUNNING
    found: dict[str, Any] = {
        "standing": record.standing,
        "is_healthy": is_running and answers(record.url),
        "url": record.url,
        "pid": record.process.pid,
        "host": record.process.host,
        "since": record.since,
        "ended": record.ended,
        "version": record.version,
        "database": record.database,
        "log": str(place.log),
        "folder": str(place.folder),
    }
    return found | (asked(record.url, place.auth()) if found["is_healthy"] else {})


def asked(url: str, auth: str) -> dict[str, Any]:
    """Workers by work pool, and runs by state; the reason where the server does not say."""
    user, _, password = auth.partition(":")
    try:
        with httpx.Client(base_url=url, auth=(user, password), timeout=ANSWER_SECONDS, trust_env=False) as client:

            def post(path: str, **body: Any) -> Any:
                answer = client.post(path, json=body)
                answer.raise_for_status()
                return answer.json()

            pools = {pool["name"]: post(f"work_pools/{pool['name']}/workers/filter") for pool in post("work_pools/filter")}
            workers = {name: [worker["name"] for worker in found if worker["status"] == ONLINE] for name, found in pools.items()}
            runs = {state: post("flow_runs/count", flow_runs={"state": {"type": {"any_": [state]}}}) for state in COUNTED}
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return {"fault": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
    return {"workers": workers, "runs": {state.lower(): number for state, number in runs.items() if number}}
