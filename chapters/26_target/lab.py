"""Targets: what `main:app` means, and ways to get it wrong."""

import atexit
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from functools import partial, wraps

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref import target
from asgi_ref.target import TargetError, interface, interfaces, load

APP = "async def app(scope, receive, send): ...\n"
FILES = {
    "main.py": APP + "def make_app(): return app\n",
    "orders.py": "import nosuchlib\n" + APP,
    "site.py": APP,
    "shop/__init__.py": "",
    "shop/main.py": APP,
    "which.py": "import sys\nprint(sys.path[0])\n",
    "bin/which": "import sys\nprint(sys.path[0])\n",
    "twice.py": (
        "from asgi_ref.target import load\n\n"
        'print("running as", __name__)\n'
        "async def app(scope, receive, send): ...\n"
        'if __name__ == "__main__":\n'
        '    print("the same app:", load("twice:app") is app)\n'
    ),
}
FOLDER = os.path.realpath(tempfile.mkdtemp())
atexit.register(shutil.rmtree, FOLDER)
for file, text in FILES.items():
    os.makedirs(os.path.dirname(os.path.join(FOLDER, file)), exist_ok=True)
    with open(os.path.join(FOLDER, file), "w") as opened:
        opened.write(text)


def show(text):
    """Print a text in short lines, without the paths of this machine."""
    text = text.replace(FOLDER, "FOLDER").replace(sys.executable, "python")
    text = text.replace(os.path.dirname(os.__file__), "PYTHON")
    for line in text.splitlines():
        indent = re.match(" *", line)[0] + "    "
        print(textwrap.fill(line, 72, subsequent_indent=indent))


def obvious(target):
    """Import what stands before the colon; take what stands behind it."""
    name, attribute = target.split(":")
    try:
        module = importlib.import_module(name)
    except ImportError:
        return f"could not import module {name}"
    return getattr(module, attribute).__name__


TARGET = [
    (b"shop", "package"),
    (b".", ""),
    (b"main", "module"),
    (b":", ""),
    (b"app", "attribute"),
]
MISTAKES = "mian:app main.py:app shop/main:app orders:app".split()


def fails():
    """Load one target that is right, and four that are not."""
    print("== fails ==")
    sys.path.insert(0, FOLDER)  # where main.py and orders.py are
    for words in "main:app", *MISTAKES:
        print(f"{words}: {obvious(words)}")
    sys.path.remove(FOLDER)


def told(words, **options):
    """Print what our module says of a target."""
    print("$", words, *(f"--{name}" for name in options))
    try:
        show(load(words, FOLDER, **options).__name__)
    except TargetError as error:
        show(str(error))


def the_same():
    """Load the four mistakes with our module."""
    print("== the same ==")
    for words in MISTAKES:
        told(words)


def more():
    """Make other mistakes."""
    print("== more ==")
    for words in "main.app", "main:ap", "site:app", "main:make_app":
        told(words)
    told("main:make_app", factory=True)
    told("main:app", factory=True)


def run(*words):
    """Run Python in the folder; print what it prints."""
    settings = {**os.environ, "PYTHONPATH": os.getcwd()}
    settings.pop("PYTHONSAFEPATH", None)
    said = subprocess.check_output(
        [sys.executable, *words], cwd=FOLDER, env=settings, text=True
    )
    print("$ python", *words)
    show(said)


def which_folder():
    """Start the same two lines in two ways."""
    print("== which folder ==")
    run("-m", "which")
    run("bin/which")


def twice():
    """Run a file that loads itself."""
    print("== twice ==")
    run("twice.py")


class Site:
    """As FastAPI's: its instances are called."""

    async def __call__(self, scope, receive, send):
        """ASGI 3, too."""


async def function(scope, receive, send):
    """ASGI 3."""


def older(scope):
    """ASGI 2."""


def flask_like(environ, start_response):
    """WSGI."""


def view(request):
    """No application: a part of one."""


@wraps(view)
def decorated(*arguments):
    """Take anything, and look like view."""


def anything(*arguments):
    """Take anything."""


SUSPECTS = {
    "async def f(scope, receive, send)": function,
    "FastAPI()": Site(),
    "FastAPI": Site,
    "def f(scope)": older,
    "def f(environ, start_response)": flask_like,
    "partial(flask_like, {})": partial(flask_like, {}),
    "@wraps(view) def f(*arguments)": decorated,
    "def f(*arguments)": anything,
    "type, which is made in C": type,
}


def kinds():
    """Print what the number of arguments says of some objects."""
    print("== kinds ==")
    for name, suspect in SUSPECTS.items():
        print(f"{name:34}", *interfaces(suspect))


def asked():
    """Take the first answer, or what the user says."""
    print("== asked ==")
    for said in "auto", "asgi3", "asgi2", "wsgi":
        try:
            target.check_interface("lab:anything", anything, said)
            print(f"{said}: served")
        except TargetError as error:
            show(f"{said}: {error}")


VARYING = {"app_dir", "folder", "module"}  # a folder with a random name


def walk(wire=print):
    """Load one target that is right, and one that is not."""
    path = sys.path[:]
    wire("you", "main:app")
    load("main:app", FOLDER)
    wire("you", "shop/main.py:app")
    try:
        load("shop/main.py:app", FOLDER)
    except TargetError as error:
        wire("target", str(error))
    wire("target", interface(flask_like))
    sys.path[:] = path
    del sys.modules["main"]


def main():
    """Run all of it."""
    for part in fails, the_same, more, which_folder, twice, kinds, asked:
        part()


if __name__ == "__main__":
    main()
