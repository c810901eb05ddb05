"""The command line: from words to settings, and the words for the screen.

Flags have uvicorn's names where the thing is the same. What is not known is
refused, with the nearest flag that is.

It starts nothing: `__main__` does.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from . import __version__
from .response import BadResponse, OwnLines
from .server import Settings
from .target import nearest

Add = Callable[..., argparse.Action]

INTERFACES = ("auto", "asgi3", "asgi2", "wsgi")
ASGI_ONLY = (
    *("lifespan", "limit_concurrency", "limit_max_requests", "middleware"),
    *("ws_max_size", "ws_ping_interval", "ws_ping_timeout"),
    *("ws_per_message_deflate", "ssl_certfile", "proxy_headers"),
    *("check", "trace", "step", "watchdog"),
)
# A flag that says nothing without another one.
NEEDS = {
    "reload_dir": "reload",
    "reload_include": "reload",
    "reload_exclude": "reload",
    "reload_delay": "reload",
    "ssl_keyfile": "ssl_certfile",
    "ssl_keyfile_password": "ssl_certfile",
    "ssl_ca_certs": "ssl_certfile",
    "ssl_cert_reqs": "ssl_certfile",
    "forwarded_allow_ips": "proxy_headers",
}
UVICORN = """
    --http --http2 --loop --ws --ws-max-queue --log-config --ssl-version
    --ssl-ciphers --h11-max-incomplete-event-size --reset-contextvars
    --timeout-worker-healthcheck --limit-max-requests-jitter
""".split()
LEVELS = ("critical", "error", "warning", "info", "debug")
COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = argparse.ArgumentParser(
        prog="python -m asgi_ref",
        usage="%(prog)s [APP] [FLAGS]    (--help shows the flags)",
        description="Serve an ASGI or WSGI application; without APP, a demo."
        " `doctor APP` says what would be served.",
        allow_abbrev=False,
    )
    p.add_argument("app", nargs="?", metavar="APP", help="main:app")
    p.add_argument(
        "--version", action="version", version=f"asgi_ref {__version__}"
    )
    add_application(p.add_argument_group("the application").add_argument)
    add_address(p.add_argument_group("where to listen").add_argument)
    add_processes(p.add_argument_group("processes").add_argument)
    add_tls(p.add_argument_group("TLS").add_argument)
    add_proxy(p.add_argument_group("behind a proxy").add_argument)
    add_limits(p.add_argument_group("limits (bytes, seconds)").add_argument)
    add_websocket(p.add_argument_group("WebSocket").add_argument)
    add_output(p.add_argument_group("what is sent and shown").add_argument)
    add_insight(p.add_argument_group("what goes on inside").add_argument)
    for action in p._actions:
        value = getattr(Settings, action.dest, None)
        if type(value) in (int, float):
            action.help = f"{action.help} (default: {value:.10g})"
    return p


def add_application(add: Add) -> None:
    """Add the flags about the application."""
    add("--app-dir", default=".", metavar="DIR", help="where to look for APP")
    add("--factory", action="store_true", help="call APP to get the app")
    what = "how APP is called; default: auto, seen from its arguments"
    add("--interface", choices=INTERFACES, default="auto", help=what)
    what = "tell APP of start and end; default: auto, if it knows them"
    choices = "auto", "on", "off"
    add("--lifespan", choices=choices, default="auto", help=what)
    what = "the part of each path before APP's own, as in /api"
    add("--root-path", default="", metavar="PATH", help=what)
    what = "wrap APP in module:factory(APP); the first is the outermost"
    shown = {"metavar": "FACTORY", "help": what}
    add("--middleware", action="append", default=[], **shown)
    what = "set KEY=VALUE lines first"
    add("--env-file", type=existing, metavar="FILE", help=what)


def add_address(add: Add) -> None:
    """Add the flags about the listening socket."""
    add("--host", default="127.0.0.1", help="0.0.0.0: every interface")
    add("--port", type=port, default=8000, help="0: any free one")
    add("--uds", metavar="PATH", help="a unix socket instead")
    add("--fd", type=int, help="an open listening socket instead")
    add("--backlog", type=backlog, default=2048, help="clients that may wait")


def add_processes(add: Add) -> None:
    """Add the flags about processes, and those that they use themselves."""
    what = "start again when a file has changed"
    add("--reload", action="store_true", help=what)
    shown: dict[str, Any] = {"action": "append", "metavar": "DIR"}
    what = "watch this folder (default: the one of --app-dir)"
    add("--reload-dir", type=existing, help=what, **shown)
    shown["metavar"] = "PATTERN"
    add("--reload-include", help="watch also, as in '*.html'", **shown)
    add("--reload-exclude", help="do not watch", **shown)
    time = {"type": seconds, "metavar": "SECONDS"}
    add("--reload-delay", **time, help="between looks (default: 0.25)")
    what = "processes that share the port; SIGHUP renews them"
    add("--workers", type=positive, default=1, metavar="N", help=what)
    what = "end after so many; with --workers, another takes over"
    add("--limit-max-requests", type=positive, metavar="N", help=what)
    hidden = argparse.SUPPRESS
    add("--child", choices=("reload", "worker"), help=hidden)
    add("--parent-fd", type=int, help=hidden)
    add("--banner", help=hidden)


def add_tls(add: Add) -> None:
    """Add the flags about TLS."""
    file: dict[str, Any] = {"metavar": "FILE"}
    add("--ssl-certfile", **file, help="speak TLS; who we are, in PEM")
    add("--ssl-keyfile", **file, help="its key, if that is another file")
    what = "what the key is locked with; others can see it in the process list"
    add("--ssl-keyfile-password", metavar="WORD", help=what)
    add("--ssl-ca-certs", **file, help="who signs the clients' certificates")
    what = "must clients have one? none, optional or required (default: none)"
    add("--ssl-cert-reqs", type=cert_reqs, metavar="HOW", help=what)


def add_proxy(add: Add) -> None:
    """Add the flags about what a proxy says of its clients."""
    what = "believe X-Forwarded-For and -Proto (default: do not)"
    flag: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
    add("--proxy-headers", **flag, help=what)
    what = "of these alone: addresses, networks, * (default: this machine)"
    add("--forwarded-allow-ips", metavar="LIST", help=what)


def add_limits(add: Add) -> None:
    """Add the flags about limits."""
    time = {"type": seconds, "metavar": "SECONDS"}
    what = "a request's line and headers"
    add("--limit-head", type=positive, metavar="BYTES", help=what)
    what = "above it the answer is 503 (default: no limit)"
    add("--limit-concurrency", type=positive, metavar="N", help=what)
    what = "with --interface wsgi: connections at a time (default: 40)"
    add("--threads", type=positive, metavar="N", help=what)
    add("--timeout-header", **time, help="until a request's headers are here")
    add("--timeout-keep-alive", **time, help="until the next request")
    what = "for requests to finish after Ctrl+C"
    add("--timeout-graceful-shutdown", **time, help=what)
    flag: dict[str, Any] = {"action": "store_false", "default": None}
    what = "a client may take its time, as under a debugger"
    add("--no-timeouts", dest="timeouts", **flag, help=what)


def add_websocket(add: Add) -> None:
    """Add the flags about WebSocket."""
    time = {"type": seconds, "metavar": "SECONDS"}
    add("--ws-max-size", type=positive, metavar="BYTES", help="a message")
    add("--ws-ping-interval", **time, help="0: never")
    what = "for the answer to a ping; 0: none"
    add("--ws-ping-timeout", **time, help=what)
    add("--ws-per-message-deflate", action=argparse.BooleanOptionalAction)


def add_output(add: Add) -> None:
    """Add the flags about responses and the log."""
    flag = argparse.BooleanOptionalAction
    shown = {"metavar": '"Name: value"', "help": "for every response"}
    add("--header", dest="headers", action="append", type=header, **shown)
    add("--server-header", action=flag)
    add("--date-header", action=flag)
    add("--access-log", action=flag)
    add("--log-level", choices=LEVELS, default="info")
    add("--use-colors", action=flag)


def add_insight(add: Add) -> None:
    """Add the flags for those who want to see what goes on."""
    what = "show each byte and message; --trace=FILE writes JSON lines"
    add("--trace", nargs="?", const="-", metavar="=FILE", help=what)
    add("--step", action="store_true", help="stop before each message")
    what = "say who breaks the ASGI specification, the app or the server"
    add("--check", action="store_true", help=what)
    what = "say who blocks the loop for longer, with file and line"
    add("--watchdog", type=seconds, metavar="SECONDS", help=what)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the command line as a namespace.

    Raises SystemExit(2) with a message when it makes no sense.
    """
    p = parser()
    doctor = arguments[:1] == ["doctor"]
    # The name of its file is optional, and must not be taken for APP.
    words = ["--trace=-" if word == "--trace" else word for word in arguments]
    options, unknown = p.parse_known_args(words[doctor:])
    options.doctor = doctor
    if unknown:
        refuse_unknown(p, unknown[0])
    for name, other in NEEDS.items():
        if getattr(options, name) is not None and not getattr(options, other):
            p.error(f"argument {flag(name)}: only with {flag(other)}")
    if options.reload and options.workers > 1:
        p.error("argument --workers: not with --reload")
    if options.reload and options.limit_max_requests:
        p.error("argument --limit-max-requests: not with --reload")
    if options.step and options.workers > 1:
        p.error("argument --step: not with --workers")
    if options.step:
        options.timeouts = False  # a client waits as long as you look
    if options.threads and options.interface != "wsgi":
        p.error("argument --threads: only with --interface wsgi")
    if options.interface == "wsgi":
        refuse_asgi_only(p, options)
    root_path = options.root_path.strip("/")
    options.root_path = f"/{root_path}" if root_path else ""
    return options


def refuse_asgi_only(
    p: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    """End with status 2 if a flag means nothing to the blocking server."""
    for name in ASGI_ONLY:
        if getattr(options, name) != p.get_default(name):
            p.error(f"argument {flag(name)}: not with --interface wsgi")


def flag(name: str) -> str:
    """Return "--app-dir" for "app_dir"."""
    return f"--{name.replace('_', '-')}"


def refuse_unknown(p: argparse.ArgumentParser, word: str) -> NoReturn:
    """End with status 2, naming the flag that was probably meant."""
    typed = word.partition("=")[0]
    if typed in UVICORN:
        p.error(f"{typed}: only uvicorn has it")
    shown = [a for a in p._actions if a.help is not argparse.SUPPRESS]
    flags = [text for action in shown for text in action.option_strings]
    near = nearest(typed, flags, 0.7)
    meant = f" (did you mean {near}?)" if near else ""
    p.error(f"unknown: {word}{meant}")


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


def backlog(text: str) -> int:
    """Return a number for listen(), which takes a C int; or ValueError."""
    number = positive(text)
    if number >= 2**31:
        raise argparse.ArgumentTypeError(f"{text} is too large")
    return number


def existing(path: str) -> str:
    """Return a path that is there."""
    if not os.path.exists(path):
        raise argparse.ArgumentTypeError(f"no such file: {path}")
    return path


def cert_reqs(text: str) -> str:
    """Return none, optional or required; uvicorn has numbers for them."""
    names = ("none", "optional", "required")
    name = names[int(text)] if text in ("0", "1", "2") else text
    if name not in names:
        raise argparse.ArgumentTypeError(f"{text}: {', '.join(names)}?")
    return name


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
        OwnLines([pair])
    except BadResponse as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return pair


def load_env(path: str) -> None:
    """Set environment variables from KEY=VALUE lines; set ones stay.

    Raises OSError: no such file, or the line that makes no sense.
    """
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                set_variable(line.decode("utf-8-sig").strip())
            except ValueError as error:
                place = f"{path}, line {number}"
                raise OSError(f"{place}: {error}") from None


def set_variable(line: str) -> None:
    """Set an environment variable from KEY=VALUE.

    Raises ValueError: it has no name, or a NUL.
    """
    key, equals, value = line.removeprefix("export ").partition("=")
    if not equals or key.startswith("#"):
        return
    if not key.strip():
        raise ValueError('no name before the "="')
    os.environ.setdefault(key.strip(), unquoted(value))


def unquoted(value: str) -> str:
    """Return what is in the quotes; without quotes, what is no comment."""
    quote = value.strip()[:1]
    if quote in ("'", '"') and value.count(quote) > 1:
        return value.split(quote)[1]
    return re.split(r"\s#", value)[0].strip()


class Lines(logging.Formatter):
    """Log lines as "12:00:04  message", in colour where it helps."""

    def __init__(self, colours: bool, pid: bool) -> None:
        who = "%(process)d  " if pid else ""
        super().__init__(f"%(asctime)s  {who}%(message)s", "%H:%M:%S")
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        colour = COLOURS.get(record.levelno)
        if self._colours and colour:
            return f"\x1b[{colour}m{text}\x1b[0m"
        return text


def set_up_logging(
    level: str, colours: bool | None, pid: bool = False
) -> None:
    """Send this package's log to standard error.

    colours: None asks the terminal, and NO_COLOR. pid: say which process.
    """
    if colours is None:
        colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(colours, pid))
    log = logging.getLogger("asgi_ref")
    log.handlers[:] = [handler]
    log.setLevel(level.upper())
    log.propagate = False
