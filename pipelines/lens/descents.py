"""Descents side by side, in a fixed order, with their results kept in the checkpoint: a search made of descents goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.errors import SearchInterruptedError
from fitcore.search.base import Checkpoint
from pipelines.lens.marquardt import Minimum

Array = NDArray[np.float64]


class Descents:
    """Runs descents and remembers them; one that an earlier attempt has finished is not run again.

    Parameters
    ----------
    checkpoint : where finished descents are kept, and which knows of a request to stop.
    pool : runs them.
    done : called after every descent, with the number of evaluations so far.
    """

    def __init__(self, checkpoint: Checkpoint, pool: ThreadPoolExecutor, done: Callable[[int], None]) -> None:
        self.checkpoint = checkpoint
        self.pool = pool
        self.done = done
        self.n_evaluations = 0
        self._starts: list[Array] = []
        self._minima: list[Minimum] = []
        self._earlier = _unpacked(checkpoint.load_arrays())

    def run(self, descend: Callable[[Array], Minimum], starts: Sequence[Array]) -> list[Minimum]:
        """The minimum from each start.

        Raises
        ------
        SearchInterruptedError
            when asked to stop; what is finished is saved.
        """
        known = self._known(starts)
        for start, minimum in zip(starts, known, strict=False):
            self._add(start, minimum)
        waiting = [self.pool.submit(descend, start) for start in starts[len(known) :]]
        try:
            for start, future in zip(starts[len(known) :], waiting, strict=True):
                self._add(start, future.result())
                self.check()
        finally:
            for future in waiting:
                future.cancel()
        return self._minima[len(self._minima) - len(starts) :]

    def check(self) -> None:
        """Save where it is due; save and stop where that is asked for."""
        is_stopping = self.checkpoint.stop_requested()
        if not self._earlier and (is_stopping or self.checkpoint.due()):  # what is kept is more while a part of it is still to come
            self.checkpoint.save_arrays(_packed(self._starts, self._minima), n_calls=self.n_evaluations)
        if is_stopping:
            raise SearchInterruptedError("The basin search was asked to stop; its descents are saved. The same command goes on from there.")

    def _known(self, starts: Sequence[Array]) -> list[Minimum]:
        """What an earlier attempt found from the first of these starts. A start that differs, on another machine, ends the replay."""
        known: list[Minimum] = []
        for start in starts:
            if not self._earlier or not np.array_equal(self._earlier[0][0], start):
                break
            known.append(self._earlier.pop(0)[1])
        if len(known) < len(starts):
            self._earlier = []
        return known

    def _add(self, start: Array, minimum: Minimum) -> None:
        self._starts.append(np.array(start))
        self._minima.append(minimum)
        self.n_evaluations += minimum.n_evaluations
        self.done(self.n_evaluations)


def _packed(starts: Sequence[Array], minima: Sequence[Minimum]) -> dict[str, Any]:
    n, d = len(minima), max((len(start) for start in starts), default=0)
    curvature, parameters = np.zeros((n, d, d)), np.full((n, d), -1)
    for i, minimum in enumerate(minima):
        m = len(minimum.parameters)
        curvature[i, :m, :m], parameters[i, :m] = minimum.curvature, minimum.parameters
    return {
        "start": np.array(starts).reshape(n, d),
        "p": np.array([minimum.p for minimum in minima]).reshape(n, d),
        "objective": np.array([minimum.objective for minimum in minima], dtype=np.float64),
        "chi2": np.array([minimum.chi2 for minimum in minima], dtype=np.float64),
        "n_evaluations": np.array([minimum.n_evaluations for minimum in minima], dtype=np.int64),
        "curvature": curvature,
        "parameters": parameters,
    }


def _unpacked(state: dict[str, Any] | None) -> list[tuple[Array, Minimum]]:
    found: list[tuple[Array, Minimum]] = []
    for i in range(0 if state is None else len(state["p"])):
        assert state is not None
        parameters = state["parameters"][i]
        parameters = parameters[parameters >= 0]
        m = len(parameters)
        minimum = Minimum(
            p=np.array(state["p"][i]),
            objective=float(state["objective"][i]),
            chi2=float(state["chi2"][i]),
            curvature=np.array(state["curvature"][i, :m, :m]),
            parameters=parameters,
            n_evaluations=int(state["n_evaluations"][i]),
        )
        found.append((np.array(state["start"][i]), minimum))
    return found
