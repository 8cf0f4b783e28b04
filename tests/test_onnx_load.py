"""ONNX files as modules: what other exporters write, control flow, gradients, and files that are wrong."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dsviz as ds

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: onnx)")
from onnx import TensorProto, helper  # noqa: E402

from engine.onnx import LoadError, export, load  # noqa: E402


def numbers(value: Any) -> Any:
    return value.numpy(force=True)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: ds.Sequential(ds.Linear(4, 8), ds.GELU(), ds.LayerNorm(8), ds.Linear(8, 3)), (5, 4)),
        (lambda: ds.Sequential(ds.Conv2d(1, 4, 3), ds.BatchNorm2d(4), ds.ReLU(), ds.MaxPool2d(2), ds.Flatten()), (2, 1, 8, 8)),
        (lambda: ds.TransformerEncoderLayer(16, 4, 32, batch_first=True), (2, 5, 16)),
    ],
)  # fmt: skip
def test_what_was_written_is_read_back_and_can_be_trained(make: Any, shape: Any, tmp_path: Path) -> None:
    ds.manual_seed(0)
    model, x = make().eval(), ds.randn(*shape)
    export(model, tmp_path / "m.onnx", (x,))
    again = ds.onnx.load(tmp_path / "m.onnx")
    np.testing.assert_allclose(numbers(again(x)), numbers(model(x)), rtol=1e-4, atol=1e-5)
    (model(x) ** 2).sum().backward()
    (again(x) ** 2).sum().backward()
    expected = sorted(float(abs(p.grad.array).sum()) for p in model.parameters())
    found = sorted(float(abs(p.grad.array).sum()) for p in again.parameters() if p.grad is not None)
    for value in expected:
        assert min(abs(np.asarray(found) - value)) <= 1e-3 * max(1.0, value)


def test_it_is_stepped_and_shape_checked_like_any_module(tmp_path: Path) -> None:
    export(ds.Linear(4, 2), tmp_path / "m.onnx", (ds.randn(3, 4),))
    model = load(tmp_path / "m.onnx")
    x = ds.randn(7, 4)
    with ds.trace() as graph:
        model(x)
    assert [n.label for n in graph.nodes] == ["linear"]
    assert graph.modules[0].path == "model"
    with pytest.raises(ds.ShapeMismatchError, match=r"Expected \[batch, 4\], got \[3, 5\]"):
        model(ds.randn(3, 5))


def loop_model() -> Any:
    """Doubles x until its sum is at least 100; then adds 1 if there were more than three turns."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["v", "v"], ["v2"]),
            helper.make_node("ReduceSum", ["v2"], ["total"], keepdims=0),
            helper.make_node("Less", ["total", "limit"], ["on"]),
            helper.make_node("Add", ["n", "one"], ["n2"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info("n", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v2", TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info("n2", TensorProto.FLOAT, []),
        ],
    )
    taken = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [2])]
    then = helper.make_graph([helper.make_node("Add", ["last", "one"], ["out"])], "then", [], taken)
    other = helper.make_graph([helper.make_node("Identity", ["last"], ["out"])], "else", [], taken)
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["", "yes", "x", "zero"], ["last", "turns"], body=body),
            helper.make_node("Greater", ["turns", "three"], ["many"]),
            helper.make_node("If", ["many"], ["y"], then_branch=then, else_branch=other),
        ],
        "loop",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [
            helper.make_tensor("limit", TensorProto.FLOAT, [], [100.0]),
            helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor("three", TensorProto.FLOAT, [], [3.0]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_loops_and_branches_run_as_they_are() -> None:
    model = load(loop_model())
    assert numbers(model(np.asarray([1, 2], np.float32))).tolist() == [65.0, 129.0]
    assert numbers(model(np.asarray([30, 30], np.float32))).tolist() == [60.0, 60.0]
    x = ds.tensor([1.0, 2.0], requires_grad=True)
    model(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [64.0, 64.0]


def test_pytorchs_own_exporter(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra: compare)")
    nn = torch.nn
    torch.manual_seed(0)
    cnn = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 5),
        nn.LogSoftmax(1),
    )  # fmt: skip
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    for model, x in ((cnn, torch.randn(2, 1, 8, 8)), (layer, torch.randn(2, 5, 16))):
        model.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs
            torch.onnx.export(model, (x,), str(tmp_path / "m.onnx"), dynamo=True, verbose=False)
        found = numbers(load(tmp_path / "m.onnx")(x.numpy()))
        np.testing.assert_allclose(found, model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def _estimators() -> dict[str, Any]:
    """Of each a maker, and what it is fitted on: classes by name or number, gaps, or a number to foretell."""
    from sklearn import (
        cluster,
        compose,
        decomposition,
        ensemble,
        feature_selection,
        impute,
        linear_model,
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        preprocessing,
        svm,
    )

    def after(*steps: Any) -> Any:
        return pipeline.make_pipeline(*steps, linear_model.LogisticRegression())

    return {
        "network": (pipeline.make_pipeline(preprocessing.StandardScaler(), neural_network.MLPClassifier((8,), max_iter=20, random_state=0)), "classes"),
        "logistic": (linear_model.LogisticRegression(), "names"),
        "forest": (ensemble.RandomForestClassifier(5, random_state=0), "names"),
        "boosted": (ensemble.GradientBoostingClassifier(n_estimators=4), "two"),
        "boosted numbers": (ensemble.GradientBoostingRegressor(n_estimators=4), "numbers"),
        "vectors": (svm.SVC(), "classes"),
        "vectors of two": (svm.SVC(kernel="poly"), "two"),
        "vectors for numbers": (svm.SVR(), "numbers"),
        "neighbours": (neighbors.KNeighborsClassifier(3), "classes"),
        "bayes": (naive_bayes.GaussianNB(), "classes"),
        "clusters": (cluster.KMeans(3, n_init=1, random_state=0), "none"),
        "components": (decomposition.PCA(2), "none"),
        "gaps": (after(impute.SimpleImputer(), preprocessing.MinMaxScaler()), "gaps"),
        "powers": (pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), linear_model.Ridge()), "numbers"),
        "bins": (after(preprocessing.KBinsDiscretizer(3, encode="onehot-dense")), "classes"),
        "columns": (after(compose.ColumnTransformer([("a", preprocessing.StandardScaler(), [0, 1]), ("b", preprocessing.Normalizer(), [2, 3])])), "classes"),
        "chosen": (after(feature_selection.SelectKBest(k=2), preprocessing.Binarizer(threshold=2.0)), "classes"),
    }  # fmt: skip


def test_scikit_learns_exporter() -> None:
    """Pipelines of many kinds, as its exporter writes them when nothing is asked of it: the same as onnxruntime."""
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed (extra: compare)")
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: onnx)")
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    x = x.astype(np.float32)
    gaps = x.copy()
    gaps[::7, 1] = np.nan
    goals = {
        "classes": y, "names": np.array(["setosa", "versicolor", "virginica"])[y], "two": (y > 0).astype(int), "gaps": y,
        "numbers": x[:, 0] * x[:, 2], "none": None,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some have not converged, and need not
        for name, (made, goal) in _estimators().items():
            data = gaps if goal == "gaps" else x
            proto = skl2onnx.to_onnx(made.fit(data, goals[goal]), data[:1])
            expected = ort.InferenceSession(proto.SerializeToString()).run(None, {"X": data})
            found = load(proto)(data)
            for a, b in zip(found if isinstance(found, tuple) else (found,), expected, strict=True):
                if isinstance(b, list):  # a dict for each row
                    assert [list(row) for row in a] == [list(row) for row in b], name
                    a, b = (np.array([list(row.values()) for row in rows]) for rows in (a, b))
                else:
                    a = numbers(a)
                if np.asarray(b).dtype.kind in "OU":
                    assert a.tolist() == b.tolist(), name
                else:
                    assert (a.shape, a.dtype) == (b.shape, b.dtype), name
                    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4, err_msg=name)


def test_onnxs_own_node_tests_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "benchmarks"))
    import onnx_nodes
    from onnx.backend.test import loader

    seen: dict[str, list[str]] = {"passed": [], "unread": [], "failed": []}
    with warnings.catch_warnings(), np.errstate(all="ignore"), ds.no_grad():
        warnings.simplefilter("ignore")  # the cases' own arithmetic
        for case in loader.load_model_tests(kind="node"):
            kind, why = onnx_nodes.outcome(case)
            seen[kind].append(f"{case.name}: {why}")
    assert not seen["failed"]
    # All of onnx 1.23's; a newer one may bring ops of its own, which are told.
    assert len(seen["passed"]) > 1000
    assert len(seen["unread"]) * 50 < len(seen["passed"]), seen["unread"]


def of_nodes(
    nodes: list[Any],
    inputs: dict[str, tuple[int, Any]],
    outputs: list[str],
    values: Any = (),
    opset: int = 21,
) -> Any:
    """A model of these nodes; `inputs` gives the type and shape of each, `values` the initializers."""
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [onnx.numpy_helper.from_array(v, n) for n, v in dict(values).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def test_all_that_cannot_be_read_is_told_at_once_with_the_nodes_names() -> None:
    inner = helper.make_graph(
        [helper.make_node("Strange", ["x"], ["a"], name="in a branch", domain="my.own")], "then", [],
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, None)],
    )  # fmt: skip
    nodes = [
        helper.make_node("If", ["yes"], ["y"], name="choice", then_branch=inner, else_branch=inner),
        helper.make_node("FusedMatMul", ["x", "x"], ["m"], name="fast", domain="com.microsoft"),
        helper.make_node("Nothing", ["m"], ["n"], name="unknown"),
        helper.make_node("Cast", ["n"], ["z"], name="turned", to=TensorProto.COMPLEX64),
        helper.make_node("Twice", ["z"], ["w"], name="own function", domain="my.functions"),
    ]
    proto = of_nodes(
        nodes,
        {"x": (TensorProto.FLOAT, [2]), "yes": (TensorProto.BOOL, []), "c": (TensorProto.COMPLEX128, [1])},
        ["w"],
    )
    body = [helper.make_node("Absent", ["p"], ["q"], domain="my.own")]
    proto.functions.append(
        helper.make_function("my.functions", "Twice", ["p"], ["q"], body, [helper.make_opsetid("my.own", 1)])
    )
    with pytest.raises(LoadError) as told:
        load(proto)
    assert str(told.value) == (
        "the file needs ops that cannot be read: Nothing (node 'unknown'), com.microsoft.FusedMatMul (node 'fast'), "
        "my.own.Absent (node 'own function'), my.own.Strange (node 'in a branch'); it has element types that cannot be read: "
        "complex128 (input 'c'), complex64 (node 'turned')"
    )


def test_every_function_of_onnx_is_made_of_ops_that_are_read() -> None:
    from onnx import defs

    from engine.onnx.read import READ

    def needed(nodes: Any, around: str) -> set[str]:
        found = set()
        for node in nodes:
            schema = defs.get_schema(node.op_type, domain=node.domain)
            if node.op_type in READ or schema.has_context_dependent_function:
                continue
            found |= (
                needed(schema.function_body.node, around)
                if schema.has_function
                else {f"{node.op_type} in {around}"}
            )
        return found

    missing = set()
    for schema in defs.get_all_schemas():
        if schema.since_version > 26:  # newer than what is read here
            continue
        if schema.domain == "" and schema.has_function:
            missing |= needed(schema.function_body.node, schema.name)
        elif schema.domain == "" and not schema.has_context_dependent_function and schema.name not in READ:
            missing.add(schema.name)
    assert not missing


def test_a_node_that_cannot_run_on_its_inputs_is_named() -> None:
    nodes = [helper.make_node("TensorScatter", ["x", "x", "at"], ["y"], name="cache")]
    model = load(
        of_nodes(
            nodes, {"x": (TensorProto.FLOAT, [1, 2, 2]), "at": (TensorProto.INT64, [1])}, ["y"], opset=24
        )
    )
    with pytest.raises(LoadError, match=r"^TensorScatter 'cache': elements 1 to 2 of a cache of 2$"):
        model(np.ones((1, 2, 2), np.float32), np.array([1]))
    words = [helper.make_node("StringNormalizer", ["x"], ["y"], name="words", case_change_action="LOUD")]
    model = load(of_nodes(words, {"x": (TensorProto.STRING, [1])}, ["y"]))
    with pytest.raises(LoadError, match=r"^StringNormalizer 'words' cannot be run on object \[1\]: 'LOUD'$"):
        model(np.array(["a"], object))


@pytest.mark.parametrize(
    ("kind", "direction", "lengths", "more"),
    [
        ("RNN", "bidirectional", [5, 2], {"activations": ["Affine", "ScaledTanh"], "activation_alpha": [0.5, 0.7], "activation_beta": [0.1, 0.2]}),
        ("LSTM", "reverse", [3, 5], {"clip": 0.3}),
        ("LSTM", "forward", None, {"input_forget": 1}),
        ("GRU", "bidirectional", [1, 5], {"activations": ["HardSigmoid", "LeakyRelu", "Sigmoid", "Tanh"], "linear_before_reset": 1}),
    ],
)  # fmt: skip
def test_recurrence_of_every_kind_is_as_onnxruntime_has_it(
    kind: str, direction: str, lengths: Any, more: dict[str, Any]
) -> None:
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: onnx)")
    rng = np.random.default_rng(0)
    gates, count = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind], 1 + (direction == "bidirectional")
    values = {
        name: rng.standard_normal((count, *shape)).astype(np.float32)
        for name, shape in {"W": (gates * 3, 4), "R": (gates * 3, 3), "B": (gates * 6,)}.items()
    }
    if lengths:
        values["lengths"] = np.array(lengths, np.int32)
    node = helper.make_node(kind, ["x", "W", "R", "B", "lengths" if lengths else ""], ["y", "h"], hidden_size=3, direction=direction, **more)  # fmt: skip
    proto = of_nodes([node], {"x": (TensorProto.FLOAT, [5, 2, 4])}, ["y", "h"], values, opset=14)
    x = rng.standard_normal((5, 2, 4)).astype(np.float32)
    expected = ort.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    for found, wanted in zip(load(proto)(x), expected, strict=True):
        np.testing.assert_allclose(numbers(found), wanted, rtol=1e-4, atol=1e-5)


def test_a_gradient_passes_through_resizing_sampling_and_transforms() -> None:
    """Resizing, sampling, transforms: of each the gradient is that of differences."""
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4))
    grid = np.random.default_rng(1).uniform(-0.9, 0.9, (1, 3, 3, 2))
    scales = np.array([1, 1, 0.6, 1.7], np.float32)
    cases: list[tuple[Any, dict[str, Any]]] = [
        (helper.make_node("Resize", ["x", "", "s"], ["y"], mode="cubic", antialias=1), {"s": scales}),
        (helper.make_node("GridSample", ["x", "g"], ["y"], mode="cubic"), {"g": grid}),
        (helper.make_node("Col2Im", ["c", "size", "block"], ["y"]), {"size": np.array([3, 3]), "block": np.array([2, 2])}),
        (helper.make_node("DFT", ["x", "", "axis"], ["y"]), {"axis": np.array(2)}),
    ]  # fmt: skip
    for node, values in cases:
        name = node.input[0]
        data = x.reshape(1, 8, 4) if name == "c" else x
        model = load(of_nodes([node], {name: (TensorProto.DOUBLE, list(data.shape))}, ["y"], values))
        weight = np.random.default_rng(2).standard_normal(numbers(model(data)).shape)

        def loss(value: Any, model: Any = model, weight: Any = weight) -> Any:
            return (model(value) * ds.Tensor(weight)).sum()

        leaf = ds.tensor(data, requires_grad=True)
        loss(leaf).backward()
        away = np.random.default_rng(3).standard_normal(data.shape)
        step = 1e-6
        slope = (loss(data + step * away).item() - loss(data - step * away).item()) / (2 * step)
        assert leaf.grad is not None
        np.testing.assert_allclose((numbers(leaf.grad) * away).sum(), slope, rtol=1e-5, err_msg=node.op_type)


def test_more_memory_than_there_is_and_an_opset_of_the_future_are_told(tmp_path: Path) -> None:
    fill = helper.make_node("ConstantOfShape", ["x"], ["y"], name="fill")
    model = load(of_nodes([fill], {"x": (TensorProto.INT64, [2])}, ["y"]))
    with pytest.raises(
        LoadError, match=r"^ConstantOfShape 'fill' cannot be run on int64 \[2\]: .*(allocate|too big)"
    ):
        model(np.array([1 << 30, 1 << 30]))
    newer = of_nodes(
        [helper.make_node("Relu", ["x"], ["y"])], {"x": (TensorProto.FLOAT, [2])}, ["y"], opset=999
    )
    with pytest.raises(
        LoadError, match="the file is of opset 999, and the newest that the installed package onnx knows is"
    ):
        load(newer)
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(LoadError, match=r"folder\.onnx is no valid ONNX model: it is a folder$"):
        load(tmp_path / "folder.onnx")


def test_data_beside_the_file_is_read_and_nothing_outside_its_folder(tmp_path: Path) -> None:
    proto = of_nodes([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (TensorProto.FLOAT, [1, 2])}, ["y"], {"w": np.ones((2, 2), np.float32)})  # fmt: skip
    proto.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 1
    proto.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 2
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("models/w.bin", "w.bin"):
        (tmp_path / name).write_bytes(np.ones((2, 2), np.float32).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    place = tensor.external_data.add(key="location")
    for location, fits in (
        ("w.bin", True),
        ("../w.bin", False),
        (str(tmp_path / "w.bin"), False),
        ("link.bin", False),
        ("none.bin", False),
    ):
        place.value = location
        (folder / "m.onnx").write_bytes(proto.SerializeToString())
        if fits:
            assert numbers(load(folder / "m.onnx")(np.ones((1, 2), np.float32))).tolist() == [[2, 2]]
        else:
            with pytest.raises(LoadError, match="is no valid ONNX model: "):
                load(folder / "m.onnx")


def test_older_files_align_the_second_argument_by_an_axis() -> None:
    node = helper.make_node("Add", ["x", "b"], ["y"], broadcast=1, axis=1)
    model = load(
        of_nodes(
            [node], {"x": (TensorProto.FLOAT, [2, 3, 4])}, ["y"], {"b": np.arange(3, dtype=np.float32)}, 6
        )
    )
    assert numbers(model(np.zeros((2, 3, 4), np.float32)))[0, :, 0].tolist() == [0, 1, 2]


def test_sparse_values_are_read_as_dense_ones() -> None:
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("w", TensorProto.FLOAT, [2], [5.0, 7.0]),
        helper.make_tensor("i", TensorProto.INT64, [2], [1, 5]),
        [2, 3],
    )
    proto = of_nodes([helper.make_node("Add", ["x", "w"], ["y"])], {"x": (TensorProto.FLOAT, [2, 3])}, ["y"])
    proto.graph.sparse_initializer.append(sparse)
    assert numbers(load(proto)(np.zeros((2, 3), np.float32))).tolist() == [[0, 5, 0], [0, 0, 7]]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.onnx"):
        load(tmp_path / "none.onnx")
    for content in (b"", b"not a model", b"\x08\x07\x12\xff\xff\xff\xff\x7f", bytes(range(256)) * 4):
        path = tmp_path / "broken.onnx"
        path.write_bytes(content)
        with pytest.raises(LoadError, match="is no valid ONNX model"):
            load(path)
    model = load(loop_model())
    with pytest.raises(TypeError, match="the input 'x' is missing"):
        model()
    with pytest.raises(TypeError, match=r"has 1 inputs \(x\), got 2"):
        model(np.zeros(2), np.zeros(2))
    with pytest.raises(TypeError, match="no input 'y' is left"):
        model(y=np.zeros(2))
