"""Load an application; say what was probably meant if there is none.

    load("main:app")                      what lies there
    load("main:make_app", factory=True)   what it returns when it is called
    load("main:ap")       TargetError: main has no "ap". Did you mean "app"?
    load("main:zzz")      TargetError: main has no "zzz".
    load("mian:app")      TargetError: no module named "mian"
    load("orders:app")    orders.py is there, but it imports what is not: its
                          own error comes out as it is

Suggest only what can be called, and no name that begins with "_". Python can
compare: `difflib.get_close_matches("ap", names, n=1)` is ["app"], or [].
"""

import importlib


class TargetError(Exception):
    """There is no application to be had there; the text says why."""


def load(target, factory=False):
    """Return the application that "module:attribute" names."""
    name, attribute = target.split(":")
    try:
        module = importlib.import_module(name)
    except ImportError:
        raise TargetError(f'no module named "{name}"') from None
    return getattr(module, attribute)
