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
        dotted = name.removesuffix(".py").strip("./").replace("/", ".")
        raise TargetError(f'"{target}" is a file; write {dotted}:{attribute}')
    if not name or name.startswith("."):
        raise TargetError(f'"{target}" names no module; write main:app')
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


def import_module(name: str, folder: str) -> ModuleType:
    """Return an imported module that lies in `folder`.

    Raises TargetError: not found, or it raised while it was imported.
    """
    if folder not in sys.path:
        sys.path.insert(0, folder)
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
    while parent and not os.path.isdir(os.path.join(folder, parent)):
        parent, _, last = parent.rpartition(".")
    near = nearest(last, modules(os.path.join(folder, parent)))
    dotted = f"{parent}.{near}" if parent else near
    maybe = f' Did you mean "{dotted}"?' if near else ""
    return (
        f'No module named "{name}" in {folder} (looked for {path}.py'
        f" and {path}/).{maybe} Or use --app-dir."
    )


def modules(folder: str) -> list[str]:
    """Return the names that can be imported from a folder."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [
        name.removesuffix(".py")
        for name in names
        if name.endswith(".py") or "." not in name
    ]


def no_attribute(module: ModuleType, attribute: str) -> str:
    """Say that a module lacks an attribute, and which apps it has."""
    file = os.path.basename(module.__file__ or module.__name__)
    apps = [name for name, value in vars(module).items() if looks_asgi(value)]
    found = f" ASGI apps found there: {', '.join(apps)}" if apps else ""
    return f'{file} has no "{attribute}".{found}'


def looks_asgi(value: Any) -> bool:
    """Say whether this is an ASGI 3 application beyond doubt."""
    call = value if inspect.isfunction(value) else type(value).__call__
    if inspect.isclass(value) or not inspect.iscoroutinefunction(call):
        return False
    return interface(value) == "asgi3"


def failed_import(name: str, folder: str, error: BaseException) -> str:
    """Show an error inside the application: the learner's own frames only."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_learners(frame.filename)]
    lines = [f"{name} could not be imported:\n"]
    lines += traceback.format_list(own)
    lines += traceback.format_exception_only(type(error), error)
    missing = getattr(error, "name", None) or ""
    package = missing.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and package not in sys.modules:
        near = nearest(package, modules(folder))
        install = f"{sys.executable} -m pip install {package}"
        lines.append(f'Did you mean "{near}"?' if near else f"Try: {install}")
    return "".join(lines).rstrip()


def call_factory(target: str, factory: Any) -> Any:
    """Return what a factory makes.

    Raises TargetError.
    """
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
        article = "an" if type(app).__name__[0] in "aeiou" else "a"
        what = f"{article} {type(app).__name__}"
        raise TargetError(f"{target} is {what}, not an app")


def require_wsgi(target: str, app: Any) -> None:
    """Raise TargetError unless this is a WSGI application."""
    kinds = interfaces(app)
    if "wsgi" in kinds and not looks_asgi(app):
        return
    if "asgi3" in kinds or "asgi2" in kinds:
        raise TargetError(
            f"{target} is an ASGI app. Leave out --interface wsgi, or wrap it"
            " in asgi_ref.bridge.WsgiFromAsgi."
        )
    require_app(target, app)


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
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        return ["asgi3", "wsgi"]  # made in C: it will have to show
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


def nearest(word: str, words: list[str]) -> str:
    """Return the word that is most like a mistyped one, or ""."""
    from difflib import get_close_matches  # only a mistake needs it

    found = get_close_matches(word, words, n=1, cutoff=0.5)
    return found[0] if found else ""
