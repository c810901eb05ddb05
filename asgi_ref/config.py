"""The command line: from words to settings, and the words for the screen.

Flags have uvicorn's names where the thing is the same. What is not known is
refused, with the nearest flag that is.

It starts nothing: `__main__` does.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from . import __version__
from .response import BadResponse, field_lines
from .server import Settings
from .target import nearest

Add = Callable[..., argparse.Action]

INTERFACES = ("auto", "asgi3", "asgi2", "wsgi")
ASGI_ONLY = (
    *("lifespan", "limit_concurrency", "ws_max_size", "ws_ping_interval"),
    *("ws_ping_timeout", "ws_per_message_deflate"),
)
LEVELS = ("critical", "error", "warning", "info", "debug")
COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = argparse.ArgumentParser(
        prog="python -m asgi_ref",
        description="Serve an ASGI or WSGI application; without APP, a demo.",
        allow_abbrev=False,
    )
    p.add_argument("app", nargs="?", metavar="APP", help="main:app")
    p.add_argument(
        "--version", action="version", version=f"asgi_ref {__version__}"
    )
    add_application(p.add_argument_group("the application").add_argument)
    add_address(p.add_argument_group("where to listen").add_argument)
    add_limits(p.add_argument_group("limits (bytes, seconds)").add_argument)
    add_websocket(p.add_argument_group("WebSocket").add_argument)
    add_output(p.add_argument_group("what is sent and shown").add_argument)
    return p


def add_application(add: Add) -> None:
    """Add the flags about the application."""
    add("--app-dir", default=".", metavar="DIR", help="where to look for APP")
    add("--factory", action="store_true", help="call APP to get the app")
    add("--interface", choices=INTERFACES, default="auto")
    add("--lifespan", choices=("auto", "on", "off"), default="auto")
    add("--root-path", default="", metavar="PATH")
    add("--env-file", metavar="FILE", help="set KEY=VALUE lines first")


def add_address(add: Add) -> None:
    """Add the flags about the listening socket."""
    add("--host", default="127.0.0.1", help="0.0.0.0: every interface")
    add("--port", type=port, default=8000, help="0: any free one")
    add("--uds", metavar="PATH", help="a unix socket instead")
    add("--fd", type=int, help="an open listening socket instead")
    add("--backlog", type=positive, default=2048)


def add_limits(add: Add) -> None:
    """Add the flags about limits."""
    add("--limit-head", type=positive, metavar="BYTES")
    add("--limit-concurrency", type=positive, metavar="CONNECTIONS")
    add("--threads", type=positive, help="with --interface wsgi")
    add("--timeout-header", type=seconds, metavar="SECONDS")
    add("--timeout-keep-alive", type=seconds, metavar="SECONDS")
    add("--timeout-graceful-shutdown", type=seconds, metavar="SECONDS")
    add("--no-timeouts", dest="timeouts", action="store_false", default=None)


def add_websocket(add: Add) -> None:
    """Add the flags about WebSocket."""
    add("--ws-max-size", type=positive, metavar="BYTES")
    add("--ws-ping-interval", type=seconds, metavar="SECONDS", help="0: never")
    add("--ws-ping-timeout", type=seconds, metavar="SECONDS", help="0: none")
    add("--ws-per-message-deflate", action=argparse.BooleanOptionalAction)


def add_output(add: Add) -> None:
    """Add the flags about responses and the log."""
    flag = argparse.BooleanOptionalAction
    add("--header", dest="headers", action="append", type=header)
    add("--server-header", action=flag)
    add("--date-header", action=flag)
    add("--access-log", action=flag)
    add("--log-level", choices=LEVELS, default="info")
    add("--use-colors", action=flag)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the command line as a namespace.

    Raises SystemExit(2) with a message when it makes no sense.
    """
    p = parser()
    options, unknown = p.parse_known_args(arguments)
    if unknown:
        refuse_unknown(p, unknown[0])
    if options.threads and options.interface != "wsgi":
        p.error("argument --threads: only with --interface wsgi")
    if options.interface == "wsgi":
        refuse_asgi_only(p, options)
    options.root_path = options.root_path.rstrip("/")
    return options


def refuse_asgi_only(
    p: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    """End with status 2 if a flag means nothing to the blocking server."""
    for name in ASGI_ONLY:
        if getattr(options, name) != p.get_default(name):
            flag = name.replace("_", "-")
            p.error(f"argument --{flag}: not with --interface wsgi")


def refuse_unknown(p: argparse.ArgumentParser, word: str) -> NoReturn:
    """End with status 2, naming the flag that was probably meant."""
    flags = [flag for action in p._actions for flag in action.option_strings]
    near = nearest(word.partition("=")[0], flags)
    p.error(f"unknown: {word}" + (f" (did you mean {near}?)" if near else ""))


def settings(options: argparse.Namespace) -> Settings:
    """Return the server's settings; what was not said keeps its default."""
    said: dict[str, Any] = {
        name: getattr(options, name)
        for name in Settings.__dataclass_fields__
        if getattr(options, name) is not None
    }
    if "headers" in said:
        said["headers"] = tuple(said["headers"])
    return Settings(**said)


def port(text: str) -> int:
    """Return a TCP port, 0 to 65535; ValueError otherwise."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not in 0-65535")
    return number


def positive(text: str) -> int:
    """Return a whole number above 0; ValueError otherwise."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def seconds(text: str) -> float:
    """Return a time of 0 or more; ValueError otherwise."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time")
    return number


def header(text: str) -> tuple[bytes, bytes]:
    """Return "Name: value" as a pair of bytes."""
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f'"{text}" is not "Name: value"')
    pair = name.strip().encode("latin-1"), value.strip().encode("latin-1")
    try:
        field_lines([pair])
    except BadResponse as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return pair


def load_env(path: str) -> None:
    """Set environment variables from KEY=VALUE lines; set ones stay.

    Raises OSError.
    """
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.strip().removeprefix("export ")
            key, equals, value = line.partition("=")
            if equals and not key.startswith("#"):
                value = value.strip().strip("'\"")
                os.environ.setdefault(key.strip(), value)


class Lines(logging.Formatter):
    """Log lines as "12:00:04  message", in colour where it helps."""

    def __init__(self, colours: bool) -> None:
        super().__init__("%(asctime)s  %(message)s", "%H:%M:%S")
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        colour = COLOURS.get(record.levelno)
        if self._colours and colour:
            return f"\x1b[{colour}m{text}\x1b[0m"
        return text


def set_up_logging(level: str, colours: bool | None) -> None:
    """Send this package's log to standard error.

    colours: None asks the terminal, and NO_COLOR.
    """
    if colours is None:
        colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(colours))
    log = logging.getLogger("asgi_ref")
    log.handlers[:] = [handler]
    log.setLevel(level.upper())
    log.propagate = False
