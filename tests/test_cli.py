"""The command line: bad input is told in a sentence, and a script's own words are left alone."""

import os
import subprocess
import sys

import pytest

import dsviz
from dsviz import cli
from dsviz.commands import run


def refused(capsys, *words):
    """Run a command that must be refused; gives the one message."""
    assert cli.main(words) == cli.EXIT_USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dsviz: ")
    assert "Traceback" not in err
    return err


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "train.py"
    path.write_text("import dsviz as ds\n")
    return str(path)


@pytest.fixture
def ran(monkeypatch):
    """Options that a sound command leads to, without running them."""
    got = []
    monkeypatch.setattr(run, "run", lambda options: got.append(options) or 0)
    return got


def test_options_before_the_script_are_ours_and_the_rest_is_the_scripts(script, ran):
    words = ["--port", "3", "--headless", "--", "--no-browser", "", "-x"]
    assert cli.main(["run", "--port=0", "--no-browser", "--trace-level", "2", script, *words]) == 0
    assert ran == [run.RunOptions(script, tuple(words), port=0, browser=False, trace_level=2)]


def test_what_is_not_said_has_its_default(script, ran):
    cli.main(["run", script])
    assert ran == [run.RunOptions(script, (), None, True, 1, False, ("shape",))]


def test_breaks_may_be_repeated(script, ran):
    cli.main(["run", "--headless", "--break", "nan", "--break", "exception", "--break", "nan", script])
    assert ran[0].breaks == ("nan", "exception")


def test_a_script_may_be_named_after_two_dashes(tmp_path, ran, monkeypatch):
    (tmp_path / "-odd.py").write_text("")
    monkeypatch.chdir(tmp_path)
    cli.main(["run", "--", "-odd.py", "--", "x"])
    assert ran[0].script == str(tmp_path / "-odd.py")
    assert ran[0].args == ("--", "x")


def test_the_exit_status_is_the_runs(script, monkeypatch):
    monkeypatch.setattr(run, "run", lambda options: 7)
    assert cli.main(["run", script]) == 7


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "COMMAND"),
        (["fly"], "'run'"),
        (["run"], "no script was given"),
        (["run", "--port"], "--port"),
        (["run", "--port", "x", "a.py"], "give a number from 0 to 65535"),
        (["run", "--port", "65536", "a.py"], "give a number from 0 to 65535"),
        (["run", "--port", "-1", "a.py"], "65535"),
        (["run", "--trace-level", "3", "a.py"], "choose from"),
        (["run", "--trace-level", "high", "a.py"], "trace-level"),
        (
            ["run", "--headless", "--break", "lunch", "a.py"],
            "There are: shape, type, nan, exception, op, module",
        ),
        (
            ["run", "--terminal", "--break", "brunch", "a.py"],
            "no breakpoint kind 'brunch'. Did you mean branch?",
        ),
        (["run", "--headless", "--break", "op", "a.py"], "say which. `dsviz run --help` shows"),
        (["run", "--headless", "--break", "op relu if 1 +", "a.py"], "is no Python expression"),
        (["run", "--headless", "--break", "memory lots", "a.py"], "The memory limit"),
        (["run", "--break", "shape", "a.py"], "--headless or --terminal"),
        (["run", "--prot", "1", "a.py"], "--prot"),
        (["run", "--no-brow", "a.py"], "--no-brow"),
        (["run", "-"], "standard input"),
    ],
)
def test_wrong_words_are_refused(capsys, words, says):
    assert says in refused(capsys, *words)


def test_a_missing_script_is_named_with_its_full_path(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(capsys, "run", "trian.py")
    assert str(tmp_path / "trian.py") in message
    assert message.count("\n") == 1


def test_a_folder_is_no_script(capsys, tmp_path):
    assert "is a folder" in refused(capsys, "run", str(tmp_path))
    (tmp_path / "__main__.py").write_text("")
    assert str(tmp_path / "__main__.py") in refused(capsys, "run", str(tmp_path))


@pytest.mark.parametrize(
    "content", [b"\x7fELF\x02\x01\x01\0\0\0", b"PK\x03\x04\x14\0\0", b"\x89PNG\r\n\x1a\n\0", b"x = 1\0"]
)
def test_a_binary_is_no_script(capsys, tmp_path, content):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    assert "holds binary data" in refused(capsys, "run", str(path))


def test_a_text_in_no_encoding_is_no_script(capsys, tmp_path):
    path = tmp_path / "latin.py"
    path.write_bytes(b"name = '\xe9t\xe9'\n")
    message = refused(capsys, "run", str(path))
    assert str(path) in message
    assert "utf-8" in message


def test_a_script_in_its_declared_encoding_is_fine(tmp_path, ran):
    path = tmp_path / "latin.py"
    path.write_bytes(b"# -*- coding: latin-1 -*-\nname = '\xe9t\xe9'\n")
    assert cli.main(["run", str(path)]) == 0


def test_a_syntax_error_is_shown_with_its_line(capsys, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("def f():\n    return x +* y\n")
    message = refused(capsys, "run", str(path))
    assert f"{path}, line 2" in message
    _first, text, caret = message.rstrip("\n").split("\n")
    assert text.strip() == "return x +* y"
    assert text[caret.index("^")] == "*"


@pytest.mark.parametrize("source", ["{" * 400, "-" * 100_000 + "1", "x" * 50 + "\n \t\n  y", "'''", "\\"])
def test_sources_that_strain_the_compiler_are_refused(capsys, tmp_path, source):
    path = tmp_path / "odd.py"
    path.write_text(source)
    assert str(path) in refused(capsys, "run", str(path))


def test_a_scripts_own_warnings_are_left_to_its_run(tmp_path, ran, recwarn):
    path = tmp_path / "warns.py"
    path.write_text("x = '\\d'\n")
    assert cli.main(["run", str(path)]) == 0
    assert not recwarn.list


def test_a_script_that_may_not_be_read(capsys, script, monkeypatch):
    def forbidden(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)
    assert "cannot be read (Permission denied)" in refused(capsys, "run", script)


def test_help_and_version_end_well(capsys):
    for words in (["--help"], ["run", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 0
    assert dsviz.__version__ in capsys.readouterr().out


def test_an_engine_beside_the_script_is_told_before_anything_starts(capsys, script):
    hiding = os.path.join(os.path.dirname(script), "engine.py")
    with open(hiding, "w") as file:
        file.write("")
    message = refused(capsys, "run", script)
    assert hiding in message
    assert "Rename" in message
    assert message.count("\n") == 1


def test_layouts_beside_the_script_are_the_scripts_business(script, ran):
    with open(os.path.join(os.path.dirname(script), "layouts.py"), "w") as file:
        file.write("raise SystemExit('not yours')")
    assert cli.main(["run", script]) == 0


COMMAND = "import sys; from dsviz.cli import main; sys.exit(main())"


@pytest.mark.parametrize("start", [["-m", "dsviz"], ["-c", COMMAND]])
def test_the_command_itself(start, tmp_path):
    env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(dsviz.__file__))}
    done = subprocess.run(
        [sys.executable, *start, "run", "gone.py"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("dsviz: there is no file ")
