"""The errors the engine raises, as data as well as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Shape = tuple[int, ...]


def shape_text(shape: Sequence[Any]) -> str:
    """A shape as people write it: `[32, 128]`, `[batch, 256]`."""
    return "[" + ", ".join(str(size) for size in shape) + "]"


class Origin(NamedTuple):
    """One step on the way back to where a dimension was decided."""

    filename: str
    line: int
    note: str  # "keeps 128", "makes 128", "decided here"
    text: str  # the source line


class ShapeClash(Exception):  # noqa: N818 - it never reaches the person as it is
    """What a shape rule raises: which dimensions disagree, and how to say so.

    `expected` is the shape that would have fitted argument `argument`, with names for free sizes;
    `clash` the (argument, dimension) pairs that disagree. `sentence` may use `{0}`, `{1}`... for the
    arguments' names and `{op}`.
    """

    def __init__(
        self,
        expected: Sequence[Any],
        argument: int,
        clash: Sequence[tuple[int, int]],
        sentence: str,
        error: type[Exception] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.expected = tuple(expected)
        self.argument = argument
        self.clash = tuple(clash)
        self.sentence = sentence


class ArgumentProblem(Exception):  # noqa: N818 - it never reaches the person as it is
    """What an op raises for an argument it cannot use. `error` is the class the person sees."""

    def __init__(self, error: type[Exception], sentence: str, argument: int | None = None) -> None:
        super().__init__(sentence)
        self.error = error
        self.sentence = sentence
        self.argument = argument


class EngineError(Exception):
    """What all explained errors share.

    `op` and `module` name where it happened, `filename` and `line` the person's line,
    `arguments` is a list of (name, shape or None), `sentence` says the matter in one sentence.
    """

    op: str = ""
    module: str = ""
    filename: str = ""
    line: int = 0
    sentence: str = ""
    arguments: list[tuple[str, Shape | None]]


class ShapeMismatchError(EngineError, ValueError, RuntimeError):
    """Shapes that do not fit an op; to PyTorch a RuntimeError.

    `expected` and `got` are the shapes of the first line; `clash` the (argument, dimension) pairs that
    disagree; `origins` has, for each argument, the way back to where its clashing dimension was decided.
    """

    expected: tuple[Any, ...]
    got: Shape
    clash: list[tuple[int, int]]
    origins: list[list[Origin]]


class DtypeMismatchError(EngineError, TypeError, RuntimeError):
    """Element types an op cannot work with; to PyTorch now a TypeError, now a RuntimeError."""


class ArgumentError(ValueError, RuntimeError):
    """An argument that cannot be: a ValueError to Python, mostly a RuntimeError to PyTorch."""


class OutOfRangeError(IndexError, RuntimeError):
    """An index that is not there; to PyTorch a RuntimeError where a tensor holds it."""


class NothingThereError(ArgumentError, IndexError):
    """The extreme of no elements; to PyTorch an IndexError where a dimension is given."""


class LinAlgError(RuntimeError):
    """A matrix that has no inverse, or none of the factors asked for; read as `ds.linalg.LinAlgError`."""


class DeviceMismatchError(EngineError, RuntimeError):
    """Arguments of one op on different devices."""


class Failure:
    """The subject of `op_error`: the node that failed, and the exception about to be raised.

    `clash` is that of a shape mismatch, else empty. A sink that sets `replacement` to an array gives the op's
    result, and nothing is raised.
    """

    __slots__ = ("clash", "exception", "node", "replacement")

    def __init__(self, node: Any, exception: BaseException) -> None:
        self.node = node
        self.exception = exception
        self.clash: list[tuple[int, int]] = list(getattr(exception, "clash", ()))
        self.replacement: Any = None
