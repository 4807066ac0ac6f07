"""The settings of a pool on Kubernetes: what is refused, with the place, the value, what is allowed and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from deploy import cluster
from deploy.cluster import KubernetesPool
from deploy.schema import load
from deploy.wanted import things_of
from fitcore import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_can_be_used() -> None:
    file = load(ROOT / "deploy" / "spot.yaml")
    pool = file.pools["spot"]
    assert isinstance(pool, KubernetesPool)
    assert pool.grace_period < file.recovery.zombie


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": "registry/fitcore"}, r"image: 'registry/fitcore' is not an image with its tag or digest.*other code than it began with"),
        ({"image": "registry/fitcore:latest"}, r"'registry/fitcore:latest' is not an image with its tag or digest"),
        ({"image": None}, r"pools\.spot\.kubernetes\.image: it is missing"),
        ({"cpu_limit": "two"}, r"cpu_limit: 'two' is not a number of cores, such as '2'"),
        ({"memory_limit": "4 GB"}, r"memory_limit: '4 GB' is not an amount of memory, such as '4Gi'"),
        ({"memory_limit": 4}, r"memory_limit: .*string.*it is 4"),
        ({"grace_period": 44}, r"grace_period: grace_period is 44 s; .* has 30 s to save.*Give at least 45"),
        ({"grace_period": 91}, r"'spot': grace_period is 91 s and recovery\.zombie 90 s.*Give recovery\.zombie at least 91"),
        ({"claims": {"results": "data"}}, r"claims: claim 'results' is mounted at 'data'; that must be a folder from the root"),
        ({"claims": {"results": "/data/../x"}}, r"claim 'results' is mounted at '/data/\.\./x'"),
        ({"claims": {"results": "/tmp/x"}}, r"'/tmp/x', which the pod has for itself"),
        ({"claims": {"results": "/data", "inbox": "/data/inbox"}}, r"claim 'inbox' is mounted at '/data/inbox', within another claim"),
        ({"claims": {}}, r"claims: .*at least 1"),
        ({"gpus": -1}, r"gpus: .*greater than or equal to 0.*it is -1"),
        ({"user": 0}, r"user: .*greater than or equal to 1.*it is 0"),
        ({"namespce": "x"}, r"'namespce' is no key here.*Did you mean 'namespace'"),
        ({"tolerations": [{"key": "spot"}]}, r"operator is Equal and value is None: Equal needs a value"),
        ({"tolerations": [{"key": "spot", "operator": "Equals", "value": "x"}]}, r"operator: .*'Equal' or 'Exists'.*'Equals'"),
        ({"type": "kuberntes"}, r"pools\.spot: .*'kuberntes'.*'process', 'kubernetes'"),
    ],
)
def test_what_cannot_be_used(write_spot: Callable[..., Path], changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){told}"):
        load(write_spot(**changes))


def test_without_the_extra_the_message_names_it(write_spot: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_spot()

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(cluster, "version", absent)
    with pytest.raises(ConfigError, match=r"prefect-kubernetes, which is not installed here\. Run pip install 'fitcore\[kubernetes\]'"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"store": "/elsewhere/results"},
            r"Deployment 'toy', pool 'spot': its store is /elsewhere/results, which no pod sees.*/data/results",
        ),
        ({"store": "/data/results-2"}, r"its store is /data/results-2, which no pod sees"),
        ({"deployments__toy__parameters__dataset": "/home/lens"}, r"its dataset is /home/lens, which no pod sees"),
        ({"deployments__night__parameters__folder": "/home/inbox"}, r"Deployment 'night', pool 'spot': its folder is /home/inbox"),
        (
            {"deployments__night__parameters__folder": "/home/inbox", "deployments__night__pool": "cpu"},
            r"Deployment 'night', pool 'spot': its folder is /home/inbox",
        ),
    ],
)
def test_a_path_that_no_pod_sees(write: Callable[..., Path], spot: dict[str, Any], changes: dict[str, Any], told: str) -> None:
    whole = {
        "pools": {"spot": spot, "cpu": {}},
        "store": "/data/results",
        "deployments__toy__pool": "spot",
        "deployments__night__pool": "spot",
        "deployments__night__parameters__folder": "/data/inbox",
    }
    things_of(load(write(**whole)), Path("/base"))
    with pytest.raises(ConfigError, match=f"(?s){told}"):
        things_of(load(write(**{**whole, **changes})), Path("/base"))


@pytest.mark.parametrize(("limit", "cores"), [("2", 2), ("1500m", 1), ("0.5", 1), ("2500m", 2), ("4.0", 4)])
def test_cores_are_whole(spot: dict[str, Any], limit: str, cores: int) -> None:
    assert KubernetesPool.model_validate({**spot, "cpu_limit": limit}).n_cores == cores
