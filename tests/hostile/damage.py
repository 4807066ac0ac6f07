"""A store in which every kind of file is there, ways to damage one of them, and what a reader must make of it."""

from __future__ import annotations

import json
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from smallchain import file_of, read_file, write_file

from fitcore.errors import ResultNotFoundError, SchemaVersionError
from fitcore.store import Store, StoreWarning, durable

GROUPS = ("results", "work", "runs")
DONE, RUNNING = "ab" * 32, "cd" * 32
FINGERPRINT = {"numpy": "2.0", "n_batch": 32}
ARRAYS = {
    "parameters": np.linspace(0.0, 1.0, 120).reshape(40, 3),
    "log_weight": np.linspace(-9.0, 0.0, 40),
    "paths": np.array(["a", "b.c"]),
}
STATES = [{"u": np.linspace(0.0, n, 60), "rng": {"state": 2**100 + n}, "n": n} for n in (1, 2)]
FILES = [np.linspace(-5.0, n, 50) for n in (1, 2)]


def fill(store: Store, groups: Iterable[str] = GROUPS) -> None:
    """Commit, save and note everything; what is there already stays."""
    if "results" in groups:
        commit(store)
    if "work" in groups:
        save(store)
    if "runs" in groups:
        store.record_run("points", "small", {"first": DONE}, {"verdict": "accepted"})


def commit(store: Store) -> None:
    store.commit(DONE, arrays=ARRAYS, attributes={"log_evidence": -3.25, "names": ["a"]}, spec=["asked", 1.5], provenance={"seconds": 2.0})
    store.commit_part(DONE, "latents", arrays={"sum": np.arange(40.0)}, attributes={"n_keys": 1})
    store.write_internal(DONE, bytes(range(256)) * 2)


def save(store: Store) -> None:
    checkpoint = store.checkpoint(RUNNING, fingerprint=FINGERPRINT)
    for state, log_l in zip(STATES, FILES, strict=True):
        checkpoint.save_arrays(state, n_calls=state["n"])
        checkpoint.save_through(lambda path, log_l=log_l: write_file(path, log_l), n_calls=state["n"])


def seen(store: Store, groups: Iterable[str] = GROUPS) -> dict[str, Any]:
    """What every reader gives, in a form that can be compared; None where it says that there is nothing."""
    found: dict[str, Any] = {}
    if "results" in groups:
        found |= seen_results(store)
    if "work" in groups:
        checkpoint = store.checkpoint(RUNNING, fingerprint=FINGERPRINT)
        state, log_l = checkpoint.load_arrays(), checkpoint.load_through(read_file)
        found["arrays"] = state and (state["n"], state["u"].tobytes(), state["rng"])
        found["foreign"] = None if log_l is None else log_l.tobytes()
    if "runs" in groups:
        found["notes"] = [{key: value for key, value in run.items() if key not in ("recorded", "hmac")} for run in store.runs()]
    return found


def seen_results(store: Store) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in ("result", "latents"):
        record = store.lookup(DONE, part)
        found[part] = record and (
            {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in record.arrays().items()},
            json.dumps([record.attributes, record.spec, record.extra, record.provenance.get("seconds")]),
        )
    try:
        found["internal"] = store.read_internal(DONE, trust=True)
    except ResultNotFoundError:
        found["internal"] = None
    return found


OLDER = {"arrays": (1, STATES[0]["u"].tobytes(), STATES[0]["rng"]), "foreign": FILES[0].tobytes()}
MISSING = {"result": None, "latents": None, "internal": None, "arrays": None, "foreign": None, "notes": []}


@dataclass
class Account:
    """What came of many damages; ``failures`` says which broke a promise, and how."""

    n: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Specimen:
    """A store as `fill` makes it, which can be put back to what it was."""

    def __init__(self, folder: Path, key: bytes | None = None) -> None:
        self.folder, self.key = folder, key
        fill(self.store())
        self.files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in self._paths()}
        self.truth = seen(self.store())
        assert self.store().verify() == []
        # Every file that someone may believe; hooks' own files and the beats of leases promise nothing.
        self.names = sorted(self.files)
        self.sizes = np.array([len(self.files[name]) for name in self.names])

    def store(self) -> Store:
        return Store(self.folder, key=self.key)

    def _paths(self) -> Iterator[Path]:
        return (path for path in sorted(self.folder.rglob("*")) if path.is_file())

    def restore(self) -> None:
        shutil.rmtree(self.folder / "quarantine", ignore_errors=True)
        there = {path.relative_to(self.folder).as_posix(): path for path in self._paths()}
        for name in there.keys() - self.files.keys():
            there[name].unlink()
        for name, data in self.files.items():
            if name not in there or there[name].read_bytes() != data:
                self.put(name, data)

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def flipped(self, rng: np.random.Generator) -> tuple[str, str, bytes]:
        """A file chosen by the number of its bits half of the time, else each kind alike; one bit of it is flipped."""
        weight = self.sizes / self.sizes.sum() if rng.random() < 0.5 else None
        name = self.names[rng.choice(len(self.names), p=weight)]
        data = bytearray(self.files[name])
        place, bit = int(rng.integers(len(data))), int(rng.integers(8))
        data[place] ^= 1 << bit
        return name, f"bit {bit} of byte {place}", bytes(data)

    def cut(self, rng: np.random.Generator) -> tuple[str, str, bytes]:
        name = self.names[rng.integers(len(self.names))]
        length = int(rng.integers(len(self.files[name])))
        return name, f"cut at {length} of {len(self.files[name])}", self.files[name][:length]

    def check(self, name: str, what: str, data: bytes, account: Account) -> None:
        """Damage one file, then verify, read, compute anew and read again; put everything back."""
        kind = "state" + Path(name).suffix if "/state-" in name else Path(name).name
        account.n += 1
        account.by_kind[kind] += 1
        try:
            self.put(name, data)
            outcome = self._outcome(name, data)
        except Exception as error:
            outcome = f"failure: {type(error).__name__}: {error}"
        finally:
            self.restore()
        account.outcomes[outcome if not outcome.startswith("failure") else "failure"] += 1
        if outcome.startswith("failure"):
            account.failures.append(f"{name}, {what}: {outcome}")

    def _outcome(self, name: str, data: bytes) -> str:  # noqa: PLR0911 - one return for each promise that can be broken
        if name == "fitcore-store.json":
            try:
                self.store()
            except SchemaVersionError:
                return "refused"
            return "failure: a store with a damaged format file was opened"
        findings = [finding for finding in self.store().verify() if finding.is_damage]
        if not findings:
            return "failure: verify did not report it"
        if (self.folder / name).read_bytes() != data:
            return "failure: verify moved something"
        group = name.split("/", maxsplit=1)[0]
        found, is_told = self._read(group)
        how = "quarantined"
        if group == "work" and not is_told and found == self._true(group) and self._has_newer(name):
            # A good newer state hides it. It must not be believed either once that one is gone.
            found, is_told = self._read(group)
            how = "not read, then quarantined"
        if not is_told:
            return "failure: no warning"
        for what, value in found.items():
            if value not in [self.truth[what], MISSING[what], *([OLDER[what]] if what in OLDER else [])]:
                return f"failure: {what} was served changed"
        if found == self._true(group):
            return "failure: it was served as if nothing had happened"
        if group != "runs" and (self.folder / name).exists():
            return "failure: it was not moved to quarantine"
        return self._computed_anew(group) or ("left out" if group == "runs" else how)

    def _true(self, group: str) -> dict[str, Any]:
        names = {"results": ("result", "latents", "internal"), "work": ("arrays", "foreign"), "runs": ("notes",)}[group]
        return {name: self.truth[name] for name in names}

    def _read(self, group: str) -> tuple[dict[str, Any], bool]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = seen(self.store(), [group])
        return found, any(issubclass(warning.category, StoreWarning) for warning in caught)

    def _has_newer(self, name: str) -> bool:
        """Remove the states after this one of the same kind; whether there were any."""
        own = _number(Path(name))
        newer = [path for path in (self.folder / name).parent.glob("state-*") if _number(path) > own and _number(path) % 2 == own % 2]
        for path in newer:
            path.unlink()
        return bool(newer)

    def _computed_anew(self, group: str) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fill(self.store(), [group])
            if seen(self.store(), [group]) != self._true(group):
                return "failure: computed anew, it is not what it was"
        for name, data in self.files.items():
            is_result = name.startswith("results/") and name.endswith(".h5")
            if is_result and file_of((self.folder / name).read_bytes()) != file_of(data):
                return f"failure: {name} has other bytes"
        return ""


def _number(path: Path) -> int:
    """Of a state; the two kinds are saved by turns."""
    return int(path.name.split("-")[1].split(".")[0])


def unforced(set_attribute: Callable[[Any, str, Any], None]) -> None:
    """Leave out the calls that force bytes to the disk: they cost time and change nothing that is read."""
    set_attribute(durable, "fsync", lambda descriptor: None)
    set_attribute(durable, "fsync_folder", lambda path: None)


def run(folder: Path, *, seed: int, flips: int, cuts: int, key: bytes | None = None) -> Account:
    """So many random damages, one after the other."""
    specimen, account, rng = Specimen(folder, key), Account(), np.random.default_rng(seed)
    for _ in range(flips):
        specimen.check(*specimen.flipped(rng), account)
    for _ in range(cuts):
        specimen.check(*specimen.cut(rng), account)
    return account


def told(account: Account) -> Mapping[str, Any]:
    return {"n": account.n, "by_kind": dict(account.by_kind), "outcomes": dict(account.outcomes), "failures": account.failures[:20]}
