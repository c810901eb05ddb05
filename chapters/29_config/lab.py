"""Config and __main__: in which order a server starts, and who pays."""

import asyncio
import io
import os
import re
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import partial

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.__main__ import act, around, main
from asgi_ref.config import parse
from asgi_ref.lifespan import Lifespan
from asgi_ref.listen import CannotListen, listen
from asgi_ref.target import TargetError, load

FOLDER = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
START = [
    ("you", "server", "main:app --port 0"),
    ("server", "app", "import main"),
    ("server", "kernel", "bind, listen"),
    ("kernel", "server", "port 54321"),
    ("server", "you", "http://127.0.0.1:54321"),
    ("server", "app", "lifespan.startup"),
    ("app", "server", "startup.complete"),
    ("server", "kernel", "accept"),
]


async def shop(scope, receive, send):
    """Send three customers their bills when the shop opens."""
    assert scope["type"] == "lifespan"
    await receive()
    print("shop: three bills sent")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


say = print


async def brief(scope, receive, send):
    """Be told to stop as soon as all is ready."""
    assert scope["type"] == "lifespan"
    await receive()
    say("brief: open")
    await send({"type": "lifespan.startup.complete"})
    signal.raise_signal(signal.SIGTERM)  # as if somebody typed kill
    await receive()
    say("brief: closed")
    await send({"type": "lifespan.shutdown.complete"})


async def closed(scope, receive, send):
    """Fail to start."""
    await receive()
    raise ConnectionError("db is down")


def obvious(name, port):
    """Do what there is to do, in the order that comes to mind."""
    print(f"serving {name} at http://127.0.0.1:{port}")
    app = load(name, FOLDER)
    asyncio.run(Lifespan(app).startup())
    with listen(port=port):
        ...  # accept, converse, leave


class Shown(io.TextIOBase):
    """Standard output, without what differs from run to run."""

    def __init__(self, port):
        self.port, self.out = port, sys.stdout

    def write(self, text):
        """Write a text; it is always noon, and the port is 8000."""
        text = text.replace(f"{self.port}", "8000")
        text = text.replace(f"{self.port + 1}", "8001")
        text = re.sub(r"\d\d:\d\d:\d\d", "12:00:00", text)
        text = re.sub(r"\d+ ms", "1 ms", text)
        return self.out.write(re.sub(r" by pid \d+ \(.*?\)", "", text))


def taken():
    """Return a socket that has a port, and the port."""
    other = listen(port=0)
    return other, other.getsockname()[1]


def fails():
    """Start a shop that is not there, and one whose port is taken."""
    other, port = taken()
    sys.stdout = Shown(port)
    for name in "lab:shpo", "lab:shop":
        try:
            obvious(name, port)
        except (TargetError, CannotListen) as error:
            print("error:", error)
    sys.stdout = sys.stdout.out
    other.close()


def started(*words):
    """Run the real command line; show what it says, and how it ends."""
    print("$ python -m asgi_ref", *words)
    with redirect_stderr(sys.stdout):
        try:
            status = main(list(words))
        except SystemExit as error:  # argparse ends by itself
            status = error.code
    print(f"exit status {status}\n")


def right_order():
    """Start with a mistake in each place, and once without any."""
    other, port = taken()
    sys.stdout = Shown(port)
    where = "--app-dir", FOLDER, "--port", f"{port}"
    started("--reloda")
    started("lab:shpo", *where)
    started("lab:shop", *where)
    other.close()
    started("lab:closed", *where, "--lifespan", "on")
    started("lab:brief", *where)
    sys.stdout = sys.stdout.out


ASKED = [
    "",
    "--check",
    "--proxy-headers",
    "--trace=/dev/null",
    "--watchdog 5",
    "--ssl-certfile tests/certificates/server.pem"
    " --ssl-keyfile tests/certificates/server.key",
]


def own():
    """Return the modules of the package that are imported by now."""
    return {name for name in sys.modules if name.startswith("asgi_ref.")}


def who_pays():
    """Serve with one flag after the other; name the modules that come."""
    print(f"nothing asked for: {len(own())} of our modules")
    for flags in ASKED[1:]:
        before = own() | {"asgi_ref.__main__"}
        with redirect_stdout(io.StringIO()):
            main([*quiet_brief(), *flags.split()])
        more = " ".join(sorted(own() - before))
        print(f"{flags.split()[0]}: {more}")


def quiet_brief():
    """Return the command line of a server that ends at once."""
    words = "lab:brief --port 0 --log-level error --app-dir"
    return [*words.split(), FOLDER]


def layers():
    """Print who is called first, and who is called last."""
    flags = "--check --proxy-headers --middleware lab:Stamp"
    options = parse([*flags.split(), "--app-dir", FOLDER])
    app = around(options, brief)
    names = []
    while not hasattr(app, "__name__"):  # a function has one
        names.append(type(app).__name__)
        app = getattr(app, "_app", None) or app.app
    print(*names, app.__name__, sep=" > ")


class Stamp:
    """Middleware of somebody's own."""

    def __init__(self, app):
        self._app = app


# Behind the command line, and at an address that is the same in every run.
WORDS = [*quiet_brief(), "--uds", f"{FOLDER}/lab.sock", "--proxy-headers"]
OPTIONS = parse([*WORDS, "--interface", "asgi3"])
# Times, and where the clone is.
VARYING = {"began", "took", "folder", "file"}


def walk(wire=print):
    """Start a server; it is told to stop as soon as it is ready."""
    global say
    say = partial(wire, "app")
    wire("you", b"python -m asgi_ref lab:brief --uds lab.sock --proxy-headers")
    act(OPTIONS, WORDS)


if __name__ == "__main__":
    for part in fails, right_order, who_pays, layers:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        part()
