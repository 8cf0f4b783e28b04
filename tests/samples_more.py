"""Samples of special functions, blends, order statistics, distances, windows, grids, placing and linear algebra."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sample_row import Row
from samples_arrange import both
from samples_spatial import x

import engine as ds
from engine import linalg
from engine.errors import ShapeMismatchError
from engine.nn import functional as F
from engine.ops import arithmetic

try:
    import torch
    import torch.nn.functional as TF
except ImportError:
    torch = TF = None  # type: ignore[assignment]

rng = np.random.default_rng(11)
POSITIVE = rng.uniform(0.4, 4.0, (3, 4))
INSIDE = rng.uniform(-0.9, 0.9, (3, 4))
CHANCES = rng.uniform(0.1, 0.9, (3, 4))
AWAY = np.array([[-2.3, -0.7, 0.4], [1.6, 2.2, -1.4]])
OTHER = np.array([[0.9, 1.55, -0.8], [0.7, -0.6, 1.1]])
INTS = np.array([[6, -3, 0], [5, 2, -7]])
HOLES = np.array([[1.0, np.nan, 3.0, -2.0], [0.5, 2.0, np.nan, 7.0]])
SIGNS = np.array([1.0, -1, 1, 1, -1])
RUNS = np.array([3, 3, 1, 2, 2, 2, 3])
INDEX = np.array([2, 0, 2])
PLACES = np.array([[0, 2, 1, 0], [1, 1, 0, 2]])
MASK = np.array([[True, False, True, True], [False, True, False, True]])
SYMMETRIC = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.2], [0.5, -0.2, 2.0]])
SQUARE = rng.standard_normal((2, 3, 3)) + 2 * np.eye(3)
GRID = rng.uniform(-1.3, 1.3, (2, 3, 4, 2))


def flat(name: str, op: str, inputs: tuple[Any, ...], *args: Any, note: str = "", **kwargs: Any) -> Row:
    """A function both have in the flat namespace."""
    row = both(ds, name, inputs, *args, op=op, **kwargs)
    return Row(op, row.ours, row.theirs, inputs, f"{name}-{row.note}{note}")


def fixed(name: str, op: str, inputs: tuple[Any, ...], *args: Any) -> Row:
    """As `flat`, where there is no gradient to compare."""
    row = flat(name, op, inputs, *args)
    theirs = row.theirs

    def there(*tensors: Any) -> Any:
        return theirs(*(t.detach() for t in tensors))  # type: ignore[misc]

    return Row(
        op,
        lambda *tensors: row.ours(*(t.detach() for t in tensors)),
        None if theirs is None else there,
        inputs,
        row.note,
    )


def method(name: str, op: str, inputs: tuple[Any, ...], *args: Any, **kwargs: Any) -> Row:
    """A method both have."""

    def call(a: Any, *others: Any) -> Any:
        return getattr(a, name)(*args, *others, **kwargs)

    return Row(op, call, None if torch is None else call, inputs, f"{name}-method")


def layer(name: str, op: str, inputs: tuple[Any, ...], *args: Any, **kwargs: Any) -> Row:
    """A function both have in nn.functional."""

    def here(*tensors: Any) -> Any:
        return getattr(F, name)(*tensors, *args, **kwargs)

    def there(*tensors: Any) -> Any:
        return getattr(TF, name)(*tensors, *args, **kwargs)

    words = [*map(str, args), *(f"{k}={v}" for k, v in kwargs.items())]
    return Row(op, here, None if TF is None else there, inputs, "-".join([name, *words]).replace(" ", ""))


def algebra(
    name: str, op: str, inputs: tuple[Any, ...], *args: Any, exact: bool = True, **kwargs: Any
) -> Row:
    """A function both have in linalg."""

    def here(*tensors: Any) -> Any:
        found = getattr(linalg, name)(*tensors, *args, **kwargs)
        return tuple(found) if isinstance(found, tuple) else found

    def there(*tensors: Any) -> Any:
        found = getattr(torch.linalg, name)(*tensors, *args, **kwargs)
        return tuple(found) if isinstance(found, tuple) else found

    return Row(
        op, here, None if torch is None else there, inputs, f"{name}-{'-'.join(map(str, args))}", exact=exact
    )


def placed(name: str, op: str, inputs: tuple[Any, ...], *more: Any, **kwargs: Any) -> Row:
    """`name(input, dim, index, ...)`: the tensors among the inputs come after `dim`."""

    def call(a: Any, *others: Any) -> Any:
        return getattr(a, name)(more[0], *others, *more[1:], **kwargs)

    return Row(op, call, None if torch is None else call, inputs, f"{name}-{more}-{kwargs}".replace(" ", ""))


SAMPLES: list[Row] = [
    # Special functions.
    flat("erfc", "erfc", (np.array([-3.0, -0.4, 0.0, 0.7, 2.6, 5.0]),)),
    flat("erfinv", "erfinv", (INSIDE,)),
    flat("lgamma", "lgamma", (POSITIVE,)),
    flat("lgamma", "lgamma", (np.array([-2.5, -0.3, 0.2, 1.0, 2.0, 30.0]),), note="far"),
    flat("digamma", "polygamma", (POSITIVE,)),
    Row(
        "polygamma",
        lambda a: ds.polygamma(2, a),
        None if torch is None else lambda a: torch.polygamma(2, a),
        (POSITIVE,),
        "2",
    ),
    # Two numbers.
    flat("fmod", "fmod", (AWAY, OTHER)),
    flat("hypot", "hypot", (AWAY, OTHER)),
    flat("logaddexp", "logaddexp", ((3, 4), (4,))),
    flat("logaddexp2", "logaddexp", ((3, 4), (4,))),
    flat("signbit", "signbit", (AWAY,)),
    flat("copysign", "where", (AWAY, OTHER)),
    flat("frac", "sub", (AWAY,)),
    fixed("heaviside", "where", (INTS * 1.0, np.full((2, 3), 0.5))),
    flat("lerp", "mul", ((3, 4), (3, 4), (3, 4))),
    flat("addcmul", "mul", ((3, 4), (3, 4), (4,)), value=0.5),
    flat("addcdiv", "div", ((3, 4), (3, 4), POSITIVE), value=2.0),
    flat("fmax", "maximum", (AWAY, OTHER)),
    flat("fmin", "minimum", (AWAY, OTHER)),
    fixed("gcd", "gcd", (INTS, INTS[::-1].copy())),
    fixed("lcm", "lcm", (INTS, INTS[::-1].copy())),
    fixed("nextafter", "nextafter", (AWAY, OTHER)),
    flat("i0", "bessel_i", (AWAY,)),
    flat("xlogy", "log", (np.array([0.0, 1.5, 2.0]), np.array([0.3, 0.7, 2.0]))),
    flat("logit", "logit", (CHANCES,)),
    flat("logit", "logit", (CHANCES,), 1e-2),
    flat("sinc", "sin", (AWAY,)),
    flat("deg2rad", "mul", ((3,),)),
    flat("rad2deg", "mul", ((3,),)),
    fixed("nan_to_num", "where", (np.array([1.0, np.nan, np.inf, -np.inf]),), 2.0),
    flat("clamp_min", "clamp", (AWAY,), 0.5),
    flat("clamp_max", "clamp", (AWAY,), 0.5),
    flat("rsub", "sub", ((3,), (3,)), alpha=2),
    flat("float_power", "pow", (POSITIVE,), 2.5),
    flat("isclose", "eq", (INTS, INTS)),
    flat("isposinf", "isinf", (np.array([1.0, np.inf, -np.inf, np.nan]),)),
    flat("isneginf", "isinf", (np.array([1.0, np.inf, -np.inf, np.nan]),)),
    fixed("ldexp", "mul", ((3,), np.array([1.0, -2.0, 3.0]))),
    # Products added up.
    flat("addmm", "matmul", ((2, 4), (2, 3), (3, 4)), beta=0.5, alpha=2.0),
    flat("addmv", "matmul", ((2,), (2, 3), (3,))),
    flat("addr", "einsum", ((2, 3), (2,), (3,))),
    flat("baddbmm", "matmul", ((2, 3, 5), (2, 3, 4), (2, 4, 5))),
    flat("addbmm", "matmul", ((3, 5), (2, 3, 4), (2, 4, 5))),
    flat("inner", "einsum", ((2, 3), (4, 3))),
    flat("vdot", "einsum", ((3,), (3,))),
    flat("cross", "roll", ((2, 3), (2, 3)), dim=1),
    flat("matrix_power", "matmul", (SQUARE,), 3),
    flat("kron", "mul", ((2, 3), (3, 2))),
    flat("matrix_power", "inv", (SQUARE,), -2),
    layer("bilinear", "linear", ((5, 2), (5, 3), (4, 2, 3), (4,))),
    # Put together.
    flat("rot90", "flip", ((2, 3, 4),), 1, (0, 2)),
    flat("rot90", "flip", ((2, 3, 4),), -1, (1, 2)),
    flat("tile", "expand", ((2, 3),), (2, 1, 2)),
    flat("fliplr", "flip", ((2, 3),)),
    flat("diagflat", "diagonal_zeros", ((2, 2),), 1),
    method("trace", "sum", ((3, 4),)),
    Row(
        "cat",
        lambda a, b: ds.hstack((a, b)),
        None if torch is None else lambda a, b: torch.hstack((a, b)),
        ((2, 3), (2, 1)),
        "hstack",
    ),
    Row(
        "cat",
        lambda a, b: ds.vstack((a, b)),
        None if torch is None else lambda a, b: torch.vstack((a, b)),
        ((3,), (3,)),
        "vstack",
    ),
    Row(
        "cat",
        lambda a, b: ds.dstack((a, b)),
        None if torch is None else lambda a, b: torch.dstack((a, b)),
        ((2, 3), (2, 3)),
        "dstack",
    ),
    Row(
        "cat",
        lambda a, b: ds.column_stack((a, b)),
        None if torch is None else lambda a, b: torch.column_stack((a, b)),
        ((3,), (3, 2)),
        "column_stack",
    ),
    Row(
        "cat",
        lambda a, b: ds.block_diag(a, b),
        None if torch is None else lambda a, b: torch.block_diag(a, b),
        ((2, 3), (3, 1)),
        "block_diag",
    ),
    Row(
        "stack",
        ds.cartesian_prod,
        None if torch is None else torch.cartesian_prod,
        ((2,), (3,)),
        "cartesian_prod",
    ),
    Row(
        "expand",
        lambda a, b: ds.meshgrid(a, b, indexing="ij"),
        None if torch is None else lambda a, b: torch.meshgrid(a, b, indexing="ij"),
        ((2,), (3,)),
        "meshgrid",
    ),
    Row(
        "expand",
        lambda a, b: ds.meshgrid(a, b, indexing="xy"),
        None if torch is None else lambda a, b: torch.meshgrid(a, b, indexing="xy"),
        ((2,), (3,)),
        "meshgrid-xy",
    ),
    Row(
        "split",
        lambda a: ds.tensor_split(a, 3, 1),
        None if torch is None else lambda a: torch.tensor_split(a, 3, 1),
        ((2, 7),),
        "tensor_split",
    ),
    flat("combinations", "getitem", ((4,),)),
    fixed("vander", "pow", (POSITIVE[0],)),
    method("unfold", "getitem", ((2, 7, 3),), 1, 3, 2),
    layer("channel_shuffle", "transpose", ((2, 6, 3, 2),), 3),
    # Placed.
    placed("index_add", "put_back", ((4, 3), INDEX, (3, 3)), 0, alpha=2),
    placed("index_copy", "scatter", ((4, 3), np.array([2, 0]), (2, 3)), 0),
    placed("index_fill", "setitem", ((4, 3), INDEX), 0, 1.5),
    placed("scatter_reduce", "scatter_add", ((3, 4), PLACES, (2, 4)), 0, "sum"),
    placed("scatter_reduce", "scatter_add", ((3, 4), PLACES, (2, 4)), 0, "mean"),
    placed("scatter_reduce", "scatter_add", ((3, 4), PLACES, (2, 4)), 0, "mean", include_self=False),
    placed("scatter_reduce", "setitem", ((3, 4), PLACES, (2, 4)), 0, "prod"),
    placed("scatter_reduce", "scatter_extreme", ((3, 4), PLACES, (2, 4)), 0, "amax"),
    placed("scatter_reduce", "scatter_extreme", ((3, 4), PLACES, (2, 4)), 0, "amin", include_self=False),
    Row(
        "setitem",
        lambda a, m, s: a.masked_scatter(m, s),
        None if torch is None else lambda a, m, s: a.masked_scatter(m, s),
        ((2, 4), MASK, (6,)),
        "masked_scatter",
    ),
    Row(
        "setitem",
        lambda a, b: ds.select_scatter(a, b, 1, 2),
        None if torch is None else lambda a, b: torch.select_scatter(a, b, 1, 2),
        ((2, 4), (2,)),
        "select_scatter",
    ),
    Row(
        "setitem",
        lambda a, b: ds.slice_scatter(a, b, 1, 1, 3),
        None if torch is None else lambda a, b: torch.slice_scatter(a, b, 1, 1, 3),
        ((2, 4), (2, 2)),
        "slice_scatter",
    ),
    Row(
        "setitem",
        lambda a, b: ds.diagonal_scatter(a, b, 1),
        None if torch is None else lambda a, b: torch.diagonal_scatter(a, b, 1),
        ((3, 4), (3,)),
        "diagonal_scatter",
    ),
    Row(
        "put_back",
        lambda a, i, v: a.index_put((i,), v, accumulate=True),
        None if torch is None else lambda a, i, v: a.index_put((i,), v, accumulate=True),
        ((4, 3), INDEX, (3, 3)),
        "index_put",
    ),
    flat("take", "getitem", ((2, 3), np.array([5, 0, 0]))),
    flat("take_along_dim", "gather", ((3, 4), PLACES), 0),
    # Order and statistics.
    flat("cummax", "cummax", ((3, 5),), 1),
    flat("cummin", "cummax", ((3, 5),), 0),
    flat("logcumsumexp", "cumsum", ((3, 5),), 1),
    flat("kthvalue", "kthvalue", ((3, 5),), 2, 1),
    flat("kthvalue", "kthvalue", ((3, 5, 2),), 3, 0, True),
    flat("median", "kthvalue", ((3, 4),)),
    flat("median", "kthvalue", (np.array([1.0, 2.0, 2.0, 3.0]),), note="equal"),
    flat("median", "kthvalue", ((3, 4),), 1),
    fixed("median", "kthvalue", (HOLES,), 1),
    fixed("median", "kthvalue", (HOLES,)),
    flat("nanmedian", "kthvalue", (HOLES,)),
    flat("nanmedian", "kthvalue", (HOLES,), 1, True),
    flat("quantile", "gather", ((3, 5),), 0.3, 1),
    flat("quantile", "gather", ((3, 5),), 0.6, interpolation="midpoint"),
    flat("nanquantile", "gather", (HOLES,), 0.5, 1),
    flat("mode", "gather", (INTS % 3,), 1),
    flat("aminmax", "amin", ((3, 4),), dim=1),
    flat("count_nonzero", "sum", (INTS,), 1),
    flat("nansum", "sum", (HOLES,), 1),
    flat("nanmean", "div", (HOLES,), 1),
    flat("var_mean", "var", ((3, 4),), 1),
    flat("std_mean", "var", ((3, 4),)),
    flat("cov", "matmul", ((3, 5),)),
    flat("corrcoef", "matmul", ((3, 5),)),
    flat("diff", "sub", ((3, 5),), 2),
    flat("trapezoid", "sum", ((3, 5),), dx=0.5),
    flat("trapezoid", "sum", ((3, 5), np.array([0.0, 0.5, 0.7, 1.5, 2.0]))),
    flat("cumulative_trapezoid", "cumsum", ((3, 5),)),
    flat(
        "searchsorted",
        "searchsorted",
        (np.array([1.0, 2.0, 2.0, 5.0]), np.array([[2.0, 0.0], [7.0, 3.0]])),
        right=True,
    ),
    flat("searchsorted", "searchsorted", (np.array([[1, 3, 5], [2, 4, 6]]), np.array([[3, 9], [3, 0]]))),
    flat("bucketize", "searchsorted", (np.array([0.5, 2.0, 9.0]), np.array([1.0, 2.0, 4.0]))),
    flat("isin", "isin", (INTS, np.array([2, 5, -3]))),
    flat("isin", "isin", (INTS, np.arange(40)), invert=True),
    flat("renorm", "norm", ((3, 4),), 2, 0, 1.5),
    Row("multinomial", lambda w: ds.multinomial(w, 3), None, (CHANCES,)),
    Row("poisson", lambda r: ds.poisson(r.detach()), None, (POSITIVE,)),
    # Lengths.
    Row("root", arithmetic.root, None if torch is None else torch.sqrt, (POSITIVE,)),
    *(flat("norm", "norm", ((3, 4),), p, 1) for p in (0.5, 1, 2, 3, math.inf, -math.inf, 0)),
    flat("norm", "norm", ((2, 3, 4),), 2, (0, 2), True),
    flat("dist", "norm", ((3, 4), (3, 4)), 3),
    *(flat("cdist", "cdist", ((2, 3, 4), (5, 4)), p) for p in (2.0, 1.0, math.inf, 3.0, 0.0)),
    flat("cdist", "cdist", ((2, 30, 40), (2, 25, 40)), note="product"),
    flat("pairwise_distance", "norm", ((3, 4), (3, 4))),
    flat("pdist", "pdist", ((4, 3),)),
    flat("pdist", "pdist", ((4, 3),), 1.0),
    # Windows and grids.
    layer("unfold", "unfold", ((2, 3, 5, 6),), (2, 3), dilation=1, padding=1, stride=2),
    layer("fold", "fold", ((2, 12, 20),), (5, 6), (2, 2)),
    layer("fold", "fold", ((2, 8, 9),), (4, 4), 2, padding=1, stride=2),
    *(
        layer(
            "grid_sample", "grid_read", ((2, 3, 4, 5), GRID), mode="bilinear", padding_mode=p, align_corners=c
        )
        for p in ("zeros", "border", "reflection")
        for c in (True, False)
    ),
    layer(
        "grid_sample",
        "grid_read",
        ((2, 3, 4, 5), GRID),
        mode="nearest",
        padding_mode="zeros",
        align_corners=False,
    ),
    layer("affine_grid", "matmul", ((2, 2, 3),), (2, 3, 4, 5), align_corners=False),
    layer("affine_grid", "matmul", ((2, 2, 3),), (2, 3, 4, 5), align_corners=True),
    layer("local_response_norm", "avg_pool2d", ((2, 5, 3, 3),), 3, alpha=0.1),
    layer("lp_pool1d", "avg_pool1d", (rng.uniform(0.2, 2, (2, 3, 6)),), 3.0, 2),
    layer("lp_pool2d", "avg_pool2d", (rng.uniform(0.2, 2, (2, 3, 4, 6)),), 2.0, 2),
    *(
        Row(
            "embedding",
            lambda w, m=m: F.embedding_bag(ds.tensor(PLACES), w, mode=m),  # type: ignore[misc]
            None if TF is None else lambda w, m=m: TF.embedding_bag(torch.tensor(PLACES), w, mode=m),  # type: ignore[misc]
            ((3, 4),),
            f"bag-{m}",
        )
        for m in ("sum", "mean", "max")
    ),
    # Activations.
    layer("softmin", "softmax", ((3, 4),), 1),
    layer("tanhshrink", "tanh", ((3, 4),)),
    layer("hardshrink", "where", (AWAY,), 0.5),
    layer("softshrink", "sub", (AWAY,), 0.5),
    layer("threshold", "where", (AWAY,), 0.5, 9.0),
    layer("rrelu", "where", (AWAY,)),
    # Losses.
    Row(
        "softplus",
        lambda a: F.soft_margin_loss(a, ds.tensor(SIGNS)),
        None if TF is None else lambda a: TF.soft_margin_loss(a, torch.tensor(SIGNS)),
        ((5,),),
        "soft_margin_loss",
    ),
    layer("hinge_embedding_loss", "where", ((5,), SIGNS)),
    layer("cosine_embedding_loss", "where", ((5, 3), (5, 3), SIGNS), 0.1),
    layer("multi_margin_loss", "clamp", ((3, 4), np.array([0, 3, 1]))),
    layer("multilabel_margin_loss", "clamp", ((2, 4), np.array([[1, 3, -1, 0], [2, -1, 0, 0]]))),
    layer("multilabel_soft_margin_loss", "softplus", ((3, 4), np.array([[1.0, 0, 1, 0]] * 3))),
    layer("poisson_nll_loss", "exp", ((3, 4), np.abs(INTS[:1, :1]) * 1.0 + np.zeros((3, 4))), full=True),
    layer("gaussian_nll_loss", "log", ((3, 4), (3, 4), POSITIVE), full=True),
    layer("triplet_margin_loss", "norm", ((4, 3), (4, 3), (4, 3))),
    layer("triplet_margin_loss", "norm", ((4, 3), (4, 3), (4, 3)), swap=True, p=1.0),
    Row(
        "ctc",
        lambda a: F.ctc_loss(a.log_softmax(2), ds.tensor([[1, 2, 2], [3, 1, 0]]), [6, 5], [3, 2]),
        None
        if TF is None
        else lambda a: TF.ctc_loss(a.log_softmax(2), torch.tensor([[1, 2, 2], [3, 1, 0]]), (6, 5), (3, 2)),
        ((6, 2, 4),),
        "ctc",
    ),
    # Linear algebra.
    algebra("inv", "inv", (SQUARE,)),
    algebra("solve", "solve", (SQUARE, (2, 3, 2))),
    algebra("solve", "solve", (SYMMETRIC, (3,))),
    algebra("det", "det", (SQUARE,)),
    Row(
        "lu",
        lambda a: linalg.lu(a).L * linalg.lu(a).U,
        None if torch is None else lambda a: torch.linalg.lu(a).L * torch.linalg.lu(a).U,
        (SQUARE,),
    ),
    Row(
        "slogdet",
        lambda a: linalg.slogdet(a)[1],
        None if torch is None else lambda a: torch.linalg.slogdet(a)[1],
        (SQUARE,),
        "slogdet",
    ),
    Row(
        "cholesky",
        lambda a: linalg.cholesky(a @ a.mT),
        None if torch is None else lambda a: torch.linalg.cholesky(a @ a.mT),
        (SQUARE,),
    ),
    Row(
        "eigh",
        lambda a: linalg.eigh(a + a.mT)[0],
        None if torch is None else lambda a: torch.linalg.eigh(a + a.mT)[0],
        (SYMMETRIC,),
        "values",
    ),
    # The sign of a vector is free, so only what does not depend on it is compared.
    Row(
        "eigh",
        lambda a: linalg.eigh(a + a.mT)[1] ** 2,
        None if torch is None else lambda a: torch.linalg.eigh(a + a.mT)[1] ** 2,
        (SYMMETRIC,),
        "vectors",
    ),
    algebra("svdvals", "eigh", ((4, 2),)),
    algebra("svdvals", "eigh", ((2, 4),)),
    Row(
        "cholesky",
        lambda a: tuple(linalg.qr(a)),
        None if torch is None else lambda a: tuple(torch.linalg.qr(a)),
        ((4, 3),),
        "qr",
    ),
    algebra("pinv", "solve", ((4, 3),)),
    algebra("matrix_norm", "norm", ((2, 3, 4),)),
    algebra("matrix_norm", "amax", ((3, 4),), 1),
    algebra("matrix_norm", "eigh", ((3, 4),), "nuc"),
    algebra("vector_norm", "norm", ((3, 4),), 3),
    Row(
        "matmul",
        lambda a, b, c: linalg.multi_dot([a, b, c]),
        None if torch is None else lambda a, b, c: torch.linalg.multi_dot([a, b, c]),
        ((2, 3), (3, 4), (4, 2)),
        "multi_dot",
    ),
    algebra("solve_triangular", "solve", (SYMMETRIC, (3, 2)), upper=True),
]

ERRORS: list[tuple[str, Any, type[Exception], str]] = [
    ("inv", lambda: linalg.inv(x(2, 3)), ShapeMismatchError, "needs square matrices"),
    ("inv", lambda: linalg.inv(ds.zeros(2, 2)), linalg.LinAlgError, "has no inverse"),
    ("solve", lambda: linalg.solve(x(3, 3), x(2, 1)), ShapeMismatchError, "has 3 equations"),
    ("det", lambda: linalg.det(x(3)), ShapeMismatchError, "Expected [..., n, n], got [3]"),
    ("cholesky", lambda: linalg.cholesky(-ds.eye(2)), RuntimeError, "is not positive definite"),
    ("eigh", lambda: linalg.eigh(x(2, 3)), ShapeMismatchError, "needs square matrices"),
    (
        "polygamma",
        lambda: ds.polygamma(-1, x(2)),
        ValueError,
        "n has to be a whole number, 0 or more, got -1",
    ),
    ("fmod", lambda: ds.fmod(x(2, 3), x(2, 4)), ShapeMismatchError, "has 3 where"),
    ("hypot", lambda: ds.hypot(x(2), x(3)), ShapeMismatchError, "must be equal or 1"),
    ("logaddexp", lambda: ds.logaddexp(x(2), x(3)), ShapeMismatchError, "must be equal or 1"),
    ("cummax", lambda: ds.cummax(x(3), 1), IndexError, "dim has to be from -1 to 0"),
    ("norm", lambda: ds.norm(x(3), 2, 1), IndexError, "dim has to be from -1 to 0"),
    ("norm", lambda: ds.norm(x(3), "nuc"), ValueError, 'p is a number or "fro"'),
    (
        "searchsorted",
        lambda: ds.searchsorted(x(2, 3), x(3, 3)),
        ShapeMismatchError,
        "same sizes before the last",
    ),
    (
        "multinomial",
        lambda: ds.multinomial(ds.ones(3), 4),
        ValueError,
        "num_samples has to be from 1 to the 3",
    ),
    ("multinomial", lambda: ds.multinomial(-ds.ones(3), 1), ValueError, "finite weights, 0 or more"),
    (
        "scatter_extreme",
        lambda: x(3, 4).scatter_reduce(0, ds.tensor([[5]]), x(1, 1), "amax"),
        IndexError,
        "holds 5",
    ),
    (
        "scatter_reduce",
        lambda: x(3).scatter_reduce(0, ds.tensor([0]), x(1), "max"),
        ValueError,
        "reduce is one of",
    ),
    ("unfold", lambda: F.unfold(x(2, 3, 2, 2), 3), ValueError, "does not fit into input [2, 3, 2, 2]"),
    ("fold", lambda: F.fold(x(2, 12, 5), 4, 2), ValueError, "fold needs [batch, channels · 4, 9]"),
    (
        "grid_sample",
        lambda: F.grid_sample(x(1, 1, 2, 2), x(2, 1, 1, 2)),
        ValueError,
        "grid_sample needs input",
    ),
    ("quantile", lambda: ds.quantile(x(3), 1.5), ValueError, "numbers from 0 to 1"),
    ("kthvalue", lambda: ds.kthvalue(x(3), 4), ValueError, "k has to be from 1 to the 3"),
    ("cross", lambda: ds.cross(x(2, 4), x(2, 4)), ValueError, "a dimension of size 3"),
    ("cdist", lambda: ds.cdist(x(2, 3), x(2, 4)), ValueError, "x1 [2, 3] has 3 features, x2 [2, 4] has 4"),
    ("meshgrid", lambda: ds.meshgrid(x(2), indexing="ji"), ValueError, 'indexing is "ij" or "xy"'),
    ("take_along_dim", lambda: ds.take_along_dim(x(2, 3), ds.tensor([[5, 0, 0]]), 0), IndexError, "holds 5"),
    (
        "ctc_loss",
        lambda: F.ctc_loss(x(4, 1, 3), ds.tensor([[1]]), [9], [1]),
        ValueError,
        "of 4 steps at most",
    ),
    ("embedding_bag", lambda: F.embedding_bag(ds.tensor([1]), x(3, 2)), ValueError, "offsets are needed"),
    (
        "channel_shuffle",
        lambda: F.channel_shuffle(x(1, 5, 2), 2),
        ValueError,
        "does not divide the 5 channels",
    ),
]
