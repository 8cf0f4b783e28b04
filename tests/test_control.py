"""The control channel: only who knows the secret may speak, and nobody can make the other side choke."""

import os
import socket
import stat
import struct
import threading

import msgspec
import pytest

from dsviz.debuggee.link import Link
from dsviz.wire import control
from dsviz.wire.control import Channel, ControlError, Listener, connect

SECRET = b"s" * 32


@pytest.fixture
def listener(tmp_path):
    listener = Listener(str(tmp_path))
    yield listener
    listener.close()


def accept(listener, secret=SECRET):
    """Accept in a thread; gives what `accept` returned once joined."""
    found = []
    thread = threading.Thread(target=lambda: found.append(listener.accept(secret, 10.0)))
    thread.start()

    def result():
        thread.join()
        return found[0]

    return result


@pytest.fixture
def pair(listener):
    result = accept(listener)
    program = connect(listener.address, SECRET)
    server = result()
    yield server, program
    server.close()
    program.close()


def raw(listener):
    if os.path.isabs(listener.address):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(listener.address)
    else:
        host, port = listener.address.split(":")
        connection = socket.create_connection((host, int(port)))
    return connection


def test_messages_go_both_ways(pair):
    server, program = pair
    server.send({"t": "pause"})
    program.send({"t": "reply", "data": b"\0" * 100_000})
    assert program.receive(5) == {"t": "pause"}
    assert server.receive(5) == {"t": "reply", "data": b"\0" * 100_000}


def test_receive_gives_up_in_time(pair):
    assert pair[0].receive(0.0) is None


def test_a_closed_other_side_is_an_end_of_file(pair):
    server, program = pair
    program.close()
    with pytest.raises(EOFError):
        server.receive(5)


def test_the_socket_is_for_this_user_only(listener):
    if listener.path:
        assert stat.S_IMODE(os.stat(listener.path).st_mode) == 0o600


def test_the_socket_is_removed_with_its_door(tmp_path):
    listener = Listener(str(tmp_path))
    listener.close()
    assert list(tmp_path.iterdir()) == []


def test_a_long_folder_name_falls_back_to_loopback(tmp_path):
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    listener = Listener(str(folder))
    assert listener.address.startswith("127.0.0.1:")
    result = accept(listener)
    program = connect(listener.address, SECRET)
    assert result() is not None
    result().close()
    program.close()
    listener.close()


def test_who_does_not_know_the_secret_is_turned_away_and_the_next_is_served(listener):
    result = accept(listener)
    with pytest.raises((ControlError, EOFError, OSError)):
        connect(listener.address, b"x" * 32)
    program = connect(listener.address, SECRET)
    server = result()
    assert server is not None
    server.close()
    program.close()


def test_a_false_server_is_found_out(tmp_path):
    false = Listener(str(tmp_path))
    result = accept(false, b"x" * 32)
    with pytest.raises((ControlError, EOFError)):
        connect(false.address, SECRET)
    false.close()
    assert result is not None


def test_an_echo_does_not_pass_for_the_program(listener):
    result = accept(listener)
    stranger = raw(listener)
    # Sends back whatever it hears.
    stranger.sendall(stranger.recv(4096))
    assert stranger.recv(4096) == b""
    stranger.close()
    program = connect(listener.address, SECRET)
    server = result()
    assert server is not None
    server.close()
    program.close()


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", 1 << 30),
        struct.pack("<I", 5) + b"\xc1\xc1\xc1\xc1\xc1",
        struct.pack("<I", 1) + msgspec.msgpack.encode(7),
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
    ],
)
def test_garbage_before_trust_closes_the_connection(listener, data):
    result = accept(listener)
    stranger = raw(listener)
    stranger.sendall(data)
    stranger.close()
    program = connect(listener.address, SECRET)
    server = result()
    assert server is not None
    server.close()
    program.close()


def test_another_version_is_named(listener, monkeypatch):
    result = accept(listener)
    stranger = raw(listener)
    channel = Channel(stranger)
    channel.send({"t": "hello", "version": 99, "nonce": b"n" * 32})
    channel.receive(5)
    with pytest.raises(EOFError):
        channel.receive(5)
    channel.close()
    program = connect(listener.address, SECRET)
    server = result()
    server.close()
    program.close()


def test_a_message_too_large_is_refused_by_both_sides(pair, monkeypatch):
    server, program = pair
    monkeypatch.setattr(control, "LARGEST", 1000)
    with pytest.raises(ValueError, match="larger than 1000"):
        program.send({"t": "x", "data": b"\0" * 2000})
    server.trust()
    program._socket.sendall(struct.pack("<I", 5000))
    with pytest.raises(ControlError, match="larger than 1000"):
        server.receive(5)


def test_many_threads_may_send(pair):
    server, program = pair
    threads = [
        threading.Thread(target=lambda n=n: [program.send({"n": n, "i": i}) for i in range(50)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    got = [server.receive(5) for _ in range(200)]
    for thread in threads:
        thread.join()
    for n in range(4):
        assert [message["i"] for message in got if message["n"] == n] == list(range(50))


@pytest.mark.parametrize("polls", [True, False])
def test_logpoints_do_not_wait_for_a_debugger_that_does_not_read(monkeypatch, polls):
    if not polls:
        monkeypatch.delattr(control.select, "poll", raising=False)
    monkeypatch.setattr("dsviz.debuggee.link.PATIENCE", 0.0)
    ours, theirs = socket.socketpair()
    link, server = Link.__new__(Link), Channel(theirs)
    link.gone, link.channel, link._unlogged = False, Channel(ours), 0
    server.trust()
    told = [{"t": "log", "id": 1, "text": f"{number}" * 50} for number in range(20_000)]
    assert all(link.send(message) for message in told)  # nobody reads meanwhile
    assert link._unlogged
    heard = []
    while (message := server.receive(0.0)) is not None:
        heard.append(message)
    last = {"t": "log", "id": 1, "text": "last"}
    assert link.send(last)
    gap, again = server.receive(5.0), server.receive(5.0)
    assert (gap["what"], again) == ("lines of logpoints", last)
    assert heard == told[: len(heard)]
    assert len(heard) + gap["lost"] == len(told)
    link.channel.close()
    server.close()
