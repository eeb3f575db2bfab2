"""`server.proxy`: which paths of the development server another server answers, as Vite has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct, field

__all__ = ["EXPECTED", "KINDS", "ProxyRule", "Rewrite", "TableError", "check_rules"]

Rewrite: TypeAlias = Callable[[str], str]
"""Path and query as the client asked for them, and as the target is asked."""


class TableError(ValueError):
    """What is wrong inside a table, as a sentence."""


class ProxyRule(Struct, frozen=True):
    """One entry of `server.proxy`.

    A `context` is a path and all below it, or an expression that begins with `^`.
    """

    context: str
    target: str
    change_origin: bool = False
    """Whether the target is told its own `Host`, in place of the one that the client asked for."""
    ws: bool = False
    rewrite: Rewrite | None = None
    rewrite_ws_origin: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    secure: bool = True
    xfwd: bool = False
    timeout: float = 30.0
    bypass: Callable[[Any], Any] | None = None
    cookie_domain_rewrite: str | Mapping[str, str] | None = None
    cookie_path_rewrite: str | Mapping[str, str] | None = None

    def __repr__(self) -> str:
        # It may end up in a log, the headers must not.
        return f"<ProxyRule {self.context} -> {self.target}>"

    @property
    def takes_upgrades(self) -> bool:
        """Whether WebSockets are handed on too."""
        return self.ws or self.target.startswith(("ws:", "wss:", "ws+", "wss+"))

    def matches(self, url: str) -> bool:
        """Whether path and query are those of the context.

        A path ends where a segment does: `/api` is not `/apiary`.
        """
        if self.context.startswith("^"):
            return re.search(self.context, url) is not None
        rest = url[len(self.context) :] if url.startswith(self.context) else None
        return rest is not None and (not rest or rest[0] in "/?" or self.context[-1] in "/?")


def check_rules(value: Any) -> tuple[ProxyRule, ...]:
    """Return the rules of a table.

    Raises `TableError`, which says what is wrong with which.
    """
    if isinstance(value, tuple) and all(isinstance(rule, ProxyRule) for rule in value):
        return value
    if not isinstance(value, Mapping):
        raise TableError(f"expected {EXPECTED}, found {type(value).__name__}")
    return tuple(_rule(context, options) for context, options in value.items())


def _rule(context: Any, options: Any) -> ProxyRule:
    if not isinstance(context, str) or not context.startswith(("/", "^")):
        raise TableError(
            f'expected paths that begin with "/", or with "^" for an expression, found {context!r}'
        )
    if context.startswith("^"):
        try:
            re.compile(context)
        except re.error as error:
            raise TableError(f"{context}: expected a regular expression, found an error: {error}") from None
    if isinstance(options, str):
        # Vite: the short form is for a server of a name of its own.
        options = {"target": options, "change_origin": True}
    if not isinstance(options, Mapping):
        raise TableError(f"{context}: expected a target or a table, found {type(options).__name__}")
    unknown = [str(name) for name in options if name not in KINDS]
    if unknown:
        raise TableError(f"{context}: expected one of {', '.join(KINDS)}, found {', '.join(unknown)}")
    values = {name: _checked(context, name, value) for name, value in options.items() if value is not None}
    if "target" not in values:
        raise TableError(f"{context}: expected a target, found none")
    return ProxyRule(context, **values)


def _checked(context: str, name: str, value: Any) -> Any:
    check, expected = KINDS[name]
    try:
        return check(value)
    except (TypeError, ValueError, re.error):
        # Headers, and what stands before an "@", may be a secret.
        hidden = name == "headers" or "@" in str(value)
        found = type(value).__name__ if hidden else repr(value)
        raise TableError(f"{context}: {name}: expected {expected}, found {found}") from None


def _typed(kind: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError
        return value

    return check


def _target(value: Any) -> str:
    text = str(_typed(str)(value))
    if not _TARGET.match(text):
        raise ValueError
    return text


def _rewrite(value: Any) -> Rewrite:
    """Take a function, or (for TOML) an expression and what to put in its place."""
    if callable(value):
        rewrite: Rewrite = value
        return rewrite
    if isinstance(value, str):
        raise TypeError
    pattern, replacement = map(str, value)
    compiled = re.compile(pattern)
    return lambda url: compiled.sub(replacement, url)


def _function(value: Any) -> Any:
    if not callable(value):
        raise TypeError
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not value >= 0:
        raise ValueError
    return float(value)


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError
    text = _typed(str)
    return {text(name): text(each) for name, each in value.items()}


def _cookies(value: Any) -> str | dict[str, str]:
    return value if isinstance(value, str) else _texts(value)


EXPECTED = 'a table of paths, {"/api": "http://localhost:8000"}'
_TARGET = re.compile(r"(?:http|ws)s?(?:\+unix)?://[^\s#@]+\Z", re.IGNORECASE)
_FLAG = (_typed(bool), "true or false")
KINDS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "target": (_target, "a URL such as http://localhost:8000"),
    "change_origin": _FLAG,
    "ws": _FLAG,
    "rewrite": (_rewrite, "a function of the path, or an expression and its replacement"),
    "rewrite_ws_origin": _FLAG,
    "headers": (_texts, "a table of texts"),
    "secure": _FLAG,
    "xfwd": _FLAG,
    "timeout": (_seconds, "seconds, 0 or more"),
    "bypass": (_function, "a function of the event"),
    "cookie_domain_rewrite": (_cookies, "a text or a table of texts"),
    "cookie_path_rewrite": (_cookies, "a text or a table of texts"),
}
