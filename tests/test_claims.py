"""Numbers in the documents: what they name exists, what was measured is what is kept, and the claims that no other test is for."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitcore as fc
from fitcore.search import dynesty
from fitcore.search.base import NoCheckpoint, silent
from fitcore.search.problems import gaussian

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_test_and_file_that_the_documents_name_exists(path: Path) -> None:
    tests = {name for file in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", text_of(file))}
    tests |= {file.stem for file in (ROOT / "tests").rglob("*.py")}
    named = set(re.findall(r"`(test_\w+)`", text_of(path)))
    assert named <= tests, f"there is no {sorted(named - tests)}"
    files = re.findall(r"`((?:tests|benchmarks)/[\w./]+)`", text_of(path))
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_the_documents_of_the_list_exist() -> None:
    named = set(re.findall(r"`([a-z]+\.md)`", text_of(ROOT / "docs" / "claims.md")))
    assert {"hooks.md", "likelihoods.md", "linking.md", "priors.md", "searches.md"} <= named <= {path.name for path in DOCS}


def kept(name: str) -> Any:
    return json.loads(text_of(ROOT / "benchmarks" / name))


def test_the_readme_tells_the_kept_figures() -> None:
    readme = text_of(ROOT / "README.md")
    rows = kept("speed.json")["rows"]
    for name in (
        "Nautilus()",
        "Nautilus(n_live=300)",
        'Nautilus(finish="nautilus")',
        *(f"nautilus-sampler, {n}" for n in ("1 network", "4 networks")),
    ):
        assert f"{rows[name]['calls']:,}" in readme, f"the README does not tell the {rows[name]['calls']:,} calls of {name}"
    finished = [abs(error) / row["claim"] for name, row in rows.items() if name.startswith("Nautilus") for error in row["errors"]]
    told = re.search(r"within ([\d.]+) claimed errors in all (\w+) of our runs", readme)
    assert told
    assert max(finished) <= float(told[1]) + 0.05
    assert len(finished) == int(told[2])
    for row in kept("proposals.json"):
        for kind in ("proposal", "cold"):
            assert f"{row[kind]['log_evidence']:.3f}" in readme
            assert f"{row[kind]['calls']:,}" in readme
        assert abs(row["difference_in_errors"]) < 3


def test_the_readme_tells_the_evidences_and_the_seeded_runs() -> None:
    readme = text_of(ROOT / "README.md")
    found = kept("evidences.json")
    worst = max(row["worst_pull"] for row in found["rows"].values())
    assert f"{found['chi2']} over {found['n']} runs, largest {worst:.2f}" in readme
    assert found["chi2"] < 2 * found["n"]
    seeded = kept("seeded.json")
    for letter in "AB":
        total = seeded["totals"][letter]
        assert f"{letter} {total['n']:,}" in readme
        assert f"{total['pull']:.2f}" in readme
    for name in ("gaussian 10", "gaussian 15", "banana 10", "banana 15"):
        assert f"{seeded['rows'][f'{name} stock']['calls']:,}" in readme


SEARCHES = [fc.Nautilus(), fc.Importance(), fc.MultiStart(), fc.NUTS(), fc.Dynesty()]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: type(search).__name__)
def test_every_setting_of_every_search_is_in_the_digest(search: Any) -> None:
    digests = {fc.digest(search.identity())}
    fields = [field for field in dataclasses.fields(search) if field.init]
    other = {"finish": "nautilus", "method": "simplex", "sample": "unif"} | ({"n_live": 77} if getattr(search, "n_live", 0) is None else {})
    for field in fields:
        value = getattr(search, field.name)
        changed = other.get(field.name, 0.9 * value if isinstance(value, float) else value + 1 if isinstance(value, int) else None)
        digests.add(fc.digest(dataclasses.replace(search, **{field.name: changed}).identity()))
    assert len(digests) == len(fields) + 1


def run_dynesty(n_live: int) -> Any:
    return fc.Dynesty(n_live=n_live, d_log_z=0.5).run(gaussian(2).problem, seed=1, checkpoint=NoCheckpoint(), progress=silent)


def test_dynestys_error_falls_as_the_root_of_its_live_points() -> None:
    few, many = (run_dynesty(n_live).log_evidence_error for n_live in (30, 120))
    assert few / many == pytest.approx(2.0, rel=0.25)


@pytest.mark.parametrize(("n_live", "most"), [(40, 10), (400, 32)])
def test_walkers_are_at_most_a_quarter_of_the_live_points(n_live: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class EnoughError(Exception):
        pass

    sizes = []

    def lockstep(_: Any, *, size: int) -> Any:
        sizes.append(size)
        raise EnoughError

    monkeypatch.setattr(dynesty, "Lockstep", lockstep)
    with pytest.raises(EnoughError):
        run_dynesty(n_live)
    assert sizes == [most]


class Plateau(fc.Analysis):
    """One within 0.5 % of the prior, impossible elsewhere."""

    def log_likelihood_function(self, instance: Any) -> float:
        return 1.0 if max(abs(instance["a"] - 0.1), abs(instance["b"] + 0.2)) < math.sqrt(0.005) else -math.inf


@pytest.mark.slow
@pytest.mark.parametrize("finish", ["importance", "nautilus"])
def test_small_plateaus(finish: str) -> None:
    """What ``docs/likelihoods.md`` says of either finish."""
    model, exact = fc.Model({"a": fc.Uniform(-1, 1), "b": fc.Uniform(-1, 1)}), 1.0 + math.log(0.005)
    search = fc.Nautilus(n_live=100, n_eff=1000, finish=finish)
    results = [fc.fit(model, Plateau(), search, seed=seed, progress=False) for seed in range(5)]
    errors = np.array([result.log_evidence - exact for result in results])
    claims = np.array([result.log_evidence_error for result in results])
    assert np.all(np.abs(errors) < 3.0 * claims)
