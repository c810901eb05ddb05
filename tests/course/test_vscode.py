"""The settings for VS Code: what F5 starts is there."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from asgi_ref import config

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(file.parent for file in ROOT.glob("chapters/*/exercise.py"))


def read(name):
    return json.loads((ROOT / ".vscode" / name).read_text(encoding="utf-8"))


LAUNCHED = read("launch.json")["configurations"]
every_launch = pytest.mark.parametrize(
    "launch", LAUNCHED, ids=[launch["name"] for launch in LAUNCHED]
)


@every_launch
def test_a_launch_steps_into_everything(launch):
    assert (launch["type"], launch["request"]) == ("debugpy", "launch")
    assert launch["justMyCode"] is False
    assert launch["cwd"] == "${workspaceFolder}"


@every_launch
def test_what_is_launched_is_there(launch):
    assert ("module" in launch) != ("program" in launch)
    if "module" in launch:
        assert importlib.util.find_spec(f"{launch['module']}.__main__")
        # Since Python 3.12 debugpy does not use sys.settrace, by which the
        # server would notice it.
        assert config.parse(launch["args"]).timeouts is False
    else:
        folder, _, name = launch["program"].partition("/")
        assert folder == "${fileDirname}"
        missing = [f for f in FOLDERS if not (f / name).is_file()]
        assert not missing


def test_names_differ_and_the_page_uses_them():
    names = [launch["name"] for launch in LAUNCHED]
    assert len(set(names)) == len(names) == 3
    page = (ROOT / "chapters" / "setup.md").read_text(encoding="utf-8")
    missing = [name for name in names if name not in page]
    assert not missing


def test_the_tests_are_found():
    settings = read("settings.json")
    assert settings["python.testing.pytestEnabled"] is True
    arguments = settings["python.testing.pytestArgs"]
    assert [name for name in arguments if not (ROOT / name).is_dir()] == []


def test_a_debugger_finds_the_package_by_its_path(tmp_path):
    """`tbreak asgi_ref/request.py:1` looks for that path in sys.path.

    Installed as the README says, the root is there: pyproject.toml has
    package-dir = {"" = "."}; without it setuptools makes an import hook.
    """
    code = "import sys, asgi_ref; print(asgi_ref.__file__, *sys.path, sep='|')"
    command = [sys.executable, "-c", code]
    env = {"PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    file, *path = done.stdout.strip().split("|")
    if Path(file) != ROOT / "asgi_ref" / "__init__.py":
        pytest.skip("this Python has no editable install of the package")
    assert str(ROOT) in path
