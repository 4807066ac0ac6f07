"""Named random streams from one seed, and a fixed number of threads for the linear algebra around them. No global generator anywhere."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from fitcore.errors import SpecError
from fitcore.search.base import Problem


def _sequence(seed: int, name: str) -> np.random.SeedSequence:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise SpecError(f"seed is {seed!r}; it must be an integer of at least 0.")
    return np.random.SeedSequence([int(seed), int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")])


def stream(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on ``seed`` and ``name`` only.

    Raises
    ------
    SpecError
        when ``seed`` is not an integer of at least 0.
    """
    return np.random.Generator(np.random.Philox(_sequence(seed, name)))


def sub_seed(seed: int, name: str) -> int:
    """A 32-bit seed for a library that wants a number; depends on ``seed`` and ``name`` only."""
    return int(_sequence(seed, name).generate_state(1)[0])


@functools.cache
def _controller() -> ThreadpoolController:
    # Made once: finding the loaded libraries takes milliseconds, changing their threads takes microseconds.
    return ThreadpoolController()


@contextlib.contextmanager
def single_threaded(problem: Problem) -> Iterator[Problem]:
    """One thread for BLAS and OpenMP within, so that sums have one order; yields a problem whose likelihood keeps the threads it had.

    NumPy's floating-point warnings are silenced within (weights of -inf are normal), and as the caller set them in the likelihood.
    """
    controller = _controller()
    threads = {library["prefix"]: library["num_threads"] for library in controller.info()}
    errors = np.geterr()

    def outside(function: Callable[..., Any] | None) -> Any:
        if function is None:
            return None

        @functools.wraps(function, updated=())
        def call(points: Any) -> Any:
            with controller.limit(limits=threads), np.errstate(**errors):
                return function(points)

        return call

    inner = replace(problem, log_likelihood=outside(problem.log_likelihood), value_and_gradient=outside(problem.value_and_gradient))
    with controller.limit(limits=1), np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        yield inner
