"""The jobs that pods are made of, rendered without a server or a cluster and held strictly against the schemas of Kubernetes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_HOME, temporary_settings
from prefect_kubernetes.worker import KubernetesWorker

from deploy import pods
from deploy.__main__ import render
from deploy.changes import CHANGED, Found, compare, line
from deploy.cluster import KubernetesPool
from deploy.schema import load
from deploy.wanted import Thing, things_of
from fitcore import ConfigError

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("1.25", "1.31", "1.37")
EVERYTHING = {
    "gpus": 1,
    "service_account": "fitcore-run",
    "node_selector": {"spot": "true"},
    "tolerations": [{"key": "spot", "value": "true", "effect": "NoSchedule"}, {"key": "gpu", "operator": "Exists"}],
    "env_from_secret": "fitcore-env",
    "key_secret": "fitcore-key",
    "finished_job_ttl": 600,
    "image_pull_policy": "Always",
    "namespace": "fits",
}


def job_of(template: dict[str, Any]) -> dict[str, Any]:
    return pods.rendered(template, "J0252+0039 (b)", {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"})


def checked(manifest: dict[str, Any]) -> None:
    for version in VERSIONS:
        assert kubernetes_validate.validate(manifest, version, strict=True) == version


@pytest.fixture(params=[{}, EVERYTHING], ids=["least", "everything"])
def template(request: pytest.FixtureRequest, spot: dict[str, Any]) -> dict[str, Any]:
    return pods.template_of(KubernetesPool.model_validate({**spot, **request.param}))


@pytest.fixture
def full(spot: dict[str, Any]) -> dict[str, Any]:
    return pods.template_of(KubernetesPool.model_validate({**spot, **EVERYTHING}))


def test_a_job_is_as_kubernetes_has_it(template: dict[str, Any]) -> None:
    assert json.loads(json.dumps(template)) == template
    checked(job_of(template))


@pytest.mark.parametrize(
    ("place", "key"),
    [
        (("template", "spec"), "terminationGracePeriodSeconds"),
        (("template", "spec"), "tolerations"),
        (("template", "spec", "containers", 0), "volumeMounts"),
        (("template", "spec", "containers", 0, "securityContext"), "readOnlyRootFilesystem"),
        (("template", "spec", "initContainers", 0), "command"),
        ((), "backoffLimit"),
    ],
)
def test_a_typo_is_caught(full: dict[str, Any], place: tuple[Any, ...], key: str) -> None:
    part = full["job_configuration"]["job_manifest"]["spec"]
    for name in place:
        part = part[name]
    part[key[:-1]] = part.pop(key)
    with pytest.raises(kubernetes_validate.ValidationError, match=f"'{key[:-1]}' was unexpected"):
        kubernetes_validate.validate(job_of(full), VERSIONS[-1], strict=True)


def test_what_is_misplaced_in_prefects_own() -> None:
    job = job_of(KubernetesWorker.get_default_base_job_template())
    with pytest.raises(kubernetes_validate.ValidationError, match=r"'completions', 'parallelism' were unexpected"):
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)


def test_the_settings_arrive(full: dict[str, Any]) -> None:
    job = job_of(full)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["metadata"]["namespace"] == "fits"
    assert (job["spec"]["backoffLimit"], job["spec"]["ttlSecondsAfterFinished"]) == (0, 600)
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (1, 1)
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"], pod["serviceAccountName"]) == ("Never", 60, "fitcore-run")
    assert pod["nodeSelector"] == {"spot": "true"}
    assert pod["tolerations"] == [
        {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"},
        {"key": "gpu", "operator": "Exists"},
    ]
    assert (container["image"], container["imagePullPolicy"]) == ("registry.example.org/fitcore:0.1.0", "Always")
    assert container["resources"] == {
        "limits": {"cpu": "2", "memory": "6Gi", "nvidia.com/gpu": 1},
        "requests": {"cpu": "2", "memory": "4Gi"},
    }
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    assert mounted["/data/results"]["persistentVolumeClaim"] == {"claimName": "results"}
    assert mounted["/data/inbox"]["persistentVolumeClaim"] == {"claimName": "inbox"}


def test_a_drained_pod_puts_its_run_back(template: dict[str, Any]) -> None:
    environment = environment_of(job_of(template))
    assert environment["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"
    assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"


def test_a_deployment_overrules_the_pool(full: dict[str, Any]) -> None:
    assert environment_of(pods.rendered(full, "x", {}))["FITCORE_THREADS"] == "2"
    assert environment_of(pods.rendered(full, "x", {"FITCORE_THREADS": "1"}))["FITCORE_THREADS"] == "1"


def test_a_pod_can_do_no_harm(template: dict[str, Any]) -> None:
    pod = job_of(template)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"] + pod.get("initContainers", []):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_what_a_run_writes_is_on_a_volume(template: dict[str, Any]) -> None:
    job = job_of(template)
    mounts = {mount["mountPath"] for mount in job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] if not mount.get("readOnly")}
    environment = environment_of(job)
    for name in ("HOME", "PREFECT_HOME", "FITCORE_CACHE"):
        assert any((environment[name] + "/").startswith(f"{mount}/") for mount in mounts), name


@pytest.fixture
def worker_settings(tmp_path: Path) -> Iterator[None]:
    """What a worker with a password has in its own environment, all of which it hands on to its jobs."""
    with temporary_settings({PREFECT_API_AUTH_STRING: "admin:open sesame", PREFECT_HOME: tmp_path}):
        yield


@pytest.mark.usefixtures("worker_settings")
def test_no_password_is_in_a_job(template: dict[str, Any], full: dict[str, Any], tmp_path: Path) -> None:
    own = KubernetesWorker.get_default_base_job_template()
    assert "open sesame" in json.dumps(job_of(own)), "the worker no longer hands it on: is the test still needed?"
    told = json.dumps(job_of(template))
    assert "open sesame" not in told
    assert str(tmp_path) not in told
    job = job_of(full)
    assert job["spec"]["template"]["spec"]["containers"][0]["envFrom"] == [{"secretRef": {"name": "fitcore-env"}}]
    assert "PREFECT_API_AUTH_STRING" not in environment_of(job)


def test_the_key_is_a_file_of_its_users_own(full: dict[str, Any]) -> None:
    job = job_of(full)
    pod = job["spec"]["template"]["spec"]
    (copying,) = pod["initContainers"]
    assert copying["command"] == ["install", "-m", "0400", "/run/fitcore-secret/key", "/run/fitcore/key"]
    assert environment_of(job)["FITCORE_KEY_FILE"] == "/run/fitcore/key"
    assert [mount for mount in pod["containers"][0]["volumeMounts"] if "key" in mount["name"]] == [
        {"name": "key", "mountPath": "/run/fitcore", "readOnly": True}
    ]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["key"]["emptyDir"]["medium"] == "Memory"
    assert volumes["key-secret"]["secret"]["secretName"] == "fitcore-key"


def environment_of(job: dict[str, Any]) -> dict[str, str]:
    entries = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert len({entry["name"] for entry in entries}) == len(entries)
    return {entry["name"]: entry["value"] for entry in entries}


@pytest.fixture
def things(write_spot: Callable[..., Path]) -> Callable[..., list[Thing]]:
    return lambda **changes: things_of(load(write_spot(**changes)), Path("/base"))


def found(things: list[Thing]) -> list[Found]:
    return [Found(thing=thing, id=pods.EXAMPLE, is_ours=True) for thing in things]


def test_a_changed_setting_is_told_by_its_field(things: Callable[..., list[Thing]]) -> None:
    assert {change.what for change in compare(things(), found(things()))} == {"same"}
    changes = [change for change in compare(things(grace_period=50), found(things())) if change.what == CHANGED]
    (told,) = [line(change, is_dry=False, is_pruning=False) for change in changes]
    assert told == "changed: pool spot: template.variables.properties.termination_grace_period_seconds.default 60 -> 50"


def test_a_pool_does_not_change_its_type(things: Callable[..., list[Thing]], write: Callable[..., Path]) -> None:
    process = things_of(load(write(pools={"spot": {}}, deployments={})), Path("/base"))
    with pytest.raises(ConfigError, match=r"'spot' is of type kubernetes in the file and process on the server.*another name"):
        compare(things(), found(process))


def test_render_prints_a_job_for_each_deployment(write_spot: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    render(write_spot())
    jobs = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [job["metadata"]["labels"]["prefect.io/flow-run-name"] for job in jobs] == ["fit-toy"]
    for job in jobs:
        checked(job)


def test_render_of_a_file_without_pods(write: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"has no deployment in a pool of type kubernetes"):
        render(write())


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "worker.yaml").read_text()))


@pytest.mark.parametrize("document", documents(), ids=lambda document: document["kind"])
def test_the_workers_manifest_is_as_kubernetes_has_it(document: dict[str, Any]) -> None:
    checked(document)
    document["metadata"]["lables"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="'lables' was unexpected"):
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


def test_the_workers_manifest_fits_the_example() -> None:
    pool = load(ROOT / "deploy" / "spot.yaml").pools["spot"]
    assert isinstance(pool, KubernetesPool)
    there = {(document["kind"], document["metadata"]["name"]): document for document in documents()}
    assert {document["metadata"].get("namespace", "fitcore") for document in there.values()} == {pool.namespace}
    assert ("ServiceAccount", pool.service_account) in there
    pod = there["Deployment", "fitcore-worker"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == pool.image
    assert container["envFrom"] == [{"secretRef": {"name": pool.env_from_secret}}]
    assert container["args"][:5] == ["prefect", "worker", "start", "--pool", "spot"]
    assert pod["securityContext"]["runAsUser"] == pool.user
