"""What computes is named, and refused where another was required."""

from __future__ import annotations

from typing import Any

import pytest

from fitcore import device as module
from fitcore.device import Device, device_of, require
from fitcore.errors import ConfigError


def test_the_device_by_name(point: Any) -> None:
    assert device_of(point(use_jax=True)) == Device(platform="cpu", kind="cpu")
    assert device_of(point()).platform == "cpu"
    assert device_of(point()).kind.startswith("NumPy on ")


@pytest.mark.parametrize("use_jax", [True, False])
def test_what_is_there_is_not_refused(point: Any, use_jax: bool) -> None:
    require("any", point(use_jax=use_jax), "x")
    require("cpu", point(use_jax=use_jax), "x")


@pytest.mark.parametrize(
    ("use_jax", "told"),
    [
        (True, r"The latents: a gpu is required, and .* computes on cpu \(cpu\)\. Send it to a worker .* CUDA build .* device: any"),
        (False, r"a gpu is required, and .* NumPy on .*\(cpu\)\. Point has use_jax=False, so that no GPU serves it: say device: any"),
    ],
)
def test_a_gpu_that_is_absent(point: Any, use_jax: bool, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        require("gpu", point(use_jax=use_jax), "The latents")


def test_a_cpu_is_required_on_a_gpu(point: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "device_of", lambda analysis: Device(platform="gpu", kind="NVIDIA H100"))
    require("gpu", point(use_jax=True), "x")
    with pytest.raises(ConfigError, match=r"a cpu is required, and .* NVIDIA H100 \(gpu\)\. Set JAX_PLATFORMS=cpu"):
        require("cpu", point(use_jax=True), "x")


def test_an_unknown_word_and_a_jax_that_cannot_start(point: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="device is 'cuda'; it must be gpu, cpu or any"):
        require("cuda", point(), "x")

    def devices() -> Any:
        raise RuntimeError("Unable to initialize backend 'cuda'")

    monkeypatch.setattr(module.jax, "devices", devices)
    with pytest.raises(ConfigError, match=r"no device on .*Unable to initialize backend 'cuda'.*JAX_PLATFORMS"):
        require("gpu", point(use_jax=True), "x")
