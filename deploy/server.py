"""The Prefect server's side of `fitcore deploy`: what is there, how a thing is made, changed and removed, and what a refusal means."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import AutomationSort, DeploymentSort
from prefect.events.schemas.automations import AutomationCore

from deploy.automations import fields_of
from deploy.changes import CHANGED, LEFT, MADE, Change, Found
from deploy.wanted import Thing, mark_of, tag_of
from flows.server import password_refused

PAGE = 200


class Server:
    """What the files of one name have on a server.

    Parameters
    ----------
    client : open.
    name : of the settings file.
    """

    def __init__(self, client: SyncPrefectClient, name: str) -> None:
        self.client = client
        self.name = name

    def found(self) -> list[Found]:
        """Every pool, deployment and automation of the server."""
        return [*self._pools(), *self._deployments(), *self._automations()]

    def apply(self, change: Change) -> None:
        """Do it; what is not in the file is removed."""
        kind, thing = change.thing.kind, change.thing
        if change.what == MADE:
            {"pool": self._make_pool, "deployment": self._make_deployment, "automation": self._make_automation}[kind](thing)
            return
        assert change.id is not None
        if change.what == CHANGED:
            {"pool": self._change_pool, "deployment": self._change_deployment, "automation": self._change_automation}[kind](
                thing, change.id
            )
        elif change.what == LEFT and kind == "pool":
            self.client.delete_work_pool(thing.name)
        elif change.what == LEFT and kind == "deployment":
            self.client.delete_deployment(change.id)
        elif change.what == LEFT:
            self.client.delete_automation(change.id)

    def _pools(self) -> Iterator[Found]:
        for pool in _pages(self.client.read_work_pools):
            fields = {
                "type": pool.type,
                "concurrency": pool.concurrency_limit,
                "description": pool.description,
                "template": pool.base_job_template,
            }
            thing = Thing(kind="pool", name=pool.name, fields=fields)
            yield Found(thing=thing, id=pool.id, is_ours=pool.description == mark_of(self.name))

    def _make_pool(self, thing: Thing) -> None:
        self.client.create_work_pool(
            WorkPoolCreate(
                name=thing.name,
                type=thing.fields["type"],
                description=thing.fields["description"],
                concurrency_limit=thing.fields["concurrency"],
                base_job_template=thing.fields["template"],
            )
        )

    def _change_pool(self, thing: Thing, identity: UUID) -> None:
        update = WorkPoolUpdate(
            description=thing.fields["description"],
            concurrency_limit=thing.fields["concurrency"],
            base_job_template=thing.fields["template"],
        )
        self.client.update_work_pool(thing.name, update)

    def _deployments(self) -> Iterator[Found]:
        flows: dict[Any, str] = {}
        for deployment in _pages(functools.partial(self.client.read_deployments, sort=DeploymentSort.NAME_ASC)):
            if deployment.flow_id not in flows:
                flows[deployment.flow_id] = self.client.read_flow(deployment.flow_id).name
            thing = Thing(kind="deployment", name=f"{flows[deployment.flow_id]}/{deployment.name}", fields=_fields(deployment))
            yield Found(thing=thing, id=deployment.id, is_ours=tag_of(self.name) in deployment.tags)

    def _make_deployment(self, thing: Thing) -> None:
        flow, _, name = thing.name.partition("/")
        self.client.create_deployment(
            flow_id=self.client.create_flow_from_name(flow),
            name=name,
            schedules=[DeploymentScheduleCreate(**item) for item in _schedules(thing.fields)],
            enforce_parameter_schema=True,
            **_settings(thing.fields),
        )

    def _change_deployment(self, thing: Thing, identity: UUID) -> None:
        schedules = [DeploymentScheduleUpdate(**item) for item in _schedules(thing.fields)]
        self.client.update_deployment(identity, DeploymentUpdate(schedules=schedules, **_settings(thing.fields)))

    def _automations(self) -> Iterator[Found]:
        for automation in _pages(functools.partial(self.client.read_automations, sort=AutomationSort.NAME_ASC)):
            thing = Thing(kind="automation", name=automation.name, fields=fields_of(automation))
            yield Found(thing=thing, id=automation.id, is_ours=automation.description == mark_of(self.name))

    def _make_automation(self, thing: Thing) -> None:
        self.client.create_automation(AutomationCore.model_validate({"name": thing.name, **thing.fields}))

    def _change_automation(self, thing: Thing, identity: UUID) -> None:
        self.client.delete_automation(identity)
        self._make_automation(thing)  # anew: what the old one had counted was by other rules


def _schedules(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The schedules of a deployment, for either class that Prefect's client has for one."""
    return [
        {"schedule": CronSchedule(cron=item["cron"], timezone=item["timezone"]), "active": item["active"]} for item in fields["schedules"]
    ]


def _settings(fields: dict[str, Any]) -> dict[str, Any]:
    """All of a deployment but its name and schedules, by the names that Prefect's client has for them."""
    return {
        "concurrency_limit": fields["concurrency"],
        "concurrency_options": ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy(fields["collision"])),
        "parameters": fields["parameters"],
        "description": fields["description"],
        "work_pool_name": fields["pool"],
        "tags": fields["tags"],
        "entrypoint": fields["entrypoint"],
        "parameter_openapi_schema": fields["parameter_schema"],
        "paused": fields["paused"],
        "job_variables": {"env": fields["environment"]},
    }


def _fields(deployment: DeploymentResponse) -> dict[str, Any]:
    """A deployment as plain data, in the form of `deploy.wanted`."""
    limit, options = deployment.global_concurrency_limit, deployment.concurrency_options
    return {
        "pool": deployment.work_pool_name,
        "parameters": deployment.parameters,
        "schedules": [
            {**item.schedule.model_dump(mode="json", include={"cron", "timezone"}), "active": item.active} for item in deployment.schedules
        ],
        "paused": deployment.paused,
        "concurrency": None if limit is None else limit.limit,
        "collision": None if options is None else options.collision_strategy.value,
        "environment": deployment.job_variables.get("env", {}),
        "entrypoint": deployment.entrypoint,
        "parameter_schema": deployment.parameter_openapi_schema,
        "description": deployment.description,
        "tags": sorted(deployment.tags),
    }


def _pages(read: Any) -> Iterator[Any]:
    """Everything that a reader of the client has, page by page."""
    offset = 0
    while page := read(limit=PAGE, offset=offset):
        yield from page
        offset += len(page)


def refused(url: str, error: httpx.HTTPStatusError) -> str:
    """What a refusal of the server means."""
    if error.response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return password_refused(url, error.response.status_code)
    return (
        f"The Prefect server at {url} refused {error.request.method} {error.request.url.path} with {error.response.status_code}: "
        f"{error.response.text[:300]}. Is it a server of the same version as here?"
    )
