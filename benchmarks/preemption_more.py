"""The other parts of `benchmarks.preemption`: what holds the GIL, what cannot go on, a crowd of datasets, and a lens by schedule."""

from __future__ import annotations

import datetime
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any
from unittest import mock

import httpx

import fitcore as fc
from benchmarks.preemption_log import Log, database_of, disturbed, one, world
from fitcore.store.chains import row_of
from flows.catalogue import find
from flows.worker_client import WorkerProcess

HELD = 150
LONG_PAUSE = 0.15
SETTLED = 45.0
N_DATASETS, N_WORKERS, AT_ONCE = 12, 2, 4
EVERY, LASTS, RESTARTS = 20.0, 300.0, (100.0, 200.0)
COMES = 3600.0
TOY = "slow"
"""The pipeline of toys with pauses, in the tests' plugin."""


def holds(folder: Path, database: str) -> None:
    """A likelihood that holds the GIL of the search, and a thread that holds that of the flow process, which then seems dead."""
    log = Log(folder)
    part = f"holds {database}"
    with database_of(database, folder) as url, world.World(folder / "world", 2, database=url) as there:
        truth = disturbed.undisturbed(there)
        with one(log, {"part": part, "case": "the search holds the GIL", "seconds_held": HELD}) as row:
            made = disturbed.Case(there, 0, "hold-search", truth, hold=HELD)
            row.update(made.row())
        there.workers[1].is_wanted = False
        world.send(there.worker(1), signal.SIGINT)
        there.add_worker(1, FITCORE_TEST_HOLD_FLOW=f"{there.base / 'data' / 'hold-flow'}:{HELD}")
        with one(log, {"part": part, "case": "the flow process holds the GIL", "seconds_held": HELD}) as row:
            made = disturbed.Case(there, 1, "hold-flow", truth, pause=0.06)
            row.update(made.row())
    log.keep(part)


def hopeless(folder: Path, database: str) -> None:
    """A run that cannot start, and one whose search always dies."""
    log = Log(folder)
    part = f"hopeless {database}"
    settings = {"parameters": {"attempts": 3}}
    with database_of(database, folder) as url, world.World(folder / "world", 2, database=url, **settings) as there:
        with one(log, {"part": part, "case": "the search always dies", "attempts_allowed": 3}) as row:
            made = disturbed.Case(there, 0, "dies", {}, fault="exit")
            row.update(_failed(there, made.id))
        with one(log, {"part": part, "case": "it cannot start", "attempts_allowed": 3}) as row:
            deployment = there.ask("deployments/name/fit/slot-1", "GET")["id"]
            httpx.patch(f"{there.url}/deployments/{deployment}", json={"entrypoint": "flows.absent.fit"}, timeout=60).raise_for_status()
            made = disturbed.Case(there, 1, "starts-not", {})
            row.update(_failed(there, made.id))
    log.keep(part)


def limited(folder: Path, database: str) -> None:
    """A deployment that allows one run at once, a run that lasts long enough to say so again, and a server that is killed before."""
    log = Log(folder)
    part = f"limited {database}"
    for leases in ("memory", "filesystem"):
        base = folder / leases
        with database_of(database, folder) as url, world.World(base, 1, database=url, leases=leases, concurrency=1) as there:
            there.add_tender()
            truth = disturbed.undisturbed(there)
            with one(log, {"part": part, "case": f"kill server, a deployment with a limit, leases in {leases}"}) as row:
                made = disturbed.Case(there, 0, "limited", truth, pause=LONG_PAUSE)
                made.reach("search", random.Random(1))
                made.disturb("kill server")
                row.update(made.row())
                row["active_slots"] = [item["active_slots"] for item in there.ask("v2/concurrency_limits/filter")]
        log.keep(part)


def late(folder: Path, database: str) -> None:
    """Cancel of a run that was there before the server was."""
    log = Log(folder)
    part = f"late {database}"
    with database_of(database, folder) as url, world.World(folder / "world", 1, database=url) as there:
        there.add_tender()
        truth = disturbed.undisturbed(there)
        with one(log, {"part": part, "case": "kill server, then cancel"}) as row:
            made = disturbed.Case(there, 0, "late", truth, pause=LONG_PAUSE)
            made.reach("search", random.Random(1))
            made.disturb("kill server")
            time.sleep(there.server.delay)
            there.ask("health", "GET")
            time.sleep(SETTLED)
            made.disturb("cancel")
            pids = there.flows(0)
            world.wait_for(lambda: not set(pids) & set(there.flows(0)), "the end of the flow process", COMES, every=1.0)
            row["seconds_until_gone"] = round(time.time() - made.hit, 1)
            row.update(made.row())
    log.keep(part)


def _failed(there: Any, identity: str) -> dict[str, Any]:
    began = time.time()
    state = there.end_of(identity, COMES)
    facts = {"state": state, "states": there.names(identity), "message": there.run(identity)["state"]["message"]}
    return {**facts, "seconds": round(time.time() - began, 1), "is_good": state == "Failed"}


def crowd(folder: Path, database: str, pipeline: str = TOY) -> None:
    """Datasets of a folder by a campaign on two workers, with kills all the time: toys, or simulated lenses."""
    log = Log(folder)
    part = f"crowd {database}" if pipeline == TOY else f"crowd of lenses {database}"
    base = folder / "world"
    with database_of(database, folder) as url:
        night = {"flow": "campaign", "pool": "slot-0", "concurrency": 1, "parameters": {"folder": str(base / "inbox"), "fit": "slot-0"}}
        parameters = {"attempts": 30, "pipeline": pipeline}
        at_once = AT_ONCE if pipeline == TOY else N_WORKERS
        there = world.World(base, N_WORKERS, database=url, shared=True, parameters=parameters, campaign=night, concurrency=at_once)
        shutil.rmtree(base / "store", ignore_errors=True)
        _fill(base, pipeline)
        undisturbed(there, base, pipeline)
        with there, one(log, {"part": part, "case": f"{N_DATASETS} datasets on {N_WORKERS} workers"}) as row:
            there.add_tender()
            began = time.time()
            first = there.start("night", flow="campaign")
            world.wait_for(lambda: _runs(there, "RUNNING"), "the first fit", 600.0, every=1.0)
            row["kills"] = _kill_for_a_while(there)
            there.end_of(first, COMES)
            world.wait_for(
                lambda: len(ended := _runs(there, *world.FINAL)) >= N_DATASETS and ended, "the end of all fits", COMES, every=2.0
            )
            row.update({"seconds": round(time.time() - began, 1), "campaign": there.names(first), **_counted(there, base)})
    log.keep(part)


def _fill(base: Path, pipeline: str) -> None:
    """The datasets: in ``inbox`` those that are disturbed, in ``plain`` the same without the toys' pauses."""
    for number in range(N_DATASETS):
        for place, pauses in (("inbox", {**disturbed.PAUSES, "pause": 0.02}), ("plain", {})):
            target = base / place / f"d{number:02}"
            if pipeline == TOY:
                world.make_points(target, shift=0.01 * number, **pauses)
            elif not target.exists():
                find(pipeline).simulate(target, number)


def undisturbed(there: Any, base: Path, pipeline: str) -> None:
    """Every dataset of the folder ``plain`` into the store ``truth``, by one worker process without a flow; what is there stays."""
    with mock.patch.dict(os.environ, {"PYTHONPATH": there.environment["PYTHONPATH"], "FITCORE_CACHE": there.environment["FITCORE_CACHE"]}):
        worker = WorkerProcess(lambda event: None, threads=1)
    try:
        for dataset in sorted((base / "plain").iterdir()):
            request = {"dataset": str(dataset), "pipeline": pipeline, "store": str(base / "truth"), "seed": 0, "settings": {}}
            told, digests = worker.ask("stages", **request), {}
            for stage in told["stages"]:
                digests[stage] = worker.ask("stage", stage=stage, digests=digests, **request)["digest"]
            worker.ask("latents", stage=told["latent_stage"], digests=digests, **request)
    finally:
        worker.close()


def _runs(there: Any, *types: str) -> list[dict[str, Any]]:
    asked = {"state": {"type": {"any_": list(types)}}, "tags": {"all_": ["fitcore-world"]}}
    deployments = {"name": {"any_": ["slot-0"]}}
    return there.ask("flow_runs/filter", flow_runs=asked, deployments=deployments)


def _kill_for_a_while(there: Any) -> dict[str, int]:
    chance, done = random.Random(12), {"flow": 0, "worker": 0, "search": 0, "server": 0}
    found = {"flow": there.flows, "worker": there.worker, "search": there.searches}
    start, next_kill, restarts = time.time(), EVERY, list(RESTARTS)
    while (now := time.time() - start) < LASTS:
        if restarts and now >= restarts[0]:
            restarts.pop(0)
            world.send([there.server.pid] if there.server.pid else [], signal.SIGKILL)
            done["server"] += 1
        if now >= next_kill:
            next_kill += EVERY
            what = chance.choice(list(found))
            pids = [pid for number in range(N_WORKERS) for pid in found[what](number)]
            if pids:
                world.send([chance.choice(pids)], signal.SIGKILL)
                done[what] += 1
        time.sleep(0.2)
    return done


def _counted(there: Any, base: Path) -> dict[str, Any]:
    """Each dataset once, none lost, none doubled, and the calls that it cost."""
    runs = _runs(there, "SCHEDULED", "PENDING", "RUNNING", "CRASHED", "CANCELLING", *world.FINAL)
    store, truth = fc.Store(base / "store"), fc.Store(base / "truth")
    told = disturbed.account(store)
    n_calls = sum(attempts[-1].n_calls for digest in store.digests() if (attempts := store.attempts(digest)))
    ended = sorted((run["name"], run["state_name"]) for run in runs)
    same = disturbed.result_files(base / "store") == disturbed.result_files(base / "truth")
    facts = {
        "completed": sum(state == "Completed" for _, state in ended),
        "runs": len(ended),
        "names": len({name for name, _ in ended}),
        "noted": len(store.runs()),
        "same_bytes": same,
        "damage": [str(finding) for finding in store.verify() if finding.is_damage],
        "calls": n_calls,
        "calls_repeated": told["repeated"],
        "calls_undisturbed": sum(truth.attempts(digest)[-1].n_calls for digest in truth.digests()),
        "attempts": sum(told["attempts"]),
        "crashes": sum(there.names(run["id"]).count("Crashed") for run in runs),
    }
    counts = {facts[key] for key in ("completed", "runs", "names", "noted")}
    return {**facts, "is_good": counts == {N_DATASETS} and same and not facts["damage"]}


def scheduled(folder: Path, database: str, lens: Path, pipeline: str) -> None:
    """A fresh server, a schedule a minute or two ahead, and a lens."""
    log = Log(folder)
    part = f"scheduled {database}"
    find(pipeline)
    settings = {
        "parameters": {"pipeline": pipeline, "dataset": str(lens.absolute())},
        "threads": 2,
    }
    shutil.rmtree(folder / "world", ignore_errors=True)
    with (
        database_of(database, folder) as url,
        world.World(folder / "world", 1, database=url, **settings) as there,
        one(log, {"part": part, "case": f"{lens.name}, {pipeline}"}) as row,
    ):
        began = time.time()
        due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=2)
        there.settings["schedule"] = {"cron": f"{due.minute} {due.hour} * * *", "timezone": "UTC"}
        there.deploy()
        there.add_tender()
        (run, *_) = world.wait_for(lambda: _runs(there, *world.FINAL), "the end of a run", COMES, every=2.0)
        (noted,) = fc.Store(there.base / "store").runs()
        row.update(
            states=[(state["name"], state["timestamp"]) for state in there.states(run["id"])],
            minutes=round((time.time() - began) / 60, 1),
            minutes_of_the_run=round(run["total_run_time"] / 60, 1),
            by_schedule=run["auto_scheduled"],
            is_good=run["state_type"] == "COMPLETED",
            verdict=row_of(noted)["verdict"],
            report=(there.base / "store" / "reports" / pipeline / f"{noted['name']}.html").is_file(),
        )
    log.keep(part)
