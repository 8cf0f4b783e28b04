"""`dsviz run` from start to end: the port, the browser, what the terminal says, and the exit status."""

import socket

import pytest

from dsviz.commands.usage import UsageError
from dsviz.web import launch
from dsviz.web.launch import Terminal, bind, open_browser
from dsviz.web.security import Keys


@pytest.fixture
def taken():
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def terminal():
    return Terminal(Keys(1234), "train.py")


# The port


def test_only_this_machine_is_listened_to():
    with bind(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        socket.create_connection(listener.getsockname(), timeout=60).close()  # before anything serves


def test_a_taken_port_is_named(taken):
    with pytest.raises(UsageError, match=rf"port {taken} on 127.0.0.1 is taken .* --port 0"):
        bind(taken)


def test_without_a_wish_a_taken_port_is_no_fault(taken, monkeypatch):
    monkeypatch.setattr(launch, "USUAL_PORT", taken)
    with bind(None) as listener:
        assert listener.getsockname()[1] not in (0, taken)


def test_without_a_wish_the_port_stays_the_same(monkeypatch):
    with bind(0) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(launch, "USUAL_PORT", port)
    for _ in range(2):
        with bind(None) as listener:
            assert listener.getsockname()[1] == port


def test_a_forbidden_port_is_told(monkeypatch):
    def forbidden(*_args):
        raise PermissionError

    monkeypatch.setattr(socket.socket, "bind", forbidden)
    with pytest.raises(UsageError, match="you may not use port 80"):
        bind(80)


# The browser and the terminal


@pytest.fixture
def screen(monkeypatch):
    """A machine with a screen."""
    monkeypatch.setenv("DISPLAY", ":0")


def test_the_address_is_opened(terminal, screen, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(launch.webbrowser, "open", lambda address: opened.append(address) or True)
    open_browser("http://127.0.0.1:1/?token=x", terminal)
    assert opened == ["http://127.0.0.1:1/?token=x"]
    assert capsys.readouterr().out == ""


def fails(_address):
    raise OSError("no such program")


@pytest.mark.parametrize("opening", [lambda _address: False, fails])
def test_no_browser_is_no_fault(terminal, screen, monkeypatch, capsys, opening):
    monkeypatch.setattr(launch.webbrowser, "open", opening)
    open_browser("http://127.0.0.1:1/", terminal)
    assert "open the address above yourself" in capsys.readouterr().out


def test_a_text_browser_never_takes_the_terminal(terminal, monkeypatch):
    monkeypatch.setattr(launch.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launch.webbrowser, "open", fails)
    open_browser("http://127.0.0.1:1/", terminal)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("paused", "stays paused"),
        ("running", "keeps running"),
        ("starting", "keeps"),
        ("failed", "has ended"),
    ],
)
def test_a_closed_page_can_be_opened_again(terminal, capsys, state, says):
    terminal.page_closed(state)
    said = capsys.readouterr().out
    assert says in said
    token = said.strip().rpartition("token=")[2]
    assert terminal.keys.spend(token) == "new"


def test_a_used_address_is_replaced(terminal, capsys):
    terminal.keys.on_reuse()
    said = capsys.readouterr().out
    assert said.startswith("dsviz: ")
    assert terminal.keys.spend(said.strip().rpartition("token=")[2]) == "new"


class Gone:
    """A terminal whose window was closed."""

    def write(self, _text):
        raise BrokenPipeError


def test_a_terminal_that_is_gone_is_no_fault(terminal, monkeypatch):
    monkeypatch.setattr(launch.sys, "stdout", Gone())
    terminal.say("hello")
