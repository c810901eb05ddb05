"""Targets: what `main:app` means, and every message when it means nothing."""

import asyncio
import functools
import gc
import importlib.util
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from asgi_ref.target import (
    TargetError,
    asgi2,
    check_interface,
    interface,
    load,
    nearest,
    require_wsgi,
)

PACKAGE = Path(__file__).resolve().parents[1] / "asgi_ref"

APP = """
async def app(scope, receive, send):
    pass
"""


class Folder:
    """A folder with a learner's files, and what is said about them."""

    def __init__(self, path):
        self.path = path

    def write(self, name, text=APP):
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()

    def load(self, target, **options):
        return load(target, str(self.path), **options)

    def refusal(self, target, **options):
        with pytest.raises(TargetError) as caught:
            self.load(target, **options)
        return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    path = sys.path[:]
    yield Folder(tmp_path)
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None) or ""]
        places += getattr(module, "__path__", [])
        if any(tmp_path in Path(place).parents for place in places):
            del sys.modules[name]


# What can be loaded.


def test_a_module_and_an_attribute(folder):
    folder.write("main.py")
    assert folder.load("main:app").__name__ == "app"


def test_a_module_in_a_package(folder):
    folder.write("app/__init__.py", "")
    folder.write("app/main.py")
    assert folder.load("app.main:app").__module__ == "app.main"


def test_a_module_in_a_folder_without_init(folder):
    folder.write("src/main.py")
    assert folder.load("src.main:app").__module__ == "src.main"


def test_a_nested_attribute(folder):
    folder.write(
        "main.py",
        """
        class Site:
            async def handle(self, scope, receive, send):
                pass

        site = Site()
        """,
    )
    assert folder.load("main:site.handle").__name__ == "handle"


def test_a_bare_module_means_app(folder):
    folder.write("main.py")
    assert folder.load("main").__name__ == "app"
    assert folder.load("main:").__name__ == "app"


def test_the_folder_comes_before_what_is_installed(folder):
    folder.write("colorsys.py")  # a module of this name is in Python, too
    sys.modules.pop("colorsys", None)
    assert folder.load("colorsys:app").__name__ == "app"


def test_a_folder_that_comes_late_in_the_path_is_moved(folder):
    folder.write("first/main.py", "")
    folder.write("second/main.py")
    second = str(folder.path / "second")
    sys.path[:0] = [str(folder.path / "first")]
    sys.path.append(second)
    assert load("main:app", second).__name__ == "app"
    assert sys.path.count(second) == 1


def test_a_factory_is_called(folder):
    folder.write(
        "main.py",
        """
        def make_app():
            async def made(scope, receive, send):
                pass
            return made
        """,
    )
    assert folder.load("main:make_app", factory=True).__name__ == "made"


# The module is not there.


def test_no_such_module_and_a_similar_one(folder):
    folder.write("main.py")
    text = folder.refusal("mian:app")
    assert f'No module named "mian" in {folder.path}' in text
    assert "looked for mian.py and mian/" in text
    assert 'Did you mean "main"?' in text
    assert "--app-dir" in text


def test_no_such_module_and_none_that_is_similar(folder):
    folder.write("main.py")
    text = folder.refusal("zzz:app")
    assert 'No module named "zzz"' in text
    assert "Did you mean" not in text
    assert "--app-dir" in text


def test_no_such_module_in_a_package(folder):
    folder.write("app/__init__.py", "")
    folder.write("app/main.py")
    text = folder.refusal("app.mian:app")
    assert 'No module named "app.mian"' in text
    assert "looked for app/mian.py and app/mian/" in text
    assert 'Did you mean "app.main"?' in text


def test_no_such_package(folder):
    folder.write("website/main.py")
    text = folder.refusal("wbsite.main:app")
    assert 'No module named "wbsite.main"' in text
    assert "website" in text


def test_what_cannot_be_a_module_is_not_suggested(folder):
    folder.write("no dir/main.py")
    folder.write("no-dir.py")
    assert "Did you mean" not in folder.refusal("nodir.main:app")
    assert "Did you mean" not in folder.refusal("nodir:app")


def test_a_folder_that_is_none(folder):
    nowhere = str(folder.path / "nodir")
    with pytest.raises(TargetError, match="nodir: no such folder"):
        load("textwrap:dedent", nowhere, check=False)
    assert nowhere not in sys.path


def test_a_module_taken_for_a_package(folder):
    folder.write("main.py")
    assert 'No module named "main.app"' in folder.refusal("main.app:app")


def test_a_dot_instead_of_the_colon(folder):
    folder.write("main.py")
    folder.write("app/__init__.py", "")
    folder.write("app/web.py", "site = None")
    assert 'Did you mean "main:app"?' in folder.refusal("main.app")
    assert 'Did you mean "app.web:site"?' in folder.refusal("app.web.site")
    assert ":nope" not in folder.refusal("main.nope").partition(".")[2]


@pytest.mark.parametrize(
    ("target", "instead"),
    [
        ("main.py:app", "main:app"),
        ("main.py", "main:app"),
        ("./main.py:site", "main:site"),
        ("app/main.py:app", "app.main:app"),
        ("app/main:app", "app.main:app"),
        ("/srv/main.py:app", "--app-dir /srv main:app"),
        ("../main.py:site", "--app-dir .. main:site"),
        ("../shop/main.py", "--app-dir ../shop main:app"),
        ("./a/../../main.py", "--app-dir .. main:app"),
        ("v1.2/main.py", "--app-dir v1.2 main:app"),
        ("../my shop/main.py", "--app-dir '../my shop' main:app"),
    ],
)
def test_a_file_instead_of_a_module(folder, target, instead):
    text = folder.refusal(target)
    assert text == f'"{target}" is a file; write {instead}'


@pytest.mark.parametrize("target", [":app", ".main:app"])
def test_a_target_without_a_module(folder, target):
    text = folder.refusal(target)
    assert f'"{target}"' in text
    assert "main:app" in text  # what a target looks like
    assert "Error" not in text  # not an exception of importlib


# The attribute is not there, or it is not an app.


def test_no_such_attribute(folder):
    folder.write(
        "main.py",
        """
        from functools import partial
        from time import time
        from typing import Any

        number = 3
        _hidden = lambda scope, receive, send: None

        class Site:
            def __init__(self, scope, receive, send):
                pass

        async def app(scope, receive, send):
            pass

        async def admin_app(scope, receive, send):
            pass
        """,
    )
    text = folder.refusal("main:nope")
    assert text == 'main.py has no "nope". ASGI apps found there: ' + (
        "app, admin_app"
    )


def test_no_such_attribute_and_no_app_at_all(folder):
    folder.write("main.py", "number = 3\n")
    assert folder.refusal("main:nope") == 'main.py has no "nope".'


def test_no_such_nested_attribute(folder):
    folder.write("main.py")
    assert 'main.py has no "app.nope"' in folder.refusal("main:app.nope")


def test_no_such_attribute_in_a_package(folder):
    folder.write("app/__init__.py", "")
    text = folder.refusal("app:app")
    assert text == f'{Path("app/__init__.py")} has no "app".'


def test_no_such_attribute_in_a_folder_without_init(folder):
    folder.write("src/main.py")
    assert folder.refusal("src:app") == 'src has no "app".'


@pytest.mark.parametrize("name", ["time", "os"])
def test_a_file_named_like_a_module_of_pythons(folder, name):
    folder.write(f"{name}.py")  # it is never looked at
    text = folder.refusal(f"{name}:app")
    assert "It is Python's own; a file of yours needs another name" in text


def test_a_file_that_was_found_before_one_of_pythons(folder):
    folder.write("colorsys.py")
    sys.modules.pop("colorsys", None)
    text = folder.refusal("colorsys:nope")
    assert text == 'colorsys.py has no "nope". ASGI apps found there: app'


def test_a_bare_module_says_what_was_assumed(folder):
    folder.write("main.py", "number = 3\n")
    text = folder.refusal("main")
    assert 'main.py has no "app"' in text
    assert '"main" was taken for main:app' in text


@pytest.mark.parametrize(
    ("value", "what"),
    [("3", "an int"), ("'x'", "a str"), ("None", "a NoneType")],
)
def test_not_an_app(folder, value, what):
    folder.write("main.py", f"app = {value}\n")
    assert folder.refusal("main:app") == f"main:app is {what}, not an app"


def test_too_many_arguments_for_an_app(folder):
    folder.write("main.py", "def app(a, b, c, d): pass\n")
    assert folder.refusal("main:app") == (
        "main:app(a, b, c, d) is not an app:"
        " async def app(scope, receive, send) expected"
    )


@pytest.mark.parametrize(
    "text",
    [
        "async def app(): pass",
        "async def app(request): pass",
        "async def app(scope, receive): pass",
        "async def app(a, b, c, d): pass",
        "class App:\n    async def __call__(self, scope): pass\napp = App()",
        "class App:\n    async def __call__(self, a, b): pass\napp = App()",
    ],
)
def test_async_with_the_wrong_arguments(folder, text):
    folder.write("main.py", text + "\n")
    says = "is not an app: async def app(scope, receive, send) expected"
    assert says in folder.refusal("main:app")


@pytest.mark.parametrize(
    "text",
    [
        "def app(scope, receive, send): pass",
        "def app(*arguments): pass",
        "class A:\n    def m(self, a, b, c): pass\napp = A().m",
    ],
)
def test_three_arguments_and_not_async(folder, text):
    folder.write("main.py", text + "\n")
    text = folder.refusal("main:app")
    assert "is not async: async def app(scope, receive, send) expected" in text
    assert "--interface asgi3" in text


@pytest.mark.parametrize(
    "wrapper",
    [
        "def app(*a, **b): return inner(*a, **b)",
        "async def app(*a): await inner(*a)",
    ],
)
def test_a_wrapper_of_an_app_is_an_app(folder, wrapper):
    inner = "async def inner(scope, receive, send): pass\n"
    wraps = f"from functools import wraps\n@wraps(inner)\n{wrapper}\n"
    folder.write("main.py", inner + wraps)
    assert folder.load("main:app").__name__ == "inner"


def test_an_async_wrapper_of_something_else_is_an_app(folder):
    folder.write(
        "main.py",
        """
        from functools import wraps

        async def view(request):
            pass

        @wraps(view)
        async def app(scope, receive, send):
            pass
        """,
    )
    assert interface(folder.load("main:app")) == "asgi3"


def test_a_factory_without_the_flag(folder):
    folder.write("main.py", "def make_app(): pass\n")
    assert folder.refusal("main:make_app") == (
        "main:make_app takes no arguments: a factory? add --factory"
    )


def test_a_factory_with_defaults_without_the_flag(folder):
    folder.write("main.py", "def make_app(config=None): pass\n")
    assert "add --factory" in folder.refusal("main:make_app")


def test_a_class_instead_of_its_instance(folder):
    folder.write(
        "main.py",
        """
        class Site:
            async def __call__(self, scope, receive, send):
                pass
        """,
    )
    assert "add --factory" in folder.refusal("main:Site")


def test_a_factory_that_makes_no_app(folder):
    folder.write("main.py", "def make_app(): return 3\n")
    text = folder.refusal("main:make_app", factory=True)
    assert text == "main:make_app() is an int, not an app"


@pytest.mark.parametrize("options", [{}, {"factory": True}])
def test_a_call_instead_of_a_factory(folder, options):
    folder.write("main.py", "def make_app(): pass\n")
    for call in "main:make_app()", "main:make_app('x')":
        text = folder.refusal(call, **options)
        assert text == f'"{call}" is a call; write main:make_app --factory'


@pytest.mark.filterwarnings("error")
def test_an_async_factory(folder):
    folder.write("main.py", "async def make_app(): pass\n")
    text = folder.refusal("main:make_app", factory=True)
    assert text == "main:make_app is async; a factory is a plain def"
    gc.collect()  # here a coroutine would say that nobody awaited it


def test_a_factory_that_cannot_be_called(folder):
    folder.write("main.py", "app = 7\n")
    text = folder.refusal("main:app", factory=True)
    assert text == "main:app is an int, not a factory"


def test_a_factory_that_raises(folder):
    folder.write("main.py", "def make_app():\n    raise KeyError('DB_URL')\n")
    text = folder.refusal("main:make_app", factory=True)
    assert "main:make_app() raised KeyError: 'DB_URL'" in text
    assert "main.py" in text
    assert "line 2" in text or "main.py:2" in text


def test_a_factory_that_ends_the_process(folder):
    folder.write("main.py", "def make_app():\n    raise SystemExit(7)\n")
    assert "SystemExit: 7" in folder.refusal("main:make_app", factory=True)


def test_the_factory_flag_and_an_app(folder):
    folder.write("main.py")
    text = folder.refusal("main:app", factory=True)
    assert text == "main:app is an app; leave out --factory"


def test_a_factory_with_arguments(folder):
    folder.write("main.py", "def make_app(config): pass\n")
    text = folder.refusal("main:make_app", factory=True)
    assert "main:make_app() raised TypeError" in text


def test_a_wsgi_app(folder):
    folder.write("main.py", "def app(environ, start_response): pass\n")
    text = folder.refusal("main:app")
    assert "main:app takes two arguments" in text
    assert "a WSGI app" in text
    assert "--interface wsgi" in text
    assert "asgi_ref.bridge.AsgiFromWsgi" in text


@pytest.mark.parametrize(
    "text",
    [
        "def app(environ, start_response): pass",
        "def app(environ, start_response, extra=None): pass",
        "def app(*arguments): pass",
        "class app:\n    def __init__(self, environ, start): pass",
        "from functools import wraps\n@wraps(len)\ndef app(*two): pass",
    ],
)
def test_what_may_be_a_wsgi_app_is_taken_for_one(folder, text):
    folder.write("main.py", text + "\n")
    app = load("main:app", str(folder.path), check=False)
    require_wsgi("main:app", app)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("async def app(scope, receive, send): pass", "is an ASGI app"),
        (
            "async def app(environ, start_response): pass",
            "is not an app: def app(environ, start_response) expected",
        ),
        ("def app(scope): pass", "is an ASGI app"),
        ("def app(): pass", "add --factory"),
        ("app = 7", "main:app is an int, not an app"),
    ],
)
def test_what_is_no_wsgi_app(folder, text, says):
    folder.write("main.py", text + "\n")
    app = load("main:app", str(folder.path), check=False)
    with pytest.raises(TargetError, match=re.escape(says)) as caught:
        require_wsgi("main:app", app)
    if "ASGI" in says:
        assert "--interface wsgi" in str(caught.value)
        assert "asgi_ref.bridge.WsgiFromAsgi" in str(caught.value)


# The module is there, but it cannot be imported.


def test_an_error_shows_the_learners_own_frames_only(folder):
    folder.write("main.py", "import helper\n")
    folder.write("helper.py", "import json\n\nsetting = json.loads('{')\n")
    text = folder.refusal("main:app")
    assert text.startswith("main could not be imported:\n")
    assert 'main.py", line 1' in text
    assert 'helper.py", line 3' in text
    assert "setting = json.loads('{')" in text
    assert text.splitlines()[-1].startswith("json.decoder.JSONDecodeError")
    assert "decoder.py" not in text
    assert "importlib" not in text
    assert "target.py" not in text


def test_frames_of_installed_packages_are_not_the_learners(folder):
    installed = ".venv/lib/site-packages"
    folder.write(f"{installed}/brokenlib.py", "def f():\n    raise OSError\n")
    folder.write("main.py", "import brokenlib\n\nbrokenlib.f()\n")
    sys.path.insert(0, str(folder.path / installed))
    text = folder.refusal("main:app")
    assert 'main.py", line 3' in text
    assert "brokenlib.py" not in text


def test_our_frames_are_not_the_learners_inside_a_clone(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "asgi_ref")
    (tmp_path / "main.py").write_text("1 / 0\n")
    done = subprocess.run(
        [sys.executable, "-m", "asgi_ref", "main:app", "--port", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 3
    assert "ZeroDivisionError" in done.stderr
    assert 'main.py", line 1' in done.stderr
    assert "target.py" not in done.stderr


def test_a_missing_package_says_what_to_install(folder):
    folder.write("main.py", "from nosuchlib.parts import thing\n")
    text = folder.refusal("main:app")
    assert 'main.py", line 1' in text
    assert "No module named 'nosuchlib'" in text
    assert text.endswith("-m pip install nosuchlib")


@pytest.mark.parametrize(
    ("module", "own", "meant"),
    [
        ("dotenv", "demo", ""),  # somewhat like it
        ("databse", "database", "database"),
        ("maim", "other", ""),  # like the module that is loaded
        ("PIL", "pill", ""),
    ],
)
def test_a_missing_package_and_ones_own_modules(folder, module, own, meant):
    while importlib.util.find_spec(module):
        module += "x"  # it is installed here
    folder.write("main.py", f"import {module}\n")
    folder.write(f"{own}.py", "")
    text = folder.refusal("main:app")
    assert text.endswith(f"-m pip install {module}")
    assert "a package is often named like its module" in text
    assert text.count("Did you mean") == bool(meant)
    assert f'Did you mean "{meant}"?' in text or not meant


def test_a_missing_module_that_nobody_names(folder):
    folder.write("main.py", "raise ModuleNotFoundError('no plug-in')\n")
    text = folder.refusal("main:app")
    assert text.endswith("ModuleNotFoundError: no plug-in")


def test_a_missing_module_of_ones_own_is_not_to_be_installed(folder):
    folder.write("app/__init__.py", "")
    folder.write("app/main.py", "from app.databse import db\n")
    folder.write("app/database.py", "db = None\n")
    text = folder.refusal("app.main:app")
    assert "No module named 'app.databse'" in text
    assert "pip install" not in text


def test_a_missing_module_that_lies_in_the_same_package(folder):
    folder.write("app/__init__.py", "")
    folder.write("app/main.py", "from databank import db\n")
    folder.write("app/databank.py", "db = None\n")
    text = folder.refusal("app.main:app")
    assert text.endswith('Did you mean "app.databank"?')
    assert "pip install" not in text


def test_a_missing_package_of_a_target_that_is_installed(folder, tmp_path):
    folder.write("lib/pack/main.py", "import nosuchlib\n")
    (tmp_path / "empty").mkdir()
    sys.path.append(str(tmp_path / "lib"))
    with pytest.raises(TargetError, match=r"pip install nosuchlib$"):
        load("pack.main:app", str(tmp_path / "empty"))


@pytest.mark.parametrize("module", ["main", "helper"])
def test_a_part_of_a_file_of_ones_own_is_not_to_be_installed(folder, module):
    folder.write("main.py", f"import {module}.parts\n")
    folder.write("helper.py", "from helper.parts import thing\n")
    text = folder.refusal("main:app")
    assert f"'{module}' is not a package" in text
    assert "pip install" not in text


def test_a_syntax_error(folder):
    folder.write("main.py", "x = 1\ndef (:\n")
    text = folder.refusal("main:app")
    assert 'main.py", line 2' in text
    assert "def (:" in text
    assert "SyntaxError" in text
    assert "importlib" not in text


def test_a_module_that_ends_the_process(folder):
    folder.write("main.py", "import sys\n\nsys.exit('no config')\n")
    text = folder.refusal("main:app")
    assert 'main.py", line 3' in text
    assert "SystemExit: no config" in text


# How an object wants to be called.


async def asgi3_function(scope, receive, send): ...


async def asgi3_any(*args): ...


async def asgi3_with_more(scope, receive, send, config=None): ...


async def configured(config, scope, receive, send): ...


def asgi2_function(scope): ...


def wsgi_function(environ, start_response): ...


class Asgi2Class:
    def __init__(self, scope): ...

    async def __call__(self, receive, send): ...


class Awaited:
    """ASGI 3: its instances are awaited."""

    def __init__(self, scope, receive, send): ...

    def __await__(self): ...


class LikeStarlette:
    async def __call__(self, scope, receive, send): ...

    async def method(self, scope, receive, send): ...


class LikeFlask:
    def __call__(self, environ, start_response): ...


class LikeDjango:
    """Its handler takes keyword arguments when it is made."""

    def __init__(self, *args, **kwargs): ...

    async def __call__(self, scope, receive, send): ...


class LikeDjangoWsgi:
    def __init__(self, *args, **kwargs): ...

    def __call__(self, environ, start_response): ...


def factory(): ...


async def async_factory(): ...


async def async_view(request): ...


async def async_wsgi(environ, start_response): ...


@functools.wraps(factory)
async def wrapper(*arguments): ...


def factory_with_defaults(config=None, debug=False): ...


@pytest.mark.parametrize(
    ("app", "kind"),
    [
        (asgi3_function, "asgi3"),
        (asgi3_any, "asgi3"),
        (asgi3_with_more, "asgi3"),
        (functools.partial(configured, {}), "asgi3"),
        (functools.partial(asgi3_with_more, config=1), "asgi3"),
        (Awaited, "asgi3"),
        (LikeStarlette(), "asgi3"),
        (LikeStarlette().method, "asgi3"),
        (LikeDjango(), "asgi3"),
        (lambda scope, receive, send: None, "asgi3"),
        (Asgi2Class, "asgi2"),
        (asgi2_function, "asgi2"),
        (wsgi_function, "wsgi"),
        (LikeFlask(), "wsgi"),
        (LikeDjangoWsgi(), "wsgi"),
        (Asgi2Class({}), ""),
        (async_factory, ""),
        (async_view, ""),
        (async_wsgi, ""),
        (LikeFlask, "factory"),
        (factory, "factory"),
        (factory_with_defaults, "factory"),
        (functools.partial(asgi2_function, {}), "factory"),
        (3, ""),
        (None, ""),
        ("main:app", ""),
        (lambda a, b, c, d: None, ""),
        (lambda *, a: None, ""),
    ],
)
def test_interface(app, kind):
    assert interface(app) == kind


def test_the_interface_of_something_made_in_c():
    assert interface(type) == "asgi3"  # it cannot be seen


@pytest.mark.parametrize(
    ("app", "said"),
    [
        (asgi3_function, "asgi3"),
        (asgi3_any, "asgi3"),
        (LikeStarlette(), "asgi3"),
        (Awaited, "asgi3"),
        (lambda scope, receive, send: None, "asgi3"),
        (wrapper, "asgi3"),  # what it hides takes no arguments
        (asgi2_function, "asgi2"),
        (Asgi2Class, "asgi2"),
        (lambda *arguments: None, "asgi2"),
        (type, "asgi3"),  # it cannot be seen
        (type, "asgi2"),
        (type, "wsgi"),
        (asgi2_function, "auto"),
    ],
)
def test_what_can_be_called_as_was_said(app, said):
    check_interface("main:app", app, said)


@pytest.mark.parametrize(
    ("app", "said", "says"),
    [
        (3, "asgi3", "main:app is an int, not an app"),
        (3, "asgi2", "main:app is an int, not an app"),
        (3, "auto", "main:app is an int, not an app"),
        (wsgi_function, "asgi3", "main:app(environ, start_response) is not"),
        (asgi2_function, "asgi3", "main:app(scope) is not an app: async def"),
        (async_view, "asgi3", "main:app(request) is not an app: async def"),
        (asgi3_function, "asgi2", "is not an app: def app(scope) expected"),
        (async_view, "asgi2", "is not an app: def app(scope) expected"),
        (factory, "asgi2", "main:app takes no arguments: a factory? add"),
    ],
)
def test_what_cannot_be_called_as_was_said(app, said, says):
    with pytest.raises(TargetError, match=re.escape(says)):
        check_interface("main:app", app, said)


def test_asgi2_is_called_in_two_steps():
    calls = []

    class App:
        def __init__(self, scope):
            calls.append(scope)

        async def __call__(self, receive, send):
            calls.append((receive, send))

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2"}}
    asyncio.run(asgi2(App)(scope, "receive", "send"))
    told = {"version": "2.0", "spec_version": "2"}
    assert calls == [{"type": "http", "asgi": told}, ("receive", "send")]
    assert scope["asgi"]["version"] == "3.0"  # ours is as it was


def test_nearest():
    assert nearest("mian", ["main", "tests", "setup"]) == "main"
    assert nearest("zzz", ["main", "tests", "setup"]) == ""
    assert nearest("mian", ["main", "tests", "setup"], 0.8) == ""
