"""The table of ``docs/hooks.md`` is true: a recording analysis goes through every column, and through every promise below it."""

from __future__ import annotations

import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.visualizer import Visualizer
from fitcore.chain import run_latents, run_stage
from fitcore.errors import ConfigError, ResultNotFoundError, SearchInterruptedError
from fitcore.fitting import Request, fit, run
from fitcore.hooks import HookWarning, rerun_hooks
from fitcore.model import Model, Normal, Tied, Uniform
from fitcore.stage import Pipeline, Stage
from fitcore.store import Store

ROOT = Path(__file__).resolve().parents[3]
DOCS = (ROOT / "docs" / "hooks.md", ROOT / "docs" / "likelihoods.md")
MODEL = Model({"a": Uniform(-1, 1), "b": Normal(0, 1)})
TRACES = 2  # lax.map may trace its body twice


class Recording(Visualizer):
    @staticmethod
    def visualize_before_fit(analysis: Any, paths: Any, model: Model) -> None:
        analysis.record("visualize_before_fit")

    @staticmethod
    def visualize(analysis: Any, paths: Any, instance: Any, during_analysis: bool) -> None:
        analysis.record("visualize")


class Recorder(Analysis):
    """Notes every hook that is called, and those on another thread apart."""

    Visualizer = Recording

    def __init__(self, use_jax: bool = False, updates: bool = True) -> None:
        super().__init__(use_jax=use_jax)
        self.updates = updates
        self.calls: list[str] = []
        self.background: list[str] = []
        self.shown = threading.Event()

    def record(self, name: str) -> None:
        (self.calls if threading.current_thread() is threading.main_thread() else self.background).append(name)

    def identity(self) -> dict[str, Any]:
        self.record("identity")
        return {"use_jax": self.use_jax}

    def log_likelihood_function(self, instance: Any) -> Any:
        self.record("log_likelihood_function")
        return -50 * (instance["a"] - 0.3) ** 2 - 50 * (instance["b"] + 0.2) ** 2

    def perform_quick_update(self, paths: Any, instance: Any) -> None:
        self.record("perform_quick_update")
        self.shown.set()

    @property
    def supports_background_update(self) -> bool:
        return self.updates

    def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
        self.record("compute_latent_variables")
        return {"sum": parameters[0] + parameters[1]}


def _recorded(name: str) -> Any:
    original = getattr(Analysis, name)

    def hook(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.record(name)
        return original(self, *args, **kwargs)

    return hook


for _name in (
    "modify_model",
    "modify_before_fit",
    "save_attributes",
    "modify_after_fit",
    "make_result",
    "save_results",
    "save_results_combined",
    "compute_latent_samples",
):
    setattr(Recorder, _name, _recorded(_name))


def table() -> dict[str, list[tuple[str, str]]]:
    """For each column of the table: hook and cell, in order."""
    lines = [line for line in DOCS[0].read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: next(i for i, r in enumerate(lines) if "word" in r)]]
    hooks = [re.match(r"`(\w+)\(", row[0]).group(1) for row in rows[2:]]  # pyright: ignore[reportOptionalMemberAccess]
    return {title: list(zip(hooks, (row[i] for row in rows[2:]), strict=True)) for i, title in enumerate(rows[0]) if i}


def check(column: str, analysis: Any, *, points: int, samples: int) -> None:
    """Compare what was recorded with a column."""
    counts = {"once": 1, "no": 0, "points": points, "missing points": points, "samples": samples}
    expected: list[str] = []
    for hook, cell in table()[column]:
        if cell == "some":
            assert hook in analysis.calls, hook
        elif cell == "background":
            assert (hook in analysis.background) == analysis.updates, hook
            assert hook not in analysis.calls, hook
        elif cell in ("points", "missing points", "samples") and analysis.use_jax:
            assert 1 <= analysis.calls.count(hook) <= TRACES, hook
            expected += [hook] * analysis.calls.count(hook)
        else:
            expected += [hook] * counts[cell]
    assert [name for name in analysis.calls if name != "identity"] == expected
    if dict(table()[column])["identity"] == "no":
        assert "identity" not in analysis.calls


def patient(analysis: Recorder) -> Any:
    """News that wait for the first quick update, so that the search does not end before it."""
    return lambda event: analysis.updates and event.u_best is not None and analysis.shown.wait(10)


def test_the_table_names_every_hook_that_is_recorded() -> None:
    found = table()
    assert list(found) == ["first run", "going on", "rerun", "`rerun_hooks`", "`run_stage`", "`run_latents`"]
    hooks = [hook for hook, _ in found["first run"]]
    assert len(hooks) == 15
    quiet = {"with_model", "instance_of", "own_vector", "vector_likelihood", "latents_of", "traced_arrays", "with_traced_arrays"}
    quiet |= {"fit_from", "fit_for_visualization", "print_vram_use"}
    public = {
        name for name, value in vars(Analysis).items() if not name.startswith("_") and callable(value) and not isinstance(value, type)
    }
    assert public - quiet == set(hooks) - {"visualize", "visualize_before_fit"}


def test_every_test_that_the_documents_name_exists() -> None:
    there = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    for document in DOCS:
        named = set(re.findall(r"`(test_\w+)`", document.read_text(encoding="utf-8")))
        assert named
        assert named <= there, named - there


@pytest.mark.parametrize("updates", [True, False])
@pytest.mark.parametrize("use_jax", [False, True])
def test_first_run(use_jax: bool, updates: bool, store: Store, prior_sampling: Any) -> None:
    analysis = Recorder(use_jax, updates)
    result = fit(MODEL, analysis, prior_sampling(n_batches=3), store=store, progress=patient(analysis))
    check("first run", analysis, points=600, samples=len(result.samples))


@pytest.mark.parametrize("use_jax", [False, True])
def test_going_on_after_an_interruption(use_jax: bool, store: Store, prior_sampling: Any) -> None:
    search = prior_sampling(n_batches=5)
    asked = iter([False, True])
    with pytest.raises(SearchInterruptedError):
        run(Request(model=MODEL, analysis=Recorder(use_jax), search=search), store, stop=lambda: next(asked))
    analysis = Recorder(use_jax)
    run(Request(model=MODEL, analysis=analysis, search=search), store, progress=patient(analysis))
    check("going on", analysis, points=600, samples=0)


@pytest.mark.parametrize("use_jax", [False, True])
def test_rerun_of_a_finished_fit(use_jax: bool, store: Store, prior_sampling: Any) -> None:
    for _ in range(2):
        analysis = Recorder(use_jax)
        result = fit(MODEL, analysis, prior_sampling(n_batches=2), store=store, progress=False)
    assert result.is_cached
    check("rerun", analysis, points=0, samples=0)


@pytest.mark.parametrize("use_jax", [False, True])
def test_rerun_hooks(use_jax: bool, store: Store, prior_sampling: Any) -> None:
    analysis = Recorder(use_jax)
    result = fit(MODEL, analysis, prior_sampling(n_batches=2), store=store, progress=False)
    analysis.calls.clear()
    again = rerun_hooks(result)
    check("`rerun_hooks`", analysis, points=0, samples=0)
    assert again.digest == result.digest
    assert again.samples == result.samples


@pytest.mark.parametrize("use_jax", [False, True])
def test_a_stage_and_its_latents(use_jax: bool, store: Store, prior_sampling: Any) -> None:
    analysis = Recorder(use_jax)
    pipeline = Pipeline("chain", [Stage("only", MODEL, analysis, prior_sampling(n_batches=3))])
    run_stage(pipeline, "only", None, store, progress=patient(analysis))
    check("`run_stage`", analysis, points=600, samples=0)
    analysis.calls.clear()
    analysis.background.clear()
    outcome = run_latents(pipeline, "only", None, store)
    check("`run_latents`", analysis, points=0, samples=outcome.n_samples)
    analysis.calls.clear()
    assert run_latents(pipeline, "only", None, store).cached
    assert run_stage(pipeline, "only", None, store).cached
    modified = ["modify_model", "modify_before_fit", "make_result", "modify_after_fit", "make_result"]
    assert [name for name in analysis.calls if name != "identity"] == modified * 2


# -- the promises


class Seeing(Recorder):
    """Keeps the instances that its likelihood is given."""

    def __init__(self, use_jax: bool = False) -> None:
        super().__init__(use_jax)
        self.seen: list[Any] = []

    def log_likelihood_function(self, instance: Any) -> Any:
        self.seen.append(instance)
        return sum(instance.values()) * 1.0


@pytest.mark.parametrize("use_jax", [False, True])
@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (None, {"a": 0.25, "b": -0.5, "same": 0.25, "fixed": 7.0}),
        (Model({"b": Normal(0, 1), "a": Uniform(0, 1)}), {"b": -0.5, "a": 0.25}),
        (Model({"b": Normal(0, 1)}), {"b": -0.5}),
        (Model({"a": 3.0, "b": Normal(0, 1)}), {"a": 3.0, "b": -0.5}),
        (Model({"same": Normal(0, 1), "b": Normal(0, 1)}), {"same": 0.25, "b": -0.5}),
        (Model({"fixed": Normal(0, 1), "b": Tied("fixed")}), {"fixed": 7.0, "b": 7.0}),
    ],
)
def test_with_model_changes_what_the_likelihood_gets(use_jax: bool, bound: Model | None, expected: dict[str, float]) -> None:
    whole = Model({"a": Uniform(-1, 1), "b": Normal(0, 1), "same": Tied("a"), "fixed": 7.0})
    analysis = Seeing(use_jax) if bound is None else Seeing(use_jax).with_model(bound)
    theta = np.array([0.25, -0.5])
    assert {key: float(value) for key, value in analysis.instance_of(theta, whole).items()} == expected
    assert list(analysis.instance_of(theta, whole)) == list(expected)
    assert float(analysis.vector_likelihood(whole)(theta)) == pytest.approx(sum(expected.values()), rel=1e-15)
    assert {key: float(value) for key, value in analysis.seen[0].items()} == expected  # pyright: ignore[reportAttributeAccessIssue]


def test_what_modify_after_fit_returns_is_the_analysis_of_the_result(store: Store, prior_sampling: Any) -> None:
    other = Recorder()

    class Changing(Recorder):
        def modify_after_fit(self, paths: Any, model: Model, result: Any) -> Analysis:
            return other

    result = fit(MODEL, Changing(), prior_sampling(n_batches=2), store=store, progress=False)
    assert result.analysis is other
    assert "save_results" in other.calls
    assert rerun_hooks(result).analysis is other


@pytest.mark.parametrize("hook", ["modify_before_fit", "save_attributes"])
def test_a_hook_that_fails_before_the_search_ends_the_fit(hook: str, store: Store, prior_sampling: Any) -> None:
    def failing(self: Any, *args: Any) -> Any:
        raise KeyError("mine")

    analysis = type("Failing", (Recorder,), {hook: failing})()
    with pytest.raises(KeyError, match="mine"):
        fit(MODEL, analysis, prior_sampling(n_batches=2), store=store, progress=False)
    assert "log_likelihood_function" not in analysis.calls
    assert len(store.table()) == 0


class Saving(Recorder):
    """Saves a file only where it works."""

    works = False

    def save_results(self, paths: Any, result: Any) -> None:
        if not self.works:
            raise RuntimeError("disk on fire")
        paths.save_text("report", f"{len(result.samples)} samples")


def test_hooks_can_be_run_again_by_whoever_holds_anything(store: Store, prior_sampling: Any) -> None:
    search = prior_sampling(n_batches=2)
    with pytest.warns(HookWarning, match="disk on fire"):
        result = fit(MODEL, Saving(), search, store=store, progress=False)
    expected = f"{len(result.samples)} samples"
    analysis = result.analysis
    assert isinstance(analysis, Saving)
    for whose in (result, Request(model=MODEL, analysis=analysis, search=search), analysis):
        analysis.works = False
        with pytest.warns(HookWarning, match="disk on fire"):
            rerun_hooks(whose, store)
        analysis.works = True
        again = rerun_hooks(whose, store)
        assert again.paths.load_text("report") == expected
        assert again.model == MODEL
        again.paths.save_text("report", "")


def test_a_mended_analysis_must_be_the_same_by_identity(store: Store, prior_sampling: Any) -> None:
    mended = type("Mended", (Saving,), {"works": True, "__module__": Saving.__module__})
    with pytest.warns(HookWarning, match="disk on fire"):
        result = fit(MODEL, Saving(), prior_sampling(n_batches=2), store=store, progress=False)
    with pytest.raises(ConfigError, match=r"not the one that was fitted as .*Saving.*Mended.*Hooks may differ, data and version may not"):
        rerun_hooks(result, analysis=mended())
    mended.__qualname__ = "Saving"  # as when a class is written again
    assert isinstance(rerun_hooks(result, analysis=mended()).analysis, mended)
    assert result.paths.load_text("report") == f"{len(result.samples)} samples"


def test_whose_hooks_must_be_clear(store: Store, prior_sampling: Any) -> None:
    analysis = Recorder()
    with pytest.raises(ResultNotFoundError, match=r"holds no result of this Recorder among its 0\. Its data, settings and version"):
        rerun_hooks(analysis, store)
    with pytest.raises(ConfigError, match="rerun_hooks of a Recorder needs the store that holds its result"):
        rerun_hooks(analysis)
    first, second = (fit(MODEL, analysis, prior_sampling(n_batches=n), store=store, progress=False) for n in (2, 3))
    fit(MODEL, Recorder(use_jax=True), prior_sampling(n_batches=2), store=store, progress=False)
    with pytest.raises(ConfigError, match=rf"holds 2 results of this Recorder: .*{first.digest[:12]} \(fit\).*Name one by digest"):
        rerun_hooks(analysis, store)
    assert rerun_hooks(analysis, store, digest=second.digest[:8]).digest == second.digest
    with pytest.raises(ResultNotFoundError, match="whose digest begins with 'x' among its 3"):
        rerun_hooks(analysis, store, digest="x")


def test_hooks_run_again_without_a_store_keep_the_result_readable(prior_sampling: Any) -> None:
    result = fit(MODEL, Recorder(), prior_sampling(n_batches=2), progress=False)
    result = rerun_hooks(result)
    assert len(result.samples) == 400


@pytest.mark.parametrize("kind", ["slow", "hanging", "raising", "exiting"])
def test_a_quick_update_never_holds_up_the_search(kind: str, store: Store, prior_sampling: Any) -> None:
    release = threading.Event()

    class Showing(Recorder):
        def perform_quick_update(self, paths: Any, instance: Any) -> None:
            super().perform_quick_update(paths, instance)
            if kind in ("slow", "hanging"):
                release.wait(0.3 if kind == "slow" else 60)
            elif kind == "raising":
                raise RuntimeError("no screen")
            else:
                sys.exit(3)

    analysis = Showing()
    start = time.monotonic()
    result = fit(MODEL, analysis, prior_sampling(n_batches=20), store=store, progress=patient(analysis))
    seconds = time.monotonic() - start
    release.set()
    account = result.provenance["quick_updates"]
    assert result.samples_summary.n_calls == 4000
    assert seconds < 20
    if kind in ("slow", "hanging"):
        assert analysis.background == ["perform_quick_update"] * len(analysis.background)
        assert account["n_failed"] == 0
    if kind == "hanging":
        assert account == {"n_shown": 0, "n_failed": 0, "last_failure": "", "is_pending": True}
        assert analysis.background == ["perform_quick_update"]
    if kind in ("raising", "exiting"):
        assert account["n_failed"] >= 1
        assert account["last_failure"] == {"raising": "RuntimeError: no screen", "exiting": "SystemExit: 3"}[kind]
