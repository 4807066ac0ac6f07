"""Rows in batches: any size gives the formula; what does not fit is halved, the numbers stay, and one row that does not fit is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax.errors import JaxRuntimeError

from fitcore import rows as module
from fitcore.rows import MOST_AT_ONCE, Batches, batched_rows, evenly, is_out_of_memory

EXHAUSTED = JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 59.37GiB.")


def function(row: Any, arrays: Any) -> tuple[Any, Any]:
    return jnp.exp(jnp.sin(row[0]) * row[1]) + arrays, jnp.stack([row[0], -row[1]])


def rows_of(n: int) -> Any:
    return np.arange(2.0 * n).reshape(n, 2) / n


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Lets calls for more than so many rows fail as a device does; the sizes that were tried."""

    def made(most: int, error: Exception = EXHAUSTED) -> list[int]:
        sizes: list[int] = []
        original = module.compiled

        def compiled(inner: Any) -> Any:
            call = original(inner)

            def limited(block: Any, arrays: Any) -> Any:
                sizes.append(len(block))
                if len(block) > most:
                    raise error
                return call(block, arrays)

            return limited

        monkeypatch.setattr(module, "compiled", compiled)
        return sizes

    return made


@pytest.mark.parametrize(
    ("batching", "n_rows", "n_threads"), [("map", 7, 1), ("vmap", 7, 1), ("vmap", 7, 2), ("map", 30, 3), ("map", 3, 2)]
)
def test_rows_in_batches_give_columns(batching: str, n_rows: int, n_threads: int) -> None:
    rows = rows_of(n_rows)
    (values, pairs), batches = batched_rows(function, rows, 5.0, n_batch=3, batching=batching, n_threads=n_threads)
    np.testing.assert_allclose(values, np.exp(np.sin(rows[:, 0]) * rows[:, 1]) + 5, rtol=1e-14)
    np.testing.assert_array_equal(pairs, rows * [1, -1])
    assert batches == Batches(size=3, n_threads=n_threads if batching == "map" else 1, batching=batching)


@pytest.mark.parametrize("error", [EXHAUSTED, MemoryError("no")])
def test_a_batch_that_does_not_fit_is_halved_and_gives_the_same(small_memory: Callable[..., list[int]], error: Exception) -> None:
    rows = rows_of(50)
    whole, _ = batched_rows(function, rows, 5.0, n_batch=32, batching="vmap")
    sizes = small_memory(5, error)
    found, batches = batched_rows(function, rows, 5.0, n_batch=32, batching="vmap")
    assert sizes == [32, 16, 8, *[4] * 13]  # from the first row on: what had been computed in larger batches is computed anew
    assert batches == Batches(size=4, n_threads=1, batching="vmap", n_halved=3)
    for one, two in zip(whole, found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("n_batch", "expected"), [(32, [(8, 4), (8, 2), (8, 1), (4, 1)]), (1, [(1, 4), (1, 2), (1, 1)])])
def test_a_map_gives_up_threads_first_and_keeps_every_byte(
    n_batch: int, expected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(50)
    whole, _ = batched_rows(function, rows, 5.0, n_batch=n_batch, batching="map", n_threads=4)
    columns, tried = module._columns, []

    def limited(batched: Any, rows: Any, arrays: Any, batches: Batches) -> Any:
        tried.append((batches.size, batches.n_threads))
        if batches.n_threads > 1 or batches.size > 4:
            raise EXHAUSTED
        return columns(batched, rows, arrays, batches)

    monkeypatch.setattr(module, "_columns", limited)
    found, batches = batched_rows(function, rows, 5.0, n_batch=n_batch, batching="map", n_threads=4)
    assert tried == expected
    assert batches.n_halved == len(expected) - 1
    for one, two in zip(whole, found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_one_row_that_does_not_fit_is_an_error_and_not_tried_for_ever(small_memory: Callable[..., list[int]]) -> None:
    sizes = small_memory(0)
    with pytest.raises(JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        batched_rows(function, rows_of(50), 5.0, n_batch=32, batching="vmap")
    assert sizes == [32, 16, 8, 4, 2, 1]


def test_another_error_is_not_tried_again(small_memory: Callable[..., list[int]]) -> None:
    sizes = small_memory(0, JaxRuntimeError("INTERNAL: an illegal address"))
    with pytest.raises(JaxRuntimeError, match="INTERNAL"):
        batched_rows(function, rows_of(50), 5.0, n_batch=32, batching="vmap")
    assert sizes == [32]
    assert not is_out_of_memory(RuntimeError("RESOURCE_EXHAUSTED"))


class Accelerator:
    """What JAX says of a GPU with so much memory."""

    platform = "gpu"

    def __init__(self, free: int) -> None:
        self.free = free

    def memory_stats(self) -> dict[str, int]:
        return {"bytes_limit": self.free, "bytes_in_use": 0}


@pytest.mark.parametrize(("free", "is_enough"), [(10**9, True), (300_000, False)])
def test_an_accelerator_takes_what_its_memory_allows(free: int, is_enough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def wide(row: Any, arrays: Any) -> tuple[Any]:
        return (jnp.sort(jnp.sin(jnp.arange(100.0) * row[0]) + row[1]).sum(),)

    rows = rows_of(1500)
    ((whole,), _) = batched_rows(wide, rows, None, n_batch=32, batching="map")
    monkeypatch.setattr(module.jax, "devices", lambda: [Accelerator(free)])
    told: list[int | None] = []
    monkeypatch.setattr(module, "bytes_of", lambda executable, real=module.bytes_of: told.append(real(executable)) or told[-1])
    ((found,), batches) = batched_rows(wide, rows, None, n_batch=32, batching="map", n_threads=3)
    assert batches == Batches(size=750 >> len(told) - 1, n_threads=1, batching="vmap")
    assert (len(told) == 1) == is_enough
    assert [value is not None and value > 0.9 * free for value in told] == [True] * (len(told) - 1) + [False]
    np.testing.assert_allclose(found, whole, rtol=1e-12)
    _, given = batched_rows(wide, rows, None, n_batch=32, batching="map", batch_size=10)
    assert given.size == 10


@pytest.mark.parametrize(("n", "size"), [(1, 1), (MOST_AT_ONCE, MOST_AT_ONCE), (MOST_AT_ONCE + 1, 513), (2000, 1000)])
def test_batches_of_an_accelerator_are_of_about_one_size(n: int, size: int) -> None:
    assert evenly(n) == size
