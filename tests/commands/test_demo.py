"""`python -m ramnp.demo`."""

import signal
import socket
import struct
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from running import REPOSITORY, assert_fails, in_process

from ramnp.demo import __main__ as demo
from ramnp.demo.page import FOLDER, page

FREE = ("--port", 0, "--no-open")


@contextmanager
def served(*arguments):
    """The command in a process of its own, and the address that it prints."""
    argv = [sys.executable, "-m", "ramnp.demo", *map(str, arguments)]
    process = subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, next(word for word in process.stdout.readline().split() if word.startswith("http"))
    finally:
        process.kill()
        process.communicate()


def test_the_page_is_served_and_nothing_else():
    with served(*FREE) as (_, address):
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.read() == page().encode()
        for other in ("pyproject.toml", "..%2Fpyproject.toml", "app.js"):
            with pytest.raises(urllib.error.HTTPError, match="404") as refused:
                urllib.request.urlopen(address + other)
            refused.value.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_it_quietly(number):
    with served(*FREE) as (process, address):
        kept = socket.create_connection(("127.0.0.1", int(address.strip("/").rpartition(":")[2])))  # a browser's
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        kept.close()
    assert (process.returncode, err) == (0, "")
    assert out.strip() == "ended"


def test_a_browser_that_is_closed_leaves_no_traceback():
    with served(*FREE) as (process, address):
        port = int(address.strip("/").rpartition(":")[2])
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port)) as browser:
                browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed with a reset
                browser.sendall(b"GET / HTTP/1.0\r\n\r\n")
                browser.recv(100)
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert err == ""


def test_a_port_that_is_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = in_process(capsys, demo.main, "--port", port, "--no-open")
    assert_fails(outcome, 2, f"port {port} is taken", "--port")


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none(capsys, port):
    assert_fails(in_process(capsys, demo.main, f"--port={port}"), 2, "--port", port)


@pytest.mark.parametrize(("flags", "opened"), [((), True), (("--no-open",), False)])
def test_the_browser_is_opened_unless_told_not_to(capsys, monkeypatch, flags, opened):
    addresses = []
    monkeypatch.setattr(demo.webbrowser, "open", addresses.append)
    monkeypatch.setattr(demo.threading.Thread, "start", lambda thread: thread._target(*thread._args))

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo.ThreadingHTTPServer, "serve_forever", stop)
    code, out, _ = in_process(capsys, demo.main, "--port", 0, *flags)
    assert code == 0
    assert addresses == ([out.split()[4]] if opened else [])


def test_it_is_built_into_a_file(capsys, tmp_path):
    path = tmp_path / "new folder/page.html"
    code, out, err = in_process(capsys, demo.main, "--build", path)
    assert (code, err) == (0, "")
    assert str(path) in out
    assert path.read_text(encoding="utf-8") == page()


def test_a_file_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").touch()
    assert_fails(in_process(capsys, demo.main, "--build", tmp_path / "file/page.html"), 4, "file")


def test_every_source_of_the_page_is_in_the_wheel():
    patterns = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    sources = {path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert len(sources) > 15
    assert sources == {path for pattern in patterns["ramnp.demo"] for path in FOLDER.glob(pattern)}
