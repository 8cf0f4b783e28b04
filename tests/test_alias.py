"""Paths under which PyTorch keeps things lead to the engine's own, and nothing is loaded twice."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import dsviz as ds
import engine


@pytest.mark.parametrize(
    ("path", "name", "own"),
    [
        ("nn.parameter", "Parameter", engine.Parameter),
        ("nn.modules", "Linear", engine.nn.Linear),
        ("nn.modules.module", "Module", engine.Module),
        ("nn.modules.conv", "Conv2d", engine.nn.Conv2d),
        ("nn.modules.batchnorm", "BatchNorm2d", engine.nn.BatchNorm2d),
        ("utils.data.dataloader", "DataLoader", engine.utils.data.DataLoader),
        ("distributions.categorical", "Categorical", engine.distributions.Categorical),
        ("distributions.normal", "Normal", engine.distributions.Normal),
        ("distributions.studentT", "StudentT", engine.distributions.StudentT),
        ("autograd", "Variable", engine.Tensor),
        ("accelerator", "is_available", engine.cuda.is_available),
    ],
)
def test_a_path_of_pytorchs_gives_the_engines_own(path: str, name: str, own: object) -> None:
    assert getattr(importlib.import_module(f"dsviz.{path}"), name) is own


def test_names_that_few_programs_use_are_loaded_when_they_are_asked_for() -> None:
    assert not ds.distributed.is_available()
    assert ds.accelerator.is_available() == ds.cuda.is_available()
    assert isinstance(ds.float32, ds.dtype)
    assert ds.nn.modules.conv.Conv2d is ds.nn.Conv2d
    assert ds.nn.parameter.Parameter is ds.nn.Parameter


def test_what_is_nowhere_is_said_to_be_missing() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"dsviz\.nn\.nonsense"):
        importlib.import_module("dsviz.nn.nonsense")
    with pytest.raises(AttributeError, match="nonsense"):
        _ = ds.nn.nonsense


@pytest.mark.parametrize("first", ["dsviz", "einops"])
def test_einops_takes_our_tensors_whichever_is_imported_first(first: str) -> None:
    pytest.importorskip("einops", reason="einops is not installed (extra: test)")
    second = {"dsviz": "einops", "einops": "dsviz"}[first]
    code = (
        f"import {first}, {second}\nimport dsviz as ds\nfrom einops import rearrange\n"
        "print(rearrange(ds.zeros(2, 6), 'b (h d) -> b h d', h=3).shape, 'torch' in __import__('sys').modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split(") ") == ["(2, 3, 2", "False\n"]
