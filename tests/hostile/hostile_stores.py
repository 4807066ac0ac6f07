"""Stores from strangers: everything that someone can put where a store's files are."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from damage import DONE, RUNNING
from forging import (
    KEY,
    foreign,
    forged,
    good_store,
    link_elsewhere,
    make_socket,
    make_sparse,
    raw,
    read_arrays,
    read_foreign,
    read_internal,
    read_model,
    read_result,
    read_runs,
    read_untrusted,
    renoted,
    replaced,
    resaved,
    restated,
    result_folder,
    retold,
    sealed,
    told,
)
from payloads import PICKLE, Case, Touch

from fitcore.store import Store

# ---- what is in the files ------------------------------------------------------------------------------------------------------------


def _external_link(file: h5py.File) -> None:
    file["x"] = h5py.ExternalLink("/etc/hostname", "/")


def _soft_loop(file: h5py.File) -> None:
    file["x"], file["y"] = h5py.SoftLink("/y"), h5py.SoftLink("/x")


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("x", shape=(10,), dtype="u1", external=[("/etc/hostname", 0, 10)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(10,), dtype="u1")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", shape=(10,))
    file.create_virtual_dataset("x", layout)


def _deep_groups(file: h5py.File) -> None:
    group: Any = file
    for _ in range(3000):
        group = group.create_group("g")


def _looped_groups(file: h5py.File) -> None:
    group = file.create_group("sampler")
    group["again"], group["log_l"] = group, np.zeros(3)


def _dataset(**options: Any) -> Callable[[h5py.File], None]:
    return lambda file: file.create_dataset("x", **options) and None


def _zeros(file: h5py.File) -> None:
    file.create_dataset("x", data=np.zeros(5 * 10**6), compression="gzip")


def _text_dtype(value: Any) -> Callable[[h5py.File], None]:
    def build(file: h5py.File) -> None:
        file.create_dataset("x", data=np.array([b"abc"])).attrs["text_dtype"] = value

    return build


def _many(file: h5py.File) -> None:
    for i in range(5000):
        file.create_dataset(f"x{i}", data=0)


def _tree(file: h5py.File) -> None:
    file["tree.json"] = np.frombuffer(b'{"pickle": "x"}', dtype=np.uint8)


def _committed_type(file: h5py.File) -> None:
    file["x"] = np.dtype("f8")


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.array([Touch()], dtype=object))
    return buffer.getvalue()


def _huge_npy() -> bytes:
    return _npy(np.zeros(3)).replace(b"(3,), }      ", b"(9999999999,)")


def _output(data: bytes, name: str) -> Callable[[Path], None]:
    def build(place: Path) -> None:
        good_store(place)
        (result_folder(place) / "output").mkdir()
        (result_folder(place) / "output" / name).write_bytes(data)

    return build


def _dilled(place: Path) -> None:
    good_store(place)
    (result_folder(place) / "internal.part.h5").unlink()
    Store(place / "store").write_internal(DONE, PICKLE)


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
BRACKETS = b"[" + b"[]," * (2**20 // 3 - 10) + b"1]"
FIELDS = b'{"a":[' + b"{}," * (2**20 // 3 - 10) + b"1]}"
TWICE = b'{"digest": "x", "digest": "y"}'
MODEL = b'{"model": {"form": 1, "constraints": [], "tree": %s}}'
HTML = "<script>alert(1)</script>"

result, arrays, from_file, runs = (partial(partial, told)(read) for read in (read_result, read_arrays, read_foreign, read_runs))


def _h5(build: Callable[[h5py.File], None], says: str, **more: Any) -> Case:
    return Case(build=lambda place: forged(place, build, **more), attempt=result, says=says)


def _manifest(says: str, **changes: Any) -> Case:
    return Case(build=lambda place: retold(place, **changes), attempt=result, says=says)


def _record(says: str, **changes: Any) -> Case:
    return Case(build=lambda place: resaved(place, **changes), attempt=arrays, says=says)


RESULT = "results/*/*/result.h5"
MANIFEST = "results/*/*/manifest.json"
RECORDS = "work/*/*/state-*.json"
NOTE = "runs/*/*.json"
FORMAT = "fitcore-store.json"

STORE_CASES = {
    # pickles in every field
    "pickle as result": Case(build=raw(RESULT, PICKLE), attempt=result, says="sha256 of result.h5"),
    "pickle as manifest": Case(build=raw(MANIFEST, PICKLE), attempt=result, says="manifest.json is damaged"),
    "pickle as attributes": _h5(lambda file: None, "cannot be used", attributes=PICKLE),
    "pickle as objects": _h5(_dataset(data=[PICKLE.decode()], dtype=h5py.string_dtype()), "has the type object"),
    "pickle as opaque bytes": _h5(_dataset(data=np.array([PICKLE]).astype(f"V{len(PICKLE)}")), "has the type"),
    "pickle as text type": _h5(_text_dtype(PICKLE.decode()), "cannot be used"),
    "pickle as mark": _h5(lambda file: None, "belongs to another result", marks={"digest": np.void(PICKLE)}),
    "pickle as checkpoint": Case(build=lambda place: restated(place, PICKLE, ".h5"), attempt=arrays, says="does not match the rest"),
    "pickle as foreign checkpoint": Case(build=lambda p: restated(p, PICKLE, ".hdf5"), attempt=from_file, says="cannot be used"),
    "pickle as checkpoint record": Case(build=raw("work/*/*/state-0000000[13].json", PICKLE), attempt=arrays, says="is damaged"),
    "pickle in a checkpoint's tree": Case(
        build=lambda place: restated(place, sealed(_tree), ".h5"),
        attempt=arrays, says="unknown tag",
    ),
    "pickle as note": Case(build=raw(NOTE, PICKLE), attempt=runs, says="cannot be read"),
    "pickle as format file": Case(build=raw(FORMAT, PICKLE), attempt=result, says="is damaged"),
    "format file with other words": Case(
        build=raw("fitcore-store.json", b'{"format": "x", "schema_version": 1}'), attempt=result, says="must hold this line",
    ),
    "internal state without trust": Case(build=_dilled, attempt=partial(told, read_untrusted), says="pass trust=True"),
    "internal state without signature": Case(build=_dilled, attempt=partial(told, read_internal, key=KEY), says="was not signed"),
    "pickle as array of a hook": Case(
        build=_output(_npy(np.array([Touch()], dtype=object)), "x.npy"),
        attempt=partial(told, lambda store: store.paths(DONE).load_array("x")), says="is damaged",
    ),
    "archive as array of a hook": Case(
        build=_output(_npz(), "x.npy"), attempt=partial(told, lambda store: store.paths(DONE).load_array("x")), says="not an array",
    ),
    "huge array of a hook": Case(
        build=_output(_huge_npy(), "x.npy"), attempt=partial(told, lambda store: store.paths(DONE).load_array("x")), says="is damaged",
    ),
    "deep JSON of a hook": Case(
        build=_output(DEEP, "x.json"), attempt=partial(told, lambda store: store.paths(DONE).load_json("x")), says="is damaged",
    ),
    # HDF5 that leads elsewhere or unfolds
    "external link": _h5(_external_link, "link that leaves the file"),
    "soft links in a loop": _h5(_soft_loop, "link that leaves the file"),
    "external storage": _h5(_external_storage, "keeps its data in another file"),
    "virtual dataset": _h5(_virtual, "is a virtual dataset"),
    "compression bomb": _h5(_zeros, "passes through filters"),
    "huge chunked shape": _h5(_dataset(shape=(2**45,), dtype="f8", chunks=(1024,)), "larger than the file"),
    "shape that overflows": _h5(_dataset(shape=(2**31, 2**31, 2**31), dtype="f8", chunks=(64, 64, 64)), "larger than the file"),
    "deep groups": _h5(_deep_groups, "not a dataset"),
    "five thousand datasets": _h5(_many, "more than 4096 objects"),
    "compound type": _h5(_dataset(data=np.zeros(2, dtype=[("a", "f8"), ("b", "i4")])), "has the type"),
    "references": _h5(_dataset(shape=(2,), dtype=h5py.ref_dtype), "has the type object"),
    "committed type": _h5(_committed_type, "not a dataset"),
    "huge text type": _h5(_text_dtype("<U999999999"), "cannot be used"),
    "deep attributes": _h5(lambda file: None, "cannot be used", attributes=DEEP),
    "attributes of 20 MB": _h5(lambda file: None, "allowed", attributes=b" " * 20_000_000),
    "foreign external link": Case(build=foreign(_external_link), attempt=from_file, says="link that leaves the file"),
    "foreign external storage": Case(build=foreign(_external_storage), attempt=from_file, says="keeps its data in another file"),
    "foreign loop": Case(build=foreign(_looped_groups), attempt=from_file, says="has two names"),
    "foreign bomb": Case(build=foreign(_zeros), attempt=from_file, says="larger than"),
    "foreign deep groups": Case(build=foreign(_deep_groups), attempt=from_file, says="cannot be used"),
    # JSON
    "deep manifest": Case(build=raw(MANIFEST, DEEP), attempt=result, says="nested too deeply"),
    "manifest of 1 MB of brackets": Case(build=raw(MANIFEST, BRACKETS), attempt=result, says="not a record"),
    "manifest of 1 MB of fields": Case(build=raw(MANIFEST, FIELDS), attempt=result, says="sha256 does not match"),
    "whole manifest of 1 MB": Case(
        build=lambda place: retold(place, extra={"a": [{}] * 120_000}, schema_version=99), attempt=result, says="has schema version 99",
    ),
    "manifest with a key twice": Case(build=raw(MANIFEST, TWICE), attempt=result, says="is damaged"),
    "deep checkpoint record": Case(build=raw("work/*/*/state-0000000[13].json", DEEP), attempt=arrays, says="nested too deeply"),
    "deep note": Case(build=raw(NOTE, DEEP), attempt=runs, says="nested too deeply"),
    "deep format file": Case(build=raw(FORMAT, DEEP), attempt=result, says="is damaged"),
    "deep model": Case(
        build=lambda p: forged(p, lambda f: None, MODEL % (b'{"list": [' * 400 + b'{"tied": "a"}' + b"]}" * 400)),
        attempt=partial(told, read_model), says="The stored model cannot be read",
    ),
    "model of wrong types": Case(
        build=lambda p: forged(p, lambda f: None, MODEL % b'{"dict": 3}'), attempt=partial(told, read_model), says="cannot be read",
    ),
    "model that names a function": Case(
        build=lambda p: forged(p, lambda f: None, MODEL % b'{"component": "os:system", "constants": {}, "fields": []}'),
        attempt=partial(told, read_model), says="os:system",
    ),
    # names and promises
    "manifest that points up": _manifest("belongs to another result", files={"../../../etc/passwd": {"sha256": "0" * 64, "size": 1}}),
    "manifest with an absolute path": _manifest("belongs to another result", files={"/etc/passwd": {"sha256": "0" * 64, "size": 1}}),
    "manifest with NUL": _manifest("belongs to another result", files={"result.h5\0": {"sha256": "0" * 64, "size": 1}}),
    "manifest of another result": _manifest("belongs to another result", digest=RUNNING),
    "manifest with a size of 2**60": _manifest("more than", files={"result.h5": {"sha256": "0" * 64, "size": 2**60}}),
    "manifest with a negative size": _manifest("cannot be read as promised", files={"result.h5": {"sha256": "0" * 64, "size": -5}}),
    "manifest with wrong types": _manifest("belongs to another result", files={"result.h5": [1, 2]}),
    "manifest of another schema": _manifest("has schema version 99", schema_version=99),
    "record that points up": _record("its file lies elsewhere", file="../../../../etc/passwd"),
    "record with an absolute path": _record("its file lies elsewhere", file="/etc/passwd"),
    "record with NUL": _record("its file lies elsewhere", file="state-\0.h5"),
    "record with wrong types": _record("each of its type", size="many"),
    "record with a size of 2**60": _record("are allowed", size=2**60),
    "record of another schema": _record("schema version is 99", schema_version=99),
    "note of a run that points up": Case(build=lambda p: renoted(p, "x", name="../../x"), attempt=runs, says="belongs to another run"),
    "note with HTML": Case(build=lambda p: renoted(p, "<b>x<b>", name="<b>x<b>"), attempt=runs, says="cannot be used as a file name"),
    "note with an escape sequence": Case(build=lambda p: renoted(p, "\x1b[2J", name="\x1b[2J"), attempt=runs, says="as a file name"),
    "note with a bad digest": Case(build=lambda p: renoted(p, "points", stages=[["a", "../x"]]), attempt=runs, says="not a digest"),
    "note with a bad stage": Case(build=lambda p: renoted(p, "points", stages=[[HTML, DONE]]), attempt=runs, says="as a file name"),
    # what is no file
    "pipe as manifest": Case(build=replaced(MANIFEST, os.mkfifo), attempt=result, says="not a regular file"),
    "pipe as result": Case(build=replaced(RESULT, os.mkfifo), attempt=result, says="not a regular file"),
    "pipe as checkpoint": Case(build=replaced("work/*/*/state-*.h5", os.mkfifo), attempt=arrays, says="not a regular file"),
    "pipe as checkpoint record": Case(build=replaced("work/*/*/state-*.json", os.mkfifo), attempt=arrays, says="not a regular file"),
    "pipe as note": Case(build=replaced(NOTE, os.mkfifo), attempt=runs, says="not a regular file"),
    "pipe as format file": Case(build=replaced(FORMAT, os.mkfifo), attempt=result, says="cannot be read"),
    "socket as result": Case(build=replaced(RESULT, make_socket), attempt=result, says="cannot be read as promised"),
    "device as result": Case(build=replaced(RESULT, lambda path: path.symlink_to("/dev/zero")), attempt=result, says="cannot be read as"),
    "result of 100 GB": Case(build=replaced(RESULT, make_sparse), attempt=result, says="more than the"),
    "manifest of 100 GB": Case(build=replaced(MANIFEST, make_sparse), attempt=result, says="more than the"),
    "link as result": Case(build=replaced(RESULT, lambda path: path.symlink_to("/etc/passwd")), attempt=result, says="cannot be read as"),
    "link in place of a result's folder": Case(build=replaced("results/*/*", link_elsewhere), attempt=result, says="symbolic link inside"),
    "link in place of a work folder": Case(build=replaced("work/*/*", link_elsewhere), attempt=arrays, says="symbolic link inside"),
    "link in place of a run's folder": Case(build=replaced("runs/*", link_elsewhere), attempt=runs, says="symbolic link inside"),
}  # fmt: skip
