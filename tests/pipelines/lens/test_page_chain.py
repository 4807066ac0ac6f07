"""What a report tells of a chain: movements, searches, provenance and files."""

from __future__ import annotations

import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest

from fitcore import Importance, walk
from fitcore.search.base import NoCheckpoint, silent
from fitcore.search.problems import gaussian
from pipelines.lens.movement import movements
from pipelines.lens.noted import NOTED, in_words
from pipelines.lens.page_chain import healths, provenance, stage_rows, table_of
from pipelines.lens.report_content import Quantity
from pipelines.lens.search_pictures import SearchHealth, health_panel


def summary(values: dict[str, tuple[float, float]]) -> SimpleNamespace:
    told = {
        "median": {path: median for path, (median, _) in values.items()},
        "lower_1_sigma": {path: median - error for path, (median, error) in values.items()},
        "upper_1_sigma": {path: median + error for path, (median, error) in values.items()},
    }
    return SimpleNamespace(samples_summary=SimpleNamespace(by_path=told.__getitem__), model=SimpleNamespace(paths=tuple(values)))


def test_steps_are_in_errors_of_both_stages_and_the_farthest_is_first() -> None:
    earlier = summary({"a": (1.0, 0.1), "b": (2.0, 0.5), "gone": (0.0, 1.0), "fixed": (1.0, 0.0)})
    later = summary({"a": (1.05, 0.05), "b": (0.5, 0.25), "new": (3.0, 1.0), "fixed": (2.0, 1.0)})
    rows = {row.path: row for row in movements(earlier, later)}  # type: ignore[arg-type]
    assert list(rows)[:2] == ["b", "a"]
    assert set(rows) == {"a", "b", "fixed"}
    assert (rows["a"].in_earlier, rows["a"].in_later) == pytest.approx((0.5, 1.0))
    assert (rows["b"].before, rows["b"].after, rows["b"].in_earlier, rows["b"].in_later) == pytest.approx((2.0, 0.5, -3.0, -6.0))
    assert np.isnan(rows["fixed"].in_earlier)


def test_stages_are_compared_with_the_one_before(ring_chain: SimpleNamespace) -> None:
    outcomes = walk(ring_chain.pipeline, ring_chain.dataset, ring_chain.store)
    rows = stage_rows(outcomes, ring_chain.results, [], {"power_law": "It ran: so."})
    assert [row.before for row in rows] == ["", "basin", "isothermal"]
    assert not rows[0].moved
    assert "mass.slope" not in {step.path for step in rows[2].moved}
    assert "mass.einstein_radius" in {step.path for step in rows[2].moved}
    assert [row.why for row in rows] == ["", "", "It ran: so."]


def test_how_a_search_went_is_what_its_record_says(ring_chain: SimpleNamespace) -> None:
    outcomes = walk(ring_chain.pipeline, ring_chain.dataset, ring_chain.store)
    rows = healths(outcomes, ring_chain.results)
    for row, result in zip(rows, ring_chain.results.values(), strict=True):
        assert row.effective_sample_size == pytest.approx(result.samples.effective_sample_size)
        assert row.peak_memory > 1e7
        if np.isfinite(row.seconds_likelihood):
            assert row.seconds_compiling + row.seconds_likelihood + row.overhead == pytest.approx(row.seconds)
    facts = provenance(list(ring_chain.results.values())[-1], {"dataset": "here"})
    assert facts["data"] == "here"
    assert "jax version" in facts
    assert facts["device"]


def test_the_picture_of_a_search_follows_its_samples() -> None:
    rng = np.random.default_rng(1)
    health = SearchHealth(name="a", n_calls=900, log_likelihood=-rng.chisquare(5, 300), log_weight=np.zeros(300), seconds=3.0)
    panel = health_panel(health)
    assert panel.picture
    assert "300 samples of 900 calls, worth 300 of equal weight" in panel.caption
    late = SearchHealth(name="a", n_calls=900, log_likelihood=health.log_likelihood, log_weight=np.linspace(-30.0, 0.0, 300))
    assert health_panel(late).picture != panel.picture
    assert "worth 20 of equal weight" in health_panel(late).caption
    assert np.isnan(health.overhead)
    deep = SearchHealth(name="a", n_calls=9, log_likelihood=np.array([0.0, -1.0, -500.0]), log_weight=np.zeros(3))
    assert "1 samples lie lower" in health_panel(deep).caption
    none = SearchHealth(name="a", n_calls=0, log_likelihood=np.zeros(0), log_weight=np.zeros(0))
    assert health_panel(none).picture is None


def test_notes_have_words_and_what_has_none_is_kept() -> None:
    rows = list(in_words({"misfit_at.mass.center_x": 0.1, "pareto_k": 0.2, "grade": "A", "rivals": ""}))
    assert [row.key for row in rows] == ["grade", "pareto_k", "rivals", "misfit_at.mass.center_x"]
    assert rows[2].value == "none"
    assert rows[3].title == ""
    assert all(about.title and about.description for about in NOTED.values())


def test_what_the_warm_search_notes_has_words() -> None:
    outcome = Importance(n_eff=100, scout_starts=0).run(gaussian(2).with_proposal(), seed=1, checkpoint=NoCheckpoint(), progress=silent)
    unknown = {row.key for row in in_words(outcome.diagnostics) if not row.title}
    assert unknown <= {"finish", "first_efficiency", "first_k", "has_adapted", "n_attempts", "n_bends", "n_components", "n_rounds"}


def test_a_table_is_read_back_with_all_digits() -> None:
    row = Quantity(path='a,"b"', unit="arcsec", prior="Normal(0, 1)", median=1 / 3, lower=0.1, upper=0.5)
    file = table_of("x.csv", "words", [row])
    head, values = csv.reader(io.StringIO(file.text))
    told = dict(zip(head, values, strict=True))
    assert float(told["median"]) == 1 / 3
    assert told["name"] == 'a,"b"'
    assert told["best"] == ""
