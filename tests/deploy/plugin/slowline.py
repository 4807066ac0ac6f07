"""The toy pipeline, slow enough to be hit where one wants, with a diary of where it is; for runs that are killed.

``points.json`` may also have: ``commit_pause`` and ``latent_pause``, seconds; ``hold``, seconds for which one likelihood holds the GIL;
``hold_flow``, seconds for which a thread of the flow process holds it, beginning in the first search. Both holds come once.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import toyline

import fitcore as fc
from fitcore.store import durable

DIARY, HELD = "diary", "held"


def note(folder: Path, what: str) -> None:
    """A line of the diary: seconds, process, what."""
    descriptor = os.open(folder / DIARY, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{time.time():.3f} {os.getpid()} {what}\n".encode())
    os.close(descriptor)


def hold_once(folder: Path, seconds: float) -> None:
    """Keep every other thread of this process from running for a while, the first time that it is asked."""
    try:
        os.close(os.open(folder / HELD, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    note(folder, "holding")
    ctypes.PyDLL(None).sleep(int(seconds))
    note(folder, "held")


class SlowLine(toyline.Line):
    """A line that tells where it is."""

    def __init__(self, points: Any, folder: Path, pauses: dict[str, float]) -> None:
        super().__init__(points)
        self.folder, self.pauses = folder, pauses
        self.n_calls = 0
        self.is_told = False

    def log_likelihood_function(self, instance: Any) -> float:
        self.n_calls += 1
        if self.n_calls == 1:
            note(self.folder, "search")
        if self.n_calls == 300 and self.pauses["hold"]:
            hold_once(self.folder, self.pauses["hold"])
        return super().log_likelihood_function(instance)

    def compute_latent_variables(self, parameters: Any, model: fc.Model) -> tuple[float]:
        if not self.is_told:
            self.is_told = True
            note(self.folder, "latents")
        time.sleep(self.pauses["latent_pause"])
        return super().compute_latent_variables(parameters, model)


class Slow(toyline.Toy):
    """The toy under another name."""

    name = "slow"

    def __init__(self) -> None:
        self.folder = Path()
        self.pauses: dict[str, float] = {}

    def load(self, path: Path) -> Any:
        points = super().load(path)
        data = json.loads((path / "points.json").read_text())
        self.folder = path
        self.pauses = {key: float(data.get(key, 0.0)) for key in ("commit_pause", "latent_pause", "hold")}
        note(path, "load")
        self._slow_commits()
        return points

    def _slow_commits(self) -> None:
        folder, pause, real, link = self.folder, self.pauses["commit_pause"], fc.Store.commit, durable.publish_first

        def slow_link(*arguments: Any, **more: Any) -> bool:
            time.sleep(pause)
            try:
                return link(*arguments, **more)
            finally:
                time.sleep(pause)

        def slow_commit(store: fc.Store, digest: str, **more: Any) -> Any:
            note(folder, "commit")
            with mock.patch.object(durable, "publish_first", slow_link):
                return real(store, digest, **more)

        if pause and real.__name__ != "slow_commit":
            fc.Store.commit = slow_commit  # type: ignore[method-assign]

    def build(self, settings: Any) -> fc.Pipeline:
        made = super().build({})
        stages = [
            fc.Stage(
                stage.name,
                stage.model,
                lambda data, results: SlowLine(data, self.folder, self.pauses),
                stage.search,
                needs=stage.needs,
                proposal=stage.proposal,
                links=stage.links,
            )
            for stage in made.stages
        ]
        return fc.Pipeline("slow", stages).with_searches(settings)


def hold_flow() -> None:
    """In a thread of the flow process: hold the GIL once its search is under way."""
    folder, _, seconds = os.environ["FITCORE_TEST_HOLD_FLOW"].rpartition(":")
    while not (Path(folder) / DIARY).is_file() or " search" not in (Path(folder) / DIARY).read_text():
        time.sleep(1.0)
    time.sleep(5.0)
    hold_once(Path(folder), float(seconds))


SLOW = Slow()
if "FITCORE_TEST_HOLD_FLOW" in os.environ and "flows.deployed" in sys.modules:
    threading.Thread(target=hold_flow, daemon=True).start()
