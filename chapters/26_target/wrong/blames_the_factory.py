"""The factory is there, and failed.

Whoever wraps too many lines in one `try` catches other people's errors.
"""

import importlib
from difflib import get_close_matches


class TargetError(Exception):
    """There is no application to be had there; the text says why."""


def load(target, factory=False):
    """Return the application that "module:attribute" names."""
    name, attribute = target.split(":")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise TargetError(f'no module named "{name}"') from None
    try:
        app = getattr(module, attribute)
        return app() if factory else app
    except AttributeError:
        text = no_attribute(module, name, attribute)
        raise TargetError(text) from None


def no_attribute(module, name, attribute):
    """Say that a module lacks an attribute, and what is like it."""
    names = [
        key
        for key, value in vars(module).items()
        if callable(value) and not key.startswith("_")
    ]
    text = f'{name} has no "{attribute}".'
    for near in get_close_matches(attribute, names, n=1):
        text += f' Did you mean "{near}"?'
    return text
