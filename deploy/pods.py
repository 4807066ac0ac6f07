"""What a Kubernetes pool is on a Prefect server: Prefect's own base job template with ours on top, and a job rendered from it.

Nothing here talks to a cluster or a server. The backend is optional (``pip install 'fitcore[kubernetes]'``) and imported when asked for.

A setting that one deployment may want otherwise is a variable of the template. What keeps a pod harmless, and a run whole, is not: no
privileges, no writable root, no token of the account, no second try by Kubernetes itself (with one, Prefect would not put the run back when
the node is drained). Passwords come from secrets of the cluster: the template takes them out of what a worker would hand on in plain.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
from types import ModuleType
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from deploy.cluster import KubernetesPool, is_within
from fitcore import ConfigError

SCRATCH, KEY_FOLDER, KEY_SECRET_FOLDER = "/tmp", "/run/fitcore", "/run/fitcore-secret"
SCRATCH_LIMIT = "4Gi"
PASSWORDS = ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY")
GPU = "nvidia.com/gpu"
EXAMPLE = UUID(int=0)
NOWHERE = "http://127.0.0.1:9/api"


def template_of(pool: KubernetesPool) -> dict[str, Any]:
    """The base job template of a pool, as JSON would hold it."""
    template = copy.deepcopy(_backend().KubernetesWorker.get_default_base_job_template())
    properties = template["variables"]["properties"]
    del properties["backoff_limit"], properties["cluster_config"], template["job_configuration"]["cluster_config"]
    template["variables"].pop("definitions", None)
    properties |= _own_variables(pool)
    for name, value in _defaults(pool).items():
        properties[name]["default"] = value
    job = template["job_configuration"]["job_manifest"]["spec"]
    pod = job["template"]["spec"]
    job |= {"backoffLimit": 0, "completions": pod.pop("completions"), "parallelism": pod.pop("parallelism")}
    pod |= {
        "nodeSelector": "{{ node_selector }}",
        "tolerations": "{{ tolerations }}",
        "terminationGracePeriodSeconds": "{{ termination_grace_period_seconds }}",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": pool.user,
            "runAsGroup": pool.user,
            "fsGroup": pool.user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    _fill(pool, pod)
    return template


def rendered(template: dict[str, Any], name: str, environment: dict[str, str]) -> dict[str, Any]:
    """The job that a worker would make of a run, but for the run's identity: a manifest as Kubernetes takes it.

    Parameters
    ----------
    template : of `template_of`.
    name : of the run.
    environment : what its deployment sets.
    """
    kind = _backend().KubernetesWorkerJobConfiguration
    unused = PrefectClient(NOWHERE)  # for references to what a server has, of which there are none; without it, a server would be started
    configuration = asyncio.run(kind.from_template_and_values(template, {"env": environment}, client=unused))
    configuration.prepare_for_flow_run(FlowRun(id=EXAMPLE, flow_id=EXAMPLE, name=name))
    return configuration.job_manifest


def check_mounted(pool: KubernetesPool, what: str, path: str) -> None:
    """Raise ConfigError where a path of the file is on none of the volumes of a pool."""
    if not is_within(path, pool.claims.values()):
        raise ConfigError(
            f"{what} is {path}, which no pod sees: the pool mounts {', '.join(pool.claims.values())}. Mount a claim where it is, under "
            "the same name as on the other machines, or give a path on one of these."
        )


def _own_variables(pool: KubernetesPool) -> dict[str, Any]:
    """The variables that Prefect's template does not have."""
    own = {
        "node_selector": ("Node selector", "Labels of the nodes that may run a pod.", {"type": "object"}),
        "tolerations": ("Tolerations", "Taints of nodes that the pods put up with.", {"type": "array", "items": {"type": "object"}}),
        "termination_grace_period_seconds": (
            "Termination grace period seconds",
            "From the order to end until the pod is killed; the search saves in that time.",
            {"type": "integer"},
        ),
    }
    if pool.gpus:
        own["gpu_limit"] = ("GPU limit", "GPUs for each pod.", {"type": "integer"})
    return {name: {"title": title, "description": told, **form} for name, (title, told, form) in own.items()}


def _defaults(pool: KubernetesPool) -> dict[str, Any]:
    """The values of the variables: what the settings file says."""
    environment = {
        "HOME": SCRATCH,
        "PREFECT_HOME": f"{SCRATCH}/prefect",
        "FITCORE_CACHE": f"{SCRATCH}/cache",
        "FITCORE_THREADS": str(pool.n_cores),
        **({} if pool.key_secret is None else {"FITCORE_KEY_FILE": f"{KEY_FOLDER}/key"}),
        **dict.fromkeys(PASSWORDS),  # None takes out what a worker has in its own environment
    }
    return {
        "env": environment,
        "image": pool.image,
        "image_pull_policy": pool.image_pull_policy,
        "namespace": pool.namespace,
        "service_account_name": pool.service_account,
        "node_selector": pool.node_selector,
        "tolerations": [item.model_dump(mode="json", exclude_none=True) for item in pool.tolerations],
        "termination_grace_period_seconds": pool.grace_period,
        "finished_job_ttl": pool.finished_job_ttl,
        "cpu_request": pool.cpu_request,
        "cpu_limit": pool.cpu_limit,
        "memory_request": pool.memory_request,
        "memory_limit": pool.memory_limit,
        **({"gpu_limit": pool.gpus} if pool.gpus else {}),
    }


def _fill(pool: KubernetesPool, pod: dict[str, Any]) -> None:
    """Volumes, secrets and what the containers may do."""
    (container,) = pod["containers"]
    guarded = {
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "imagePullPolicy": container["imagePullPolicy"],
        "image": container["image"],
    }
    pod["volumes"] = [{"name": "scratch", "emptyDir": {"sizeLimit": SCRATCH_LIMIT}}]
    mounts: list[dict[str, Any]] = [{"name": "scratch", "mountPath": SCRATCH}]
    for number, (claim, path) in enumerate(pool.claims.items()):
        pod["volumes"].append({"name": f"claim-{number}", "persistentVolumeClaim": {"claimName": claim}})
        mounts.append({"name": f"claim-{number}", "mountPath": path})
    if pool.key_secret is not None:
        # Files of a secret belong to root and are open to whoever must read them; fitcore takes a key from its user's own file only.
        pod["volumes"] += [
            {
                "name": "key-secret",
                "secret": {"secretName": pool.key_secret, "defaultMode": 0o444, "items": [{"key": "key", "path": "key"}]},
            },
            {"name": "key", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ]
        mounts.append({"name": "key", "mountPath": KEY_FOLDER, "readOnly": True})
        pod["initContainers"] = [
            {
                "name": "key",
                **guarded,
                "command": ["install", "-m", "0400", f"{KEY_SECRET_FOLDER}/key", f"{KEY_FOLDER}/key"],
                "resources": copy.deepcopy(container["resources"]),
                "volumeMounts": [
                    {"name": "key-secret", "mountPath": KEY_SECRET_FOLDER, "readOnly": True},
                    {"name": "key", "mountPath": KEY_FOLDER},
                ],
            }
        ]
    if pool.gpus:
        container["resources"]["limits"][GPU] = "{{ gpu_limit }}"
    if pool.env_from_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": pool.env_from_secret}}]
    container |= {**guarded, "volumeMounts": mounts}


def _backend() -> ModuleType:
    return importlib.import_module("prefect_kubernetes.worker")
