"""The automations that put a killed run back, as plain data.

No heartbeat -> Crashed; Crashed, a while later -> AwaitingRetry: the same run.

Both wait for the absence of an event. One that reacted at once would take the run while the old attempt is still being cleared away, and
that clearing would then mark the new attempt as crashed. A third one counts: a run that crashes again and again before its first line of
code, where it cannot count for itself, ends as Failed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from deploy.schema import Recovery

RUN = "prefect.flow-run."
ENDED = ("Completed", "Failed", "Cancelled", "Crashed")
WAITING = ("AwaitingRetry", "Scheduled")
COUNTED_DAYS = 30


def automations_of(name: str, tag: str, mark: str, recovery: Recovery, attempts: int) -> dict[str, dict[str, Any]]:
    """The fields of the three automations by name; they look at runs with that tag alone.

    Parameters
    ----------
    attempts : what the runs allow themselves; the counting one allows one more, since a run tells more of the reasons.
    """
    silent = EventTrigger(
        after=_events("heartbeat"),
        expect=_events("heartbeat", *ENDED, *WAITING),
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=recovery.zombie),
        **_runs(tag),
    )
    crashed = EventTrigger(
        after=_events("Crashed"),
        expect=_events("Pending", "Running", "Failed", "Cancelled", "Cancelling", *WAITING),
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=recovery.requeue),
        **_runs(tag),
    )
    again = EventTrigger(
        expect=_events("Crashed"),
        posture=Posture.Reactive,
        threshold=attempts + 1,
        within=timedelta(days=COUNTED_DAYS),
        **_runs(tag),
    )
    made = [
        ("no heartbeat", silent, StateType.CRASHED, None, f"no heartbeat for {recovery.zombie} s"),
        ("crashed", crashed, StateType.SCHEDULED, "AwaitingRetry", f"set back {recovery.requeue} s after a crash"),
        ("crashed too often", again, StateType.FAILED, None, f"crashed {attempts + 1} times; its states tell how"),
    ]
    return {
        f"fitcore {name}: {title}": fields_of(
            AutomationCore(
                name=f"fitcore {name}: {title}",
                description=mark,
                trigger=trigger,
                actions=[ChangeFlowRunState(state=state, name=state_name, message=message, force=False)],
            )
        )
        for title, trigger, state, state_name, message in made
    }


def fields_of(automation: AutomationCore) -> dict[str, Any]:
    """An automation as plain data, its sets in order, without what the server adds."""
    whole = automation.model_dump(mode="json", include={"description", "enabled", "trigger", "actions"})
    whole["trigger"].pop("id", None)
    for key in ("after", "expect", "for_each"):
        whole["trigger"][key] = sorted(whole["trigger"][key])
    return whole


def _events(*names: str) -> set[str]:
    return {RUN + name for name in names}


def _runs(tag: str) -> dict[str, Any]:
    return {
        "match": ResourceSpecification({"prefect.resource.id": f"{RUN}*"}),
        "match_related": ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"}),
        "for_each": {"prefect.resource.id"},
    }
