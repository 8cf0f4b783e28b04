"""Signals that ask a command to end: whichever thread the system gives them to, the main one hears of them."""

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dsviz.interrupts import heard, interrupts

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals a thread")


def test_a_signal_that_another_thread_is_given_is_heard() -> None:
    news: queue.SimpleQueue[int] = queue.SimpleQueue()
    main = threading.get_ident()

    def send() -> None:
        while sys._current_frames()[main].f_code is not heard.__code__:
            os.sched_yield()
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    never = threading.Timer(60, news.put, (0,))
    never.start()
    with interrupts(news.put):
        threading.Thread(target=send).start()
        assert heard(news) == signal.SIGTERM
    never.cancel()


@pytest.mark.parametrize(
    ("number", "options"),
    [
        (signal.SIGTERM, ["--no-browser", "--port", "0"]),
        (signal.SIGTERM, ["--headless"]),
        (signal.SIGINT, ["--headless"]),
    ],
)
def test_a_command_that_was_stopped_is_ended_and_continued(
    tmp_path: Path, number: signal.Signals, options: list[str]
) -> None:
    # As `kill %1` of a shell and a service manager do it.
    script = tmp_path / "long.py"
    script.write_text(
        "import time\nimport dsviz as ds\nds.ones(3)\nprint('there', flush=True)\nwhile True: time.sleep(60)\n",
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "dsviz", "run", *options, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()  # the page's address, or that the program has come to its loop
        if address := re.search(r"127.0.0.1:(\d+)", line):
            with socket.create_connection(("127.0.0.1", int(address[1])), timeout=60) as page:
                page.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert page.recv(1), "by now all that starts has started"
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (128 + number, "")
    finally:
        process.kill()
        process.wait()
