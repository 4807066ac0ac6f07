"""The figures are the compiler's own, for the functions that a search runs, and grow with the batch as they say."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitcore import memory
from fitcore.analysis.analysis import Analysis
from fitcore.errors import ConfigError
from fitcore.evaluation import BatchedLikelihood
from fitcore.memory import MemoryUse, bytes_of, memory_report, memory_use
from fitcore.model import Model, Normal, Uniform

MODEL = Model({"a": Uniform(-1, 1), "b": Normal(0.5, 2)})
N_DATA = 20_000


class Wide(Analysis):
    """A convolution of many numbers, so that every point has a temporary that no compiler can avoid."""

    def __init__(self, use_jax: bool = True) -> None:
        super().__init__(use_jax=use_jax)
        self.x = jnp.linspace(0.0, 1.0, N_DATA)

    def log_likelihood_function(self, instance: Any) -> Any:
        wave = jnp.sort(jnp.sin(self.x * instance["a"]) + instance["b"])
        return -jnp.sum(jnp.fft.rfft(wave).real ** 2) - jnp.sum(wave * self.x)


class Mapped(Wide):
    batching = "map"


class Passing(Wide):
    def traced_arrays(self) -> Any:
        return self.x

    def with_traced_arrays(self, arrays: Any) -> Analysis:
        other = Passing()
        other.x = arrays
        return other


def measured(kind: Any, n: int) -> list[int]:
    """Bytes of executables made here, without fitcore's batching: values, and values with gradients, of ``n`` points."""
    analysis = kind()
    likelihood = BatchedLikelihood(analysis, MODEL, n_batch=n)
    over = jax.lax.map if analysis.batching == "map" else lambda function, rows: jax.vmap(function)(rows)

    def value(theta: Any, arrays: Any) -> Any:
        return analysis.with_traced_arrays(arrays).log_likelihood_function(MODEL.instance_from_vector(theta))

    def gradient(z: Any, arrays: Any) -> Any:
        return jax.value_and_grad(lambda point: value(MODEL.from_probit(point), arrays))(z)

    rows, arrays = jnp.zeros((n, 2)), analysis.traced_arrays()
    likelihood.close()
    return [
        bytes_of(jax.jit(lambda block, given, f=f: over(lambda row: f(row, given), block)).lower(rows, arrays).compile()) or 0
        for f in (value, gradient)
    ]


@pytest.mark.parametrize("kind", [Wide, Mapped, Passing])
def test_the_slope_is_that_of_other_batch_sizes(kind: Any) -> None:
    uses = memory_use(kind(), MODEL, 8)
    small, large = measured(kind, 5), measured(kind, 21)
    for use, one, two in zip(uses, small, large, strict=True):
        assert use is not None
        slope = (two - one) / 16
        assert use.per_point == pytest.approx(slope, rel=0.02, abs=64)
        assert use.of(21) == pytest.approx(two, rel=0.02)
        if kind is not Mapped:
            assert use.per_point > 8 * N_DATA
    assert (uses[0].per_point < 100) == (kind is Mapped)  # pyright: ignore[reportOptionalMemberAccess]


def test_the_arrays_handed_over_are_in_the_fixed_part() -> None:
    inside, handed = (memory_use(kind(), MODEL, 4)[0] for kind in (Mapped, Passing))
    assert inside is not None
    assert handed is not None
    assert handed.fixed >= 8 * N_DATA


def test_the_largest_batch_is_what_the_fixed_part_leaves() -> None:
    use = MemoryUse(fixed=1000.0, per_point=10.0)
    assert use.largest_batch(1100.0) == 10  # by proportion it would be another number
    assert use.of(10) == 1100.0
    assert use.largest_batch(999.0) == 0
    assert MemoryUse(fixed=1.0, per_point=0.0).largest_batch(0.5) == 0
    assert MemoryUse(fixed=1.0, per_point=0.0).largest_batch(2.0) > 10**9


def test_the_report_tells_it_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 64.0 * 2**20)
    lines = memory_report(Wide(), MODEL, 8).splitlines()
    assert lines[0] == f"Wide: batch of 8, 2 parameters, on {jax.devices()[0].device_kind}, by vmap"
    assert [line.split()[0] for line in lines[1:]] == ["likelihood", "gradient", "limit"]
    for line, use in zip(lines[1:3], memory_use(Wide(), MODEL, 8), strict=True):
        assert use is not None
        words = line.split()
        total, fixed, n, slope = (float(words[i]) for i in (1, 4, 7, 9))
        assert total == pytest.approx(use.of(8) / 2**20, abs=1e-3)
        assert fixed + n * slope == pytest.approx(total, abs=2e-3)
        largest = int(words[-1])
        assert use.of(largest) <= 64 * 2**20 < use.of(largest + 1)
    assert lines[3].startswith("limit      64 MiB, the memory of this machine that is available to the process")
    assert "nothing is compiled" in memory_report(Wide(use_jax=False), MODEL, 16)


@pytest.mark.parametrize("batch_size", [0, -3, True, "3", 2.0])
def test_a_batch_size_is_a_whole_number_above_zero(batch_size: Any) -> None:
    with pytest.raises(ConfigError, match=rf"print_vram_use of Wide: batch_size is {batch_size!r}; it must be an integer of at least 1"):
        memory_report(Wide(), MODEL, batch_size)


def test_the_largest_batch_runs_and_gives_numbers() -> None:
    use = memory_use(Wide(), MODEL, 4)[0]
    assert use is not None
    n = use.largest_batch(use.fixed + 6.5 * use.per_point)
    assert n == 6
    likelihood = BatchedLikelihood(Wide(), MODEL, n_batch=n)
    assert np.isfinite(likelihood(np.full((n, 2), 0.3))).all()
    likelihood.close()


def test_a_device_that_tells_its_limit_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Device:
        device_kind, platform = "toy", "gpu"

        def memory_stats(self) -> dict[str, int] | None:
            return {"bytes_limit": 100, "bytes_in_use": 30}

    assert memory.limit_of(Device()) == (63.0, "90% of the device's memory that is not in use")
    monkeypatch.setattr(Device, "memory_stats", lambda self: None)
    assert memory.limit_of(Device()) == (None, "")
