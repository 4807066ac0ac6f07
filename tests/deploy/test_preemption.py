"""Against a real server and real workers: runs that the automations have missed go on by `fitcore tend`, to the same bytes.

`benchmarks.preemption` does more of it.
"""

from __future__ import annotations

import importlib
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
world, disturbed = importlib.import_module("world"), importlib.import_module("disturbed")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
MINUTES = 1800.0


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Any]:
    """A server of which every automation is lost, three workers, and the tender."""
    with world.World(tmp_path / "world", 3) as made:
        for automation in made.ask("automations/filter"):
            made.ask(f"automations/{automation['id']}", "DELETE")
        yield made


def killed_in_the_search(there: Any, truth: Any) -> Any:
    """The flow process alone: the worker tells of the crash."""
    case = disturbed.Case(there, 0, "flow", truth)
    case.reach("search", random.Random(1))
    case.disturb("kill flow")
    return case


def killed_with_its_worker(there: Any, truth: Any) -> Any:
    """Nobody tells of it."""
    case = disturbed.Case(there, 1, "both", truth)
    case.reach("search", random.Random(2))
    case.disturb("kill both")
    return case


def killed_before_it_began(there: Any, truth: Any) -> Any:
    """It was taken by a worker, and never became Running."""
    case = disturbed.Case(there, 2, "pending", truth)
    world.wait_for(lambda: there.run(case.id)["state_type"] == "PENDING", "a worker", MINUTES, every=0.02)
    world.send([*there.worker(2), *there.flows(2)], signal.SIGKILL)
    return case


def test_what_the_automations_missed_goes_on(there: Any) -> None:
    truth = disturbed.undisturbed(there)
    there.add_tender()
    kinds: list[tuple[Callable[..., Any], str]] = [
        (killed_before_it_began, "not started for"),
        (killed_in_the_search, "exited with status code: -9"),
        (killed_with_its_worker, "no heartbeat for"),
    ]
    cases = [(make(there, truth), told) for make, told in kinds]
    for case, told in cases:
        assert there.end_of(case.id, MINUTES) == "Completed", (there.states(case.id), (there.base / "tend.log").read_text())
        crashes = [state["message"] for state in there.states(case.id) if state["name"] == "Crashed"]
        assert len(crashes) == 1
        assert told in crashes[0]
        assert "set back" in next(state["message"] for state in there.states(case.id) if state["name"] == "AwaitingRetry")
        facts = case.facts()
        assert facts["same_bytes"]
        assert facts["noted"] == 1
        assert not facts["damage"]
