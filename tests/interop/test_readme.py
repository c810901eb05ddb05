"""The README's application, taken from the README and served as it says."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from conftest import PATIENCE, ROOT, Server

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAIN = re.search(r"```python\n(import asyncio.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder: Path = tmp_path_factory.mktemp("readme")
    assert MAIN is not None
    (folder / "main.py").write_text(MAIN[1], encoding="utf-8")
    server = Server("main:app", "--app-dir", str(folder), "--port", "0")
    server.find_url()
    with httpx.Client(base_url=server.url) as client:
        yield client
    server.stop()


def test_path_and_query(client):
    answer = client.get("/items/7", params={"q": "a"})
    assert answer.json() == {"number": 7, "q": "a"}


def test_a_path_of_the_wrong_type(client):
    assert client.get("/items/seven").status_code == 422


def test_json_background_task_and_state(client):
    item = {"name": "tea", "price": 3.5}
    assert client.post("/items", json=item).json() == {"written": "tea"}
    # The task runs behind the answer, and nobody waits for it but we.
    deadline = time.monotonic() + PATIENCE
    while not (log := client.get("/log").json()):
        assert time.monotonic() < deadline
    assert log == ["tea"]


def test_stream(client):
    with client.stream("GET", "/count") as answer:
        assert "".join(answer.iter_text()) == "0\n1\n2\n"


def test_long_poll(client):
    with ThreadPoolExecutor() as pool:
        news = pool.submit(client.get, "/news")
        assert client.post("/news").json() == {"told": True}
        assert news.result(PATIENCE).json() == {"news": "there is news"}


def test_the_documentation_page(client):
    assert "swagger" in client.get("/docs").text.lower()
