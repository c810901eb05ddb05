"""asgi_ref: an ASGI server to read, to step through, and to use.

    python -m asgi_ref main:app        from the command line
    asgi_ref.run(app)                  from code, until Ctrl+C
    await asgi_ref.serve(app)          the same inside a running loop
    async with asgi_ref.running(app) as url:      for tests

The modules are the chapters of the course; the README has the map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .__main__ import run, running, serve

__version__ = "0.1"
__all__ = ["run", "running", "serve"]


def __getattr__(name: str) -> Any:
    # Only when asked for: a parser in a lab should not load a server.
    if name in __all__:
        from . import __main__

        return getattr(__main__, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
