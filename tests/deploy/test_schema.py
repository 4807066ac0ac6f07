"""A settings file that can be used is read whole; of one that cannot, every fault is told with its place, the value and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.schema import FitParameters, load
from fitcore import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_a_good_file(write: Callable[..., Path]) -> None:
    file = load(write())
    assert file.deployments["toy"].concurrency == 2
    assert file.recovery.zombie == 90
    assert file.deployments["night"].schedule is not None


def test_the_example_can_be_used_also_with_what_it_has_in_comments(tmp_path: Path) -> None:
    file = load(ROOT / "deploy" / "nightly.yaml")
    assert set(file.deployments) == {"lens", "every-night", "reports"}
    text = (ROOT / "deploy" / "nightly.yaml").read_text()
    for line in [line for line in text.splitlines() if line.rstrip().endswith("#gpu")]:
        text = text.replace(line, line.replace("# ", "", 1).removesuffix("#gpu"))
    (tmp_path / "gpu.yaml").write_text(text)
    given = load(tmp_path / "gpu.yaml").deployments["lens"].parameters
    assert isinstance(given, FitParameters)
    assert given.latents == "derived"
    assert (file.recovery.heartbeat, file.recovery.zombie, file.recovery.requeue) == (30, 90, 60)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"deployments__toy__paralleters": {}}, r"deployments\.toy.*'paralleters' is no key here.*pool.*Did you mean 'parameters'"),
        ({"stoer": "x"}, r"'stoer' is no key here.*Did you mean 'store'"),
        ({"deployments__toy__pool": "cpus"}, r"'toy'.*'cpus' is no pool of this file; there are: cpu\. Did you mean 'cpu'"),
        ({"deployments__toy__parameters__pipeline": "tiy"}, r"'tiy' is no pipeline.*lens.*Did you mean 'toy'"),
        ({"deployments__toy__parameters__settings": {"frist": {"n_eff": 1}}}, r"no stage 'frist'.*Did you mean 'first'"),
        ({"deployments__night__schedule__cron": "0 25 * * *"}, r"'0 25 \* \* \*' is no cron expression.*such as '0 2"),
        (
            {"deployments__night__schedule__timezone": "Europe/Pariss"},
            r"'Europe/Pariss' is no time zone.*Did you mean 'Europe/Paris'.*IANA",
        ),
        ({"deployments__night__parameters__fit": "toys"}, r"'night'.*'toys' is no deployment of the flow 'fit'.*Did you mean 'toy'"),
        ({"deployments__toy__parameters__latents": "gpu"}, r"'toy'.*'gpu' is no deployment of the flow 'latents' in this file"),
        ({"deployments__toy__parameters__latents": "night"}, r"'toy'.*'night' is no deployment of the flow 'latents' in this file"),
        (
            {"deployments__gpu": {"flow": "latents", "pool": "cpu"}, "deployments__toy__parameters__latents": "gpu"},
            r"'toy'.*its pool 'cpu' is that of 'gpu' too.*keep each other waiting.*another pool",
        ),
        (
            {"deployments__gpu": {"flow": "latents", "pool": "cpu", "schedule": {"cron": "0 2 * * *", "timezone": "UTC"}}},
            r"deployments\.gpu.*it has a schedule, and its runs are started by those of a fit",
        ),
        (
            {"deployments__gpu": {"flow": "latents", "pool": "cpu", "parameters": {"device": "cuda"}}},
            r"device: .*'cpu' or 'any'.*cuda",
        ),
        ({"deployments__toy__parameters__attempts": 0}, r"attempts: .*greater than or equal to 1.*it is 0"),
        ({"deployments__toy__parameters__seed": "1"}, r"seed: .*integer.*it is '1'"),
        (
            {"deployments__again": {"flow": "report", "pool": "cpu", "parameters": {"pipeline": "tiy"}}},
            r"parameters\.pipeline.*'tiy' is no pipeline that is installed here.*'toy'",
        ),
        ({"deployments__toy__flow": "fits"}, r"deployments\.toy.*'fit', 'campaign', 'latents', 'report'"),
        ({"deployments__toy__schedule": {"cron": "0 2 * * *", "timezone": "UTC"}}, r"schedule and no dataset"),
        ({"recovery__zombie": 60}, r"zombie is 60 s.*Give zombie at least 90"),
        ({"recovery__requeue": 5}, r"requeue: .*20.*it is 5"),
        ({"pools__cpu__type": "docker"}, r"pools\.cpu: .*'docker'.*'process', 'kubernetes'"),
        ({"store": None}, r"store: it is missing"),
        ({"deployments__toy__engine": {"type": "dsak"}}, r"engine\.type: .*'threads', 'dask' or 'ray'.*dsak"),
        ({"deployments__toy__engine": {"type": "threads", "latents": {"GPU": 1}}}, r"'threads', which has no cluster.*Give dask or ray"),
        ({"deployments__toy__engine": {"type": "dask", "latents": {"GPU": 0}}}, r"latents\.GPU: .*greater than 0; it is 0"),
        ({"deployments__night__engine": {"type": "dask"}}, r"'engine' is no key here"),
        ({"name": "Nightly run"}, r"'Nightly run' is no name.*small letters"),
    ],
)
def test_what_cannot_be_used(write: Callable[..., Path], changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){told}"):
        load(write(**changes))


def test_every_fault_is_told(write: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(store=None, recovery__requeue=5, deployments__night__schedule__cron="x"))
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: a\nname: b\n", "the key 'name' is there twice"),
        ("- a\n", "must hold keys: name, store"),
        ("name: [", "no YAML"),
        ("a: !!python/object/apply:os.system ['true']", "no YAML"),
    ],
)
def test_what_is_no_settings_file(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load(tmp_path / "x.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read.*No such file"):
        load(tmp_path / "x.yaml")
