"""`dsviz run model.onnx`: a line for each node, names as in the file, and inputs that do not fit told before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dsviz as ds
from dsviz import Session
from dsviz.commands import graph as graph_command
from dsviz.commands.usage import UsageError
from dsviz.onnx_script import script_of

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: onnx)")
from onnx import TensorProto, helper  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
HOSTILE = "x'); import os; os._exit(9)\n#"


def saved(folder: Path) -> Path:
    """`score = Relu(a @ b) + c` with a free batch; one node has a name that tries to be code."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("MatMul", ["a", "b"], ["m"], name="/head/proj.0/MatMul"),
        helper.make_node("Relu", ["m"], ["r"], name=HOSTILE),
        helper.make_node("Add", ["r", "c"], ["score"]),
    ]
    inputs = [info("a", TensorProto.FLOAT, ["batch", 4]), info("c", TensorProto.FLOAT, ["batch", 3])]
    b = onnx.numpy_helper.from_array(np.ones((4, 3), np.float32), "b")
    graph = helper.make_graph(nodes, "g", inputs, [info("score", TensorProto.FLOAT, ["batch", 3])], [b])
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", np.ones((2, 4)))
    np.save(tmp_path / "c.npy", np.full((2, 3), 0.5, np.float32))
    np.savez(tmp_path / "both.npz", a=np.ones((2, 4), np.float32), c=np.zeros((2, 3), np.float32))
    return saved(tmp_path)


def test_each_node_is_a_line_and_a_module_under_its_name(model: Path) -> None:
    words = [str(model), "--input", f"a={model.parent / 'a.npy'}", "--input", f"c={model.parent / 'c.npy'}"]
    with script_of(words) as script, Session.launch(script, stdout=subprocess.DEVNULL) as session:
        lines = Path(script).read_text(encoding="utf-8").splitlines()
        stop = session.wait(60)
        assert (stop.op, stop.module) == ("matmul", "/head/proj_0/MatMul")
        assert "MatMul: a, b -> m" in lines[(stop.line or 0) - 1]
        seen = [stop.module]
        while (stop := session.next(60)).state == "paused":
            seen.append(stop.module)
        assert seen == ["/head/proj_0/MatMul", HOSTILE.replace(".", "_"), "Add_2"]
        assert stop.state == "finished"  # no name in the file was ever run as code
    assert not os.path.exists(script)


def test_headless_prints_the_outputs_and_terminal_steps(model: Path) -> None:
    words = [str(model), "--input", str(model.parent / "both.npz")]
    run = [sys.executable, "-m", "dsviz", "run"]
    done = subprocess.run([*run, "--headless", *words], capture_output=True, text=True, env=ENV, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "score float32 [2, 3]" in done.stdout
    assert "[4., 4., 4.]" in done.stdout
    done = subprocess.run([*run, "--terminal", *words], input="s\nwhere\nq\n", capture_output=True, text=True, env=ENV, timeout=120)  # fmt: skip
    assert "matmul in /head/proj_0/MatMul" in done.stdout


def test_inputs_that_are_left_out_are_made_up_to_fit(model: Path) -> None:
    with script_of([str(model), "--input", f"c={model.parent / 'c.npy'}"]) as script:
        text = Path(script).read_text(encoding="utf-8")
        assert "# a: made up, float32 [2, 4]; give one with --input a=FILE" in text  # the batch is c's
        first = subprocess.run([sys.executable, script], capture_output=True, text=True, env=ENV, timeout=120)
    assert "score float32 [2, 3]" in first.stdout


def test_the_graph_command_draws_a_model(model: Path) -> None:
    out = model.parent / "g.svg"
    assert graph_command.main(["-o", str(out), str(model)]) == 0
    assert "/head/proj_0/MatMul" in out.read_text(encoding="utf-8")


def test_nodes_inside_branches_and_loops_have_names_too(tmp_path: Path) -> None:
    info = helper.make_tensor_value_info
    branches = {
        f"{arm}_branch": helper.make_graph(
            [helper.make_node(op, ["x"], [arm], name=f"in the {arm}")], arm, [], [info(arm, TensorProto.FLOAT, [2])]
        )
        for arm, op in (("then", "Neg"), ("else", "Exp"))
    }  # fmt: skip
    node = helper.make_node("If", ["yes"], ["y"], name="choice", **branches)
    graph = helper.make_graph(
        [node], "g", [info("x", TensorProto.FLOAT, [2]), info("yes", TensorProto.BOOL, [])], [info("y", TensorProto.FLOAT, [2])]
    )  # fmt: skip
    model = ds.onnx.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))
    with ds.trace() as seen:
        model(ds.ones(2), ds.tensor(True))
    assert [call.path for call in seen.modules] == ["model", "model.choice", "model.choice.in the then"]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (["a.npy"], "the model has 2 inputs; say which one .*a.npy is for: --input a="),
        (["z=a.npy"], "model.onnx has no input 'z'; its inputs are 'a', 'c'"),
        (["a=none.npy"], "there is no file .*none.npy for --input"),
        (["a=model.onnx"], "model.onnx holds no array that can be read"),
        (["a=c.npy"], r"the input 'a' of model.onnx is float32 \[batch, 4\], but .*c.npy holds float32 \[2, 3\]: dimension 1 has to be 4"),
        (["a=flat.npy"], r"holds float64 \[4\]: 1 dimensions instead of 2"),
        (["a=words.npy"], r"save it with .astype\('float32'\)"),
        (["a=pickled.npy"], "holds no array that can be read"),
        (["a=a.npy", "a=a.npy"], "the input 'a' is given twice"),
        (["a=a.npy", "c=three.npy"], r"'batch' is 3 here and 2 in .*a.npy"),
        (["z=both.npz"], "both.npz holds 'a', 'c', but 'z' was asked for"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_told(
    inputs: list[str], says: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    np.save("flat.npy", np.ones(4))
    np.save("words.npy", np.array([["a"] * 4]))
    np.save("three.npy", np.ones((3, 3), np.float32))
    np.save("pickled.npy", np.array([{}], object), allow_pickle=True)
    words = [word for text in inputs for word in ("--input", text)]
    with pytest.raises(UsageError, match=says), script_of(["model.onnx", *words]):
        pass


def test_files_that_are_no_models_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"), script_of([str(tmp_path / "none.onnx")]):
        pass
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    with pytest.raises(UsageError, match="no valid ONNX model"), script_of([str(tmp_path / "text.onnx")]):
        pass
