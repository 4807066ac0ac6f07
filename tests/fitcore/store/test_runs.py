"""The index of names: found by name, and made anew from the manifests."""

import shutil

import pytest

from fitcore.errors import ConfigError, ResultNotFoundError
from fitcore.store import Store, StoreWarning

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


def test_runs_by_name(tmp_path):
    store = Store(tmp_path)
    assert store.runs() == []
    with pytest.raises(ResultNotFoundError, match=r"no run of 'x' in the store .* it has: none"):
        store.run("x")
    store.record_run("SDSSJ0946", "lens", {"parametric": B, "light": A}, {"verdict": "lens"})
    store.record_run("other", "lens", {"light": C})
    run = store.run("SDSSJ0946")
    assert list(run["stages"].items()) == [("parametric", B), ("light", A)]  # the order of the chain
    assert run["extra"] == {"verdict": "lens"}
    assert [run["name"] for run in store.runs()] == ["SDSSJ0946", "other"]
    with pytest.raises(ResultNotFoundError, match="it has: SDSSJ0946, other"):
        store.run("x")


def test_the_last_note_counts(tmp_path):
    store = Store(tmp_path)
    store.record_run("x", "lens", {"light": A})
    store.record_run("x", "lens", {"light": B})
    store.record_run("x", "toy", {"line": C})
    assert store.run("x")["pipeline"] == "toy"
    assert store.run("x", "lens")["stages"] == {"light": B}
    with pytest.raises(ResultNotFoundError, match="with pipeline 'none'"):
        store.run("x", "none")


def test_the_runs_of_a_name_are_read_alone(tmp_path):
    store = Store(tmp_path)
    store.record_run("x", "lens", {"light": A})
    store.record_run("y", "lens", {"light": B})
    (tmp_path / "runs" / "y" / "lens.json").write_text("{")
    assert [run["stages"] for run in store.runs("x")] == [{"light": A}]  # a note of y that is read would warn
    assert store.run("x")["stages"] == {"light": A}
    assert store.runs("../runs/x") == store.runs("z") == []


@pytest.mark.parametrize(
    ("name", "pipeline", "stages"),
    [("../x", "lens", {"a": A}), ("x", "le ns", {"a": A}), ("x", "lens", {"a b": A}), ("x", "lens", {"a": "short"})],
)
def test_bad_names_are_refused(tmp_path, name, pipeline, stages):
    with pytest.raises(ConfigError, match=r"cannot be used as a file name|is not a digest"):
        Store(tmp_path).record_run(name, pipeline, stages)


def test_unreadable_notes_are_left_out_and_named_by_verify(tmp_path):
    store = Store(tmp_path)
    store.record_run("x", "lens", {"light": A})
    (tmp_path / "runs" / "x" / "bad.json").write_text("{")
    with pytest.warns(StoreWarning, match=r"x/bad\.json, cannot be read .*notes it again"):
        assert len(store.runs()) == 1
    damaged = [finding for finding in store.verify() if finding.is_damage]
    assert [finding.path.name for finding in damaged] == ["bad.json"]


def test_the_index_is_made_anew_from_the_manifests(tmp_path):
    store = Store(tmp_path)
    for digest, stage, order in ((B, "light", 0), (A, "mass", 1)):
        told = {"run": {"name": "x", "pipeline": "lens", "stage": stage, "order": order}}
        store.commit(digest, arrays={}, attributes={}, spec={}, provenance=told)
    store.commit(C, arrays={}, attributes={}, spec={})
    store.record_run("x", "lens", {"light": B, "mass": A})
    before = list(store.run("x")["stages"].items())
    shutil.rmtree(tmp_path / "runs")
    assert store.rebuild_runs() == 1
    assert list(store.run("x")["stages"].items()) == before
