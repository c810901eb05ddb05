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
from operator import attrgetter
from types import ModuleType
from typing import Any

from .contract import is_learners, place

# How many arguments an object takes tells what it is; the first match counts.
KINDS = ((3, "asgi3"), (0, "factory"), (1, "asgi2"), (2, "wsgi"))
EXPECTED = {
    "auto": "async def app(scope, receive, send) expected",
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
    name, attribute = split(target)
    if not os.path.isdir(app_dir):
        raise TargetError(f"--app-dir {app_dir}: no such folder")
    folder = os.path.abspath(app_dir)
    module = import_module(name, folder)
    try:
        app = attrgetter(attribute)(module)
    except AttributeError:
        text = no_attribute(module, attribute, folder)
        if ":" not in target:
            text += f' ("{name}" was taken for {name}:app)'
        raise TargetError(text) from None
    target = f"{name}:{attribute}"
    if factory:
        app, target = call_factory(target, app), f"{target}()"
    if check:
        require_app(target, app)
    return app


def split(target: str) -> tuple[str, str]:
    """Return the names of a module and of an attribute in it.

    Raises TargetError: it is not that, but something that people type.
    """
    name, _, attribute = target.partition(":")
    attribute = attribute or "app"
    if name.endswith(".py") or "/" in name:
        instead = as_module(name, attribute)
        raise TargetError(f'"{target}" is a file; write {instead}')
    if not name or name.startswith("."):
        raise TargetError(f'"{target}" names no module; write main:app')
    if "(" in attribute:
        instead = target.partition("(")[0]
        raise TargetError(f'"{target}" is a call; write {instead} --factory')
    return name, attribute


def as_module(path: str, attribute: str) -> str:
    """Return what to type instead of a file's path."""
    from shlex import quote  # only a mistake needs it

    path = os.path.normpath(path.removesuffix(".py"))
    folder, name = os.path.split(path)
    # No dots make a module's name out of "/srv", ".." or "v1.2".
    if os.path.isabs(path) or "." in folder:
        return f"--app-dir {quote(folder)} {name}:{attribute}"
    return f"{path.replace(os.sep, '.')}:{attribute}"


# The module.


def import_module(name: str, folder: str) -> ModuleType:
    """Return an imported module that lies in `folder`.

    Raises TargetError: not found, or it raised while it was imported.
    """
    sys.path[:] = [folder, *(path for path in sys.path if path != folder)]
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else ""
        if f"{name}.".startswith(f"{missing}."):  # the target, or its package
            raise TargetError(no_module(name, folder)) from None
        raise TargetError(failed_import(name, folder, error)) from None


def no_module(name: str, folder: str) -> str:
    """Say where a module was looked for, and what is there instead."""
    path = name.replace(".", "/")
    near = similar_target(name, folder)
    maybe = f' Did you mean "{near}"?' if near else ""
    return (
        f'No module named "{name}" in {folder} (looked for {path}.py'
        f" and {path}/).{maybe} Or use --app-dir."
    )


def similar_target(name: str, folder: str) -> str:
    """Return the module in a folder that was probably meant, or ""."""
    parent, _, last = name.rpartition(".")
    if hasattr(sys.modules.get(parent), last):
        return f"{parent}:{last}"  # a dot was typed for the colon
    place = os.path.join(folder, *parent.split("."))
    if parent and not os.path.isdir(place):
        return similar_target(parent, folder)
    near = nearest(last, modules(place))
    return f"{parent}.{near}" if parent and near else near


def modules(folder: str) -> list[str]:
    """Return the names that can be imported from a folder."""
    files = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    names = [file.removesuffix(".py") for file in files]
    return [name for name in names if name.isidentifier()]


def failed_import(name: str, folder: str, error: BaseException) -> str:
    """Show an error inside the application: the learner's own frames only."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_learners(frame.filename)]
    lines = [f"{name} could not be imported:\n"]
    lines += traceback.format_list(own)
    lines += traceback.format_exception_only(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        lines.append(what_to_install(error.name, name, folder))
    return "".join(lines).rstrip()


def what_to_install(missing: str, name: str, folder: str) -> str:
    """Say how to get a module that `name` imports, if it is not one's own."""
    missing, top = missing.partition(".")[0], name.partition(".")[0]
    package, own = name.rpartition(".")[0], modules(folder)
    if missing in sys.modules or missing in own:
        return ""  # it is there; a part of it is not
    if missing in modules(os.path.join(folder, *package.split("."))):
        return f'Did you mean "{package}.{missing}"?'
    near = nearest(missing, own, 0.8)
    maybe = f'Did you mean "{near}"? ' if near not in ("", top) else ""
    return (
        f"{maybe}To install it (a package is often named like its module):\n"
        f"    {sys.executable} -m pip install {missing}"
    )


# The attribute.


def no_attribute(module: ModuleType, attribute: str, folder: str) -> str:
    """Say that a module lacks an attribute, and which apps it has."""
    file = getattr(module, "__file__", None) or module.__name__
    short = file.removeprefix(folder + os.sep)
    apps = [name for name, value in vars(module).items() if looks_asgi(value)]
    found = f" ASGI apps found there: {', '.join(apps)}" if apps else ""
    if short == file and module.__name__ in sys.stdlib_module_names:
        found = " It is Python's own; a file of yours needs another name."
    return f'{short} has no "{attribute}".{found}'


def looks_asgi(value: Any) -> bool:
    """Say whether this is an ASGI 3 application beyond doubt."""
    return is_async(value) and interface(value) == "asgi3"


def call_factory(target: str, factory: Any) -> Any:
    """Return what a factory makes.

    Raises TargetError.
    """
    if not callable(factory):
        raise TargetError(f"{target} is {described(factory)}, not a factory")
    if looks_asgi(factory):
        raise TargetError(f"{target} is an app; leave out --factory")
    if is_async(factory):
        raise TargetError(f"{target} is async; a factory is a plain def")
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise TargetError(f"{target}() raised {place(error)}") from error


def described(value: Any) -> str:
    """Return "an int" for 7."""
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


# What it is.


def interface(app: Any) -> str:
    """Return how an object wants to be called.

    "asgi3": app(scope, receive, send). "asgi2": app(scope)(receive, send).
    "wsgi": app(environ, start_response). "factory": app(). "": not at all.
    """
    kinds = interfaces(app)
    return kinds[0] if kinds else ""


def interfaces(app: Any, follow: bool = True) -> list[str]:
    """Return every way in which an object can be called, likely ones first.

    Names as in `interface`. follow: of a plain function that wraps another,
    look at the other one.
    """
    if not callable(app):
        return []
    wrapped = follow and not is_async(app)
    try:
        signature = inspect.signature(app, follow_wrapped=wrapped)
    except (TypeError, ValueError):
        return ["asgi3", "asgi2", "wsgi"]  # made in C: it will have to show
    kinds = []
    for count, kind in KINDS[:1] if is_async(app) else KINDS:
        with suppress(TypeError):
            signature.bind(*range(count))
            kinds.append(kind)
    return kinds


def is_async(app: Any) -> bool:
    """Say whether calling this gives a coroutine beyond doubt."""
    calls = app, type(app).__call__
    return any(map(inspect.iscoroutinefunction, calls))


def require_app(target: str, app: Any) -> None:
    """Raise TargetError unless this is an ASGI application."""
    check_interface(target, app, "auto")


def require_wsgi(target: str, app: Any) -> None:
    """Raise TargetError unless this is a WSGI application."""
    check_interface(target, app, "wsgi")


def check_interface(target: str, app: Any, said: str) -> None:
    """Raise TargetError if an application cannot be called as was said.

    said: "asgi3", "asgi2", "wsgi", or "auto": ASGI, as its signature tells.
    """
    text = complaint(app, said)
    if text:
        raise TargetError(target + text)


def complaint(app: Any, said: str) -> str:
    """Return what is wrong with an application, to follow its name, or ""."""
    if not callable(app):
        return f" is {described(app)}, not an app"
    kinds = interfaces(app, follow=said == "auto")
    if said in kinds:
        return ""
    if "factory" in kinds[:1]:
        return " takes no arguments: a factory? add --factory"
    if kinds and said == "auto":
        return doubt(app, kinds[0])
    if kinds and said == "wsgi":
        return (
            " is an ASGI app. Leave out --interface wsgi, or wrap it in"
            " asgi_ref.bridge.WsgiFromAsgi."
        )
    signature = inspect.signature(app, follow_wrapped=not is_async(app))
    return f"{signature} is not an app: {EXPECTED[said]}"


def doubt(app: Any, kind: str) -> str:
    """Return what speaks against serving this as an ASGI app, or ""."""
    if kind == "wsgi":
        return (
            " takes two arguments, (environ, start_response): a WSGI app. Add"
            " --interface wsgi, or wrap it in asgi_ref.bridge.AsgiFromWsgi."
        )
    # What a plain function returns shows only when it is called.
    plain = inspect.isfunction(app) or inspect.ismethod(app)
    if kind == "asgi3" and plain and not is_async(inspect.unwrap(app)):
        return (
            f"{inspect.signature(app)} is not async: {EXPECTED[kind]}."
            " If it returns a coroutine, add --interface asgi3."
        )
    return ""


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
