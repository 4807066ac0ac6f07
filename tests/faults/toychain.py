"""A chain of two searches that takes well under a second, what it leaves in a store undisturbed, and what must hold of any store in which
it was disturbed.
"""

import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from harness import Board, Diary, Note, end_of, observed, start_child

import fitcore as fc
from fitcore.store import hdf5
from fitcore.store.checkpoint import State, states
from fitcore.store.layout import Layout
from fitcore.store.upkeep import parts

X = np.linspace(-1.0, 1.0, 12)
Y = 0.4 + 0.8 * X + 0.1 * np.sin(17.0 * X)
MODEL = fc.Model({"a": fc.Uniform(-2, 2), "b": fc.Normal(0, 1)})
NAME, PIPELINE, SEED = "points", "toy", 3


class Line(fc.Analysis):
    """A straight line through twelve points, in NumPy."""

    LATENT_KEYS = ("at_two",)

    def log_likelihood_function(self, instance: Any) -> float:
        return float(-0.5 * ((Y - instance["a"] - instance["b"] * X) ** 2).sum())

    def compute_latent_variables(self, parameters: Any, model: fc.Model) -> tuple[float]:
        return (float(parameters[0] + 2 * parameters[1]),)

    def save_results(self, paths: Any, result: fc.Result) -> None:
        paths.save_json("best", {"log_evidence": result.log_evidence})


def pipeline() -> fc.Pipeline:
    """A cold search, and one that takes the first's posterior as its priors and as its proposal; both kinds of checkpoint."""
    return fc.Pipeline(
        PIPELINE,
        [
            fc.Stage("cold", MODEL, Line(), fc.Nautilus(n_live=20, n_eff=30, n_batch=20, n_shell=5, f_live=0.5)),
            fc.Stage(
                "linked",
                lambda results: results["cold"].projected_model,
                Line(),
                fc.Importance(n_eff=30),
                needs=("cold",),
                proposal="cold",
            ),
        ],
    )


def run_chain(folder: Path, board: Board, note: Note, *, save_every: int = 1, heartbeat: float = 1.0, patience: int = 15) -> None:
    """The whole chain, its latent variables and its note; goes on from whatever is in the store."""
    with observed(board, note, save_every):
        store = fc.Store(folder, heartbeat=heartbeat, patience=patience)
        note("opened")
        results = fc.run_pipeline(pipeline(), None, store, seed=SEED)
        store.record_run(NAME, PIPELINE, {name: result.digest for name, result in results.items()})


def result_files(folder: Path) -> dict[str, bytes]:
    """Every published file of arrays by its path in the store."""
    found = folder.glob("results/*/*/[!.]*.h5")
    return {path.relative_to(folder).as_posix(): file_of(path.read_bytes()) for path in sorted(found)}


def file_of(data: bytes) -> bytes:
    """The HDF5 file among the bytes of a published file: a part begins with its commit record, which tells of times and hosts."""
    return data[hdf5.parted(data)[1] :] if data.startswith(b"{") else data


@dataclass
class Truth:
    """What an undisturbed run leaves; files by path, sha256 by digest and part."""

    digests: dict[str, str]
    files: dict[str, bytes]
    sha256: dict[tuple[str, str], str]
    seconds: dict[str, list[float]] = field(default_factory=dict)


def undisturbed(base: Path) -> Truth:
    """Run the chain once in a child and look at what it left."""
    folder = base / "undisturbed"
    board = Board()
    assert end_of(start_child(lambda: run_chain(folder, board, lambda *_: None))) == 0
    store = fc.Store(folder)
    digests = store.run(NAME)["stages"]
    files = result_files(folder)
    sha256 = {}
    for digest in digests.values():
        for part in parts(Layout(folder), digest):
            sha256[digest, part] = store.read(digest, part).sha256
    assert len(sha256) == len(files) == 4
    assert not store.verify()
    shutil.rmtree(folder)
    return Truth(digests=digests, files=files, sha256=sha256)


def broken_promises(folder: Path, lines: Sequence[Sequence[str]], truth: Truth) -> list[str]:
    """What is wrong in a store after a fault: promises of the diary that do not hold, damage, warnings, and answers that are not true."""
    told = [line for line in lines if line]
    promised = {(line[1], line[2]) for line in told if line[0] == "committed"}
    if not folder.is_dir():
        return ["the store is lost"] if ["opened"] in told else []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            wrong = [*_wrong_answers(fc.Store(folder), promised, truth), *_lost_work(folder, told, promised)]
            if ["noted"] in told and fc.Store(folder).run(NAME)["stages"] != truth.digests:
                wrong.append("the note of the run is not the one that was noted")
        except fc.FitcoreError as error:
            wrong = [f"the store cannot be used: {type(error).__name__}: {error}"]
    wrong += [f"warning: {warning.message}" for warning in caught]
    return wrong + [f"quarantined: {path.name}" for path in folder.glob("quarantine/*")]


def _wrong_answers(store: fc.Store, promised: set[tuple[str, str]], truth: Truth) -> Iterator[str]:
    """What `verify` finds damaged; what was committed and is not there; what is served and not true."""
    for finding in store.verify():
        if finding.is_damage:
            yield f"damaged: {finding.path}: {finding.message}"
    for (digest, part), sha256 in truth.sha256.items():
        record = store.lookup(digest, part)
        if record is None and (digest, part) in promised:
            yield f"lost: {digest[:8]} {part}"
        if record is not None and record.sha256 != sha256:
            yield f"other bytes are served for {digest[:8]} {part}"


def _lost_work(folder: Path, told: Sequence[Sequence[str]], promised: set[tuple[str, str]]) -> Iterator[str]:
    """Checkpoints that were saved, of searches that are not committed, and are not there; and searches that were begun after their end."""
    saved: dict[str, int] = {}
    ended: set[str] = set()
    for line in told:
        if line[0] == "saved":
            saved[line[1]] = max(saved.get(line[1], 0), int(line[2]))
        if line[0] == "committed" and line[2] == "result":
            ended.add(line[1])
        if line[0] == "searching" and line[1] in ended:
            yield f"the finished search {line[1][:8]} was begun again"
    for digest, n_calls in saved.items():
        if (digest, "result") in promised:
            continue
        found = [state for state in states(Layout(folder).work_folder(digest)) if isinstance(state, State) and not state.fault()]
        committed = Layout(folder).manifest(digest).exists()
        if not committed and max((state.n_calls for state in found), default=-1) < n_calls:
            yield f"the checkpoint of {digest[:8]} at {n_calls} calls is lost"


def difference(folder: Path, truth: Truth) -> list[str]:
    """In what a finished store differs from the undisturbed one; empty if in nothing."""
    found = result_files(folder)
    wrong = [f"{name} differs or is missing" for name in truth.files if found.get(name) != truth.files[name]]
    wrong += [f"{name} should not be there" for name in found if name not in truth.files]
    return wrong + ([] if fc.Store(folder).run(NAME)["stages"] == truth.digests else ["the note of the run differs"])


def go_on(folder: Path, board: Board, diary: Diary, truth: Truth, **settings: Any) -> list[str]:
    """Run the chain to its end in a child; what is wrong then."""
    board.clear()
    code = end_of(start_child(lambda: run_chain(folder, board, diary.note, **settings)))
    if code != 0:
        return [f"going on ended with exit code {code}"]
    return [*broken_promises(folder, diary.lines(), truth), *difference(folder, truth)]
