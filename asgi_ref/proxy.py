"""Proxy headers: who the client is, if a proxy stands in between.

    client 203.0.113.9  ─▶  proxy 10.0.0.2  ─▶  server
                            X-Forwarded-For: 203.0.113.9
                            X-Forwarded-Proto: https

Behind a proxy every connection comes from the proxy. It writes down whom it
serves, in fields that any client can write, too. So they are believed only if
the connection's own peer is trusted, and only as far as trust goes: from the
right, where the peer wrote, to the first address that is not trusted.

It does not read Forwarded (RFC 7239): a proxy that writes the one passes the
other on as the client wrote it, so who believes both believes the client. It
does not read X-Forwarded-Host, -Port or -Prefix: a proxy can pass on Host, and
the prefix is the server's root_path. It removes no field.

Source: ASGI 3.0, "Middleware"; ASGI HTTP and WebSocket message format 2.5,
"HTTP Connection Scope". The fields themselves are in no standard.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from .contract import App, Receive, Scope, Send

EVERYBODY = "*"
UNIX = "unix"  # the client of a unix socket, which has no address
HOPS = 20  # elements of a list that are looked at, from the right
CACHED = 1024  # hosts whose trust is remembered

# What a proxy may call the scheme, and what a scope calls it.
SCHEMES = {
    "http": {"http": "http", "https": "https"},
    "websocket": {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"},
}
# [2001:db8::1]:443 or 192.0.2.1:443; the port may be missing.
HOST_PORT = re.compile(r"(?:\[([^]]*)\]|([^:]*))(?::(\d{1,5}))?")


class ProxyHeaders:
    """Middleware: an application around an application.

    trusted: whose word is taken, with commas between: addresses, networks as
    in 10.0.0.0/8, "unix" for the client of a unix socket, "*" for everybody.

    Raises ValueError: trusted has something else in it.
    """

    def __init__(self, app: App, trusted: str = "127.0.0.1,::1") -> None:
        names = {name.strip() for name in trusted.split(",")}
        addresses = names - {EVERYBODY, UNIX}
        self._app = self.__wrapped__ = app
        self._everybody = EVERYBODY in names
        self._unix = UNIX in names
        self._networks = [network(name) for name in sorted(addresses)]
        self._trusts = lru_cache(CACHED)(self._is_trusted)

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Call the application, with a scope that says who the client is."""
        if scope["type"] in SCHEMES:
            peer = scope.get("client")
            if self._trusts(peer[0] if peer else None):
                # A copy: who called us may go on using theirs.
                scope = {**scope, **self._told(scope)}
        await self._app(scope, receive, send)

    def _told(self, scope: Scope) -> dict[str, Any]:
        told: dict[str, Any] = {}
        client = self._client(elements(scope, b"x-forwarded-for"))
        if client is not None:
            told["client"] = client
        # The last one is the peer's own word.
        said = elements(scope, b"x-forwarded-proto")[-1].lower()
        scheme = SCHEMES[scope["type"]].get(said)
        if scheme is not None:
            told["scheme"] = scheme
        return told

    def _client(self, hops: list[str]) -> tuple[str, int] | None:
        client = None
        for hop in reversed(hops):
            address = host_and_port(hop)
            if address is None:
                break  # whoever wrote this did not say who it was
            client = address
            if not self._trusts(client[0]):
                break  # what is left of it, this one may have made up
        return client

    def _is_trusted(self, host: str | None) -> bool:
        if self._everybody:
            return True
        if host is None:
            return self._unix
        found = ip(host.partition("%")[0])  # fe80::1%eth0 has our eth0 in it
        if found is None:
            return False
        return any(found in network for network in self._networks)


def network(name: str) -> IPv4Network | IPv6Network:
    """Return the network of a name; an address is a network of one.

    Raises ValueError.
    """
    try:
        if "%" in name:
            raise ValueError("it would be trusted on every interface")
        return ip_network(ip(name) or name)
    except ValueError as error:
        raise ValueError(
            f'"{name}" names no proxy ({error}): trusted are addresses,'
            ' networks as in 10.0.0.0/8, "unix" and "*"'
        ) from None


def elements(scope: Scope, name: bytes) -> list[str]:
    """Return the last elements of a list in a scope's headers, or [""].

    A list may go on in a further field line (RFC 9110, section 5.3).
    """
    lines = [value for field, value in scope["headers"] if field == name]
    whole = b",".join(lines).decode("latin-1")
    return [element.strip(" \t") for element in whole.split(",")[-HOPS:]]


def host_and_port(hop: str) -> tuple[str, int] | None:
    """Return an element of X-Forwarded-For as a scope says it.

    Without a port it is 0. None: it is no address.
    """
    match = HOST_PORT.fullmatch(hop)
    host, port = (match[1] or match[2], match[3]) if match else (hop, None)
    found = ip(host)
    if found is None or int(port or 0) > 65535:
        return None
    return str(found), int(port or 0)


def ip(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, or None if it is none.

    ::ffff:192.0.2.1 is 192.0.2.1: an IPv6 socket says so of IPv4 clients.
    """
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return None if found.scope_id else found.ipv4_mapped or found
    return found
