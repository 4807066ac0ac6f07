"""The settings file of `fitcore deploy`: its form, and what is told of one that cannot be used. No server is asked here."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import yaml
from prefect.client.schemas.schedules import CronSchedule
from pydantic import Field, ValidationError, field_validator, model_validator

from deploy.cluster import KubernetesPool
from deploy.forms import Name, Positive, Strict, one_of
from fitcore import ConfigError
from fitcore.strict_yaml import StrictLoader
from flows import catalogue
from flows.campaign import MOST
from flows.deployed import ATTEMPTS

LARGEST_FILE = 1_000_000


class Pool(Strict):
    """A work pool whose runs are child processes of its workers."""

    type: Literal["process"]
    concurrency: Positive | None = None


class Schedule(Strict):
    """When: a cron expression, in a time zone."""

    cron: str
    timezone: str

    @field_validator("cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        try:
            CronSchedule(cron=value)
        except ValueError as error:
            raise ValueError(
                f"{value!r} is no cron expression; it must have minute, hour, day of month, month and day of week, such as '0 2 * * *'."
            ) from error
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        try:
            return one_of(value, sorted(available_timezones()), "time zone")
        except ValueError as error:
            raise ValueError(f"{error} Give an IANA name, such as 'Europe/Paris' or 'UTC'.") from None


class FitParameters(Strict):
    """How each dataset is fitted; ``dataset`` only where a schedule fits one and the same.

    ``latents`` is the deployment of this file that computes the latent variables; without it the fit does.
    """

    pipeline: str = "lens"
    seed: Annotated[int, Field(ge=0)] = 0
    settings: dict[str, dict[str, int | float | str | bool]] = Field(default_factory=dict)
    attempts: Positive = ATTEMPTS
    dataset: str | None = None
    latents: Name | None = None

    @model_validator(mode="after")
    def _known(self) -> FitParameters:
        one_of(self.pipeline, catalogue.names(), "pipeline that is installed here")
        try:
            catalogue.check_stages(catalogue.find(self.pipeline), self.settings, "settings: ")
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self


class CampaignParameters(Strict):
    """Which folder, fitted by which deployment of this file, and how many runs are started at most in one go."""

    folder: str
    fit: Name
    most: Positive = MOST


class LatentsParameters(Strict):
    """What must compute the latent variables, and how often it is tried."""

    device: Literal["gpu", "cpu", "any"] = "any"
    attempts: Positive = ATTEMPTS


class ReportParameters(Strict):
    """Which reports are written again: of these datasets and this pipeline, all where nothing is said."""

    names: list[str] = Field(default_factory=list)
    pipeline: str | None = None

    @field_validator("pipeline")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return value if value is None else one_of(value, catalogue.names(), "pipeline that is installed here")


class _Deployment(Strict):
    pool: Name
    schedule: Schedule | None = None
    concurrency: Positive | None = None
    collision: Literal["enqueue", "cancel_new"] = "enqueue"
    paused: bool = False
    threads: Positive | None = None


class Engine(Strict):
    """Where the tasks of a fit run: beside its flow, or on a cluster, which gives ``latents`` to the computation of latent variables."""

    type: Literal["threads", "dask", "ray"]
    address: str | None = None
    latents: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _has_cluster(self) -> Engine:
        if self.type == "threads" and (self.address is not None or self.latents):
            raise ValueError(
                "type is 'threads', which has no cluster, and an address or resources are given. Give dask or ray, or drop them."
            )
        return self


class FitDeployment(_Deployment):
    """A deployment of the flow `fit`."""

    flow: Literal["fit"]
    engine: Engine | None = None
    parameters: FitParameters = FitParameters.model_construct()

    @model_validator(mode="after")
    def _has_dataset(self) -> FitDeployment:
        if self.schedule is not None and self.parameters.dataset is None:
            raise ValueError("it has a schedule and no dataset. Give parameters.dataset, or schedule a campaign over a folder.")
        return self


class CampaignDeployment(_Deployment):
    """A deployment of the flow `campaign`."""

    flow: Literal["campaign"]
    parameters: CampaignParameters


class LatentsDeployment(_Deployment):
    """A deployment of the flow `latents`: its runs are started by those of a `fit`."""

    flow: Literal["latents"]
    parameters: LatentsParameters = LatentsParameters()

    @model_validator(mode="after")
    def _has_no_schedule(self) -> LatentsDeployment:
        if self.schedule is not None:
            raise ValueError("it has a schedule, and its runs are started by those of a fit. Leave it out.")
        return self


class ReportDeployment(_Deployment):
    """A deployment of the flow `report`."""

    flow: Literal["report"]
    parameters: ReportParameters = ReportParameters()


Deployment = FitDeployment | CampaignDeployment | LatentsDeployment | ReportDeployment


class Recovery(Strict):
    """Seconds: between two heartbeats, until a silent run counts as crashed, and until a crashed one is set back.

    ``start`` is for `fitcore tend`: until a run that a worker has taken and not begun counts as crashed.
    """

    heartbeat: Annotated[int, Field(ge=30)] = 30
    zombie: int = 90
    requeue: Annotated[int, Field(ge=20)] = 60
    start: Annotated[int, Field(ge=60)] = 300

    @model_validator(mode="after")
    def _beats_enough(self) -> Recovery:
        if self.zombie < 3 * self.heartbeat:
            raise ValueError(
                f"zombie is {self.zombie} s and heartbeat {self.heartbeat} s: a run counts as crashed after three heartbeats missed. "
                f"Give zombie at least {3 * self.heartbeat}."
            )
        return self


class File(Strict):
    """The whole file. ``name`` marks on the server what is made of it."""

    name: Name
    store: str
    pools: Annotated[dict[Name, Annotated[Pool | KubernetesPool, Field(discriminator="type")]], Field(min_length=1)]
    deployments: dict[Name, Annotated[Deployment, Field(discriminator="flow")]] = Field(default_factory=dict)
    recovery: Recovery = Recovery()

    @field_validator("pools", mode="before")
    @classmethod
    def _process_by_default(cls, value: Any) -> Any:
        items = value.items() if isinstance(value, dict) else ()
        return {name: {"type": "process", **pool} if isinstance(pool, dict) else pool for name, pool in items} if items else value

    @model_validator(mode="after")
    def _grace_ends_before_the_alarm(self) -> File:
        for name, pool in self.pools.items():
            if isinstance(pool, KubernetesPool) and self.recovery.zombie < pool.grace_period:
                raise ValueError(
                    f"pool {name!r}: grace_period is {pool.grace_period} s and recovery.zombie {self.recovery.zombie} s: a pod that was "
                    "told to end, and is cut off from the server, would count as crashed while it still saves, and another would start "
                    f"beside it. Give recovery.zombie at least {pool.grace_period}, or the pool a shorter grace_period."
                )
        return self

    @model_validator(mode="after")
    def _known_names(self) -> File:
        for name, deployment in self.deployments.items():
            try:
                one_of(deployment.pool, list(self.pools), "pool of this file")
                if isinstance(deployment, CampaignDeployment):
                    self._named(deployment.parameters.fit, "fit")
                elif isinstance(deployment, FitDeployment) and deployment.parameters.latents is not None:
                    other = self._named(deployment.parameters.latents, "latents")
                    if other.pool == deployment.pool:
                        raise ValueError(
                            f"its pool {deployment.pool!r} is that of {deployment.parameters.latents!r} too, for which its runs wait: they "
                            "would keep each other waiting once the pool is full. Give one of them another pool."
                        )
            except ValueError as error:
                raise ValueError(f"deployment {name!r}: {error}") from None
        return self

    def _named(self, name: str, flow: str) -> Deployment:
        """The deployment of that name, where it is one of that flow."""
        known = [key for key, item in self.deployments.items() if item.flow == flow]
        return self.deployments[one_of(name, known, f"deployment of the flow {flow!r} in this file")]


def schema_text() -> str:
    """The JSON schema of the file, as it is shipped in ``deploy.schema.json`` for editors."""
    return json.dumps(File.model_json_schema(), indent=1, sort_keys=True) + "\n"


def load(path: Path) -> File:
    """The settings in a file.

    Raises
    ------
    ConfigError
        when it cannot be read, or not used: one line for each fault, with its place, the value, what is allowed and the remedy.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(
                f"{path} has {path.stat().st_size:,} bytes; a settings file has {LARGEST_FILE:,} at most. Is it another file?"
            )
        loader = StrictLoader(path.read_text(encoding="utf-8"))
        value = loader.get_single_data()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {path} cannot be read: {error}. Name one that can.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"The settings file {path} is no YAML that can be used: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"The settings file {path} holds {reprlib.repr(value)}; it must hold keys: {', '.join(File.model_fields)}.")
    try:
        return File.model_validate(value)
    except ValidationError as error:
        faults = "\n".join(f"  {fault(item)}" for item in error.errors(include_url=False))
        raise ConfigError(f"The settings file {path} cannot be used:\n{faults}") from error


def fault(item: Any) -> str:
    """One fault in a line."""
    where = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "value_error":
        return f"{where}: {item['ctx']['error']}"
    if item["type"] == "missing":
        return f"{where}: it is missing. Give it."
    if item["type"] == "string_pattern_mismatch":
        return f"{where}: {item['input']!r} is no name; it must have small letters, digits and hyphens, 63 at most. Choose such a name."
    return f"{where}: {item['msg']}; it is {reprlib.repr(item['input'])}. Correct it."
