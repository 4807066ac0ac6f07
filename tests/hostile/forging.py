"""How stores are forged, with hashes that are right wherever they can be, and what a user would do with one."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from damage import DONE, FINGERPRINT, RUNNING, fill
from payloads import ServedError
from smallchain import read_file

from fitcore.errors import FitcoreError
from fitcore.model import Model
from fitcore.store import Store, encoding, hdf5
from fitcore.store.layout import Layout

KEY = b"0123456789abcdef"


# ---- what a user does with a store ---------------------------------------------------------------------------------------------------


def told(read: Callable[[Store], Any], place: Path, *, key: bytes | None = None) -> str:
    """What is said in words while it is read; first the whole store is verified, which must get through."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = None
        try:
            store = Store(place / "store", key=key)
            store.verify()
            found = read(store)
        except FitcoreError as error:
            return f"{error}"
    if found is not None:
        raise ServedError(repr(found)[:200])
    return " ".join(str(warning.message) for warning in caught)


def read_result(store: Store, part: str = "result") -> Any:
    record = store.lookup(DONE, part)
    return None if record is None else (record.attributes, record.arrays())


def read_arrays(store: Store) -> Any:
    return store.checkpoint(RUNNING, fingerprint=FINGERPRINT).load_arrays()


def read_foreign(store: Store) -> Any:
    return store.checkpoint(RUNNING, fingerprint=FINGERPRINT).load_through(read_file)


def read_runs(store: Store) -> Any:
    return store.runs() or None


def read_internal(store: Store) -> Any:
    return pickle.loads(store.read_internal(DONE, trust=True))


def read_untrusted(store: Store) -> Any:
    return pickle.loads(store.read_internal(DONE))


def read_model(store: Store) -> Any:
    return Model.from_dict(store.read(DONE).attributes["model"])


# ---- forging -------------------------------------------------------------------------------------------------------------------------


def result_folder(place: Path) -> Path:
    return Layout(place / "store").result_folder(DONE)


def work_folder(place: Path) -> Path:
    return Layout(place / "store").work_folder(RUNNING)


def put(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def good_store(place: Path) -> None:
    """A sound store to spoil, made once and copied."""
    template = place.parent / "template"
    if not template.exists():
        fill(Store(template))
    shutil.copytree(template, place / "store")


def sealed(build: Callable[[h5py.File], None], attributes: bytes = b"{}", marks: dict[str, Any] | None = None) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest", userblock_size=hdf5.SEAL_BYTES) as file:
        file.attrs.update({"schema_version": 1, "digest": DONE, "part": "result", "parent_sha256": "", **(marks or {})})
        file["attributes.json"] = np.frombuffer(attributes, dtype=np.uint8)
        build(file)
    data = buffer.getvalue()
    return hdf5._seal(data) + data[hdf5.SEAL_BYTES :]


def forged(place: Path, build: Callable[[h5py.File], None], attributes: bytes = b"{}", marks: dict[str, Any] | None = None) -> None:
    """A result's file with a commit record that is right about its hash."""
    good_store(place)
    data = sealed(build, attributes, marks)
    changes = {"files": {"result.h5": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}}
    put(result_folder(place) / "result.h5", data)
    retold(place, **changes)


def retold(place: Path, **changes: Any) -> None:
    """A commit record that is whole, with some fields changed."""
    if not (result_folder(place) / "manifest.json").exists():
        good_store(place)
    manifest = result_folder(place) / "manifest.json"
    put(manifest, encoding.signed({**encoding.unsigned(manifest.read_bytes()), **changes}, "manifest"))


def raw(name: str, data: bytes | Callable[[], bytes]) -> Callable[[Path], None]:
    """These bytes in place of some files of the store."""

    def build(place: Path) -> None:
        good_store(place)
        for path in sorted((place / "store").glob(name)):
            put(path, data() if callable(data) else data)

    return build


def resaved(place: Path, **changes: Any) -> None:
    """The newest checkpoint's record of arrays, whole, with some fields changed."""
    good_store(place)
    for path in work_folder(place).glob("state-*.json"):
        put(path, encoding.signed({**encoding.unsigned(path.read_bytes()), **changes}, "checkpoint record"))


def restated(place: Path, data: bytes, suffix: str) -> None:
    """Other bytes as the file of every checkpoint of a kind, with the right hash."""
    good_store(place)
    for path in work_folder(place).glob("state-*.json"):
        record = encoding.unsigned(path.read_bytes())
        if record["file"].endswith(suffix):
            put(path.parent / record["file"], data)
            changes = {"sha256_of_file": hashlib.sha256(data).hexdigest(), "size": len(data)}
            put(path, encoding.signed({**record, **changes}, "checkpoint record"))


def foreign(build: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    """A file of another library."""

    def make(place: Path) -> None:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            build(file)
        restated(place, buffer.getvalue(), ".hdf5")

    return make


def renoted(place: Path, folder: str, **changes: Any) -> None:
    """The note of a run, whole, in another folder and with other fields."""
    good_store(place)
    path = place / "store" / "runs" / "points" / "small.json"
    record = {**encoding.unsigned(path.read_bytes()), **changes}
    shutil.rmtree(path.parent)
    target = place / "store" / "runs" / folder / "small.json"
    target.parent.mkdir(parents=True)
    target.write_bytes(encoding.signed(record, "run"))


def replaced(name: str, make: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Something that is no file in place of a file, or a link in place of a folder."""

    def build(place: Path) -> None:
        good_store(place)
        for path in sorted((place / "store").glob(name)):
            if path.is_dir():
                path.rename(place / "elsewhere")
            else:
                path.unlink()
            make(path)

    return build


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def link_elsewhere(path: Path) -> None:
    path.symlink_to(next(parent for parent in path.parents if parent.name == "store").parent / "elsewhere")


def make_sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 100 * 2**30)
