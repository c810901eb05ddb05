"""The check: applications that change the scope, and some that do not."""

import asyncio
import threading

import pytest


def scope_now(**more):
    """Return a scope that nobody has touched."""
    return {
        "type": "http",
        "path": "/api/items",
        "root_path": "",
        "headers": [(b"host", b"a")],
        "state": {"visits": [], "lock": threading.Lock()},
        **more,
    }


def reports(answer, app, scope):
    """Call an application through the middleware; return the reports."""
    found = []
    try:
        asyncio.run(answer.watch(app, found.append)(scope, None, None))
    except TypeError as error:
        pytest.fail(
            "Rule 3: what is in the state cannot always be copied, and need "
            f"not be. The application was not called: {error}"
        )
    return found


def check(answer, app, wanted, why):
    """Call an application, and compare what is reported."""
    found = reports(answer, app, scope_now())
    assert sorted(found) == sorted(wanted), (
        f"{why} Reported was {found}, and should be {wanted}."
    )


async def behaves(scope, receive, send):
    """Copy, then change the copy; and use the state."""
    inner = {**scope, "path": "/items", "root_path": "/api"}
    inner["headers"] = [*scope["headers"], (b"x", b"1")]
    scope["state"]["visits"].append("ann")
    scope["state"]["user"] = "ann"


async def cuts(scope, receive, send):
    scope["root_path"] = "/api"
    scope["path"] = scope["path"].removeprefix("/api")


async def same_again(scope, receive, send):
    scope["path"] = "/api" + "/items"
    scope["headers"] = list(scope["headers"])


def test_the_application_gets_the_scope_itself(answer):
    scope, seen = scope_now(), []

    async def looks(scope, receive, send):
        seen.append(scope)

    reports(answer, looks, scope)
    assert any(got is scope for got in seen), (
        "Rule 1: the application must get the scope itself, not a copy. A "
        "copy would mend what is to be reported."
    )


def test_values_that_were_changed(answer):
    wanted = ["path", "root_path"]
    why = (
        "The application wrote a path and a root_path into the scope. "
        "Remember what was there before it is called. A second name for a "
        "dict is not a second dict."
    )
    check(answer, cuts, wanted, why)


def test_keys_that_came_and_went(answer):
    async def adds(scope, receive, send):
        scope["user"] = None
        del scope["root_path"]

    why = "A key was added, with the value None, and another was taken out."
    check(answer, adds, ["user", "root_path"], why)


def test_a_list_of_headers_that_grew(answer):
    async def appends(scope, receive, send):
        scope["headers"].append((b"x-user", b"ann"))

    why = (
        "Rule 2: the list is the same, and has one header more. A copy of the "
        "scope alone has the same list in it."
    )
    check(answer, appends, ["headers"], why)


def test_an_application_that_behaves(answer):
    why = (
        "This application copied before it changed, and what it put into the "
        "state is its own (rule 3)."
    )
    check(answer, behaves, [], why)


def test_a_value_that_is_equal(answer):
    why = "A value that is equal to the one before is no other value."
    check(answer, same_again, [], why)


def test_headers_of_another_type_or_none(answer):
    async def nothing(scope, receive, send):
        pass

    for scope in scope_now(headers=((b"host", b"a"),)), {"type": "lifespan"}:
        found = reports(answer, nothing, scope)
        assert found == [], (
            f"Nothing was changed, and {found} was reported: headers may be "
            "a tuple, and the scope of lifespan has none."
        )


def test_an_application_that_raises(answer):
    async def raises(scope, receive, send):
        scope["path"] = "/"
        raise ValueError("on purpose")

    found = []
    call = answer.watch(raises, found.append)
    with pytest.raises(ValueError, match="on purpose"):
        asyncio.run(call(scope_now(), None, None))
    assert found == ["path"], (
        f"Rule 4: the application raised, and {found} was reported. What it "
        "did before stays done: report it however the call ends."
    )
