"""What a deploy would do, told from two descriptions without a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from deploy.changes import CHANGED, LEFT, MADE, SAME, Found, compare, line
from deploy.schema import load
from deploy.wanted import Thing, things_of
from fitcore import ConfigError


@pytest.fixture
def things(write: Callable[..., Path]) -> Callable[..., list[Thing]]:
    return lambda **changes: things_of(load(write(**changes)), Path("/data"))


def as_found(things: list[Thing], *, is_ours: bool = True) -> list[Found]:
    return [Found(thing=thing, id=UUID(int=number), is_ours=is_ours) for number, thing in enumerate(things)]


def whats(changes: Any) -> dict[str, str]:
    return {change.thing.name: change.what for change in changes}


def test_an_empty_server_gets_everything_in_order(things: Callable[..., list[Thing]]) -> None:
    changes = compare(things(), [])
    assert {change.what for change in changes} == {MADE}
    kinds = [change.thing.kind for change in changes]
    assert kinds == ["pool", "deployment", "deployment", "automation", "automation", "automation"]


def test_the_same_again_is_nothing(things: Callable[..., list[Thing]]) -> None:
    assert set(whats(compare(things(), as_found(things()))).values()) == {SAME}


@pytest.mark.parametrize(
    ("change", "names", "told"),
    [
        ({"pools__cpu__concurrency": 3}, {"cpu"}, "concurrency 2 -> 3"),
        ({"deployments__toy__paused": True}, {"fit/toy"}, "paused False -> True"),
        ({"deployments__toy__threads": 2}, {"fit/toy"}, "environment.FITCORE_THREADS '1' -> '2'"),
        (
            {"deployments__toy__engine": {"type": "dask", "address": "tcp://node1:8786", "latents": {"GPU": 1, "memory": 2.5}}},
            {"fit/toy"},
            "environment.FITCORE_ENGINE None -> 'dask'; environment.FITCORE_ENGINE_ADDRESS None -> 'tcp://node1:8786'; "
            "environment.FITCORE_LATENTS_RESOURCES None -> 'GPU=1,memory=2.5'",
        ),
        (
            {"deployments__night__schedule__timezone": "UTC"},
            {"campaign/night"},
            "schedules [{'active': True, 'cron': '0 2 * * *', 'timezone': 'Europe/Paris'}] -> ",
        ),
        (
            {"deployments__toy__parameters__attempts": 4},
            {"fit/toy", "campaign/night", "fitcore toys: crashed too often"},
            "parameters.attempts 3 -> 4",
        ),
        ({"recovery__requeue": 60}, {"fitcore toys: crashed"}, "trigger.within 20.0 -> 60.0"),
    ],
)
def test_a_change_is_told_by_its_field(things: Callable[..., list[Thing]], change: dict[str, Any], names: set[str], told: str) -> None:
    changes = compare(things(**change), as_found(things()))
    assert {name for name, what in whats(changes).items() if what == CHANGED} == names
    first = next(item for item in changes if item.what == CHANGED)
    assert told in line(first, is_dry=False, is_pruning=False)
    assert line(first, is_dry=True, is_pruning=False).startswith("would be changed: ")


def test_what_the_file_no_longer_has_is_left_and_comes_last(things: Callable[..., list[Thing]]) -> None:
    changes = compare(things(deployments__night=None), as_found(things()))
    assert changes[-1].what == LEFT
    assert changes[-1].thing.name == "campaign/night"
    assert line(changes[-1], is_dry=False, is_pruning=False) == "not in the file: deployment campaign/night (--prune removes it)"
    assert line(changes[-1], is_dry=True, is_pruning=True) == "would be removed: deployment campaign/night"


def test_a_pool_goes_after_what_runs_in_it(things: Callable[..., list[Thing]]) -> None:
    left = [change for change in compare([], as_found(things())) if change.what == LEFT]
    assert [change.thing.kind for change in left] == ["automation"] * 3 + ["deployment"] * 2 + ["pool"]


def test_what_others_made_is_not_touched(things: Callable[..., list[Thing]]) -> None:
    assert compare([], as_found(things(), is_ours=False)) == []
    with pytest.raises(ConfigError, match=r"pool 'cpu' on the server that was not made from this settings file.*another name"):
        compare(things(), as_found(things(), is_ours=False))


def test_paths_begin_at_the_folder_of_the_file(things: Callable[..., list[Thing]]) -> None:
    fields = {thing.name: thing.fields for thing in things(deployments__night__parameters__folder="../inbox")}
    assert fields["fit/toy"]["parameters"]["store"] == "/data/store"
    assert fields["campaign/night"]["parameters"]["folder"] == "/inbox"
    assert fields["campaign/night"]["parameters"]["attempts"] == 3
    assert fields["campaign/night"]["parameters"]["deployment"] == "fit/toy"


def test_a_flow_takes_every_parameter_that_is_given(things: Callable[..., list[Thing]]) -> None:
    given = {"pipeline": "toy", "dataset": "lens"}
    deployments = [thing for thing in things(deployments__toy__parameters=given) if thing.kind == "deployment"]
    assert len(deployments) == 2
    for thing in deployments:
        assert set(thing.fields["parameters"]) <= set(thing.fields["parameter_schema"]["properties"]), thing.name


def test_the_automations_wait_and_look_at_our_runs_alone(things: Callable[..., list[Thing]]) -> None:
    triggers = {thing.name: thing.fields["trigger"] for thing in things() if thing.kind == "automation"}
    for name, within in (("fitcore toys: no heartbeat", 90.0), ("fitcore toys: crashed", 20.0)):
        assert triggers[name]["posture"] == "Proactive"
        assert triggers[name]["within"] == within
    for trigger in triggers.values():
        assert trigger["match_related"]["prefect.resource.id"] == "prefect.tag.fitcore-toys"
    assert triggers["fitcore toys: crashed too often"]["threshold"] == 4


def with_latents(**parameters: Any) -> dict[str, Any]:
    """The changes of a settings file that give it latent variables on a pool of their own."""
    return {
        "pools__gpu": {"concurrency": 1},
        "deployments__gpu": {"flow": "latents", "pool": "gpu", "concurrency": 1, "parameters": parameters},
        "deployments__toy__parameters__latents": "gpu",
    }


def test_latents_on_a_pool_of_their_own(things: Callable[..., list[Thing]]) -> None:
    fields = {thing.name: thing.fields for thing in things(**with_latents(device="gpu", attempts=7))}
    assert fields["fit/toy"]["parameters"]["latents"] == "latents/gpu"
    own = fields["latents/gpu"]
    assert (own["pool"], own["concurrency"], own["parameters"]) == ("gpu", 1, {"device": "gpu", "attempts": 7})
    assert own["entrypoint"] == "flows.latents.latents"
    assert own["tags"] == fields["fit/toy"]["tags"]
    assert set(own["parameters"]) <= set(own["parameter_schema"]["properties"])
    assert "JAX_PLATFORMS" not in own["environment"]
    assert fields["fitcore toys: crashed too often"]["trigger"]["threshold"] == 8
    assert "latents" not in fields["campaign/night"]["parameters"]
    assert {thing.name: thing.fields for thing in things()}["fit/toy"]["parameters"]["latents"] is None


def test_a_processor_that_is_required_is_what_jax_takes(things: Callable[..., list[Thing]]) -> None:
    fields = {thing.name: thing.fields for thing in things(**with_latents(device="cpu"))}
    assert fields["latents/gpu"]["environment"]["JAX_PLATFORMS"] == "cpu"
    assert "JAX_PLATFORMS" not in fields["fit/toy"]["environment"]


def test_reports_are_written_again_on_a_schedule(things: Callable[..., list[Thing]]) -> None:
    weekly = {"flow": "report", "pool": "cpu", "schedule": {"cron": "0 4 * * 0", "timezone": "UTC"}, "parameters": {"names": ["line"]}}
    fields = {thing.name: thing.fields for thing in things(deployments__again=weekly)}["report/again"]
    assert fields["entrypoint"] == "flows.reports.report"
    assert fields["parameters"] == {"store": "/data/store", "names": ["line"], "pipeline": None}
    assert set(fields["parameters"]) == set(fields["parameter_schema"]["properties"])
