"""The check: files are looked at, and a broken one is described."""

import pytest

AT_FIRST = {"main.py": 100, "prices.py": 100}


def looks(answer, *after):
    """Return what each look answers; the files are given as changes."""
    watch = answer.Watch(dict(AT_FIRST))
    files, answers = dict(AT_FIRST), []
    for change in after:
        files.update(change)
        found = {name: time for name, time in files.items() if time}
        answers.append(list(watch.look(found)))
    return answers


def test_nothing_has_changed(answer):
    assert looks(answer, {}, {}) == [[], []], (
        "No file has changed, and the server is started again."
    )


def test_too_early(answer):
    first, *_ = looks(answer, {"main.py": 101}, {})
    assert first == [], (
        "main.py has changed, and the server is started at once. The second "
        "file is still being saved: wait for a look that finds nothing new."
    )


def test_it_is_told_once(answer):
    _, second, third = looks(answer, {"main.py": 101}, {}, {})
    assert second == ["main.py"], (
        "main.py has changed, and one look later nothing did: it is time to "
        f"start again, but the answer is {second}."
    )
    assert third == [], (
        "Nothing has changed since the restart, and the server is started "
        "once more."
    )


def test_one_after_the_other(answer):
    burst = {"prices.py": 101}, {"main.py": 102}, {}
    assert looks(answer, *burst)[:2] == [[], []], (
        "The second file is still being saved, and the server is started "
        "already: it imports one new file and one old one."
    )
    *_, last = looks(answer, *burst)
    assert last == ["main.py", "prices.py"], (
        "prices.py and then main.py have changed; the answer is "
        f"{last}. What the first look has found is forgotten."
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"new.py": 101}, "new.py has come"),
        ({"prices.py": None}, "prices.py has gone"),
    ],
)
def test_what_comes_and_goes(answer, change, what):
    *_, last = looks(answer, change, {})
    assert last == list(change), f"{what}: that is a change, too."


def test_an_older_file(answer):
    *_, last = looks(answer, {"prices.py": 50}, {})
    assert last == ["prices.py"], (
        "prices.py was restored from a copy, and that has an older time. "
        "Another time is another file, also when it is older."
    )


def error_in(source):
    """Return what Python says about a source."""
    with pytest.raises(SyntaxError) as caught:
        compile(source, "/srv/shop/main.py", "exec")
    return caught.value


def test_a_syntax_error(answer):
    line = answer.headline(error_in("x = 1\n\n    def (:\n"))
    assert line == "IndentationError, main.py line 3: def (:", (
        f"The log says {line!r}. What kind of error is it, in which file and "
        "line, and what stands there?"
    )
    line = answer.headline(error_in("def (:\n"))
    assert line == "SyntaxError, main.py line 1: def (:"


def test_an_error_without_a_text(answer):
    error = SyntaxError("too many nested blocks")
    error.filename, error.lineno = "/srv/shop/main.py", 7
    try:
        line = answer.headline(error)
    except (TypeError, AttributeError) as failed:
        pytest.fail(
            f"headline raised {failed!r}: not every SyntaxError has a text. "
            "Say its message instead."
        )
    assert line == "SyntaxError, main.py line 7: too many nested blocks", (
        f"This error has no text, so its message belongs there: {line!r}."
    )
