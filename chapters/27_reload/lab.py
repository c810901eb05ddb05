"""Reload: new code for a server that runs."""

import asyncio
import importlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.listen import listen, listen_fd
from asgi_ref.reload import Files, Supervisor, broken
from asgi_ref.server import Server, Settings, on_signals
from asgi_ref.target import TargetError, load
from asgi_ref.transport import MemoryTransport

LAB, ROOT = os.path.abspath(__file__), os.getcwd()
SHOP = """\
from prices import TEA

def answer():
    return f"tea {TEA}"

async def app(scope, receive, send):
    start = {"type": "http.response.start", "status": 200}
    await send(start)
    body = answer().encode()
    await send({"type": "http.response.body", "body": body})
"""
LADDER = [
    ("client", "old child", "GET /"),
    ("old child", "client", "tea 2"),
    ("parent", "old child", "SIGTERM"),
    ("client", "parent", "connects, GET /"),
    ("old child", "parent", "exit status 0"),
    ("parent", "new child", "the socket"),
    ("new child", "client", "tea 3"),
]


def save(name, text, second=None):
    """Write a file; say when that was, if it matters."""
    Path(name).write_text(text)
    if second is not None:
        time = int((1_000_000_000 + second) * 1e9)
        os.utime(name, ns=(time, time))


def new_process():
    """Ask a Python that has imported nothing yet."""
    keep = {k: v for k, v in os.environ.items() if "BYTECODE" not in k}
    words = [sys.executable, "-c", "import shop; print(shop.answer())"]
    return subprocess.check_output(words, env=keep, text=True).strip()


def fails():
    """Let a program run, and change its files."""
    save("shop.py", SHOP, 0)
    save("prices.py", "TEA = 2", 0)
    import prices
    import shop

    held = shop.answer  # a server holds the function that it was given
    show("imported", held())

    save("prices.py", "TEA = 3", 60)
    show("prices.py says 3", held())
    importlib.reload(shop)
    show("shop reloaded", held())
    importlib.reload(prices)
    importlib.reload(shop)
    show("prices, then shop", held())

    save("shop.py", SHOP.replace("tea", "green tea"), 120)
    importlib.reload(shop)
    show("shop.py says green", held())
    show("a new process", new_process())

    save("prices.py", "TEA = 4", 60.4)
    show("prices.py says 4", new_process())


def show(what, answer):
    """Print two columns."""
    print(f"{what:20}{answer}")


def door():
    """Come while one process has ended, and the next one does not serve."""
    print("\n== the door ==")
    sock = listen(port=0)
    address = sock.getsockname()
    with socket.create_connection(address):
        show("nobody accepts", "connected")
    sock.close()
    try:
        socket.create_connection(address)
    except ConnectionRefusedError as error:
        show("nobody listens", type(error).__name__)


def ask(address, accept="*/*"):
    """Return the status and the last line of an answer."""
    with socket.create_connection(address) as client:
        head = f"GET / HTTP/1.0\r\nHost: a\r\nAccept: {accept}\r\n\r\n"
        client.sendall(head.encode())
        answer = b"".join(iter(lambda: client.recv(4096), b"")).decode()
    return answer.split(" ")[1], answer.strip().splitlines()[-1]


def restarts():
    """Change the files of a server that runs under a supervisor."""
    print("\n== restarts ==")
    save("shop.py", SHOP)
    save("prices.py", "TEA = 2")
    sock = listen(port=0)
    acts = reader(sock.getsockname())
    supervisor = Supervisor(
        start=lambda: child(sock.fileno()),
        files=Files(),
        sleep=lambda seconds: next(acts, None) or supervisor.stop(),
    )
    print("exit status", supervisor.run())
    sock.close()


def reader(address):
    """Do something whenever the supervisor sleeps."""
    print("client:", *ask(address))
    yield save_all(("prices.py", "TEA = 3"))
    yield "time passes"
    print("client:", *ask(address))
    yield save_all(("prices.py", "TEA ="))
    yield "time passes"
    print("client:", *ask(address))
    print(Path("server.log").read_text().strip())
    yield save_all(("prices.py", "TEA = 4"))
    yield save_all(("shop.py", SHOP.replace("tea", "green tea")))
    yield "time passes"
    print("client:", *ask(address))


def save_all(*files):
    """Save some files, and say so."""
    for name, text in files:
        save(name, text)
        print("saved:", text if len(text) < 20 else name)
    return "saved"


def child(fd):
    """Start a server, in a process of its own, on a socket of ours."""
    words = [sys.executable, LAB, "child", str(fd), os.getcwd()]
    sys.stdout.flush()
    return subprocess.Popen(words, cwd=ROOT, pass_fds=[fd])


def in_the_child(fd, folder):
    """Serve the shop, or what stands in for it."""
    log = os.path.join(folder, "server.log")
    logging.basicConfig(filename=log, level="ERROR", format="%(message)s")
    try:
        app = load("shop:app", folder)
    except TargetError as error:
        app = broken(error)
    server = Server(app, Settings(lifespan="off"))

    async def serve():
        loop = asyncio.get_running_loop()
        with on_signals(lambda: loop.call_soon_threadsafe(server.stop)):
            await server.serve(listen_fd(fd))

    asyncio.run(serve())


def stand_in():
    """Ask for the same error in three ways."""
    print("\n== the stand-in ==")
    app = broken(TargetError("shop:app is an int, not an app"))
    for accept in "*/*", "text/html", "text/event-stream":
        print(f"Accept: {accept}")
        asyncio.run(serve_in_memory(app, accept))


async def serve_in_memory(app, accept):
    """Serve one request; the client leaves."""
    settings = Settings(date_header=False, server_header=False)
    transport = MemoryTransport(clock=lambda: 0.0)
    task = Server(app, settings).attend(transport)
    head = f"GET / HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"
    transport.feed(head.encode())
    while not transport.sent.endswith(b"\n"):
        await asyncio.sleep(0)
    for line in bytes(transport.sent).decode().splitlines():
        print("   ", line[:62])
    transport.feed(b"")
    await task


VARYING = {"_seen", "before", "stamp"}  # times


def walk(wire=print):
    """Start a child; a file changes; start another; stop."""
    acts = iter(["save", "time passes", "stop"])

    def sleep(seconds):
        act = next(acts)
        wire("reader", act)
        if act == "save":
            save("prices.py", "TEA = 3")
        elif act == "stop":
            supervisor.stop()

    def start():
        wire("parent", "starts a child")
        words = [sys.executable, "-c", "import time; time.sleep(60)"]
        return subprocess.Popen(words)

    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        save("prices.py", "TEA = 2")
        supervisor = Supervisor(start, Files(), sleep=sleep)
        supervisor.run()


def main():
    """Run all of it, in a folder of its own."""
    logging.basicConfig(
        stream=sys.stdout, format="log: %(message)s", level=logging.INFO
    )
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        sys.path.insert(0, folder)
        print("== fails ==")
        fails()
        door()
        restarts()
    stand_in()


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        in_the_child(int(sys.argv[2]), sys.argv[3])
    else:
        main()
