"""One run of the slow toy that is disturbed in a known phase, and what became of it: the account by the store, the states by the server."""

from __future__ import annotations

import itertools
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from world import World, diary, make_points, send, wait_for

import fitcore as fc
from fitcore.store import hdf5
from fitcore.store.layout import Layout
from fitcore.stored import latents_part

PHASES = ("search", "commit", "latents")
PAUSES = {"pause": 0.01, "commit_pause": 1.5, "latent_pause": 0.02}
LONGEST = 1200.0
COMES = 900.0
CANCELLED_SECONDS = 60.0


def result_files(store: Path) -> dict[str, bytes]:
    """Every published file of arrays by its path in the store; a part without the commit record that it begins with."""
    found = sorted([*store.glob("results/*/*/[!.]*.h5"), *store.glob("results/*/*/[!.]*.part")])
    contents = {path.relative_to(store).as_posix(): path.read_bytes() for path in found}
    return {name: data[hdf5.parted(data)[1] :] if data.startswith(b"{") else data for name, data in contents.items()}


def undisturbed(world: World) -> dict[str, bytes]:
    """What a run that nobody disturbs leaves; kept in the world's folder."""
    store = world.base / "truth"
    if not result_files(store):
        store.mkdir(parents=True, exist_ok=True)  # a run makes no store: a disk that is not mounted would look like a new one
        identity = world.start("slot-0", dataset=str(make_points(world.base / "data" / "truth")), store=str(store))
        assert world.end_of(identity, COMES) == "Completed", world.states(identity)
    return result_files(store)


def account(store: fc.Store) -> dict[str, Any]:
    """Attempts at the searches and the latent variables, and the likelihood calls that were repeated."""
    n_attempts, repeated, ends = [], 0, []
    layout = Layout(store.path)
    for digest in sorted({*layout.digests_at_work(), *layout.digests()}):
        for part in ("result", latents_part(None)):
            attempts = store.attempts(digest, part)
            if attempts:
                n_attempts.append(len(attempts))
                repeated += sum(a.n_calls - b.n_calls_at_start for a, b in itertools.pairwise(attempts))
                ends += [attempt.ended for attempt in attempts]
    return {"attempts": n_attempts, "repeated": repeated, "ends": ends}


class Case:
    """A run, and what is done to it.

    Parameters
    ----------
    number : of the worker and its pool.
    name : of its folders.
    pauses : what the dataset has beyond `PAUSES`.
    """

    def __init__(self, world: World, number: int, name: str, truth: dict[str, bytes], **pauses: Any) -> None:
        self.world, self.number, self.truth = world, number, truth
        self.slot = "slot-0" if world.shared else f"slot-{number}"
        self.store = world.base / "stores" / name
        self.dataset = world.base / "data" / name
        for folder in (self.store, self.dataset):
            shutil.rmtree(folder, ignore_errors=True)
        make_points(self.dataset, **{**PAUSES, **pauses})
        self.began = time.time()
        self.id = world.start(self.slot, dataset=str(self.dataset), store=str(self.store))
        self.hit = 0.0
        self.were: set[int] = set()

    def noted(self, what: str) -> list[tuple[float, int, str]]:
        """Lines of its diary."""
        return [line for line in diary(self.dataset) if line[2] == what]

    def reach(self, phase: str, chance: random.Random) -> None:
        """Wait until it is somewhere within a phase."""
        wait_for(lambda: self.noted(phase), f"{phase} of {self.dataset.name}", COMES, every=0.1)
        time.sleep(chance.uniform(0.0, {"search": 12.0, "commit": 6.0, "latents": 4.0}[phase]))

    def disturb(self, what: str) -> None:
        """Do it; ``what`` is two words, or one: kill or term, and flow, worker, both, search or server; cancel."""
        world, (how, _, whom) = self.world, what.partition(" ")
        self.were = {line[1] for line in diary(self.dataset)}
        pids: Callable[[], list[int]] = {
            "flow": lambda: world.flows(self.number),
            "worker": lambda: world.worker(self.number),
            "both": lambda: world.worker(self.number) + world.flows(self.number),
            "search": lambda: world.searches(self.number),
            "server": lambda: [] if world.server.pid is None else [world.server.pid],
            "": lambda: [],
        }[whom]
        self.hit = time.time()
        if how == "cancel":
            world.ask(f"flow_runs/{self.id}/set_state", state={"type": "CANCELLING"})
        else:
            send(pids(), {"kill": signal.SIGKILL, "term": signal.SIGTERM}[how])

    def row(self, **facts: Any) -> dict[str, Any]:
        """Wait for the end; what became of it."""
        end = self.world.end_of(self.id, LONGEST)
        seconds = time.time() - self.began
        facts["state"] = end
        facts["states"] = self.world.names(self.id)
        if end == "Cancelled":
            facts |= self._stays_cancelled()
        lines = diary(self.dataset) if self.hit else []
        again = [when for when, pid, what in lines if what == "load" and when > self.hit and pid not in self.were]
        facts["went_on_after"] = round(again[0] - self.hit, 1) if again else None
        facts |= {"seconds": round(seconds, 1), **self.facts()}
        facts["is_good"] = facts["state"] in ("Completed", "Cancelled") and facts["same_bytes"] and not facts["damage"]
        return facts

    def facts(self) -> dict[str, Any]:
        """The account of its store."""
        store = fc.Store(self.store)
        files = result_files(self.store)
        return {
            **account(store),
            "published": len(files),
            "same_bytes": files == self.truth,
            "noted": len(list(store.runs())),
            "damage": [str(finding) for finding in store.verify() if finding.is_damage],
        }

    def _stays_cancelled(self) -> dict[str, Any]:
        """Whether it stays so, and nothing of it lives; then another run on the same store, which finds what was saved."""
        gone = wait_for(lambda: not self.world.flows(self.number) or time.time() - self.hit > 120, "the end of the processes", 180)
        time.sleep(CANCELLED_SECONDS)
        stays = self.world.run(self.id)["state_name"] == "Cancelled" and not self.world.flows(self.number)
        before = account(fc.Store(self.store))
        other = self.world.start(self.slot, dataset=str(self.dataset), store=str(self.store))
        after = self.world.end_of(other, LONGEST)
        return {"gone": bool(gone), "stays_cancelled": stays, "ends_when_cancelled": before["ends"], "state_of_another_run": after}
