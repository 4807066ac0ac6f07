"""The tables of a store: rows without samples, results on demand, and what is damaged named without stopping the list."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitcore as fc
from fitcore.store import QuarantineWarning, StoreWarning
from fitcore.store.listing import told
from tests.hostile import smallchain

THREE = {"median": 1.0, "lower": 0.9, "upper": 1.2}


def note(digests: dict[str, str], **more: Any) -> dict[str, Any]:
    stage = {"cached": False, "n_calls": 80, "log_evidence": -1.5, "log_evidence_error": 0.1, "seconds": 0.5, "grade": "A"}
    summary = {"verdict": "accepted", "headline": "sum", "reasons": ["a", "b"], "parameters": {"a": THREE}, "latents": {"sum": THREE}}
    return {
        "summary": {**summary, **more},
        "outcomes": [{"name": name, "digest": digest, **stage} for name, digest in digests.items()],
        "seed": 5,
        "settings": {},
        "report": "r.html",
    }


@pytest.fixture
def store(tmp_path: Path) -> fc.Store:
    results = smallchain.run_chain(tmp_path / "store")
    store = fc.Store(tmp_path / "store")
    digests = {name: result.digest for name, result in results.items()}
    store.record_run(smallchain.NAME, smallchain.PIPELINE, digests, note(digests, measures={"peak": 4.5}, blame="mask"))
    return store


def test_chains(store: fc.Store) -> None:
    table = store.chains()
    assert table.names[:6] == ("name", "pipeline", "verdict", "log_evidence", "n_calls", "seconds")
    assert dict(table[0]) | {"name": "points", "n_calls": 160, "seconds": 1.0, "a_upper": 1.2, "sum": 1.0} == dict(table[0])
    assert (table[0]["peak"], table[0]["blame"], table[0]["reasons"]) == (4.5, "mask", "a; b")
    assert list(table[0].results) == ["first", "second"]
    assert table[0].result.digest == table[0]["digest"]


def test_the_row_is_what_run_prints(store: fc.Store) -> None:
    (row,) = store.listed_chains().rows
    whole = told(row)
    assert whole["parameters"] == {"a": THREE}
    assert json.loads(json.dumps(whole)) == whole
    assert set(whole) == {
        *("name", "pipeline", "status", "verdict", "headline", "reasons", "stages", "parameters", "latents", "measures", "blame", "units"),
        *("seed", "report"),
    }


def test_the_report_is_where_the_store_is_now(store: fc.Store, tmp_path: Path) -> None:
    store.path.rename(tmp_path / "moved")
    (row,) = fc.Store(tmp_path / "moved").listed_chains().rows
    assert row["report"] == str(tmp_path / "moved" / "reports" / smallchain.PIPELINE / f"{smallchain.NAME}.html")


def test_results_and_samples_on_demand(store: fc.Store) -> None:
    table = store.table()
    assert sorted(table["stage"]) == ["first", "second"]
    last = table.where("stage=second")
    assert (last[0]["verdict"], last[0]["pipeline"], last[0]["n_calls"]) == ("accepted", "small", 80)
    assert last[0]["sum"] == 1.0  # latent variables are those of the note
    assert np.isnan(table.where("stage=first")[0]["sum"])
    result = last[0].result
    assert result.samples_summary.median[0] == last[0]["a"]
    assert len(result.samples) == 80
    assert result.samples.model == result.model
    assert result.latent_samples is not None
    assert result.is_cached
    assert result.provenance["name"]
    assert result.projected_model.n_dim == 2
    assert last[0].record.digest == result.digest
    with pytest.raises(fc.ConfigError, match="a store keeps no analysis"):
        fc.rerun_hooks(result)


def test_a_result_by_the_beginning_of_its_digest(store: fc.Store) -> None:
    digest = store.digests()[0]
    assert fc.read_result(store, digest[:10]).digest == digest
    with pytest.raises(fc.ConfigError, match=r"2 results of .* begin with ''"):
        fc.read_result(store, "")
    with pytest.raises(fc.ResultNotFoundError, match="begins with 'zz'"):
        fc.read_result(store, "zz")


def test_damage_is_named_and_stops_nothing(store: fc.Store) -> None:
    digests = dict(store.chains().origins[0])
    for name in ("good", "torn", "odd"):
        store.record_run(name, "small", digests, note(digests))
    torn = store.path / "runs" / "torn" / "small.json"
    torn.unlink()
    torn.write_bytes(b"{")
    store.record_run("odd", "small", digests, note(digests, latents=5))
    with pytest.warns(StoreWarning) as caught:
        assert list(store.chains()["name"]) == ["good", "points"]
    texts = [str(warning.message) for warning in caught]
    assert any("torn/small.json, cannot be read" in text for text in texts)
    assert any("'odd' with pipeline 'small' cannot be shown: extra.summary.latents is 5" in text for text in texts)
    torn.unlink()
    (store.path / "runs" / "odd" / "small.json").unlink()
    record = store.read(digests["second"])
    record.path.chmod(0o644)
    record.path.write_bytes(b"x")
    with pytest.warns(QuarantineWarning, match=r"result\.h5"):
        assert list(store.table()["digest"]) == [digests["first"]]
    with pytest.warns(StoreWarning) as caught:
        assert len(store.chains()) == 2
    lost = "the result of its stage second is not in the store any more; run the chain again to compute it"
    assert [str(warning.message) for warning in caught] == [f"good: {lost}", f"points: {lost}"]


def test_an_empty_store(tmp_path: Path) -> None:
    store = fc.Store(tmp_path / "empty")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (len(store.table()), len(store.chains())) == (0, 0)
    assert len(store.chains().where("n_calls>3", "verdict = accepted").sorted_by("name", "-seconds")) == 0
    assert "0 chains" in store._repr_html_()
