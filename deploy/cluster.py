"""The settings of a work pool on a Kubernetes cluster. What is made of them is in `deploy.pods`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from deploy.forms import Name, Positive, Strict

SAVE_SECONDS = 30
"""After which Prefect's supervisor in a pod kills a flow process that was told to end."""
TELL_SECONDS = 15
"""For the supervisor to hear of it, to tell the server, and to leave."""
RESERVED = ("/tmp", "/run", "/proc", "/sys", "/dev", "/etc", "/usr")


def written_as(pattern: str, what: str) -> Callable[[str], str]:
    """A check that a text is written in a way; ``what`` says in words which."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is not {what}. Correct it.")
        return value

    return check


Cpu = Annotated[str, AfterValidator(written_as(r"[0-9]+m|[0-9]+(\.[0-9]+)?", "a number of cores, such as '2', '0.5' or '500m'"))]
Bytes = Annotated[str, AfterValidator(written_as(r"[0-9]+(\.[0-9]+)?[kMGT]i?", "an amount of memory, such as '4Gi' or '500Mi'"))]
Image = Annotated[
    str,
    AfterValidator(
        written_as(
            r"[a-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64}|:(?!latest)[A-Za-z0-9_][A-Za-z0-9._-]*)",
            "an image with its tag or digest, such as 'registry.example.org/fitcore:0.1.0'; without one, or with 'latest', a run could go "
            "on with other code than it began with",
        )
    ),
]


class Toleration(Strict):
    """A taint of nodes that the pods put up with, in the words of Kubernetes."""

    key: str
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @model_validator(mode="after")
    def _value_where_compared(self) -> Toleration:
        if (self.value is None) != (self.operator == "Exists"):
            raise ValueError(f"operator is {self.operator} and value is {self.value!r}: Equal needs a value, Exists has none. Correct one.")
        return self


class KubernetesPool(Strict):
    """A work pool whose runs are Kubernetes jobs of one pod each, made for nodes that may be taken away.

    Parameters
    ----------
    image : with fitcore in it, see ``deploy/Containerfile``.
    namespace, service_account : of the jobs; the account's token is not given to the pods.
    node_selector, tolerations : which nodes, such as the spot nodes of a provider.
    grace_period : seconds from the order to end until a pod is killed.
    finished_job_ttl : seconds for which a finished job can be looked at.
    gpus : of NVIDIA's, for each pod.
    user : number of the user and group that the pods run as, and that the volumes are given to.
    claims : persistent volume claims by name, and where each is mounted. Store and datasets must lie on one of them.
    env_from_secret : name of a Kubernetes secret; each of its items becomes a variable, such as PREFECT_API_AUTH_STRING.
    key_secret : name of a Kubernetes secret whose item ``key`` signs the store (FITCORE_KEY_FILE).
    """

    type: Literal["kubernetes"]
    concurrency: Positive | None = None
    image: Image
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    namespace: Name = "default"
    service_account: Name | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[Toleration] = Field(default_factory=list)
    grace_period: int = 90
    finished_job_ttl: Positive = 3600
    cpu_request: Cpu
    cpu_limit: Cpu
    memory_request: Bytes
    memory_limit: Bytes
    gpus: Annotated[int, Field(ge=0)] = 0
    user: Annotated[int, Field(ge=1)] = 1000
    claims: Annotated[dict[Name, str], Field(min_length=1)]
    env_from_secret: Name | None = None
    key_secret: Name | None = None

    @property
    def n_cores(self) -> int:
        """Whole cores that a pod may use, one at least."""
        limit = self.cpu_limit
        return max(1, int(limit[:-1]) // 1000 if limit.endswith("m") else int(float(limit)))

    @field_validator("grace_period")
    @classmethod
    def _saves_in_time(cls, value: int) -> int:
        if value < SAVE_SECONDS + TELL_SECONDS:
            raise ValueError(
                f"grace_period is {value} s; a search that is told to end has {SAVE_SECONDS} s to save, and Prefect needs up to "
                f"{TELL_SECONDS} s to put the run back. Give at least {SAVE_SECONDS + TELL_SECONDS}."
            )
        return value

    @field_validator("claims")
    @classmethod
    def _mounts(cls, value: dict[str, str]) -> dict[str, str]:
        for name, path in value.items():
            if not path.startswith("/") or posixpath.normpath(path) != path or path == "/" or path.startswith("//"):
                raise ValueError(f"claim {name!r} is mounted at {path!r}; that must be a folder from the root, such as '/data/results'.")
            if is_within(path, RESERVED):
                raise ValueError(f"claim {name!r} is mounted at {path!r}, which the pod has for itself. Mount it elsewhere, as in '/data'.")
            others = [other for key, other in value.items() if key != name]
            if is_within(path, others):
                raise ValueError(f"claim {name!r} is mounted at {path!r}, within another claim. Mount them side by side.")
        return value

    @model_validator(mode="before")
    @classmethod
    def _is_installed(cls, value: Any) -> Any:
        try:
            version("prefect-kubernetes")
        except PackageNotFoundError:
            raise ValueError(
                "a pool of type kubernetes needs the package prefect-kubernetes, which is not installed here. Run "
                "pip install 'fitcore[kubernetes]', or use a pool of type process."
            ) from None
        return value


def is_within(path: str, folders: Any) -> bool:
    """Whether a path is one of these folders, or in one of them."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
