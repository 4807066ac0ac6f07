"""The flow `latents` looks at the store that it shall share before anything else, and is no second way to compute."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fitcore as fc
from flows.catalogue import chain_of, find
from flows.latents import check_shared, latents
from flows.worker import Worker

PLUGIN = Path(__file__).resolve().parent / "plugin"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, str]]:
    """A chain of the toy, run in this process: dataset folder, store, digests by stage."""
    base = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PLUGIN)
        entry = find("toy")
        dataset = entry.load(entry.simulate(base / "line", 3))
        results = fc.run_pipeline(chain_of(entry, dataset, {}), dataset, fc.Store(base / "store"))
    return base / "line", base / "store", {name: result.digest for name, result in results.items()}


@pytest.fixture
def digests(finished: tuple[Path, Path, dict[str, str]]) -> dict[str, str]:
    return dict(finished[2])


def test_a_store_that_has_the_results(finished: tuple[Path, Path, Any], digests: dict[str, str]) -> None:
    assert list(digests) == ["first", "second"]
    check_shared(str(finished[1]), digests)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, digests: dict[str, str]) -> None:
    with pytest.raises(fc.ConfigError, match=r"There is no store .*/absent on .*one store: mount the disk that has it, under the same"):
        check_shared(str(tmp_path / "absent"), digests)
    assert not (tmp_path / "absent").exists()


def test_another_store_of_the_same_name(finished: tuple[Path, Path, Any], tmp_path: Path, digests: dict[str, str]) -> None:
    store = tmp_path / "store"
    fc.Store(store)
    told = rf"does not have the results of 'first' \({digests['first'][:12]}\), 'second' .*another folder of the same name\? .*mount"
    with pytest.raises(fc.ConfigError, match=told):
        check_shared(str(store), digests)
    shutil.copytree(finished[1], store, dirs_exist_ok=True)
    folder = store / "results" / digests["second"][:2] / digests["second"]
    shutil.rmtree(folder)
    with pytest.raises(fc.ConfigError, match=r"does not have the results of 'second'"):
        check_shared(str(store), digests)


def test_it_takes_what_a_fit_gives(digests: dict[str, str]) -> None:
    given = {"dataset", "pipeline", "store", "seed", "settings", "stage", "digests"}
    properties = latents.parameters.properties
    assert set(properties) == given | {"attempts", "device"}
    assert properties["device"]["enum"] == ["gpu", "cpu", "any"]


def request_to(dataset: Path, store: Path, digests: dict[str, str], **more: Any) -> dict[str, Any]:
    common = {"dataset": str(dataset), "pipeline": "toy", "store": str(store), "seed": 0, "settings": {}}
    return {"operation": "latents", "stage": "second", "digests": digests, **common, **more}


def test_a_worker_computes_them_where_the_device_is_there(
    finished: tuple[Path, Path, Any], tmp_path: Path, digests: dict[str, str], installed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, store = finished[0], tmp_path / "store"
    shutil.copytree(finished[1], store)
    folder = store / "results" / digests["second"][:2] / digests["second"]
    before = fc.Store(store).read(digests["second"], "latents").sha256
    (folder / "latents.part.h5").unlink()
    worker = Worker(capsys, threads=1)  # type: ignore[arg-type]  # nothing is written
    worker.send = lambda **event: None
    assert worker.answer({**request_to(dataset, store, digests), "operation": "latents_part"}) == "latents"
    with pytest.raises(fc.ConfigError, match=r"latent variables of stage 'second': a gpu is required.*Line has use_jax=False"):
        worker.answer(request_to(dataset, store, digests, device="gpu"))
    answer = worker.answer(request_to(dataset, store, digests, device="cpu"))
    assert answer["device"].startswith("NumPy on ")
    assert (answer["digest"], answer["cached"]) == (digests["second"], False)
    assert fc.Store(store).read(digests["second"], "latents").sha256 == before
    assert worker.answer(request_to(dataset, store, digests, device="gpu"))["cached"]


def test_another_dataset_under_the_same_path_is_told(
    finished: tuple[Path, Path, Any], digests: dict[str, str], installed: None, make_points: Callable[..., Path]
) -> None:
    worker = Worker(None, threads=1)  # type: ignore[arg-type]  # nothing is written
    worker.send = lambda **event: None
    with pytest.raises(fc.ConfigError, match=r"Stage 'first' was given as .*but this dataset.*are they others on another machine\?"):
        worker.answer(request_to(make_points(), finished[1], digests))
