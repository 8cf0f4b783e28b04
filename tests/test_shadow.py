"""Files beside the script that bear the names of our packages."""

import os
import subprocess
import sys

import pytest

import dsviz
from dsviz import shadow

HERE = os.path.dirname(os.path.dirname(os.path.abspath(dsviz.__file__)))


def python(folder, script, *options):
    """Run a script as plain Python does: with its folder first on the path."""
    path = os.path.join(str(folder), "train.py")
    with open(path, "w") as file:
        file.write(script)
    return subprocess.run(
        [sys.executable, *options, path],
        env={**os.environ, "PYTHONPATH": HERE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def place(folder, name, kind="file", text="own = True\n"):
    """Put a module of that name there; gives the file that Python would load."""
    if kind == "folder":
        (folder / name).mkdir()
        path = folder / name / "__init__.py"
    else:
        path = folder / f"{name}.py"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("name", ["engine", "dsviz"])
def test_both_files_are_named(tmp_path, name, kind):
    other = place(tmp_path, name, kind)
    message = shadow.hiding(str(tmp_path))
    assert message is not None
    assert other in message
    assert shadow.own_file(name) in message
    assert "Rename" in message


def test_a_folder_that_is_no_package_hides_nothing(tmp_path):
    # Such a folder is only a namespace; the installed package wins over it.
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "notes.txt").write_text("x")
    assert shadow.hiding(str(tmp_path)) is None
    done = python(tmp_path, "import dsviz as ds; print(ds.Tensor.__module__.partition('.')[0])")
    assert (done.stdout, done.stderr) == ("engine\n", "")


def test_other_files_hide_nothing(tmp_path):
    place(tmp_path, "layouts")
    place(tmp_path, "model")
    assert shadow.hiding(str(tmp_path)) is None
    assert shadow.hiding(str(tmp_path / "gone")) is None
    assert shadow.hiding(HERE) is None


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_importing_dsviz_beside_an_engine_fails_plainly(tmp_path, kind):
    other = place(tmp_path, "engine", kind)
    done = python(tmp_path, "import dsviz")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: dsviz needs its own package 'engine'")
    assert other in last


def test_an_engine_that_is_already_imported_is_noticed_too(tmp_path):
    other = place(tmp_path, "engine")
    done = python(tmp_path, "import engine\nassert engine.own\nimport dsviz")
    assert done.returncode == 1
    assert other in done.stderr.strip().splitlines()[-1]


def test_a_broken_engine_is_not_run(tmp_path):
    place(tmp_path, "engine", text="print('ran')\n")
    done = python(tmp_path, "import dsviz")
    assert "ran" not in done.stdout


def test_the_servers_layouts_are_ours_whatever_lies_first_on_the_path(tmp_path):
    place(tmp_path, "layouts")
    script = """
from dsviz import shadow
import layouts
assert layouts.own
shadow.load_own("layouts")
import layouts
from layouts import page
print(layouts.__file__)
"""
    done = python(tmp_path, script)
    assert done.stderr == ""
    assert done.stdout.strip() == shadow.own_file("layouts")


def test_loading_our_own_twice_changes_nothing():
    import engine

    shadow.load_own("engine")
    assert sys.modules["engine"] is engine


def test_a_package_that_is_missing_is_told(monkeypatch):
    with pytest.raises(ImportError, match="Install dsviz again"):
        shadow.check_import("no_such_package")
    with pytest.raises(ImportError, match="is missing"):
        shadow.load_own("no_such_package")


# What importing dsviz costs and gives


def test_importing_dsviz_loads_no_server_and_nothing_few_programs_use():
    unused = (
        "dash", "uvicorn", "plotly", "rich", "asyncio", "concurrent.futures", "json", "logging", "difflib", "hashlib",
        "engine.distributions", "engine.testing", "engine.utils",
    )  # fmt: skip
    script = f"import sys, numpy; had = set(sys.modules); import dsviz; print([m for m in {unused} if m in set(sys.modules) - had])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, cwd=HERE
    )
    assert done.stdout.strip() == "[]"


def test_the_engines_modules_are_ours_and_no_copies():
    import importlib

    for name in (
        "nn.functional",
        "utils.data",
        "utils.data.loader",
        "distributions.normal",
        "optim.adam",
        "testing",
    ):
        ours, its = importlib.import_module(f"dsviz.{name}"), importlib.import_module(f"engine.{name}")
        assert ours is its
        assert its.__spec__.name == its.__name__ == f"engine.{name}"
    assert dsviz.distributions.Normal is importlib.import_module("engine.distributions.normal").Normal
    with pytest.raises(ModuleNotFoundError, match=r"dsviz\.nn\.functionl"):
        importlib.import_module("dsviz.nn.functionl")
    with pytest.raises(AttributeError, match="no attribute 'distribution'"):
        importlib.import_module("engine").distribution  # noqa: B018
    assert {"distributions", "testing", "utils"} <= set(dir(importlib.import_module("engine")))


def test_every_public_name_is_there():
    import engine

    assert set(engine.__all__) <= set(dsviz.__all__) <= set(dir(dsviz))
    for name in dsviz.__all__:
        assert getattr(dsviz, name) is not None or name == "newaxis"  # None, as in PyTorch
    assert dsviz.debug.print_graph
    assert dsviz.Session.__name__ == "Session"
    with pytest.raises(AttributeError, match="no attribute 'tensr'"):
        dsviz.tensr  # noqa: B018
