"""`import dsviz.nn.functional`, `from dsviz.utils.data import DataLoader`: the engine's own modules under our name.

A second copy of a module would have classes and ops of its own, so what is found here is the module itself. It is
loaded when it is asked for: not every program needs the distributions.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# The engine's parts that go by our name, with all that is inside them.
PARTS = (
    "accelerator", "amp", "autograd", "backends", "compiler", "cuda", "distributed", "distributions", "einops", "fft", "func", "linalg", "nn", "onnx", "optim", "special", "testing", "utils",
)  # fmt: skip

# Where PyTorch keeps what a package of ours holds in other files: `from torch.nn.modules.conv import Conv2d`.
KEPT_IN = {
    "nn.modules": "nn", "nn.parameter": "nn", "utils.data.dataloader": "utils.data", "nn.utils.clip_grad": "nn.utils",
    "nn.utils.convert_parameters": "nn.utils",
    **{
        f"distributions.{name}": "distributions"
        for name in (
            "bernoulli", "beta", "binomial", "categorical", "cauchy", "chi2", "continuous_bernoulli", "dirichlet", "exponential",
            "fishersnedecor", "gamma", "geometric", "gumbel", "half_cauchy", "half_normal", "kumaraswamy", "laplace",
            "log_normal", "logistic_normal", "low_rank_multivariate_normal", "mixture_same_family", "multinomial",
            "multivariate_normal", "negative_binomial", "one_hot_categorical", "pareto", "poisson", "relaxed_bernoulli",
            "relaxed_categorical", "studentT", "uniform", "von_mises", "weibull",
        )
    },
}  # fmt: skip
# The package einops knows our tensors when its own table of frameworks is loaded, before or after us; its layers for us
# are imported as those for others are: `from einops.layers.dsviz import Rearrange`.
TABLE, LAYERS = "einops._backends", "einops.layers.dsviz"


def _kept_in(name: str) -> str:
    """Where the engine has what PyTorch has in the module `name`."""
    for theirs, ours in KEPT_IN.items():
        if name == theirs or name.startswith(theirs + "."):
            try:
                found = importlib.util.find_spec(f"engine.{name}")
            except ModuleNotFoundError:
                found = None
            return name if found is not None else ours
    return name


class Alias:
    """Finds and loads `dsviz.<part>` as `engine.<part>`: both halves of what the import system asks for."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """How to load `name`; None leaves it to the others."""
        if name == TABLE:
            return _told_of_us(name, path)
        own, _, rest = name.partition(".")
        if name == LAYERS:
            own, rest = "dsviz", "einops"
        if own != "dsviz" or rest.partition(".")[0] not in PARTS:
            return None
        rest = _kept_in(rest)
        try:
            module = importlib.import_module(f"engine.{rest}")
        except ModuleNotFoundError as error:
            if error.name != f"engine.{rest}":
                raise
            return None  # the import system then says that there is no dsviz.<rest>
        spec = ModuleSpec(name, self)  # type: ignore[arg-type]
        spec.loader_state = module
        if hasattr(module, "__path__"):
            spec.submodule_search_locations = []
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The engine's module, which is there already."""
        module: ModuleType = spec.loader_state
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run again, and the module goes on saying that it is the engine's."""
        assert module.__spec__ is not None
        module.__spec__ = self._specs.pop(module.__spec__.name)


class Telling:
    """Loads a module as `loader` does, and then tells it of our tensors."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the loader does."""
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        """As the loader does, and the table has one framework more."""
        self._loader.exec_module(module)
        _add_to(module)


def _told_of_us(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    spec = PathFinder.find_spec(name, path)
    if spec is not None and spec.loader is not None:
        spec.loader = Telling(spec.loader)  # type: ignore[assignment]
    return spec


def _add_to(table: ModuleType) -> None:
    importlib.import_module("engine.einops_backend").add_to(table)


def install() -> None:
    """Ask this finder first, once in a process."""
    if not any(type(finder).__qualname__ == "Alias" for finder in sys.meta_path):
        sys.meta_path.insert(0, Alias())
    if TABLE in sys.modules:
        _add_to(sys.modules[TABLE])
