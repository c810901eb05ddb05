"""The check: a small site, served by the real server, under the referee."""

import asyncio
import logging
from pathlib import Path
from urllib.parse import urljoin

import pytest

import asgi_ref
from asgi_ref.referee import Referee

PATH_SEND = "http.response.pathsend"
PAGE, STYLE, SECRET = b"<h1>Course</h1>\n", b"h1 { color: teal }\n", b"hush"


@pytest.fixture
def site(tmp_path):
    """Return a folder with a site in it, and a secret beside it."""
    folder = tmp_path / "site"
    (folder / "glossary").mkdir(parents=True)
    (folder / "_course").mkdir()
    (folder / "empty").mkdir()
    (folder / "index.html").write_bytes(PAGE)
    (folder / "glossary" / "index.html").write_bytes(PAGE * 3)
    (folder / "_course" / "course.css").write_bytes(STYLE)
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "site-old").mkdir()
    (tmp_path / "site-old" / "secret").write_bytes(SECRET)
    return folder


def get(answer, folder, target):
    """Return status, headers and body, through server and socket."""
    log = logging.getLogger("asgi_ref")
    before, log.disabled = log.disabled, True  # our message says it better
    try:
        return asyncio.run(ask(answer.Site(folder), target))
    finally:
        log.disabled = before


async def ask(app, target):
    """Run an application with asgi_ref.running, and send one GET."""
    findings = []
    app = Referee(app, findings.append)
    async with asgi_ref.running(app, lifespan="off") as url:
        host, _, port = url.rpartition("/")[2].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {target} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        data = await reader.read()
        writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {}
    for field in fields:
        name, _, value = field.partition(":")
        headers[name.lower()] = value.strip()
    assert not findings, (
        f"The referee (chapter 22) says of GET {target}: {findings[0].text}"
    )
    return int(line.split()[1]), headers, body


async def messages(app, path, extensions):
    """Return what an application sends, without a server."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "extensions": extensions,
    }
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("target", "body", "kind"),
    [
        ("/", PAGE, "text/html"),
        ("/index.html", PAGE, "text/html"),
        ("/glossary/", PAGE * 3, "text/html"),
        ("/_course/course.css", STYLE, "text/css"),
    ],
)
def test_a_file(answer, site, target, body, kind):
    status, headers, found = get(answer, site, target)
    assert (status, found) == (200, body), (
        f"GET {target} should be answered with 200 and the whole file."
    )
    said = headers.get("content-type", "")
    assert said.partition(";")[0] == kind, (
        f"GET {target} is a file of the type {kind}; a browser that is told "
        f"something else ({said!r}) does not use it."
    )
    assert headers.get("content-length") == str(len(body)), (
        f"GET {target} needs a content-length: without it the client knows "
        "the end only by the end of the connection."
    )


@pytest.mark.parametrize("target", ["/nothing", "/empty/"])
def test_what_is_not_there(answer, site, target):
    status, _, _ = get(answer, site, target)
    assert status == 404, (
        f"GET {target} was answered with {status}. A file that is not there "
        "is the client's mistake (404), not a failure of ours (500)."
    )


def test_a_folder_without_its_slash(answer, site):
    status, headers, _ = get(answer, site, "/glossary")
    assert status in (301, 302, 307, 308), (
        f"GET /glossary was answered with {status}. For a browser the page's "
        "links are relative to /, and lead nowhere: send it to /glossary/, "
        "with a redirect."
    )
    here = "http://site.example/glossary"
    there = urljoin(here, headers.get("location", ""))
    assert there == here + "/", (
        f"The redirect from /glossary leads to {there}, not to {here}/."
    )


def test_a_redirect_stays_on_this_host(answer, site):
    _, headers, _ = get(answer, site, "//glossary")
    there = urljoin("http://site.example/", headers.get("location", "/"))
    assert there.startswith("http://site.example/"), (
        f"GET //glossary is sent to {there}: two slashes at the beginning of "
        "a location mean another host. Whoever makes such a link can send "
        "your visitors anywhere."
    )


@pytest.mark.parametrize(
    "target", ["/../secret", "/%2e%2e/secret", "/glossary/../../secret"]
)
def test_outside(answer, site, target):
    status, _, body = get(answer, site, target)
    assert SECRET not in body, (
        f"GET {target} reads a file that is not below the folder: so could "
        "anybody read your keys. Resolve the path before you compare it."
    )
    assert status == 404, f"GET {target} should be 404, not {status}."


def test_an_absolute_path(answer, site):
    _, _, body = get(answer, site, f"/{site.parent / 'secret'}")
    assert SECRET not in body, (
        "A path that begins with two slashes reads any file of the machine: "
        "Path(folder) / '/etc/passwd' is /etc/passwd."
    )


def test_beside(answer, site):
    _, _, body = get(answer, site, "/../site-old/secret")
    assert SECRET not in body, (
        "GET /../site-old/secret is answered: the folder's name is only the "
        "beginning of that folder's name. Compare paths, not texts."
    )


def test_the_file_is_sent_by_its_path(answer, site):
    app = answer.Site(site)
    sent = asyncio.run(messages(app, "/", {PATH_SEND: {}}))
    assert [message["type"] for message in sent[1:]] == [PATH_SEND], (
        "The server offers http.response.pathsend, and the file was read by "
        "the application, whole, while all other clients waited."
    )
    path = sent[-1].get("path")
    assert path == str(Path(site, "index.html").resolve()), (
        f"http.response.pathsend wants an absolute path as str; got {path!r}."
    )


def test_a_server_that_does_not_offer_it(answer, site):
    sent = asyncio.run(messages(answer.Site(site), "/", {}))
    body = b"".join(message.get("body", b"") for message in sent)
    assert body == PAGE, (
        "This server did not offer http.response.pathsend, so it does not "
        "know that message: then the application reads the file."
    )
