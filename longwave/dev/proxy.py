"""`server.proxy`: hands requests and WebSockets of some paths on to other servers, in development."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from longwave.app.event import Event
from longwave.app.response import PassedResponse
from longwave.app.route import WEBSOCKET, Route
from longwave.app.upgrade import accept_upgrade
from longwave.config.proxies import ProxyRule
from longwave.errors import ConfigError, HTTPError
from longwave.routing.table import Match
from longwave.types import Fields
from longwave.web.proxy import proxy_request
from longwave.web.targets import Target, clean_target, end_to_end, parse_target
from longwave.web.websocket_proxy import create_websocket_proxy

__all__ = ["NAMESPACE", "DevProxy", "Tunnel", "handshake_fields"]

NAMESPACE = "longwave:proxy"
"""Where the peers of proxied WebSockets are: no handler of the project counts them among its own."""


class DevProxy:
    """A source of the app that hands on what the rules say.

    The first rule that matches counts.     A route without parameters comes first, as it does before files.
    """

    def __init__(self, rules: tuple[ProxyRule, ...]) -> None:
        self._rules = [_Rule(rule) for rule in rules]

    def __call__(self, event: Event, match: Match[Any] | None) -> Any:
        """Return the answer of another server, or None."""
        if match is not None and not match.params and (not event.is_upgrade or WEBSOCKET in match.methods):
            return None
        url = clean_target(event.request.target)
        for rule in self._rules:
            if rule.rule.matches(url) and (rule.rule.takes_upgrades or not event.is_upgrade):
                return rule.answer(event, url)
        return None


class Tunnel:
    """Joins WebSockets to another server, which is connected to first."""

    def __init__(
        self, target: Callable[[Event], str], fields: Callable[[Event], Fields], **options: Any
    ) -> None:
        def headers(event: Event) -> list[tuple[str, str]]:
            return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields(event)]

        handler = create_websocket_proxy(
            target, headers=headers, connect="upgrade", namespace=NAMESPACE, websocket_options=options
        )
        self._route = Route("/", "a proxy")
        self._route.add_websocket(handler, False)

    def answer(self, event: Event) -> Any:
        """Accept the WebSocket as the other server does, or refuse it as that does."""
        return accept_upgrade(event.app, event, self._route)


def handshake_fields(event: Event, *others: str) -> Fields:
    """Return what of a handshake's fields goes along: all but what is made anew."""
    fields = end_to_end(event.fields, "content-length", *others)
    return [field for field in fields if not field[0].startswith(b"sec-websocket-")]


class _Rule:
    """One rule, and how its target is asked."""

    def __init__(self, rule: ProxyRule) -> None:
        self.rule = rule
        try:
            self._target = parse_target(rule.target, ("http", "https", "ws", "wss"))
        except ValueError as error:
            raise ConfigError(f"server.proxy: {rule.context}: {error}") from None
        self._tunnel = Tunnel(self._websocket_url, self._handshake_fields, secure=rule.secure)

    def answer(self, event: Event, url: str) -> Any:
        """Return the target's answer, or None where `bypass` says so."""
        bypassed = None if self.rule.bypass is None else self.rule.bypass(event)
        if bypassed is False:
            raise HTTPError(404)
        if isinstance(bypassed, str):
            event.path = bypassed
            event.request.target = quote(bypassed).encode()
            return None
        if event.is_upgrade:
            return self._tunnel.answer(event)
        return self._ask(event, url)

    async def _ask(self, event: Event, url: str) -> PassedResponse:
        rule = self.rule
        return await proxy_request(
            event,
            self._url("http", url),
            headers=rule.headers,
            forward_headers=() if rule.change_origin else ("host",),
            forwarded=rule.xfwd,
            secure=rule.secure,
            timeout=rule.timeout,
            cookie_domain_rewrite=rule.cookie_domain_rewrite,
            cookie_path_rewrite=rule.cookie_path_rewrite,
        )

    def _url(self, plain: str, url: str) -> str:
        """Return what the target is asked: its own path, then what the client asked for, rewritten."""
        target = self._target
        path = self.rule.rewrite(url) if self.rule.rewrite is not None else url
        path = target.path.rstrip("/") + (path if path.startswith("/") else f"/{path}")
        scheme = f"{plain}s" if target.is_secure else plain
        if target.socket is not None:
            return f"{scheme}+unix://{target.socket}:{path}"
        return f"{scheme}://{_authority(target)}{path}"

    def _websocket_url(self, event: Event) -> str:
        return self._url("ws", clean_target(event.request.target))

    def _handshake_fields(self, event: Event) -> Fields:
        rule, target = self.rule, self._target
        given = {name.lower() for name in rule.headers}
        dropped = [*given, "host"] if rule.change_origin else [*given]
        fields = handshake_fields(event, *dropped)
        if rule.rewrite_ws_origin:
            origin = target.origin.encode()
            fields = [(name, origin if name == b"origin" else value) for name, value in fields]
        return fields + [
            (name.lower().encode(), value.encode("latin-1")) for name, value in rule.headers.items()
        ]


def _authority(target: Target) -> str:
    name = f"[{target.host}]" if ":" in target.host else target.host
    return f"{name}:{target.port}"
