"""The check: a folder with a few modules, and what people type."""

import sys

import pytest

MAIN = """
import types

apps = 2

class Settings:
    pass

async def app(scope, receive, send):
    pass

def make_app():
    return app

def make_late():
    return Settings().url

def _private(scope, receive, send):
    pass
"""
FILES = {
    "main.py": MAIN,
    "orders.py": "import nosuchlib\n",
    "old.py": "from types import nosuchthing\n",
    "silent.py": "raise ModuleNotFoundError('no plug-in')\n",
    "shop/__init__.py": "",
    "shop/main.py": MAIN,
}
MODULES = {file.removesuffix(".py").replace("/", ".") for file in FILES}


@pytest.fixture
def load(answer, tmp_path, monkeypatch):
    for file, text in FILES.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in {"shop", *MODULES}:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield answer.load
    for name in {"shop", *MODULES}:
        sys.modules.pop(name, None)


def refusal(answer, load, target, what, **options):
    """Return the text of a TargetError; `what` helps if there is none."""
    try:
        found = load(target, **options)
    except answer.TargetError as error:
        return str(error)
    except Exception as error:
        pytest.fail(f"load({target!r}) raised {error!r}. {what}")
    pytest.fail(f"load({target!r}) returned {found!r}. {what}")


def test_an_app(load):
    assert load("main:app").__name__ == "app", (
        "main:app is the attribute app of the module main."
    )
    assert load("main:make_app").__name__ == "make_app", (
        "Without factory=True nothing is called: who says that it is a "
        "factory, and not an application that takes no arguments by mistake?"
    )


def test_a_factory(load):
    assert load("main:make_app", factory=True).__name__ == "app", (
        "With factory=True the application is what make_app() returns, and "
        "here it is make_app itself. The server would call it with a scope."
    )


def test_a_factory_that_fails(answer, load):
    try:
        load("main:make_late", factory=True)
    except answer.TargetError as error:
        pytest.fail(
            f"The factory is there, and failed: in it somebody asked for "
            f"Settings().url. What was said is {str(error)!r}."
        )
    except AttributeError:
        return
    pytest.fail("make_late fails when it is called, and nobody noticed.")


def test_the_nearest(answer, load):
    what = "Say that it is not there, and name the nearest: TargetError."
    text = refusal(answer, load, "main:ap", what)
    assert text == 'main has no "ap". Did you mean "app"?', (
        f"There is an app, and what was said is {text!r}."
    )
    text = refusal(answer, load, "main:make_ap", what)
    assert '"make_app"' in text, (
        f"Nearest to make_ap is make_app, and what was said is {text!r}."
    )


@pytest.mark.parametrize(
    "attribute", ["typs", "aps", "_privat", "__nam__", "zzz"]
)
def test_nothing_near(answer, load, attribute):
    what = f"There is no {attribute}: TargetError."
    text = refusal(answer, load, f"main:{attribute}", what)
    suggested = text.partition("Did you mean")[2]
    assert suggested in ("", ' "app"?'), (
        f"That is no application, and never will be: {text!r}. Suggest only "
        'what can be called, and no name that begins with "_".'
    )


def test_no_module(answer, load):
    text = refusal(answer, load, "mian:app", "There is no mian: TargetError.")
    assert "mian" in text, "Say which module there is none of."
    refusal(answer, load, "shop.mian:app", "There is no such module in shop.")
    refusal(
        answer,
        load,
        "shpo.main:app",
        "It is the package that is missing, and with it the target. The "
        "exception's name is then shpo, not shpo.main.",
    )


@pytest.mark.parametrize(
    ("module", "error"),
    [
        ("orders", ModuleNotFoundError),
        ("old", ImportError),
        ("silent", ModuleNotFoundError),
    ],
)
def test_a_module_that_is_there(answer, load, module, error):
    try:
        load(f"{module}:app")
    except answer.TargetError as said:
        pytest.fail(
            f"{module}.py is there. Who reads {str(said)!r} looks for a "
            "typing error and finds none. It is an import in it that failed: "
            "let its error out."
        )
    except error:
        return
    except Exception as other:
        pytest.fail(f"The error became another one on its way: {other!r}.")
