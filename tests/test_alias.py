"""Paths under which PyTorch keeps things lead to the engine's own, and nothing is loaded twice."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from collections import OrderedDict

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


def test_nested_lists_are_taken_apart_and_put_together_as_pytorch_does() -> None:
    torch_tree = pytest.importorskip(
        "torch.utils._pytree", reason="PyTorch is not installed (extra: compare)"
    )
    tree = importlib.import_module("dsviz.utils._pytree")
    nested = {"a": [1, (2, 3)], "b": {"c": None, "d": ()}, "e": OrderedDict(x=4)}
    leaves, spec = tree.tree_flatten(nested)
    assert leaves == torch_tree.tree_flatten(nested)[0]
    assert tree.tree_unflatten(leaves, spec) == nested
    assert tree.tree_map(lambda a, b: (a, b), [1, [2]], [3, [4]]) == torch_tree.tree_map(
        lambda a, b: (a, b), [1, [2]], [3, [4]]
    )
    with pytest.raises(ValueError, match="expected 5 leaves, got 1"):
        tree.tree_unflatten([1], spec)


def test_what_belongs_to_pytorchs_compiler_and_kernels_changes_nothing() -> None:
    attention = importlib.import_module("dsviz.nn.attention")
    q = ds.randn(1, 2, 3, 4)
    plain = ds.nn.functional.scaled_dot_product_attention(q, q, q)
    with attention.sdpa_kernel([attention.SDPBackend.FLASH_ATTENTION, attention.SDPBackend.MATH]):
        assert ds.equal(plain, ds.nn.functional.scaled_dot_product_attention(q, q, q))
    with pytest.raises(TypeError, match="expected an SDPBackend"), attention.sdpa_kernel("flash"):
        pass
    assert not ds.compiler.is_compiling()
    assert ds.compiler.disable(abs)(-3) == 3
    assert ds.nn.init.kaiming_normal is ds.nn.init.kaiming_normal_


def test_a_writer_for_tensorboard_says_what_it_needs() -> None:
    if importlib.util.find_spec("tensorboardX") is None:
        with pytest.raises(ImportError, match="pip install tensorboardX"):
            importlib.import_module("dsviz.utils.tensorboard")
    else:
        assert importlib.import_module("dsviz.utils.tensorboard").SummaryWriter
