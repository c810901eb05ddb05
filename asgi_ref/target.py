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
from types import ModuleType
from typing import Any

# How many arguments an object takes tells what it is; the first match counts.
KINDS = ((3, "asgi3"), (1, "asgi2"), (2, "wsgi"), (0, "factory"))


class TargetError(Exception):
    """There is no application to be had there; the text says why."""


def load(target: str, app_dir: str = ".", factory: bool = False) -> Any:
    """Return the application that "module:attribute" names.

    Raises TargetError.
    """
    name, colon, attribute = target.partition(":")
    if name.endswith(".py") or "/" in name:
        dotted = name.removesuffix(".py").strip("./").replace("/", ".")
        hint = f"{dotted}:{attribute or 'app'}"
        raise TargetError(f'"{target}" is a file; write {hint}')
    attribute = attribute or "app"
    module = import_module(name, os.path.abspath(app_dir))
    app: Any = module
    for part in attribute.split("."):
        try:
            app = getattr(app, part)
        except AttributeError:
            assumed = "" if colon else f' ("{name}" was taken for {name}:app)'
            raise TargetError(no_attribute(module, part) + assumed) from None
    if factory:
        app = call_factory(f"{name}:{attribute}", app)
    else:
        require_app(f"{name}:{attribute}", app)
    return app


def import_module(name: str, folder: str) -> ModuleType:
    """Return an imported module that lies in `folder`.

    Raises TargetError: not found, or it raised while it was imported.
    """
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (name + ".").startswith(f"{error.name}."):
            raise TargetError(no_module(name, folder)) from None
        raise TargetError(failed_import(name, folder, error)) from None
    except (Exception, SystemExit) as error:
        raise TargetError(failed_import(name, folder, error)) from None


def no_module(name: str, folder: str) -> str:
    """Say where a module was looked for, and what is there instead."""
    path = name.replace(".", "/")
    files = os.listdir(folder) if os.path.isdir(folder) else []
    found = [file.removesuffix(".py") for file in files if ".py" in file]
    text = (
        f'No module named "{name}" in {folder}'
        f" (looked for {path}.py and {path}/)."
    )
    near = nearest(name, found)
    if near:
        text += f' Did you mean "{near}"?'
    return text + " Or use --app-dir."


def no_attribute(module: ModuleType, attribute: str) -> str:
    """Say that a module lacks an attribute, and which apps it has."""
    file = os.path.basename(module.__file__ or module.__name__)
    apps = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.isclass(value)
        and getattr(value, "__module__", "") != "typing"
        and interface(value) == "asgi3"
    ]
    text = f'{file} has no "{attribute}".'
    if apps:
        text += f" ASGI apps found there: {', '.join(apps)}"
    return text


def failed_import(name: str, folder: str, error: BaseException) -> str:
    """Show an error inside the application: the learner's own frames only."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(folder)
        and "-packages" not in frame.filename
    ]
    lines = [f"{name} could not be imported:"]
    lines += [line.rstrip() for line in traceback.format_list(frames)]
    shown = traceback.format_exception_only(type(error), error)
    lines += [line.rstrip() for line in shown]
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        lines.append(f"Try: {sys.executable} -m pip install {package}")
    return "\n".join(lines)


def call_factory(target: str, factory: Any) -> Any:
    """Return what a factory makes.

    Raises TargetError.
    """
    try:
        app = factory()
    except Exception as error:
        kind = type(error).__name__
        raise TargetError(f"{target}() raised {kind}: {error}") from error
    require_app(f"{target}()", app)
    return app


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
            " app, and this server speaks ASGI. Wrap it, for example with"
            " a2wsgi.WSGIMiddleware."
        )
    if kind == "":
        article = "an" if type(app).__name__[0] in "aeiou" else "a"
        what = f"{article} {type(app).__name__}"
        raise TargetError(f"{target} is {what}, not an app")


def interface(app: Any) -> str:
    """Return how an object wants to be called.

    "asgi3": app(scope, receive, send). "asgi2": app(scope)(receive, send).
    "wsgi": app(environ, start_response). "factory": app(). "": not at all.
    """
    if not callable(app):
        return ""
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        return "asgi3"  # made in C: it will have to show
    for count, kind in KINDS:
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return kind
    return ""


def asgi2(app: Any) -> Any:
    """Return an ASGI 2 application, called in two steps, as ASGI 3."""

    async def single(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "asgi": {**scope["asgi"], "version": "2.0"}})(
            receive, send
        )

    return single


def nearest(word: str, words: list[str]) -> str:
    """Return the word that is most like a mistyped one, or ""."""
    from difflib import get_close_matches  # only a mistake needs it

    found = get_close_matches(word, words, n=1, cutoff=0.5)
    return found[0] if found else ""
