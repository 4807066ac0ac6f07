"""What `fitcore doctor` finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows import doctor
from flows.settings import Settings


def examined(tmp_path: Path, url: str | None = None, **paths: Path) -> dict[str, doctor.Finding]:
    cache = paths.get("cache", tmp_path / "cache")
    settings = Settings(store=tmp_path, cache=cache, threads=1, prefect_api_url=url, server_seconds=0.3, no_color=True)
    return {finding.name: finding for finding in doctor.examine(settings, paths.get("store", tmp_path / "store"))}


def test_all_is_well(tmp_path: Path) -> None:
    found = examined(tmp_path)
    assert [name for name, finding in found.items() if not finding.is_good] == []
    assert list(found) == ["Python", "packages", "pipelines", "JAX device", "store", "cache", "Prefect server"]
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
        "cache",
        "Prefect server",
    }
    assert found["packages"].seen.startswith("numpy<1 (found ")
    assert "nosuchpackage (found None)" in found["packages"].seen
    assert "colorama" not in found["packages"].seen
    text = found["Prefect server"].text()
    assert text.startswith("BAD  Prefect server: No Prefect server answers at http://127.0.0.1:9/api")
    assert text.endswith("Start it, or unset PREFECT_API_URL.")
    assert found["store"].text().endswith("Name another by --store.")
    assert found["cache"].text().endswith("Set FITCORE_CACHE to a folder that can be written.")
    assert found["JAX device"].seen == "no device"


def test_a_folder_of_other_things_is_no_store(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(doctor, "DEVICE", "")
    (tmp_path / "thesis.tex").touch()
    assert not examined(tmp_path, store=tmp_path)["store"].is_good
