from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.stats import rankdata

from fitcore.search.emulator import FastEmulator


def scores(kind: str, n: int = 900, d: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).uniform(-1, 1, (n, d))
    if kind == "bowl":
        value = -np.sum(x**2, axis=1)
    else:
        value = -np.abs(np.linalg.norm(x[:, :3], axis=1) - 0.8) - 0.5 * np.abs(np.sin(5 * x[:, 0]))
    return x, rankdata(value) / n


@pytest.mark.parametrize(("kind", "has_networks"), [("bowl", False), ("shell", True)])
def test_it_predicts_fresh_points_and_is_written_and_read_bit_for_bit(kind: str, has_networks: bool, tmp_path: Path) -> None:
    x, y = scores(kind)
    emulator = FastEmulator.train(x, y)
    assert (emulator.networks is not None) == has_networks
    assert len(emulator.neural_networks) == 1
    fresh, truth = scores(kind, n=2000, seed=1)
    r_squared = 1 - np.mean((emulator.predict(fresh) - truth) ** 2) / np.var(truth)
    assert r_squared > (0.9 if kind == "bowl" else 0.5)

    with h5py.File(tmp_path / "e.h5", "w") as file:
        emulator.write(file.create_group("emulator"))
    with h5py.File(tmp_path / "e.h5", "r") as file:
        again = FastEmulator.read(file["emulator"])
    np.testing.assert_array_equal(again.predict(fresh), emulator.predict(fresh))


def test_training_repeats() -> None:
    x, y = scores("shell")
    fresh = scores("shell", seed=2)[0]
    np.testing.assert_array_equal(FastEmulator.train(x, y).predict(fresh), FastEmulator.train(x, y).predict(fresh))


def test_few_and_equal_points() -> None:
    x, y = scores("shell", n=12)
    assert np.all(np.isfinite(FastEmulator.train(x, y).predict(x)))
    x[:, 1] = 0.3
    assert np.all(np.isfinite(FastEmulator.train(x, np.full(12, 0.5)).predict(x)))
