"""What `fitcore doctor` finds."""

from __future__ import annotations

import fcntl
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fitcore.store.probing import file_system, lock_faults
from flows import doctor
from flows.settings import Settings


def examined(tmp_path: Path, url: str | None = None, **paths: Path) -> dict[str, doctor.Finding]:
    cache = paths.get("cache", tmp_path / "cache")
    settings = Settings(store=tmp_path, cache=cache, threads=1, prefect_api_url=url, server_seconds=0.3, no_color=True)
    return {finding.name: finding for finding in doctor.examine(settings, paths.get("store", tmp_path / "store"))}


def test_all_is_well(tmp_path: Path) -> None:
    found = examined(tmp_path)
    assert [name for name, finding in found.items() if not finding.is_good] == []
    assert list(found) == [
        *("Python", "packages", "lock", "pipelines", "settings", "JAX device", "store", "locks", "disk of the store", "compile cache"),
        *("disk of the cache", "Prefect server"),
    ]
    assert found["JAX device"].seen.endswith("in float64")
    assert "lens" in found["pipelines"].seen
    assert "does not exist yet" in found["store"].seen
    assert not (tmp_path / "store").exists()


def test_each_fault_has_its_remedy(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(doctor, "DEVICE", "raise SystemExit('no device')")
    monkeypatch.setattr(
        doctor.importlib.metadata, "requires", lambda name: ["numpy<1", "nosuchpackage", "colorama; sys_platform == 'win32'"]
    )
    found = examined(tmp_path, "http://127.0.0.1:9/api", store=tmp_path / "file", cache=tmp_path / "file" / "cache")
    assert {name for name, finding in found.items() if not finding.is_good} == {
        "packages",
        "JAX device",
        "store",
        "compile cache",
        "Prefect server",
    }
    assert found["packages"].seen.startswith("numpy<1 (found ")
    assert "nosuchpackage (found None)" in found["packages"].seen
    assert "colorama" not in found["packages"].seen
    text = found["Prefect server"].text()
    assert text.startswith("BAD  Prefect server: No Prefect server answers at http://127.0.0.1:9/api")
    assert text.endswith("Start it, or unset PREFECT_API_URL.")
    assert found["store"].text().endswith("Name another by --store.")
    assert found["compile cache"].text().endswith("Set FITCORE_CACHE to a folder that can be written.")
    assert found["JAX device"].seen == "no device"


def test_a_folder_of_other_things_is_no_store(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(doctor, "DEVICE", "")
    (tmp_path / "thesis.tex").touch()
    assert not examined(tmp_path, store=tmp_path)["store"].is_good


def test_the_lock_names_what_is_of_another_version(tmp_path: Path, monkeypatch: Any) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\nnosuchpackage==3\nprefect[aws]==0.2 ; python_version > '3'\n")
    monkeypatch.setattr(doctor, "LOCK", lock)
    found = doctor._lock()
    assert not found.is_good
    assert re.fullmatch(r"numpy \S+ \(lock 0.1\), prefect \S+ \(lock 0.2\)", found.seen)
    assert f"-r {lock}" in found.remedy
    monkeypatch.setattr(doctor, "LOCK", tmp_path / "none")
    assert doctor._lock().is_good


def test_locks_that_do_not_hold(tmp_path: Path, monkeypatch: Any) -> None:
    assert lock_faults(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(fcntl, "flock", lambda *words: None)
    monkeypatch.setattr("fitcore.store.durable.publish_first", lambda path, data: path.write_bytes(data) > 0)
    assert lock_faults(tmp_path) == ["two processes could both publish one result", "a lock does not keep another out"]
    found = doctor._locks(tmp_path)
    assert not found.is_good
    assert found.text().endswith("Put the store on a local disk, or let one machine at a time use it.")


def test_the_file_system_of_a_folder(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("a / ext4 rw 0 0\nb /data nfs4 rw 0 0\nc /data/my\\040disk xfs rw 0 0\nbroken\n")
    assert [file_system(Path(path), mounts) for path in ("/x", "/data/y", "/data/my disk/z")] == ["ext4", "nfs4", "xfs"]
    assert file_system(Path("/x"), tmp_path / "none") == ""


def test_a_full_disk_and_a_compile_cache(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e8))
    found = doctor._disk("disk of the store", tmp_path / "none")
    assert not found.is_good
    assert "0.1 GB free. Make room: below 537 MB runs warn, below 34 MB none begins" in found.text()
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "f").write_bytes(b"x" * 2_000_000)
    settings = Settings(store=tmp_path, cache=tmp_path, threads=1, prefect_api_url=None, server_seconds=0.3, no_color=True)
    assert doctor._cache(settings).seen == f"{tmp_path / 'jax'}: 1 compiled functions, 2 MB"


def test_a_server_of_another_version(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(doctor, "wait_until_ready", lambda url, seconds: 0.0)
    monkeypatch.setattr(doctor, "_version", lambda settings: "2.0")
    settings = Settings(store=tmp_path, cache=tmp_path, threads=1, prefect_api_url="http://h:1/api", server_seconds=0.3, no_color=True)
    found = doctor._server(settings)
    assert not found.is_good
    assert found.seen.startswith("http://h:1/api, Prefect 2.0, and here it is 3")
