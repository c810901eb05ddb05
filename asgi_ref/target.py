"""A target: what `main:app` means, and what is wrong when it means nothing.

    main:app          import main, take its attribute "app"
    app.main:app      the same in a package: app/main.py
    main:make_app     with --factory: call it, take what it returns

Most people meet a server by its first error message. So each of them says
what was looked for, where, and what to type instead.

It imports and looks; it does not run an application.

Source: the ASGI specification, "Applications" and "Legacy Applications".
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from contextlib import suppress
from types import ModuleType
from typing import Any

from .contract import is_learners, place

# How many arguments an object takes tells what it is; the first match counts.
KINDS = ((3, "asgi3"), (0, "factory"), (1, "asgi2"), (2, "wsgi"))
EXPECTED = {
    "asgi3": "async def app(scope, receive, send) expected",
    "asgi2": "def app(scope) expected",
    "wsgi": "def app(environ, start_response) expected",
}


class TargetError(Exception):
    """There is no application to be had there; the text says why."""


def load(
    target: str, app_dir: str = ".", factory: bool = False, check: bool = True
) -> Any:
    """Return the application that "module:attribute" names.

    factory: call it, take what it returns. check: see if it is an ASGI app.

    Raises TargetError.
    """
    name, colon, attribute = target.partition(":")
    attribute = attribute or "app"
    if name.endswith(".py") or "/" in name:
        instead = as_module(name, attribute)
        raise TargetError(f'"{target}" is a file; write {instead}')
    if not name or name.startswith("."):
        raise TargetError(f'"{target}" names no module; write main:app')
    if "(" in attribute:
        instead = target.partition("(")[0]
        raise TargetError(f'"{target}" is a call; write {instead} --factory')
    if not os.path.isdir(app_dir):
        raise TargetError(f"--app-dir {app_dir}: no such folder")
    module = import_module(name, os.path.abspath(app_dir))
    app: Any = module
    for part in attribute.split("."):
        try:
            app = getattr(app, part)
        except AttributeError:
            assumed = "" if colon else f' ("{name}" was taken for {name}:app)'
            raise TargetError(no_attribute(module, part) + assumed) from None
    target = f"{name}:{attribute}"
    if factory:
        app, target = call_factory(target, app), f"{target}()"
    if check:
        require_app(target, app)
    return app


def as_module(path: str, attribute: str) -> str:
    """Return what to type instead of a file's path."""
    from shlex import quote  # only a mistake needs it

    path = os.path.normpath(path.removesuffix(".py"))
    folder, name = os.path.split(path)
    # No dots make a module's name out of "/srv", ".." or "v1.2".
    if os.path.isabs(path) or "." in folder:
        return f"--app-dir {quote(folder)} {name}:{attribute}"
    return f"{path.replace(os.sep, '.')}:{attribute}"


def import_module(name: str, folder: str) -> ModuleType:
    """Return an imported module that lies in `folder`.

    Raises TargetError: not found, or it raised while it was imported.
    """
    sys.path[:] = [folder, *(path for path in sys.path if path != folder)]
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = getattr(error, "name", None)
        if isinstance(error, ModuleNotFoundError) and (
            f"{name}.".startswith(f"{missing}.")
        ):
            raise TargetError(no_module(name, folder)) from None
        raise TargetError(failed_import(name, folder, error)) from None


def no_module(name: str, folder: str) -> str:
    """Say where a module was looked for, and what is there instead."""
    path = name.replace(".", "/")
    parent, _, last = name.rpartition(".")
    if hasattr(sys.modules.get(parent), last):
        near = f"{parent}:{last}"
    else:
        near = similar_module(name, folder)
    maybe = f' Did you mean "{near}"?' if near else ""
    return (
        f'No module named "{name}" in {folder} (looked for {path}.py'
        f" and {path}/).{maybe} Or use --app-dir."
    )


def similar_module(name: str, folder: str) -> str:
    """Return the module in a folder that was probably meant, or ""."""
    parent, _, last = name.rpartition(".")
    place = os.path.join(folder, *parent.split("."))
    if parent and not os.path.isdir(place):
        return similar_module(parent, folder)
    near = nearest(last, modules(place))
    return f"{parent}.{near}" if parent and near else near


def modules(folder: str) -> list[str]:
    """Return the names that can be imported from a folder."""
    files = os.listdir(folder) if os.path.isdir(folder) else []
    names = [file.removesuffix(".py") for file in files]
    return [name for name in names if name.isidentifier()]


def no_attribute(module: ModuleType, attribute: str) -> str:
    """Say that a module lacks an attribute, and which apps it has."""
    file = os.path.basename(module.__file__ or module.__name__)
    apps = [name for name, value in vars(module).items() if looks_asgi(value)]
    found = f" ASGI apps found there: {', '.join(apps)}" if apps else ""
    return f'{file} has no "{attribute}".{found}'


def looks_asgi(value: Any) -> bool:
    """Say whether this is an ASGI 3 application beyond doubt."""
    return is_async(value) and interface(value) == "asgi3"


def failed_import(name: str, folder: str, error: BaseException) -> str:
    """Show an error inside the application: the learner's own frames only."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_learners(frame.filename)]
    lines = [f"{name} could not be imported:\n"]
    lines += traceback.format_list(own)
    lines += traceback.format_exception_only(type(error), error)
    missing = getattr(error, "name", None) or ""
    if isinstance(error, ModuleNotFoundError):
        lines.append(what_to_install(missing.partition(".")[0], name, folder))
    return "".join(lines).rstrip()


def what_to_install(missing: str, name: str, folder: str) -> str:
    """Say how to get a module that `name` imports, if it is not one's own."""
    if not missing or missing in sys.modules:
        return ""  # a part of a package that is there
    own = set(modules(folder)) - {name.partition(".")[0]}
    near = nearest(missing, sorted(own), 0.8)
    maybe = f'Did you mean "{near}"? ' if near else ""
    return (
        f"{maybe}To install it (a package is often named like its module):\n"
        f"    {sys.executable} -m pip install {missing}"
    )


def call_factory(target: str, factory: Any) -> Any:
    """Return what a factory makes.

    Raises TargetError.
    """
    if not callable(factory):
        raise TargetError(f"{target} is {described(factory)}, not a factory")
    if is_async(factory) and "factory" in bindings(factory, follow=False):
        raise TargetError(f"{target} is async; a factory is a plain def")
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise TargetError(f"{target}() raised {place(error)}") from error


def require_app(target: str, app: Any) -> None:
    """Raise TargetError unless this is an ASGI application."""
    kind = interface(app)
    if kind == "factory":
        raise TargetError(
            f"{target} takes no arguments: a factory? add --factory"
        )
    if kind == "wsgi":
        raise TargetError(
            f"{target} takes two arguments, (environ, start_response): a WSGI"
            " app. Add --interface wsgi, or wrap it in"
            " asgi_ref.bridge.AsgiFromWsgi."
        )
    if kind == "":
        raise TargetError(no_app(target, app, "asgi3"))
    # What a plain function returns shows only when it is called.
    plain = inspect.isfunction(app) or inspect.ismethod(app)
    if kind == "asgi3" and plain and not is_async(inspect.unwrap(app)):
        raise TargetError(
            f"{target}{inspect.signature(app)} is not async:"
            f" {EXPECTED[kind]}. If it returns a coroutine, add"
            " --interface asgi3."
        )


def require_wsgi(target: str, app: Any) -> None:
    """Raise TargetError unless this is a WSGI application."""
    kinds = interfaces(app)
    if not kinds:
        raise TargetError(no_app(target, app, "wsgi"))
    if "wsgi" in kinds and not looks_asgi(app):
        return
    if "asgi3" in kinds or "asgi2" in kinds:
        raise TargetError(
            f"{target} is an ASGI app. Leave out --interface wsgi, or wrap it"
            " in asgi_ref.bridge.WsgiFromAsgi."
        )
    require_app(target, app)


def check_interface(target: str, app: Any, interface: str) -> None:
    """Raise TargetError if an application cannot be called as was said.

    interface: "asgi3" or "asgi2". Others have a check of their own.
    """
    if interface not in ("asgi3", "asgi2"):
        return
    fits = callable(app) and not (interface == "asgi2" and is_async(app))
    if not fits or interface not in bindings(app, follow=False):
        raise TargetError(no_app(target, app, interface))


def no_app(target: str, app: Any, interface: str) -> str:
    """Say that this is no application, and what would be one."""
    if not callable(app):
        return f"{target} is {described(app)}, not an app"
    signature = inspect.signature(app, follow_wrapped=not is_async(app))
    return f"{target}{signature} is not an app: {EXPECTED[interface]}"


def described(value: Any) -> str:
    """Return "an int" for 7."""
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def interface(app: Any) -> str:
    """Return how an object wants to be called.

    "asgi3": app(scope, receive, send). "asgi2": app(scope)(receive, send).
    "wsgi": app(environ, start_response). "factory": app(). "": not at all.
    """
    return (*interfaces(app), "")[0]


def interfaces(app: Any) -> list[str]:
    """Return every way in which an object can be called, likely ones first.

    Names as in `interface`.
    """
    if not callable(app):
        return []
    if is_async(app):  # a wrapper may take other arguments than the wrapped
        return [kind for kind in bindings(app, False) if kind == "asgi3"]
    return bindings(app, True)


def is_async(app: Any) -> bool:
    """Say whether calling this gives a coroutine beyond doubt."""
    call = type(app).__call__
    return inspect.iscoroutinefunction(app) or (
        inspect.iscoroutinefunction(call)
    )


def bindings(app: Any, follow: bool) -> list[str]:
    """Return the kinds of KINDS whose number of arguments a callable takes.

    follow: what counts is the function that a wrapper names as wrapped.
    """
    try:
        signature = inspect.signature(app, follow_wrapped=follow)
    except (TypeError, ValueError):
        return ["asgi3", "asgi2", "wsgi"]  # made in C: it will have to show
    kinds = []
    for count, kind in KINDS:
        with suppress(TypeError):
            signature.bind(*range(count))
            kinds.append(kind)
    return kinds


def asgi2(app: Any) -> Any:
    """Return an ASGI 2 application, called in two steps, as ASGI 3."""

    async def single(scope: Any, receive: Any, send: Any) -> None:
        version = {**scope["asgi"], "version": "2.0"}
        await app({**scope, "asgi": version})(receive, send)

    return single


def nearest(word: str, words: list[str], cutoff: float = 0.5) -> str:
    """Return the word that is most like a mistyped one, or "".

    cutoff: how like it must be, from 0 to 1, the same.
    """
    from difflib import get_close_matches  # only a mistake needs it

    found = get_close_matches(word, words, n=1, cutoff=cutoff)
    return found[0] if found else ""
