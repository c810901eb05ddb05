"""The page on setting up: its session with pdb is what pdb says today."""

import os
import re
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30
PROMPT = "(Pdb) "


def session():
    """Return the parts of the page's session: before curl, and after."""
    page = (ROOT / "chapters" / "setup.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [block for block in blocks if PROMPT in block]


def plain(text):
    """Return a text without what differs: numbers, folders, curl's name."""
    text = re.sub(r"/\S*/(?=asgi_ref/\w+\.py)", "", text)
    text = re.sub(r"curl/[\w.]+", "curl", text)
    return re.sub(r"\d+(\.\d+)*", "0", text).split()


def stops(text):
    """Return where the debugger stood: these numbers must be the true ones."""
    return re.findall(r"\w+\.py\(\d+\)parse_\w+\(\)", text)


class Debugger:
    """The server in pdb; what is typed is echoed, as a terminal does."""

    def __init__(self, command):
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, *command.split()[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHON_COLORS": "0", "HOME": str(ROOT)},
        )

    def type(self, line):
        self.said += f"{line}\n"
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def read_until(self, pattern):
        """Read until a pattern stands after what was read before."""
        start, end = len(self.said), time.monotonic() + SECONDS
        output = self.process.stdout
        while not re.search(pattern, self.said[start:]):
            left = max(0, end - time.monotonic())
            assert select.select([output], [], [], left)[0], self.said
            data = os.read(output.fileno(), 4096)
            assert data, self.said
            self.said += data.decode()
        return self.said[start:]

    def play(self, lines, last):
        """Type all commands; the last one brings no prompt, but `last`."""
        for number, line in enumerate(lines):
            self.type(line)
            ended = number == len(lines) - 1
            self.read_until(last if ended else re.escape(PROMPT))


def commands(block):
    return re.findall(rf"^{re.escape(PROMPT)}(.*)$", block, re.MULTILINE)


@pytest.mark.skipif(os.name != "posix", reason="select() wants a pipe")
def test_the_session_on_the_page():
    before, after = session()
    command, _, expected = before.partition("\n")
    debugger = Debugger(command)
    try:
        debugger.read_until(re.escape(PROMPT))
        # Quietly: no option, for pdb in Python 3.13.0 does not pass it on.
        quiet = "__import__('sys').argv.extend(['--port', '0'])\n"
        debugger.process.stdin.write(f"!{quiet}".encode())
        debugger.process.stdin.flush()
        debugger.read_until(re.escape(PROMPT))
        debugger.said = debugger.said.removesuffix(PROMPT)
        debugger.play(commands(before), "lifespan complete.*\n")
        assert plain(debugger.said) == plain(expected)
        port = int(re.search(r"http://[\d.]+:(\d+)", debugger.said)[1])
        debugger.said = ""
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
                b"User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"
            )
            debugger.read_until(re.escape(PROMPT))
            debugger.play(commands(after), " ms\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
        assert plain(debugger.said) == plain(after)
        assert stops(debugger.said) == stops(after)
    finally:
        debugger.process.kill()
        debugger.process.communicate()
