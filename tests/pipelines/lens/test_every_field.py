"""Whatever could change a number of a lens makes another digest, and the difference names it; whatever could not, does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore import Less, Model, ModelError, Request, Store, Uniform, differences
from fitcore.chain import asked, request_of
from fitcore.model import Prior
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.entry import LENS

ROOT = Path(__file__).resolve().parents[3]


def other(value: Any) -> Any:
    """Another value of the same kind, as near as can be."""
    if isinstance(value, bool):
        return not value
    if value is None or isinstance(value, int):
        return (value or 0) + 21
    if isinstance(value, float):
        return float(np.nextafter(value, np.inf))
    if isinstance(value, str):
        return {"importance": "nautilus", "nautilus": "importance"}.get(value, value + "x")
    raise TypeError(type(value))


def changed_searches(request: Request) -> Iterator[tuple[str, Request]]:
    for item in fields(request.search):
        search = replace(request.search, **{item.name: other(getattr(request.search, item.name))})
        yield f"search.{item.name}", replace(request, search=search)


def moved(model: Model, path: str, prior: Any, name: str) -> Model:
    """The model with one number of a prior moved by one unit in the last place, to the side that its domain allows."""
    value = getattr(prior, name)
    try:
        return model.replace({path: replace(prior, **{name: other(value)})})
    except ModelError:
        return model.replace({path: replace(prior, **{name: float(np.nextafter(value, -np.inf))})})


def changed_priors(request: Request) -> Iterator[tuple[str, Request]]:
    for path, prior in request.model.priors.items():
        assert is_dataclass(prior)
        for item in fields(prior):
            yield path, replace(request, model=moved(request.model, path, prior, item.name))
        yield path, replace(request, model=request.model.replace({path: float(prior.transform(0.5))}))
    first, second = request.model.paths[:2]
    yield "constraints", replace(request, model=Model(request.model.tree, constraints=(Less(first, second),)))


def changed_data(request: Request) -> Iterator[tuple[str, Request]]:
    analysis = request.analysis
    assert isinstance(analysis, LensAnalysis)
    dataset = analysis.dataset
    row, column = np.argwhere(dataset.used & (np.hypot(dataset.x, dataset.y) < 1.0))[7]

    def at(array: Any, place: tuple[int, int], value: Any) -> Any:
        found = np.array(array)
        found[place] = value
        return found

    middle = dataset.psf.shape[0] // 2, dataset.psf.shape[1] // 2
    noise = dataset.noise[row, column]
    for name, image in {
        "data": replace(dataset, data=at(dataset.data, (row, column), dataset.data[row, column] + 1e-3 * noise)),
        "noise": replace(dataset, noise=at(dataset.noise, (row, column), np.nextafter(noise, 1.0))),
        "psf": replace(dataset, psf=at(dataset.psf, middle, dataset.psf[middle] * (1 + 1e-9))),
        "mask": replace(dataset, mask=at(dataset.used, (row, column), False)),
        "pixel_scale": replace(dataset, pixel_scale=float(np.nextafter(dataset.pixel_scale, 1.0))),
        "mask_radius": replace(dataset, mask_radius=2.0 + 1e-9),
        "center": replace(dataset, center=(1e-9, 0.0)),
        "redshift_lens": replace(dataset, redshift_lens=0.3),
        "redshift_source": replace(dataset, redshift_source=0.9),
        "magnitude_zero_point": replace(dataset, magnitude_zero_point=25.9),
        "position_angle_of_y": replace(dataset, position_angle_of_y=1e-9),
        "is_mirrored": replace(dataset, is_mirrored=True),
        "neighbors": replace(dataset, neighbors=((1.5, 0.0, 0.2),)),
        "noise_factor": replace(dataset, noise_factor=1.0 + 1e-9),
    }.items():
        yield name, replace(request, analysis=LensAnalysis(image, recenter=analysis.recenter, misfit=analysis.misfit))
    yield "recenter", replace(request, analysis=LensAnalysis(dataset, recenter=not analysis.recenter, misfit=analysis.misfit))
    if analysis.misfit is not None:
        for item in fields(analysis.misfit.inadequacy):
            inadequacy = replace(analysis.misfit.inadequacy, **{item.name: other(getattr(analysis.misfit.inadequacy, item.name))})
            misfit = replace(analysis.misfit, inadequacy=inadequacy)
            yield f"misfit.inadequacy.{item.name}", replace(request, analysis=LensAnalysis(dataset, misfit=misfit))
        instance = {**analysis.misfit.instance, "shear": replace(analysis.misfit.instance["shear"], gamma_1=0.0)}
        yield "gamma_1", replace(request, analysis=LensAnalysis(dataset, misfit=replace(analysis.misfit, instance=instance)))


@pytest.fixture(scope="module")
def requests(ring_chain: SimpleNamespace) -> dict[str, Request]:
    """What each stage of the chain asks for, with the searches of the real pipeline."""
    pipeline = LENS.build({})
    return {stage.name: request_of(pipeline, stage, ring_chain.dataset, ring_chain.results, seed=0) for stage in pipeline}


def test_every_field_of_every_stage(requests: dict[str, Request], monkeypatch: pytest.MonkeyPatch) -> None:
    digests: set[str] = set()
    n = 0
    for request in requests.values():
        changes = [*changed_searches(request), *changed_priors(request), *changed_data(request)]
        changes.append(("seed", replace(request, seed=request.seed + 1)))
        if request.proposal is not None:
            proposal = request.proposal
            changes.append(("proposal.parent", replace(request, proposal=replace(proposal, parent="0" * 64))))
            changes.append(("proposal.scale", replace(request, proposal=replace(proposal, scale=1.5))))
            changes.append(("proposal.shared", replace(request, proposal=replace(proposal, shared=proposal.shared[:-1]))))
            changes.append(("proposal", replace(request, proposal=None)))
        digests.add(request.digest)
        for name, change in changes:
            told = differences(request.specification, change.specification)
            assert told, f"{name} makes no other request"
            assert any(name in line for line in told), f"{name} is not named: {told}"
            digests.add(change.digest)
        n += len(changes)
        with monkeypatch.context() as patch:
            patch.setattr(LensAnalysis, "version", LensAnalysis.version + 1)
            again = replace(request)
            assert again.digest not in digests
            digests.add(again.digest)
            n += 1
    print(f"{n} changes")
    assert len(digests) == n + len(requests)
    assert n > 150


def test_what_moves_no_number_is_no_part_of_it(requests: dict[str, Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for request in requests.values():
        analysis = request.analysis
        assert isinstance(analysis, LensAnalysis)
        renamed = replace(analysis.dataset, name="another", band="F814W")
        same = LensAnalysis(renamed, recenter=analysis.recenter, misfit=analysis.misfit)
        assert replace(request, analysis=same, name="another", n_latents=7).digest == request.digest


CODE = """
import sys
from pathlib import Path
from fitcore import Store
from fitcore.chain import asked
from pipelines.lens.entry import LENS
(request,) = asked(LENS.build({}), LENS.load(Path(sys.argv[1])), Store(sys.argv[2])).values()
print(request.digest)
"""


def test_another_process_and_another_place_ask_for_the_same(tmp_path: Path) -> None:
    LENS.simulate(tmp_path / "made", seed=3)
    (here,) = asked(LENS.build({}), LENS.load(tmp_path / "made"), Store(tmp_path / "store")).values()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "made").rename(tmp_path / "elsewhere" / "lens")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "HOSTNAME": "another", "LC_ALL": "C"}
    words = [sys.executable, "-c", CODE, str(tmp_path / "elsewhere" / "lens"), str(tmp_path / "another store")]
    answer = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == here.digest


def test_a_wider_prior_is_another_request(requests: dict[str, Request]) -> None:
    request = requests["power_law"]
    path, prior = next((path, prior) for path, prior in request.model.priors.items() if isinstance(prior, Prior))
    assert not isinstance(prior, float)
    model = request.model.replace({path: Uniform(-50.0, 50.0)})
    (line, *_) = differences(request.specification, replace(request, model=model).specification)
    assert path.split(".")[-1] in line
