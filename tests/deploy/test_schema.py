"""A settings file that can be used is read whole; of one that cannot, every fault is told with its place, the value and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.schema import load
from fitcore import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_a_good_file(write: Callable[..., Path]) -> None:
    file = load(write())
    assert file.deployments["toy"].concurrency == 2
    assert file.recovery.zombie == 90
    assert file.deployments["night"].schedule is not None


def test_the_example_can_be_used() -> None:
    file = load(ROOT / "deploy" / "nightly.yaml")
    assert set(file.deployments) == {"lens", "every-night"}
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
        ({"deployments__toy__parameters__attempts": 0}, r"attempts: .*greater than or equal to 1.*it is 0"),
        ({"deployments__toy__parameters__seed": "1"}, r"seed: .*integer.*it is '1'"),
        ({"deployments__toy__flow": "fits"}, r"deployments\.toy.*'fit', 'campaign'"),
        ({"deployments__toy__schedule": {"cron": "0 2 * * *", "timezone": "UTC"}}, r"schedule and no dataset"),
        ({"recovery__zombie": 60}, r"zombie is 60 s.*Give zombie at least 90"),
        ({"recovery__requeue": 5}, r"requeue: .*20.*it is 5"),
        ({"pools__cpu__type": "docker"}, r"pools\.cpu: .*'docker'.*'process', 'kubernetes'"),
        ({"store": None}, r"store: it is missing"),
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
        ("name: a\nname: b\n", "'name' is given twice"),
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
