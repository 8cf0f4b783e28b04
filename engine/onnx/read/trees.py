"""Ensembles of decision trees (domain ai.onnx.ml): forests and boosted trees. No gradient passes through a decision."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.onnx.read.learned import classified, labels_of, transformed
from engine.onnx.read.step import Step, Unreadable, plain, reads

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
COMPARE = (np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal)
AFTER = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
LEAF = -1


class Forest:
    """Nodes of all trees in one table; `weights` of a leaf is what it adds to each target."""

    def __init__(
        self, feature: Any, mode: Any, split: Any, yes: Any, no: Any, missing: Any, roots: Any, weights: dict[int, list[tuple[int, float]]],
        members: dict[int, set[float]] | None = None,
    ) -> None:  # fmt: skip
        self.feature, self.mode, self.split, self.yes, self.no = feature, mode, split, yes, no
        self.missing, self.roots, self.weights, self.members = missing, roots, weights, members or {}

    def leaves(self, x: Any) -> Any:
        """The leaf that each row [row, tree] ends in."""
        at = np.tile(self.roots, (x.shape[0], 1))
        rows = np.arange(x.shape[0])[:, None]
        for _ in range(len(self.mode) + 1):
            inner = self.mode[at] != LEAF
            if not inner.any():
                return at
            value = x[rows, np.where(inner, self.feature[at], 0)]
            with np.errstate(invalid="ignore"):
                taken = np.select(
                    [self.mode[at] == i for i in range(6)], [f(value, self.split[at]) for f in COMPARE], False
                )
            for place in self.members:
                here = at == place
                taken[here] = np.isin(value[here], list(self.members[place]))
            taken |= np.isnan(value) & self.missing[at]
            at = np.where(inner, np.where(taken, self.yes[at], self.no[at]), at)
        raise Unreadable("the trees have a circle")

    def sums(self, x: Any, targets: int, how: str) -> Any:
        """What the leaves give for each row and target, put together by SUM, AVERAGE, MIN or MAX."""
        ends = self.leaves(x)
        made = np.zeros((x.shape[0], targets))
        if how in ("MIN", "MAX"):
            made[:] = np.inf if how == "MIN" else -np.inf
        for leaf in np.unique(ends):
            times = (ends == leaf).sum(1)
            for target, weight in self.weights.get(int(leaf), ()):
                if how in ("SUM", "AVERAGE"):
                    made[:, target] += times * weight
                else:
                    best = np.minimum if how == "MIN" else np.maximum
                    made[:, target] = np.where(times > 0, best(made[:, target], weight), made[:, target])
        if how == "AVERAGE":
            made /= max(len(self.roots), 1)
        return np.where(np.isinf(made), 0, made) if how in ("MIN", "MAX") else made


def _numbers(s: Step, name: str, kind: Any = np.float64) -> Any:
    """A list of numbers, which newer opsets may hold as a tensor."""
    from onnx import numpy_helper

    tensor = s.attributes.get(f"{name}_as_tensor")
    values = numpy_helper.to_array(tensor) if tensor is not None else s.attributes.get(name)
    return np.zeros(0, kind) if values is None else np.asarray(values).astype(kind)


def _forest(s: Step, kind: str) -> Forest:
    """The trees of TreeEnsembleClassifier ("class") and TreeEnsembleRegressor ("target")."""
    a = s.attributes
    trees, ids = _numbers(s, "nodes_treeids", np.int64), _numbers(s, "nodes_nodeids", np.int64)
    place = {(t, i): at for at, (t, i) in enumerate(zip(trees.tolist(), ids.tolist(), strict=True))}
    names = [v.decode() for v in a["nodes_modes"]]
    mode = np.array([LEAF if v == "LEAF" else MODES.index(v) for v in names])

    def child(name: str) -> Any:
        to = _numbers(s, name, np.int64).tolist()
        return np.array(
            [0 if m == LEAF else place[(t, i)] for t, i, m in zip(trees.tolist(), to, mode, strict=True)]
        )

    roots = [at for at in range(len(trees)) if at == 0 or trees[at] != trees[at - 1]]
    weights: dict[int, list[tuple[int, float]]] = {}
    for t, i, target, weight in zip(
        a[f"{kind}_treeids"],
        a[f"{kind}_nodeids"],
        a[f"{kind}_ids"],
        _numbers(s, f"{kind}_weights"),
        strict=True,
    ):
        weights.setdefault(place[(t, i)], []).append((target, float(weight)))
    missing = _numbers(s, "nodes_missing_value_tracks_true", bool)
    return Forest(
        _numbers(s, "nodes_featureids", np.int64), mode, _numbers(s, "nodes_values"), child("nodes_truenodeids"),
        child("nodes_falsenodeids"), missing if missing.size else np.zeros(len(mode), bool), np.array(roots), weights,
    )  # fmt: skip


@reads("ai.onnx.ml.TreeEnsembleRegressor")
def _regressor(s: Step) -> Any:
    x = s.inputs[0].array
    made = _forest(s, "target").sums(x, int(s.attr("n_targets", 1)), s.attr("aggregate_function", "SUM"))
    made = (
        (made + (_numbers(s, "base_values") if made.size else 0.0))
        if _numbers(s, "base_values").size
        else made
    )
    return [transformed(plain(made.astype(np.float32)), s.attr("post_transform", "NONE"))]


@reads("ai.onnx.ml.TreeEnsembleClassifier")
def _classifier(s: Step) -> Any:
    x, labels = s.inputs[0].array, labels_of(s)
    made = _forest(s, "class").sums(x, len(labels), "SUM")
    base, used = _numbers(s, "base_values"), set(s.attributes["class_ids"])
    if len(labels) == 2 and len(used) == 1:  # one score alone speaks for the second class
        score = made[:, list(used)] + (base[-1] if base.size else 0.0)
        shares = bool((_numbers(s, "class_weights") >= 0).all())
        return classified(plain(score.astype(np.float32)), labels, s.attr("post_transform", "NONE"), shares)
    made = made + (base if base.size else 0.0)
    return classified(plain(made.astype(np.float32)), labels, s.attr("post_transform", "NONE"))


@reads("ai.onnx.ml.TreeEnsemble")
def _ensemble(s: Step) -> Any:
    from onnx import numpy_helper

    a = s.attributes
    mode = numpy_helper.to_array(a["nodes_modes"]).astype(np.int64)
    split = numpy_helper.to_array(a["nodes_splits"]).astype(np.float64)
    inner = len(mode)
    yes, no = (
        np.array(a[f"nodes_{n}nodeids"]) + inner * np.array(a[f"nodes_{n}leafs"]) for n in ("true", "false")
    )
    leaf_weights = numpy_helper.to_array(a["leaf_weights"])
    leaves = len(leaf_weights)
    members: dict[int, set[float]] = {}
    if "membership_values" in a:
        rest = iter(numpy_helper.to_array(a["membership_values"]).astype(np.float64).tolist())
        for at in np.flatnonzero(mode == MODES.index("BRANCH_MEMBER")):
            members[int(at)] = set()
            for value in rest:
                if np.isnan(value):
                    break
                members[int(at)].add(value)

    def more(values: Any, fill: Any) -> Any:
        return np.concatenate([values, np.full(leaves, fill)])

    missing = np.asarray(a.get("nodes_missing_value_tracks_true") or [0] * inner, bool)
    weights = {
        inner + i: [(t, float(v))]
        for i, (t, v) in enumerate(zip(a["leaf_targetids"], leaf_weights, strict=True))
    }
    forest = Forest(
        more(np.array(a["nodes_featureids"]), 0), more(mode, LEAF), more(split, 0.0), more(yes, 0), more(no, 0), more(missing, False),
        np.array(a["tree_roots"]), weights, members,
    )  # fmt: skip
    x = s.inputs[0]
    how = ("AVERAGE", "SUM", "MIN", "MAX")[int(s.attr("aggregate_function", 1))]
    made = forest.sums(x.array, int(a["n_targets"]), how).astype(x.dtype)
    return [transformed(plain(made), AFTER[int(s.attr("post_transform", 0))])]
