"""The README's example runs as it stands, in NumPy and in JAX, and its posterior is the exact one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def example() -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 1
    return blocks[0]


def exact(x: np.ndarray, y: np.ndarray, noise: float) -> dict[str, Any]:
    """Evidence and moments on a fine grid around the peak: an integral over center, sigma and flux by the trapezoidal rule."""
    center, sigma, flux = np.linspace(49.0, 55.0, 121), np.linspace(3.5, 9.0, 111), np.linspace(2.0, 4.2, 111)
    shape = np.exp(-0.5 * ((x - center[:, None, None]) / sigma[:, None]) ** 2)
    yy, sy, ss = (y**2).sum(), (shape * y).sum(-1), (shape**2).sum(-1)
    square = yy - 2 * flux * sy[..., None] + flux**2 * ss[..., None]
    log_l = -0.5 * square / noise**2 - 0.5 * x.size * np.log(2 * np.pi * noise**2)
    log_prior = -np.log(100.0) - np.log(sigma * np.log(25 / 0.5))[None, :, None] - np.log(10.0)
    log_p = log_l + log_prior
    peak = log_p.max()
    p = np.exp(log_p - peak)
    cell = (center[1] - center[0]) * (sigma[1] - sigma[0]) * (flux[1] - flux[0])
    total = p.sum()
    means, sds = [], []
    for axis, grid in enumerate((center, sigma, flux)):
        marginal = p.sum(axis=tuple(i for i in range(3) if i != axis)) / total
        mean = (grid * marginal).sum()
        means.append(mean)
        sds.append(np.sqrt(((grid - mean) ** 2 * marginal).sum()))
    return {"log_evidence": np.log(total * cell) + peak, "mean": np.array(means), "sd": np.array(sds)}


@pytest.mark.parametrize("use_jax", [True, False])
def test_spectral_line(use_jax: bool, capsys: pytest.CaptureFixture[str]) -> None:
    code = example()
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code.replace("use_jax=True", f"use_jax={use_jax}"), "README.md", "exec"), names)
    assert capsys.readouterr().out
    result, truth = names["result"], exact(names["x"], names["y"], 0.5)
    samples = result.samples
    weight = np.exp(samples.log_weight)
    mean = weight @ samples.parameters
    sd = np.sqrt(np.diag(samples.covariance()))
    n_eff = samples.effective_sample_size
    assert n_eff >= 2000
    assert np.all(np.abs(mean - truth["mean"]) < 4 * truth["sd"] / np.sqrt(n_eff))
    assert np.all(np.abs(sd / truth["sd"] - 1) < 4 / np.sqrt(2 * n_eff) * 1.5)  # 1.5: heavier-than-normal tails
    assert abs(result.log_evidence - truth["log_evidence"]) < 4 * result.log_evidence_error
    assert 0 < result.log_evidence_error < 0.1
