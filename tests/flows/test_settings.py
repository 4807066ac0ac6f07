"""What the environment says, and the environment of child processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.settings import child_environment, read, settle_ray

NAMES = (
    "FITCORE_ENGINE",
    "FITCORE_ENGINE_ADDRESS",
    "FITCORE_LATENTS_RESOURCES",
    "FITCORE_STORE",
    "FITCORE_CACHE",
    "FITCORE_THREADS",
    "PREFECT_API_URL",
    "PREFECT_HOME",
    "NO_COLOR",
    "XDG_CACHE_HOME",
    "XLA_FLAGS",
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    settings = read()
    assert settings.store == Path("results")
    assert settings.cache == Path("/home/someone/.cache/fitcore")
    assert settings.threads >= 1
    assert settings.prefect_api_url is None
    assert settings.no_color is False
    assert settings.server_seconds == 120.0


def test_everything_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "FITCORE_STORE": "/data/store",
        "FITCORE_CACHE": "/data/cache",
        "FITCORE_THREADS": "3",
        "FITCORE_SERVER_SECONDS": "2.5",
        "PREFECT_API_URL": "http://prefect:4200/api",
        "NO_COLOR": "",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = read()
    assert settings.store == Path("/data/store")
    assert settings.cache == Path("/data/cache")
    assert settings.threads == 3
    assert settings.prefect_api_url == "http://prefect:4200/api"
    assert settings.no_color is True
    assert settings.server_seconds == 2.5


def test_the_cache_follows_the_desktop_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert read().cache == Path("/x/fitcore")


@pytest.mark.parametrize("name", ["FITCORE_THREADS", "FITCORE_SERVER_SECONDS"])
@pytest.mark.parametrize("value", ["many", "0", "-2", "nan"])
def test_a_wrong_number_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name} is '{value}'; it must be a .* above 0"):
        read()


def test_children_keep_what_the_user_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XLA_FLAGS", "--mine")
    monkeypatch.setenv("FITCORE_CACHE", "/data/cache")
    child = child_environment(read())
    assert child["XLA_FLAGS"] == "--mine"
    assert child["JAX_COMPILATION_CACHE_DIR"] == "/data/cache/jax"
    assert child["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert child["PREFECT_RESULTS_PERSIST_BY_DEFAULT"] == "false"
    assert "PREFECT_HOME" not in child
    assert "PREFECT_API_URL" not in child


def test_our_own_server_takes_no_settings_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://elsewhere/prefect")
    monkeypatch.setenv("PREFECT_API_KEY", "key")
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("no_proxy", "example.org")
    own = child_environment(read(), prefect_api_url="http://127.0.0.1:1/api", prefect_home=Path("/h"))
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in own
    assert "PREFECT_API_KEY" not in own
    assert own["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert own["NO_PROXY"] == own["no_proxy"] == "example.org,127.0.0.1"
    named = child_environment(read(), prefect_api_url="http://elsewhere/api")
    assert named["PREFECT_API_KEY"] == "key"
    assert named["no_proxy"] == "example.org"


def test_children_never_start_a_server_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")
    child = child_environment(read(), prefect_api_url="http://127.0.0.1:1/api", prefect_home=Path("/h"))
    assert child["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == "false"
    assert child["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    assert child["PREFECT_HOME"] == "/h"
    assert "--xla_cpu_multi_thread_eigen=false" in child["XLA_FLAGS"]


def test_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (read().engine, read().engine_address, read().latents_resources) == ("threads", None, {})
    monkeypatch.setenv("FITCORE_ENGINE", "dask")
    monkeypatch.setenv("FITCORE_ENGINE_ADDRESS", "tcp://node1:8786")
    monkeypatch.setenv("FITCORE_LATENTS_RESOURCES", "GPU=1, memory=2.5e9")
    assert (read().engine, read().engine_address, read().latents_resources) == ("dask", "tcp://node1:8786", {"GPU": 1.0, "memory": 2.5e9})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"FITCORE_ENGINE": "dsak"}, "FITCORE_ENGINE is 'dsak'; it must be one of threads, dask, ray"),
        ({"FITCORE_ENGINE_ADDRESS": "tcp://x:1"}, "FITCORE_ENGINE_ADDRESS is 'tcp://x:1' and FITCORE_ENGINE is 'threads', which has no"),
        ({"FITCORE_LATENTS_RESOURCES": "GPU=1"}, "FITCORE_LATENTS_RESOURCES is 'GPU=1' and FITCORE_ENGINE is 'threads'"),
        ({"FITCORE_ENGINE": "ray", "FITCORE_LATENTS_RESOURCES": "GPU"}, "'GPU' is no NAME=NUMBER with a number above 0, such as GPU=1"),
        ({"FITCORE_ENGINE": "ray", "FITCORE_LATENTS_RESOURCES": "GPU=1,CPU=0"}, "'CPU=0' is no NAME=NUMBER"),
        ({"FITCORE_ENGINE": "ray", "FITCORE_LATENTS_RESOURCES": "=1"}, "'=1' is no NAME=NUMBER"),
    ],
)
def test_what_no_engine_can_be(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], told: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=told):
        read()


def test_a_ray_cluster_of_our_own_has_a_token_that_is_written_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for set_before in (None, "disabled"):
        environment = {} if set_before is None else {"RAY_AUTH_MODE": set_before}
        monkeypatch.setattr(os, "environ", environment)
        settle_ray(is_local=True)
        assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
        assert environment["RAY_AUTH_MODE"] == (set_before or "token")
        assert len(environment.get("RAY_AUTH_TOKEN", "")) == (0 if set_before else 64)
    monkeypatch.setattr(os, "environ", elsewhere := {})
    settle_ray(is_local=False)
    assert not [name for name in elsewhere if "AUTH" in name]
