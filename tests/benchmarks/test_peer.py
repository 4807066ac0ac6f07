"""What of the comparison with another package can be checked without it: the problem, our side of it, the loop, the summary."""

from __future__ import annotations

import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import convolve2d

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def peer() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.peer")


@pytest.fixture(scope="module")
def problem(peer: Any) -> dict[str, Any]:
    return peer.problem_arrays(2, n_points=3)


def by_hand(problem: dict[str, Any], peer_point: dict[str, float]) -> float:
    """ln L from the peer's parameters and formulae: Kormann's deflection, the series for b, a plain sum for the PSF."""
    wide, scale, n_sub = problem["psf"].shape[0] // 2, problem["pixel_scale"], problem["over_sampling"]
    axis = (np.arange(100 + 2 * wide) - 49.5 - wide) * scale
    own = {key.removeprefix("galaxies."): value for key, value in peer_point.items()}
    total = np.zeros((len(axis), len(axis)))
    for i in range(n_sub):
        for j in range(n_sub):
            x, y = np.meshgrid(axis + ((i + 0.5) / n_sub - 0.5) * scale, axis + ((j + 0.5) / n_sub - 0.5) * scale)
            total += sersic(own, "lens.light", x, y) / n_sub**2
            total += sersic(own, "source.light", *traced(own, x, y)) / n_sub**2
    seen = convolve2d(total, problem["psf"], mode="same")[wide:-wide, wide:-wide] + peer_point["dataset_model.background_sky_level"]
    chi = ((problem["data"] - seen) / problem["noise"])[problem["used"]]
    return -0.5 * float((chi**2 + np.log(2.0 * np.pi * problem["noise"][problem["used"]] ** 2)).sum())


def axes(own: dict[str, float], part: str, x: Any, y: Any) -> tuple[Any, Any, float, float]:
    """Position along the major and the minor axis, axis ratio, angle."""
    sine, cosine = (own[f"{part}.ell_comps.ell_comps_{i}"] for i in (0, 1))
    size, angle = np.hypot(sine, cosine), 0.5 * np.arctan2(sine, cosine)
    x, y = x - own[f"{part}.centre.centre_1"], y - own[f"{part}.centre.centre_0"]
    c, s = np.cos(angle), np.sin(angle)
    return c * x + s * y, c * y - s * x, (1.0 - size) / (1.0 + size), angle


def sersic(own: dict[str, float], part: str, x: Any, y: Any) -> Any:
    major, minor, q, _ = axes(own, part, x, y)
    n = own[f"{part}.sersic_index"]
    b = 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2) + 131 / (1148175 * n**3) - 2194697 / (30690717750 * n**4)
    radius = np.sqrt(q * major**2 + minor**2 / q) / own[f"{part}.effective_radius"]
    return own[f"{part}.intensity"] * np.exp(-b * (radius ** (1 / n) - 1))


def traced(own: dict[str, float], x: Any, y: Any) -> tuple[Any, Any]:
    major, minor, q, angle = axes(own, "lens.mass", x, y)
    f, psi = np.sqrt(1 - q**2), np.sqrt(q**2 * major**2 + minor**2)
    strength = 2.0 / (1.0 + q) * own["lens.mass.einstein_radius"] * q / f
    a, b = strength * np.arctan(f * major / psi), strength * np.arctanh(f * minor / psi)
    c, s = np.cos(angle), np.sin(angle)
    g_1, g_2 = own["lens.shear.gamma_1"], own["lens.shear.gamma_2"]
    return x - (c * a - s * b) - (g_1 * x + g_2 * y), y - (s * a + c * b) - (g_2 * x - g_1 * y)


def test_our_side_is_the_plain_sum_of_the_peers_formulae(peer: Any, problem: dict[str, Any]) -> None:
    """To 1e-9 of ln L: our series of the deflection is cut at 1e-9."""
    side = sys.modules["benchmarks.peer_fitcore"]
    model, running = side.sersic_model(), side.running_analysis(problem, "map")
    values = side.BatchedLikelihood(running, model, n_batch=2)(problem["u"])
    assert values.shape == (3,)
    assert values.dtype == np.float64
    for value, point in zip(values, problem["peer_points"], strict=True):
        assert value == pytest.approx(by_hand(problem, dict(zip(problem["peer_paths"].tolist(), point, strict=True))), rel=1e-7)
    assert np.ptp(values) > 100.0


def test_the_problem_is_what_the_docstring_says(peer: Any, problem: dict[str, Any]) -> None:
    assert problem["data"].shape == problem["noise"].shape == problem["used"].shape == (100, 100)
    assert problem["psf"].shape == (15, 15)
    assert problem["psf"].sum() == pytest.approx(1.0)
    assert problem["used"].sum() == pytest.approx(np.pi * 50**2, rel=0.01)
    assert problem["u"].shape == (3, 21)
    assert problem["peer_points"].shape == (3, 22)
    again = peer.problem_arrays(2, n_points=3)
    assert all(np.array_equal(again[key], problem[key]) for key in problem)


def test_the_loop_answers_each_line(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, out, made = sys.modules["benchmarks.peer_worker"], io.StringIO(), []

    def build(way: str, n_batch: int) -> Any:
        made.append((way, n_batch))
        return lambda points: points.sum(axis=1)

    asked = [
        {"way": "map", "n_batch": 2, "repeats": 3},
        {"way": "map", "n_batch": 2, "repeats": 1},
        {"way": "jit", "n_batch": 1, "repeats": 1},
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(line) + "\n" for line in asked)))
    worker.serve(build, np.arange(6.0).reshape(3, 2), {"jax": "1"}, out)
    facts, *answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert facts == {"jax": "1"}
    assert [answer["values"] for answer in answers] == [[1.0, 5.0], [1.0, 5.0], [1.0]]
    assert [len(answer["wall"]) for answer in answers] == [len(answer["processor"]) for answer in answers] == [3, 1, 1]
    assert {answer["type"] for answer in answers} == {"float64"}
    assert made == [("map", 2), ("jit", 1)]


def test_ratios_are_medians_over_the_rounds_in_the_best_way_of_the_peer(peer: Any) -> None:
    def rounds(*times: float) -> list[dict[str, list[float]]]:
        return [{"wall": [t, t, 9.0 * t], "processor": [2.0 * t]} for t in times]

    table = peer.summary(
        {
            "fitcore": {"map 32": rounds(1.0, 2.0, 1.0)},
            "peer": {"jit 1": rounds(4.0, 6.0, 7.0), "vmap 32": rounds(5.0, 9.0, 9.0), "map 32": rounds(2.0, 4.0, 2.0)},
        }
    )
    assert table["ratio, wall"] == {"median": 4.0, "quartiles": [3.5, 5.5], "best of the peer": "jit 1", "batched": 5.0, "in our loop": 2.0}
    assert table["ratio, processor"]["median"] == 4.0
    assert table["ratio of the least"] == 2.0
    assert table["peer"]["jit 1"] == {"wall": 7.0, "processor": 12.0, "least": 4.0}


def test_a_side_that_ends_is_told_with_its_last_words(peer: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)no_such_module.* ended without an answer; its last words:\n.*No module named"):
        peer.Side(sys.executable, "benchmarks.no_such_module", tmp_path / "problem.npz", 1)
