"""Looking after a whole store: a table of what is in it, a check of every file, and the collection of rubbish."""

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fitcore.errors import FitcoreError
from fitcore.store import durable, hdf5, reading, runs
from fitcore.store.attempts import newest_number
from fitcore.store.checkpoint import State, states
from fitcore.store.layout import FORMAT_FILE, INDEX_PREFIX, PART_SUFFIX, RESULT, Layout
from fitcore.store.lease import held_folder_is_live

DAY = 86400.0
MANIFEST_SUFFIX = ".manifest.json"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing about one file.

    Parameters
    ----------
    kind : "damaged", "orphan" (without a commit record), "temporary" (of a killed process), "unknown" (not the store's), "missing"
        (named by a run but not there), "finished" (work of a committed result), "quarantined".
    path : the file or folder.
    digest : the result it belongs to, or "".
    message : what and why, in words.
    is_damage : something that was written whole is not what it was; `fitcore verify` fails on these.
    size : bytes.
    """

    kind: str
    path: Path
    digest: str
    message: str
    is_damage: bool = False
    size: int = 0


def parts(layout: Layout, digest: str) -> list[str]:
    """Names of the parts of a result that have a commit record, the result itself first."""
    folder = layout.result_folder(digest)
    found = {path.name.removesuffix(end) for end in (PART_SUFFIX, MANIFEST_SUFFIX) for path in folder.glob(f"[!.]*{end}")}
    return ([RESULT] if layout.manifest(digest).exists() else []) + sorted(found)


# ---- verify --------------------------------------------------------------------------------------------------------------------------


def verify(layout: Layout) -> list[Finding]:
    """Check every file of the store against its commit record; nothing is moved or changed.

    Returns
    -------
    What was found, worst first; empty when all is well.
    """
    findings = [*_verify_results(layout), *_verify_work(layout), *_verify_runs(layout)]
    known = {FORMAT_FILE, "results", "work", "runs", "quarantine", "reports"}
    for path in sorted(layout.root.iterdir()):
        if path.name not in known and not (path.name.startswith(INDEX_PREFIX) and path.suffix == ".json" and path.is_file()):
            findings.append(_stray(path, ""))
    return sorted(findings, key=lambda finding: (not finding.is_damage, str(finding.path)))


def _verify_results(layout: Layout) -> Iterator[Finding]:
    for digest in layout.digests():
        folder = layout.result_folder(digest)
        expected = {"output"}
        for part in parts(layout, digest):
            record_path, file = layout.places(digest, part)
            expected |= {record_path.name, file.name}
            try:
                record = reading.inspect(layout, digest, part)
                if record is not None:
                    record.arrays()
            except reading.DamageError as damage:
                yield Finding(kind="damaged", path=damage.paths[0], digest=digest, message=damage.reason, is_damage=True)
            except (FitcoreError, *hdf5.UNREADABLE) as error:
                yield Finding(kind="damaged", path=file, digest=digest, message=str(error), is_damage=True)
        for path in sorted(folder.iterdir()):
            if path.name in expected:
                continue
            if path.suffix == ".h5" and not path.name.startswith("."):
                message = "without a commit record: a process was killed while publishing; the next run of the stage settles it"
                yield Finding(kind="orphan", path=path, digest=digest, message=message, size=_size(path))
            else:
                yield _stray(path, digest)
        yield from (_stray(path, digest) for path in sorted(folder.glob(f"output/**/{durable.TEMPORARY_PREFIX}*")))


def _verify_work(layout: Layout) -> Iterator[Finding]:
    for digest in layout.digests_at_work():
        folder = layout.work_folder(digest)
        recorded = set()
        for state in states(folder, layout.key):
            if not isinstance(state, State):
                yield Finding(kind="damaged", path=state[0], digest=digest, message=f"checkpoint record: {state[1]}", is_damage=True)
                continue
            recorded |= {state.record_path, state.file}
            fault = state.signature_fault or state.fault()
            if fault:
                yield Finding(kind="damaged", path=state.file, digest=digest, message=f"checkpoint: {fault}", is_damage=True)
        for path in sorted(folder.rglob(f"{durable.TEMPORARY_PREFIX}*")):
            yield _stray(path, digest)
        for path in sorted(folder.glob("state-*")):
            if path.suffix != ".json" and path not in recorded:
                yield Finding(kind="orphan", path=path, digest=digest, message="checkpoint without its record", size=_size(path))


def _verify_runs(layout: Layout) -> Iterator[Finding]:
    notes = dict(runs.noted(layout))
    for path, run in notes.items():
        if isinstance(run, str):
            yield Finding(kind="damaged", path=path, digest="", message=f"the note of a run {run}", is_damage=True)
            continue
        for stage, digest in run["stages"].items():
            if not layout.manifest(digest).exists():
                message = f"run {run['name']}: its stage {stage} is not in the store; run the chain again to compute it"
                yield Finding(kind="missing", path=path, digest=digest, message=message)
    for path in sorted(layout.runs.glob("*/*")):
        if path.name.startswith(durable.TEMPORARY_PREFIX) or path not in notes:
            yield _stray(path, "")


def _stray(path: Path, digest: str) -> Finding:
    if path.name.startswith(durable.TEMPORARY_PREFIX):
        message = "left by a killed process, or just being written"
        return Finding(kind="temporary", path=path, digest=digest, message=message, size=_size(path))
    return Finding(kind="unknown", path=path, digest=digest, message="not a file of the store; move it elsewhere", size=_size(path))


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


# ---- rubbish -------------------------------------------------------------------------------------------------------------------------


def collect_garbage(layout: Layout, *, dry_run: bool = True) -> list[Finding]:
    """Find, and unless ``dry_run`` remove, what no one needs: files of killed processes, and the work folders of committed results.

    Nothing younger than a day by the file system's own clock, nothing under a live lease, no result, no checkpoint of unfinished work and
    nothing in quarantine is touched.
    """
    now = _file_system_now(layout)
    found: list[Finding] = []
    for digest in layout.digests():
        if _is_live(layout, digest):
            continue
        folder = layout.result_folder(digest)
        found += [_stray(path, digest) for path in folder.rglob(f"{durable.TEMPORARY_PREFIX}*") if _age(path, now) > DAY]
        known = set(parts(layout, digest))
        for path in folder.glob("[!.]*.h5"):
            if path.name.removesuffix(PART_SUFFIX).removesuffix(".h5") not in known and _age(path, now) > DAY:
                found.append(Finding(kind="orphan", path=path, digest=digest, message="without a commit record", size=_size(path)))
    for digest in layout.digests_at_work():
        found += _garbage_at_work(layout, digest, now)
    for place in (layout.root.glob, layout.runs.rglob):
        found += [_stray(path, "") for path in place(f"{durable.TEMPORARY_PREFIX}*") if path.is_file() and _age(path, now) > DAY]
    if not dry_run:
        with durable.explaining(layout.root, "removing rubbish"):
            for finding in found:
                with contextlib.suppress(FileNotFoundError):  # another collector, or its owner, was quicker
                    _remove(finding.path)
    return found


def _garbage_at_work(layout: Layout, digest: str, now: float) -> list[Finding]:
    folder = layout.work_folder(digest)
    if _is_live(layout, digest):
        return []
    files = [path for path in folder.rglob("*") if path.is_file()]
    is_committed = layout.manifest(digest).exists()
    if is_committed and all(_age(path, now) > DAY for path in files):
        size = sum(map(_size, files))
        return [Finding(kind="finished", path=folder, digest=digest, message="checkpoints and leases of a committed result", size=size)]
    return [_stray(path, digest) for path in files if path.name.startswith(durable.TEMPORARY_PREFIX) and _age(path, now) > DAY]


def _is_live(layout: Layout, digest: str) -> bool:
    folder = layout.attempts_folder(digest)
    names = {path.name.rpartition("-")[0] for path in folder.glob("[!.]*-*.json")} if folder.is_dir() else set()
    return any(newest_number(folder, part) and held_folder_is_live(folder, part) for part in names)


def _file_system_now(layout: Layout) -> float:
    """The time by the clock that stamps the files, which on a network file system is the server's."""
    probe = layout.root / f"{durable.TEMPORARY_PREFIX}{secrets.token_hex(8)}-clock"
    try:
        durable.create(probe, b"")
        return os.lstat(probe).st_mtime
    except OSError:
        return time.time()
    finally:
        durable.discard(probe)


def _age(path: Path, now: float) -> float:
    try:
        return now - os.lstat(path).st_mtime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for inner in sorted(path.iterdir()):
            _remove(inner)
        durable.remove_folder(path)
    else:
        durable.unlink(path)
