"""`Lockstep`: algorithms that ask for one value at a time, run side by side so that their questions are answered in batches.

Each algorithm is a coroutine (a greenlet, because libraries cannot be asked to ``await``) that pauses at its question until all the others
have come to theirs. All in one thread, so the batches are the same in every run. No algorithm lives here.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from greenlet import getcurrent, greenlet

from fitcore.search.base import Array


class Lockstep:
    """A function of one point that is evaluated for many callers at once; see the module.

    Parameters
    ----------
    evaluate : takes points (n, n_dim), returns values (n,).
    size : most callers side by side.
    """

    def __init__(self, evaluate: Callable[[Array], Array], *, size: int) -> None:
        self.evaluate = evaluate
        self.size = size
        self._asking: set[greenlet] = set()

    def __call__(self, point: Array) -> float:
        """The value at ``point``, shape (n_dim,); waits for the other callers when called within `map`."""
        here = getcurrent()
        if here in self._asking:
            assert here.parent is not None
            return here.parent.switch(np.array(point))
        return float(self.evaluate(np.array(point)[None])[0])

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """``function`` of every item, in order, ``size`` of them side by side.

        Raises
        ------
        Exception
            what the evaluation or one of the functions raised; the others are ended.
        """
        waiting, results = list(enumerate(items)), {}
        todo = iter(waiting)
        running: dict[greenlet, int] = {}
        questions: dict[greenlet, Array] = {}

        def advance(task: greenlet, *given: Any) -> None:
            answer = task.switch(*given)
            if task.dead:
                results[running.pop(task)] = answer
                self._asking.discard(task)
            else:
                questions[task] = answer

        try:
            while True:
                while len(running) < self.size and (following := next(todo, None)) is not None:
                    task = greenlet(function)
                    # Without it the task would start outside the caller's numpy error state, which is a context variable.
                    task.gr_context = contextvars.copy_context()
                    running[task] = following[0]
                    self._asking.add(task)
                    advance(task, following[1])
                if not questions:
                    if not running:
                        break
                    continue
                values = self.evaluate(np.array(list(questions.values())))
                answered = list(zip(questions, values, strict=True))
                questions.clear()
                for task, value in answered:
                    advance(task, float(value))
        finally:
            self._end(running)
        return [results[i] for i, _ in waiting]

    def _end(self, running: dict[greenlet, int]) -> None:
        """End the tasks that will get no answer: each sees a GreenletExit, which no ``except Exception`` swallows."""
        for task in running:
            self._asking.discard(task)
            if not task.dead:
                task.throw()
