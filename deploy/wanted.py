"""What a settings file asks of a server: work pools, deployments and automations as plain data that can be compared."""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker

from deploy import pods
from deploy.automations import automations_of
from deploy.cluster import KubernetesPool
from deploy.schema import CampaignDeployment, Deployment, Engine, File, FitDeployment, LatentsDeployment, Pool, ReportDeployment
from flows.campaign import campaign
from flows.deployed import fit
from flows.latents import latents
from flows.reports import report

ENTRYPOINTS = {
    "fit": "flows.deployed.fit",
    "campaign": "flows.campaign.campaign",
    "latents": "flows.latents.latents",
    "report": "flows.reports.report",
}
SCHEMAS = {flow.name: parameter_schema(flow.fn) for flow in (fit, campaign, latents, report)}
OURS = "fitcore"
PATHS = ("store", "dataset", "folder")
CLIENT_RETRIES = 7
"""Of Prefect's client in a run, after 2, 4, 8 ... seconds: a server may be away for four minutes; with Prefect's five, for one."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A work pool, deployment or automation: its kind, its name, and its fields as JSON would hold them."""

    kind: str
    name: str
    fields: dict[str, Any]


def tag_of(name: str) -> str:
    """The tag of the deployments of a file, and so of their runs."""
    return f"{OURS}-{name}"


def mark_of(name: str) -> str:
    """The description of what cannot have a tag."""
    return f"Made by 'fitcore deploy' from the settings file named {name}; changes made here are undone by its next run."


def things_of(file: File, base: Path) -> list[Thing]:
    """All that the file asks for, in the order in which it must be made; relative paths begin at ``base``.

    Raises
    ------
    ConfigError
        where a pod would not see a path that its run is given.
    """
    for name, deployment in file.deployments.items():
        _check_mounted(file, name, deployment, base)
    pools = [Thing(kind="pool", name=name, fields=_pool_fields(file, pool)) for name, pool in file.pools.items()]
    deployments = [
        Thing(kind="deployment", name=f"{deployment.flow}/{name}", fields=_fields(file, deployment, base))
        for name, deployment in file.deployments.items()
    ]
    attempts = [item.parameters.attempts for item in file.deployments.values() if isinstance(item, FitDeployment | LatentsDeployment)]
    found = automations_of(file.name, tag_of(file.name), mark_of(file.name), file.recovery, max(attempts, default=1))
    return [*pools, *deployments, *(Thing(kind="automation", name=name, fields=fields) for name, fields in found.items())]


def _fields(file: File, deployment: Deployment, base: Path) -> dict[str, Any]:
    environment = {
        "PREFECT_CLIENT_MAX_RETRIES": str(CLIENT_RETRIES),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(file.recovery.heartbeat),
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    }
    if deployment.threads is not None:
        environment["FITCORE_THREADS"] = str(deployment.threads)
    if isinstance(deployment, FitDeployment) and deployment.engine is not None:
        environment |= _engine(deployment.engine)
    if isinstance(deployment, LatentsDeployment) and deployment.parameters.device == "cpu":
        environment["JAX_PLATFORMS"] = "cpu"  # on a machine with a GPU it would be taken
    schedule = deployment.schedule
    return {
        "pool": deployment.pool,
        "parameters": _parameters(file, deployment, base),
        "schedules": [] if schedule is None else [{"cron": schedule.cron, "timezone": schedule.timezone, "active": True}],
        "paused": deployment.paused,
        "concurrency": deployment.concurrency,
        "collision": deployment.collision.upper(),
        "environment": environment,
        "entrypoint": ENTRYPOINTS[deployment.flow],
        "parameter_schema": SCHEMAS[deployment.flow].model_dump(mode="json"),
        "description": mark_of(file.name),
        "tags": sorted((OURS, tag_of(file.name))),
    }


def _engine(engine: Engine) -> dict[str, str]:
    """The variables that `flows.settings` reads."""
    found = {"FITCORE_ENGINE": engine.type}
    if engine.address is not None:
        found["FITCORE_ENGINE_ADDRESS"] = engine.address
    if engine.latents:
        found["FITCORE_LATENTS_RESOURCES"] = ",".join(f"{name}={number:g}" for name, number in sorted(engine.latents.items()))
    return found


def _pool_fields(file: File, pool: Pool | KubernetesPool) -> dict[str, Any]:
    template = pods.template_of(pool) if isinstance(pool, KubernetesPool) else ProcessWorker.get_default_base_job_template()
    return {"type": pool.type, "concurrency": pool.concurrency, "description": mark_of(file.name), "template": template}


def _check_mounted(file: File, name: str, deployment: Deployment, base: Path) -> None:
    """Raise ConfigError where a path of a deployment is on no volume of its pool, or of the pools where what it starts runs."""
    pools = {each.pool for each in (deployment, *_started(file, deployment))}
    paths = {key: value for key, value in _parameters(file, deployment, base).items() if key in PATHS}
    for pool_name in sorted(pools):
        pool = file.pools[pool_name]
        for key, path in paths.items():
            if isinstance(pool, KubernetesPool):
                pods.check_mounted(pool, f"Deployment {name!r}, pool {pool_name!r}: its {key}", path)


def _started(file: File, deployment: Deployment) -> list[Deployment]:
    """The deployments of which one starts runs, with its paths, and those of which these do."""
    names = {CampaignDeployment: "fit", FitDeployment: "latents"}
    name = getattr(deployment.parameters, names[type(deployment)]) if type(deployment) in names else None
    return [] if name is None else [file.deployments[name], *_started(file, file.deployments[name])]


def _parameters(file: File, deployment: Deployment, base: Path) -> dict[str, Any]:
    """Every parameter given explicitly; a campaign has those of the deployment that fits, a run of `latents` gets the rest from its fit."""
    if isinstance(deployment, LatentsDeployment):
        return deployment.parameters.model_dump()
    if isinstance(deployment, ReportDeployment):
        return {"store": rooted(base, file.store), **deployment.parameters.model_dump()}
    if isinstance(deployment, CampaignDeployment):
        fitting = file.deployments[deployment.parameters.fit]
        return {
            **{name: value for name, value in _parameters(file, fitting, base).items() if name not in ("dataset", "latents")},
            "folder": rooted(base, deployment.parameters.folder),
            "most": deployment.parameters.most,
            "deployment": f"fit/{deployment.parameters.fit}",
        }
    given = deployment.parameters
    return {
        "pipeline": given.pipeline,
        "store": rooted(base, file.store),
        "seed": given.seed,
        "settings": given.settings,
        "attempts": given.attempts,
        "latents": None if given.latents is None else f"latents/{given.latents}",
        **({} if given.dataset is None else {"dataset": rooted(base, given.dataset)}),
    }


def rooted(base: Path, path: str) -> str:
    """A path of the file from the root: runs start in folders of their own."""
    return os.path.normpath(base.absolute() / path)
