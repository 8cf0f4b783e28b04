"""An ONNX file as a program that can be stepped: a script with one line for each node, and inputs that fit.

The file is read by `ds.onnx.load`, so no code in it is ever run: names from it stand in the script as quoted text only.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from dsviz.commands.usage import Parser, UsageError

Array = np.ndarray[Any, Any]

USAGE = "dsviz run model.onnx [--input FILE | NAME=FILE ...] [--seed N]"


def is_model(name: str) -> bool:
    """Whether a command line names an ONNX file."""
    return name.lower().endswith(".onnx")


@contextlib.contextmanager
def script_of(words: list[str]) -> Iterator[str]:
    """A script that runs the model `words[0]` on the inputs that the rest names; it is there until the block ends.

    Raises `UsageError` with a sentence where model or inputs cannot be used.
    """
    parser = Parser(prog=f"dsviz run {os.path.basename(words[0])}", usage=USAGE, allow_abbrev=False)
    parser.add_argument(
        "--input", action="append", default=[], metavar="[NAME=]FILE", help="an array (.npy), or several (.npz, their names are the inputs')"
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the numbers made up for inputs not given")
    given = parser.parse_args(words[1:])
    path = os.path.abspath(words[0])
    model = _model(path)
    arrays, said = _inputs(model, path, given.input, given.seed)
    with tempfile.TemporaryDirectory(prefix="dsviz-onnx-") as folder:
        np.savez(os.path.join(folder, "inputs.npz"), *arrays.values())
        script = os.path.join(folder, os.path.basename(path) + ".py")
        with open(script, "w", encoding="utf-8") as file:
            file.write(source(model, path, list(arrays), said))
        yield script


def _model(path: str) -> Any:
    if not os.path.exists(path):
        raise UsageError(f"there is no file {path}. Check the name, or give the model's full path.")
    try:
        from engine.onnx import LoadError, load
    except ImportError as missing:
        raise UsageError(f"{missing}.") from None
    try:
        return load(path)
    except LoadError as problem:
        raise UsageError(f"{problem}.") from None


def source(model: Any, path: str, inputs: list[str], said: list[str]) -> str:
    """The script: what a person reads beside the graph, one line a node."""
    proto = model.proto
    lines = [
        f'"""{_plain(os.path.basename(path))} as dsviz steps it: one line a node, in the order of the file."""',
        "",
        "import os",
        "",
        "import numpy as np",
        "",
        "import dsviz as ds",
        "",
        *(f"# {_plain(note)}" for note in said),
        'given = np.load(os.path.join(os.path.dirname(__file__), "inputs.npz"))',
        f"model = ds.onnx.load({path!r}).eval()",
        "run = model.begin(**{",
        *(f"    {name!r}: ds.tensor(given['arr_{i}'])," for i, name in enumerate(inputs)),
        "})",
        "with ds.no_grad():",
    ]
    for name, node in zip(model.nodes, proto.graph.node, strict=True):
        takes, gives = (", ".join(filter(None, names)) for names in (node.input, node.output))
        lines.append(f"    run({name!r})  # {_plain(f'{node.op_type}: {takes} -> {gives}')}")
    if not model.nodes:
        lines.append("    pass  # the model has no nodes")
    lines += [
        "for name, value in run.outputs.items():",
        "    print(name, getattr(value, 'dtype', ''), list(getattr(value, 'shape', ())))",
        "    print(value)",
    ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """A name as it may stand in a comment: on one line, with nothing that ends it."""
    return "".join(c if c.isprintable() and c not in '"\\' else "?" for c in text)[:200]


# -- inputs ---------------------------------------------------------------------------------------------


def _inputs(model: Any, path: str, asked: list[str], seed: int) -> tuple[dict[str, Array], list[str]]:
    """The arrays by the model's input names, and what is to be said of them."""
    name = os.path.basename(path)
    infos = {info.name: info for info in model.proto.graph.input if info.name in model.inputs}
    given: dict[str, tuple[Array, str]] = {}
    for text in asked:
        for key, array, where in _read(text, list(infos)):
            if key not in infos:
                raise UsageError(f"{name} has no input {key!r}; its inputs are {_listed(infos)}.")
            if key in given:
                raise UsageError(f"the input {key!r} is given twice: {given[key][1]} and {where}.")
            given[key] = (array, where)
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    said = []
    sizes: dict[str, tuple[int, str]] = {}
    for key, info in infos.items():
        if not info.type.HasField("tensor_type"):
            raise UsageError(f"the input {key!r} of {name} is no tensor; only tensors can be given here.")
        kind, shape = _declared(info)
        if key in given:
            array, where = given[key]
            arrays[key] = _checked(array, where, key, name, kind, shape, sizes)
            said.append(f"{key}: {where}")
    for key, info in infos.items():
        if key not in given:
            kind, shape = _declared(info)
            arrays[key] = _made_up(rng, kind, shape, sizes, key, name)
            said.append(
                f"{key}: made up, {arrays[key].dtype} {list(arrays[key].shape)}; give one with --input {key}=FILE"
            )
    return {key: arrays[key] for key in infos}, said


def _read(text: str, inputs: list[str]) -> Iterator[tuple[str, Array, str]]:
    name, equals, file = text.partition("=")
    if not equals or os.path.exists(text):
        name, file = "", text
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            found = {name or (inputs[0] if inputs else ""): loaded}
        else:
            found = {key: loaded[key] for key in loaded.files}
            loaded.close()
    except FileNotFoundError:
        raise UsageError(f"there is no file {os.path.abspath(file)} for --input. Check the name.") from None
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(
            f"{file} holds no array that can be read ({str(error).splitlines()[0]}). Save one with numpy.save, or several with numpy.savez."
        ) from None
    if not name and len(found) == 1 and len(inputs) > 1 and file.lower().endswith(".npy"):
        raise UsageError(
            f"the model has {len(inputs)} inputs; say which one {file} is for: --input {inputs[0]}={file}"
        )
    if name and name not in found:
        raise UsageError(f"{file} holds {_listed(found)}, but {name!r} was asked for.")
    for key, array in found.items():
        if not name or key == name:
            yield key, array, file


def _declared(info: Any) -> tuple[Any, list[int | str | None] | None]:
    """The NumPy type and the sizes (a name: any, the same everywhere; None: any) that an input says it has."""
    from onnx import helper

    tensor = info.type.tensor_type
    kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if not tensor.HasField("shape"):
        return kind, None
    return kind, [
        int(d.dim_value) if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim
    ]


def _shown(kind: Any, shape: list[int | str | None] | None) -> str:
    return (
        f"{kind} [{', '.join('any' if d is None else str(d) for d in shape)}]"
        if shape is not None
        else str(kind)
    )


def _checked(
    array: Array, where: str, key: str, model: str, kind: Any, shape: list[int | str | None] | None,
    sizes: dict[str, tuple[int, str]],
) -> Array:  # fmt: skip
    wrong = f"the input {key!r} of {model} is {_shown(kind, shape)}, but {where} holds {array.dtype} {list(array.shape)}"
    if shape is not None and len(shape) != array.ndim:
        raise UsageError(f"{wrong}: {array.ndim} dimensions instead of {len(shape)}.")
    for at, (wanted, size) in enumerate(
        zip(shape or [], array.shape, strict=True) if shape is not None else []
    ):
        if isinstance(wanted, int) and wanted != size:
            raise UsageError(f"{wrong}: dimension {at} has to be {wanted}.")
        if isinstance(wanted, str):
            known = sizes.setdefault(wanted, (size, where))
            if known[0] != size:
                raise UsageError(f"{wrong}: {wanted!r} is {size} here and {known[0]} in {known[1]}.")
    if array.dtype != kind:
        if array.dtype.kind != np.dtype(kind).kind and not (
            array.dtype.kind in "iu" and np.dtype(kind).kind in "iu"
        ):
            raise UsageError(f"{wrong}: save it with .astype({np.dtype(kind).name!r}).")
        cast = array.astype(kind)
        if np.dtype(kind).kind in "iu" and not np.array_equal(cast, array):
            raise UsageError(f"{wrong}, and some of its numbers are not in that type.")
        return cast
    return array


def _made_up(
    rng: np.random.Generator, kind: Any, shape: list[int | str | None] | None, sizes: dict[str, tuple[int, str]], key: str, model: str
) -> Array:  # fmt: skip
    """Numbers for an input nobody gave: normal for floats, 0 for the rest; free sizes are 1, or what another input says."""
    if shape is None:
        raise UsageError(
            f"{model} does not say the shape of its input {key!r}, so it has to be given: --input {key}=FILE"
        )
    full = [d if isinstance(d, int) else sizes.get(d or "", (1, ""))[0] for d in shape]
    if np.dtype(kind).kind == "f":
        return rng.standard_normal(full).astype(kind)
    return np.zeros(full, kind)


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"
