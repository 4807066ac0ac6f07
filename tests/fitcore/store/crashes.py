"""Run by path from the tests, in a process of its own that may fork: kills and crowds of committers, reported as JSON on stdout.

python crashes.py kill FOLDER WHAT     kill a process before, in the middle of and after every durable call of WHAT, then look
python crashes.py crowd FOLDER N       N processes commit the same digest at once
python crashes.py image                sha256 of a result's bytes
"""

import hashlib
import json
import os
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")  # pandas imports pyarrow where it is
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "faults"))

import numpy as np
from harness import arm, end_of, forked, start_child

from fitcore.store import Store, durable
from fitcore.store.commit import Contents

DIGEST = hashlib.sha256(b"the spec").hexdigest()
OTHER = hashlib.sha256(b"another spec").hexdigest()
SPEC = {"model": {"a": [0.1, 1]}, "search": "Nautilus"}


def arrays(seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"parameters": rng.normal(size=(500, 3)), "log_weight": rng.normal(size=500), "names": np.array(["a.b", "c"])}


def commit(store: Store, seconds: float = 1.0) -> None:
    store.commit(DIGEST, arrays=arrays(), attributes={"log_evidence": -3.25}, spec=SPEC, provenance={"seconds": seconds})


def save(store: Store) -> None:
    store.checkpoint(DIGEST, fingerprint={"n_batch": 4}).save_arrays({"x": np.arange(100.0)}, n_calls=200)


def hook(store: Store) -> None:
    store.paths(DIGEST).save_json("best", {"value": 2})


def prepare(store: Store, what: str) -> None:
    """What the store holds before the kill."""
    store.commit(OTHER, arrays=arrays(2), attributes={}, spec={})
    if what == "save":
        store.checkpoint(DIGEST, fingerprint={"n_batch": 4}).save_arrays({"x": np.zeros(100)}, n_calls=100)
    if what == "hook":
        store.paths(DIGEST).save_json("best", {"value": 1})


ACTIONS = {"commit": commit, "save": save, "hook": hook}


def look(store: Store, what: str) -> dict:
    """What a reader finds after the kill, and after the same thing was done again."""
    seen: dict = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen["other_is_whole"] = all(
            np.array_equal(value, arrays(2)[name]) for name, value in Store(store.path).read(OTHER).arrays().items()
        )
        seen["damaged"] = [finding.message for finding in store.verify() if finding.is_damage]
        if what == "commit":
            record = store.lookup(DIGEST)
            seen["before"] = None if record is None else record.attributes["log_evidence"]
            commit(store, seconds=2.0)
            record = store.read(DIGEST)
            seen["again"] = all(np.array_equal(value, arrays()[name]) for name, value in record.arrays().items())
            seen["sha256"] = record.sha256
        if what == "save":
            state = store.checkpoint(DIGEST, fingerprint={"n_batch": 4}).load_arrays()
            seen["before"] = None if state is None else float(state["x"][-1])
            save(store)
            seen["again"] = float(store.checkpoint(DIGEST, fingerprint={"n_batch": 4}).load_arrays()["x"][-1]) == 99.0
        if what == "hook":
            seen["before"] = store.paths(DIGEST).load_json("best")["value"]
            hook(store)
            seen["again"] = store.paths(DIGEST).load_json("best")["value"] == 2
    seen["warnings"] = [str(warning.message) for warning in caught]
    return seen


def kill_everywhere(folder: Path, what: str, *, without_links: bool) -> list[dict]:
    if without_links:

        def link(source, target):
            raise OSError(95, "no hard links here")

        durable.link = link
    report = []
    for when in ("before", "middle", "after"):
        point = 0
        while True:
            point += 1
            store = Store(folder / f"{when}{point}")
            prepare(store, what)

            def action(store=store, point=point, when=when):
                arm(point, when)
                ACTIONS[what](store)

            killed_by = forked(action)
            report.append({"when": when, "point": point, "killed_by": killed_by, **look(store, what)})
            if killed_by == 0:
                break
    return report


def crowd(folder: Path, n: int) -> list[dict]:
    """``n`` processes begin at the same moment; each tells what it got."""
    go = time.monotonic() + 0.3

    def work(number: int) -> None:
        store = Store(folder / "store")
        time.sleep(max(go - time.monotonic(), 0))
        record = store.commit(DIGEST, arrays=arrays(number), attributes={"writer": number}, spec=SPEC, provenance={"seconds": number})
        answer = {"sha256": record.sha256, "writer": record.attributes["writer"], "seconds": record.provenance["seconds"]}
        (folder / f"answer{number}").write_text(json.dumps(answer))

    pids = [start_child(lambda number=number: work(number)) for number in range(n)]
    codes = [end_of(pid) for pid in pids]
    return [{"code": code, **json.loads((folder / f"answer{number}").read_text())} for number, code in enumerate(codes)]


def image() -> str:
    contents = Contents(arrays=arrays(), attributes={"b": 1.5, "a": [float("nan")]}, spec=SPEC)
    return hashlib.sha256(contents.file_bytes(DIGEST, "result", "")).hexdigest()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["kill", folder, what]:
            print(json.dumps(kill_everywhere(Path(folder), what, without_links=False)))
        case ["kill-without-links", folder, what]:
            print(json.dumps(kill_everywhere(Path(folder), what, without_links=True)))
        case ["crowd", folder, n]:
            print(json.dumps(crowd(Path(folder), int(n))))
        case ["image"]:
            print(image())
