"""The command line and the log: from words to settings, and to the screen."""

import io
import logging
import os
import re
import sys

import pytest

from asgi_ref import __version__, config
from asgi_ref.config import parse, settings
from asgi_ref.server import Settings


def refusal(capsys, *arguments):
    """Return what is said about a command line that makes no sense."""
    with pytest.raises(SystemExit) as ended:
        parse(list(arguments))
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


# Flags.


def test_without_arguments():
    options = parse([])
    assert options.app is None
    assert options.app_dir == "."
    assert options.factory is False
    assert options.interface == "auto"
    assert options.env_file is None
    assert (options.host, options.port) == ("127.0.0.1", 8000)
    assert (options.uds, options.fd) == (None, None)
    assert options.backlog == 2048
    assert options.log_level == "info"
    assert options.use_colors is None


def test_what_was_not_said_keeps_the_servers_default():
    assert settings(parse([])) == Settings()


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ("main:app", "app", "main:app"),
        ("--app-dir src", "app_dir", "src"),
        ("--factory", "factory", True),
        ("--interface asgi2", "interface", "asgi2"),
        ("--interface wsgi", "interface", "wsgi"),
        ("--interface wsgi --threads 3", "threads", 3),
        ("--host ::1", "host", "::1"),
        ("--port 0", "port", 0),
        ("--port 65535", "port", 65535),
        ("--uds app.sock", "uds", "app.sock"),
        ("--fd 3", "fd", 3),
        ("--backlog 16", "backlog", 16),
        ("--log-level debug", "log_level", "debug"),
        ("--use-colors", "use_colors", True),
        ("--no-use-colors", "use_colors", False),
        ("--reload", "reload", True),
        ("--reload --reload-dir . --reload-dir /", "reload_dir", [".", "/"]),
        ("--reload --reload-include *.html", "reload_include", ["*.html"]),
        ("--reload --reload-exclude x", "reload_exclude", ["x"]),
        ("--reload --reload-delay 1.5", "reload_delay", 1.5),
        ("--workers 4", "workers", 4),
        ("--limit-max-requests 100", "limit_max_requests", 100),
        ("--ssl-certfile x --ssl-keyfile y", "ssl_keyfile", "y"),
        ("--proxy-headers", "proxy_headers", True),
        ("--no-proxy-headers", "proxy_headers", False),
        ("--middleware a:b --middleware c:d", "middleware", ["a:b", "c:d"]),
        ("--check", "check", True),
        ("--watchdog 0.5", "watchdog", 0.5),
    ],
)
def test_flags_of_the_command_line(arguments, name, value):
    assert getattr(parse(arguments.split()), name) == value


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ("--lifespan on", "lifespan", "on"),
        ("--lifespan off", "lifespan", "off"),
        ("--root-path /api", "root_path", "/api"),
        ("--root-path /api/", "root_path", "/api"),
        ("--root-path api", "root_path", "/api"),
        ("--root-path api/v1", "root_path", "/api/v1"),
        ("--root-path /", "root_path", ""),
        ("--limit-head 1000", "limit_head", 1000),
        ("--limit-concurrency 7", "limit_concurrency", 7),
        ("--timeout-header 1.5", "timeout_header", 1.5),
        ("--timeout-keep-alive 0", "timeout_keep_alive", 0),
        ("--timeout-graceful-shutdown 2", "timeout_graceful_shutdown", 2),
        ("--no-timeouts", "timeouts", False),
        ("--no-access-log", "access_log", False),
        ("--access-log", "access_log", True),
        ("--no-server-header", "server_header", False),
        ("--no-date-header", "date_header", False),
        ("--header X-One:1", "headers", ((b"X-One", b"1"),)),
        ("--ws-max-size 1000", "ws_max_size", 1000),
        ("--ws-ping-interval 0", "ws_ping_interval", 0),
        ("--ws-ping-timeout 1.5", "ws_ping_timeout", 1.5),
        ("--no-ws-per-message-deflate", "ws_per_message_deflate", False),
    ],
)
def test_flags_that_become_settings(arguments, name, value):
    found = settings(parse(["main:app", *arguments.split()]))
    assert getattr(found, name) == value


def test_headers_may_be_repeated_and_keep_their_order():
    found = settings(
        parse(["--header", "X-One: 1", "--header", "X-Two:  a: b "])
    )
    assert found.headers == ((b"X-One", b"1"), (b"X-Two", b"a: b"))


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        parse(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"asgi_ref {__version__}\n"


def test_the_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for name in Settings.__dataclass_fields__:
        flag = {"headers": "header", "timeouts": "no-timeouts"}.get(name, name)
        assert "--" + flag.replace("_", "-") in text


def test_the_help_tells_defaults_and_what_a_header_looks_like(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert '--header "Name: value"' in text
    for flag, default in [
        ("--limit-head BYTES", "65536"),
        ("--timeout-keep-alive SECONDS", "5"),
        ("--ws-max-size BYTES", "16777216"),
    ]:
        assert re.search(f"{flag} [^(]+ \\(default: {default}\\)", text)
    for flag in ["interface", "lifespan"]:
        assert re.search(f"--{flag} {{[^}}]+}} .*; default: auto", text)
    assert re.search(r"--root-path PATH [a-z]", text)


# Words that make no sense.


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--prot", "--port"),
        ("--prot=9", "--port"),
        ("--hots", "--host"),
        ("--app_dir", "--app-dir"),
        ("--no-acces-log", "--no-access-log"),
        ("--timeout-keepalive", "--timeout-keep-alive"),
        ("--use-colours", "--use-colors"),
    ],
)
def test_an_unknown_flag_names_the_nearest(capsys, typed, meant):
    text = refusal(capsys, "main:app", typed)
    assert f"unknown: {typed} (did you mean {meant}?)" in text


@pytest.mark.parametrize("typed", ["--qqqq", "--nonsense", "--banana=3"])
def test_an_unknown_flag_that_is_like_no_other(capsys, typed):
    text = refusal(capsys, typed)
    assert f"unknown: {typed}\n" in text
    assert "did you mean" not in text


@pytest.mark.parametrize("typed", ["--http h11", "--loop=uvloop", "--ws auto"])
def test_a_flag_that_only_uvicorn_has(capsys, typed):
    text = refusal(capsys, "main:app", *typed.split())
    flag = re.split("[ =]", typed)[0]
    assert f"error: {flag}: only uvicorn has it\n" in text


def test_a_mistyped_reload(capsys):
    text = refusal(capsys, "main:app", "--reloda")
    assert "unknown: --reloda (did you mean --reload?)\n" in text


def test_flags_of_our_own_children_are_not_proposed(capsys):
    assert "did you mean" not in refusal(capsys, "--chidl")


def test_no_flag_is_both_there_and_not_there():
    known = config.parser()._option_string_actions
    assert not set(config.UVICORN) & set(known)
    assert len(config.UVICORN) == len(set(config.UVICORN))


@pytest.mark.parametrize(
    ("flag", "needs"),
    [
        ("--reload-dir .", "--reload"),
        ("--reload-include *.html", "--reload"),
        ("--reload-exclude x", "--reload"),
        ("--reload-delay 1", "--reload"),
        ("--ssl-keyfile x", "--ssl-certfile"),
        ("--ssl-keyfile-password x", "--ssl-certfile"),
        ("--ssl-ca-certs x", "--ssl-certfile"),
        ("--ssl-cert-reqs 2", "--ssl-certfile"),
        ("--forwarded-allow-ips *", "--proxy-headers"),
        ("--no-proxy-headers --forwarded-allow-ips *", "--proxy-headers"),
    ],
)
def test_a_flag_that_needs_another_one(capsys, flag, needs):
    text = refusal(capsys, "main:app", *flag.split())
    name = flag.split()[-2]
    assert f"error: argument {name}: only with {needs}\n" in text


@pytest.mark.parametrize("flag", ["--reload", "--step"])
def test_one_process_is_not_several(capsys, flag):
    text = refusal(capsys, "main:app", flag, "--workers", "2")
    other = "--workers" if flag == "--reload" else "--step"
    assert f"error: argument {other}: not with --" in text
    assert parse([flag, "--workers", "1"]).workers == 1


def test_the_doctor_is_a_word_of_its_own():
    options = parse(["doctor", "main:app", "--factory"])
    assert (options.doctor, options.app) == (True, "main:app")
    options = parse(["main:app"])
    assert (options.doctor, options.app) == (False, "main:app")
    assert parse(["doctor:app"]).app == "doctor:app"


def test_a_trace_with_and_without_a_file():
    options = parse(["--trace", "main:app"])
    assert (options.trace, options.app) == ("-", "main:app")
    options = parse(["--trace=x.jsonl", "main:app"])
    assert (options.trace, options.app) == ("x.jsonl", "main:app")
    assert parse(["main:app"]).trace is None


def test_who_steps_takes_his_time():
    assert parse(["--step"]).timeouts is False
    assert settings(parse(["--step"])).timeouts is False


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("0", "none"), ("1", "optional"), ("2", "required"), ("none", "none")],
)
def test_uvicorns_numbers_for_client_certificates(typed, meant):
    options = parse(["--ssl-certfile", "x", "--ssl-cert-reqs", typed])
    assert options.ssl_cert_reqs == meant


def test_an_error_comes_after_one_line_of_usage(capsys):
    usage, error = refusal(capsys, "main:app", "--prot").splitlines()
    assert usage.startswith("usage: python -m asgi_ref [APP]")
    assert "--help" in usage
    assert "unknown: --prot" in error


def test_the_beginning_of_a_flag_is_not_the_flag(capsys):
    assert "did you mean --factory?" in refusal(capsys, "--fact")


def test_a_second_app(capsys):
    assert "unknown: other:app" in refusal(capsys, "main:app", "other:app")


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        ("--lifespan on", "--lifespan"),
        ("--limit-concurrency 3", "--limit-concurrency"),
        ("--ws-ping-interval 3", "--ws-ping-interval"),
        ("--ssl-certfile x", "--ssl-certfile"),
        ("--proxy-headers", "--proxy-headers"),
        ("--middleware m:f", "--middleware"),
        ("--limit-max-requests 3", "--limit-max-requests"),
        ("--check", "--check"),
        ("--trace", "--trace"),
        ("--step", "--step"),
        ("--watchdog 1", "--watchdog"),
        ("--no-ws-per-message-deflate", "--ws-per-message-deflate"),
    ],
)
def test_a_flag_that_means_nothing_to_wsgi_is_refused(capsys, arguments, flag):
    text = refusal(capsys, "--interface", "wsgi", *arguments.split())
    assert f"argument {flag}: not with --interface wsgi" in text


@pytest.mark.parametrize(
    "arguments",
    [
        "--port http",
        "--port 65536",
        "--port -1",
        "--port",
        "--fd x",
        "--backlog 0",
        "--backlog 99999999999",
        "--limit-head 0",
        "--threads 0",
        "--threads 3",
        "--limit-concurrency 0",
        "--timeout-header x",
        "--timeout-keep-alive -1",
        "--timeout-graceful-shutdown inf",
        "--timeout-header nan",
        "--interface wsgl",
        "--lifespan maybe",
        "--workers 0",
        "--limit-max-requests 0",
        "--reload-dir no-such-folder",
        "--ssl-cert-reqs 3",
        "--watchdog x",
        "--log-level loud",
        "--header NoColon",
    ],
)
def test_a_bad_value_names_its_flag(capsys, arguments):
    flag = arguments.split()[0]
    assert f"argument {flag}:" in refusal(capsys, *arguments.split())


@pytest.mark.parametrize(
    "value", [": no name", "two words: x", "X: a\r\nY: b", "X: \N{SNOWMAN}"]
)
def test_a_header_that_cannot_be_sent(capsys, value):
    assert "argument --header:" in refusal(capsys, "--header", value)


def test_a_bad_port_says_which_are_good(capsys):
    assert "65536 is not in 0-65535" in refusal(capsys, "--port", "65536")


# The environment file.


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    """Return a function that loads lines; what they set is undone later."""

    def load(text):
        # Nothing tells monkeypatch what load_env will set; so say it here.
        for name in re.findall(r"ASGI_REF_\w+", text):
            if name not in os.environ:
                monkeypatch.setenv(name, "")
                monkeypatch.delenv(name)
        file = tmp_path / ".env"
        file.write_text(text)
        config.load_env(str(file))

    return load


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("ASGI_REF_A=1", "1"),
        ("ASGI_REF_A = spaced ", "spaced"),
        ("ASGI_REF_A='single'", "single"),
        ('ASGI_REF_A="double"', "double"),
        ("ASGI_REF_A=a=b", "a=b"),
        ("ASGI_REF_A=", ""),
        ("ASGI_REF_A=1 # a comment", "1"),
        ("ASGI_REF_A=1\t# it's a comment", "1"),
        ("ASGI_REF_A= # a comment", ""),
        ("ASGI_REF_A=a#b", "a#b"),
        ("ASGI_REF_A='a # b'", "a # b"),
        ('ASGI_REF_A="a # b" # a comment', "a # b"),
        ('ASGI_REF_A="it\'s"', "it's"),
        ("ASGI_REF_A=it's", "it's"),
        ("export ASGI_REF_A=1", "1"),
        ("  export ASGI_REF_A=1", "1"),
    ],
)
def test_a_line_of_the_env_file(env_file, line, value):
    env_file(f"# a comment\n\n{line}\n")
    assert os.environ["ASGI_REF_A"] == value


@pytest.mark.parametrize("line", ["# ASGI_REF_A=1", "#ASGI_REF_A=1", "word"])
def test_a_line_of_the_env_file_that_sets_nothing(env_file, line):
    before = dict(os.environ)
    env_file(line + "\n")
    assert dict(os.environ) == before


def test_a_variable_that_is_set_stays(env_file, monkeypatch):
    monkeypatch.setenv("ASGI_REF_A", "from outside")
    env_file("ASGI_REF_A=from file\nASGI_REF_B=2\n")
    assert os.environ["ASGI_REF_A"] == "from outside"
    assert os.environ["ASGI_REF_B"] == "2"


def test_an_env_file_that_begins_with_a_byte_order_mark(env_file):
    env_file("\ufeffASGI_REF_A=1\n")
    assert os.environ["ASGI_REF_A"] == "1"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"ASGI_REF_A=\xff", "can't decode byte 0xff"),
        (b"ASGI_REF_A=a\0b", "null byte"),
        (b"=a", "no name"),
        (b"  = a", "no name"),
    ],
)
def test_a_line_of_the_env_file_that_makes_no_sense(tmp_path, line, says):
    file = tmp_path / ".env"
    file.write_bytes(b"# a comment\n" + line + b"\n")
    before = dict(os.environ)
    with pytest.raises(OSError, match=says) as caught:
        config.load_env(str(file))
    assert str(caught.value).startswith(f"{file}, line 2: ")
    assert dict(os.environ) == before


def test_the_env_file_of_the_command_line(capsys, tmp_path):
    file = tmp_path / ".env"
    text = refusal(capsys, "--env-file", str(file))
    assert f"argument --env-file: no such file: {file}" in text
    file.touch()
    assert parse(["--env-file", str(file)]).env_file == str(file)


def test_an_env_file_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="no-such-file"):
        config.load_env(str(tmp_path / "no-such-file"))


# The log.


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def log(monkeypatch):
    """Return a function that sets the log up and gives its output."""
    logger = logging.getLogger("asgi_ref")
    before = logger.handlers[:], logger.level, logger.propagate
    monkeypatch.delenv("NO_COLOR", raising=False)

    def set_up(level="info", colours=None, screen=None):
        screen = io.StringIO() if screen is None else screen
        monkeypatch.setattr(sys, "stderr", screen)
        config.set_up_logging(level, colours)
        logger.debug("at debug")
        logging.getLogger("asgi_ref.access").info("at info")
        logger.warning("at %s", "warning")
        logger.error("at error")
        return screen.getvalue()

    yield set_up
    logger.handlers[:], logger.level, logger.propagate = before
    logger.setLevel(before[1])


def test_a_line_is_a_clock_time_and_a_message(log):
    lines = log().splitlines()
    assert [line[8:] for line in lines] == [
        "  at info",
        "  at warning",
        "  at error",
    ]
    for line in lines:
        assert re.fullmatch(r"\d\d:\d\d:\d\d", line[:8])


@pytest.mark.parametrize(
    ("level", "count"), [("debug", 4), ("info", 3), ("error", 1)]
)
def test_levels(log, level, count):
    assert log(level).count("at ") == count


def test_setting_up_twice_does_not_write_twice(log):
    log()
    assert log().count("at error") == 1


def test_no_colours_unless_on_a_terminal(log):
    assert "\x1b" not in log()


def test_colours_on_a_terminal(log):
    text = log(screen=Terminal())
    assert re.search("\x1b\\[33m.*at warning\x1b\\[0m", text)
    assert re.search("\x1b\\[31m.*at error\x1b\\[0m", text)
    assert not re.search("\x1b.*at info", text)


def test_no_color_is_respected(log, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in log(screen=Terminal())


def test_an_empty_no_color_means_nothing(log, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b" in log(screen=Terminal())


def test_the_flag_is_stronger_than_terminal_and_environment(log, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" in log(colours=True)
    assert "\x1b" not in log(colours=False, screen=Terminal())


def test_a_traceback_is_part_of_the_log(log):
    log()
    try:
        raise RuntimeError("db is down")
    except RuntimeError as error:
        logging.getLogger("asgi_ref").error("failed", exc_info=error)
    text = sys.stderr.getvalue()
    assert "Traceback" in text
    assert "RuntimeError: db is down" in text
