"""Every key of the configuration: its type, its default, how it is read from text."""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from longwave.config.proxies import EXPECTED, ProxyRule, check_rules
from longwave.config.settings import (
    CompressionSettings,
    FeatureSettings,
    HmrSettings,
    InspectorSettings,
    LogSettings,
    SecuritySettings,
    ServerSettings,
    ViteSettings,
)
from longwave.limits import Limits, Timeouts

__all__ = [
    "ALIASES",
    "SECRETS",
    "SWITCHES",
    "Key",
    "Kind",
    "describe",
    "known_keys",
    "known_sections",
    "shown",
]

ALIASES: Mapping[str, str] = {
    "experimental.websocket": "features.websocket",
    "nitro.experimental.websocket": "features.websocket",
}
"""Names of the original, and ours."""

SWITCHES: Mapping[str, bool] = {"server.hmr": True, "frontend.vite": False, "inspector": True}
"""Keys that are tables too: whether they are on by default. A table switches them on."""

SECRETS = frozenset({"server.ssl_keyfile_password", "inspector.token"})
"""Keys whose values are never printed."""


class Kind(Struct, frozen=True):
    """A type of value: what is expected, in words; `check` a value, `parse` text.

    Both return the value as the settings hold it and raise `ValueError` for what does not fit.
    """

    expected: str
    check: Callable[[Any], Any]
    parse: Callable[[str], Any]


class Key(Struct, frozen=True):
    """One setting by its dotted name."""

    name: str
    kind: Kind
    default: Any


@functools.cache
def known_keys() -> Mapping[str, Key]:
    """Return every key by its dotted name, in the order in which they are documented."""
    return {name: Key(name, kind, _default(name)) for name, kind in _kinds().items()}


@functools.cache
def known_sections() -> frozenset[str]:
    """Return all dotted names that have keys below: `server`, `server.hmr`, aliases."""
    names = [*known_keys(), *ALIASES]
    return frozenset(".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 1))


def describe(key: str, value: Any) -> str:
    """Return a value for an error message, with its type: `"3000" (str)`."""
    if key in SECRETS:
        return f"a hidden value ({type(value).__name__})"
    return f"{shown(key, value)} ({type(value).__name__})"


def shown(key: str, value: Any) -> str:
    """Return a value as TOML would write it, secrets hidden; `unset` for None."""
    if value is None:
        return "unset"
    if key in SECRETS:
        return '"********"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | os.PathLike):
        text = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    if isinstance(value, ProxyRule):
        return f"{value.context} -> {value.target}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(key, item) for item in value) + "]"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _kinds() -> dict[str, Kind]:
    kinds = {f"server.{name}": kind for name, kind in _SERVER.items()}
    kinds |= {f"server.hmr.{name}": kind for name, kind in _HMR.items()}
    kinds |= {f"features.{field.name}": FLAG for field in fields(FeatureSettings)}
    kinds |= {f"compression.{name}": kind for name, kind in _COMPRESSION.items()}
    kinds |= {f"security.{name}": kind for name, kind in _SECURITY.items()}
    kinds |= {f"limits.{field.name}": _count(field.name in _LIMITS_OFF_AT_0) for field in fields(Limits)}
    kinds |= {
        f"timeouts.{field.name}": _seconds(field.name in _TIMEOUTS_OFF_AT_0) for field in fields(Timeouts)
    }
    kinds |= {"frontend.vite": SWITCH, "frontend.vite.root": PATH, "frontend.vite.dist": PATH}
    kinds |= {"inspector": SWITCH, "inspector.token": _secret(16)}
    return kinds | {f"log.{name}": kind for name, kind in _LOG.items()}


def _default(name: str) -> Any:
    section, _, field = name.rpartition(".")
    if name in SWITCHES:
        return SWITCHES[name]
    return getattr(_SECTIONS[section](), field)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _parse_flag(text: str) -> bool:
    value = _FLAG_WORDS.get(text.strip().lower())
    if value is None:
        raise ValueError
    return value


def _typed(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError
    return value


def _filled(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError
    return value


def _secret(least: int) -> Kind:
    def check(value: Any) -> str:
        if len(_filled(value).strip()) < least:
            raise ValueError
        return str(value).strip()

    return Kind(f"a string of at least {least} characters", check, check)


def _no_text(text: str) -> Any:
    raise ValueError


def _path(value: Any) -> Path:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return Path(_filled(value)).expanduser()


def _integer(low: int, high: int | None, expected: str) -> Kind:
    def check(value: Any) -> int:
        if not _is_integer(value) or value < low or (high is not None and value > high):
            raise ValueError
        return int(value)

    return Kind(expected, check, lambda text: check(int(text)))


def _count(may_be_zero: bool) -> Kind:
    if may_be_zero:
        return _integer(0, None, "an integer, 0 or more")
    return _integer(1, None, "an integer above 0")


def _seconds(may_be_zero: bool) -> Kind:
    def check(value: Any) -> float:
        if not (_is_integer(value) or isinstance(value, float)) or not math.isfinite(value):
            raise ValueError
        if value < 0 or (value == 0 and not may_be_zero):
            raise ValueError
        return float(value)

    expected = "seconds, 0 or more" if may_be_zero else "seconds above 0"
    return Kind(expected, check, lambda text: check(float(text)))


def _texts(expected: str, check_item: Callable[[Any], str]) -> Kind:
    def check(value: Any) -> tuple[str, ...]:
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise ValueError
        return tuple(check_item(item) for item in value)

    def parse(text: str) -> tuple[str, ...]:
        return check([item.strip() for item in text.split(",") if item.strip()])

    return Kind(expected, check, parse)


def _texts_or_true(expected: str, check_item: Callable[[Any], str]) -> Kind:
    texts = _texts(expected, check_item)
    return Kind(
        expected,
        lambda value: True if value is True else texts.check(value),
        lambda text: True if text.strip().lower() == "true" else texts.parse(text),
    )


def _choice(choices: Mapping[str, str], expected: str) -> Kind:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError
        return choices[value]

    return Kind(expected, check, lambda text: check(text.strip().lower()))


def _flag_or_text(expected: str, yes: Any, no: Any) -> Kind:
    def check(value: Any) -> Any:
        if isinstance(value, bool):
            return yes if value else no
        return _filled(value)

    def parse(text: str) -> Any:
        word = text.strip().lower()
        return check(word == "true" if word in ("true", "false") else text.strip())

    return Kind(expected, check, parse)


_ORIGIN = (
    r"\*|([a-z][a-z0-9+.\-]*://)?((\*\.)?[a-z0-9_\-]+(\.[a-z0-9_\-]+)*\.?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"
)


def _host(value: Any) -> str:
    """Check `example.com`, or `.example.com` for it and every name below it; no port."""
    text = _filled(value).strip().lower()
    if re.fullmatch(r"\.?[a-z0-9_\-]+(\.[a-z0-9_\-]+)*", text) is None:
        raise ValueError
    return text


def _url_path(value: Any) -> str:
    """Check a path that needs no encoding; its first slash may be missing."""
    text = _filled(value).strip()
    path = "/" + text.removeprefix("/")
    if re.fullmatch(r"[\w./~!$&'()*+,;=:@-]*", path, re.ASCII) is None or "/." in path or "//" in path:
        raise ValueError
    return text


def _origin(value: Any) -> str:
    """Check `*`, `*.example.com`, `example.com:8000` or `https://example.com`: no expressions, no paths."""
    text = _filled(value).strip()
    if re.fullmatch(_ORIGIN, text, re.IGNORECASE) is None:
        raise ValueError
    return text


def _proxy(value: Any) -> str:
    text = _filled(value).strip()
    if text != "*":
        import ipaddress

        ipaddress.ip_network(text, strict=False)
    return text


_FLAG_WORDS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
_SECTIONS: Mapping[str, Callable[[], Any]] = {
    "server": ServerSettings,
    "server.hmr": HmrSettings,
    "features": FeatureSettings,
    "compression": CompressionSettings,
    "security": SecuritySettings,
    "limits": Limits,
    "timeouts": Timeouts,
    "frontend.vite": ViteSettings,
    "inspector": InspectorSettings,
    "log": LogSettings,
}
FLAG = Kind("true or false", functools.partial(_typed, bool), _parse_flag)
SWITCH = Kind("true, false or a table", functools.partial(_typed, bool), _parse_flag)
TEXT = Kind("a string", _filled, _filled)
PATH = Kind("the path of a file", _path, _path)
PORT = _integer(0, 65535, "an integer from 0 to 65535")
_LIMITS_OFF_AT_0 = {"connections", "connections_per_address", "message_rate"}
_TIMEOUTS_OFF_AT_0 = {"ping", "heartbeat"}
_SERVER = {
    "host": _flag_or_text("a host name, an address, or true for every interface", "0.0.0.0", "localhost"),
    "port": PORT,
    "strict_port": FLAG,
    "open": _flag_or_text("true, false, or the path of a page", True, False),
    "allowed_hosts": _texts_or_true("a list of host names, or true for every one", _host),
    "hmr": SWITCH,
    "proxy": Kind(EXPECTED, check_rules, _no_text),
    "workers": _count(True),
    "uds": PATH,
    "fd": _integer(0, None, "the number of an open file"),
    "ssl_certfile": PATH,
    "ssl_keyfile": PATH,
    "ssl_keyfile_password": TEXT,
}
_HMR = {
    "host": TEXT,
    "port": PORT,
    "path": Kind("the path of a URL", _url_path, _url_path),
    "protocol": _choice({"ws": "ws", "wss": "wss"}, '"ws" or "wss"'),
    "client_port": PORT,
    "timeout": _seconds(False),
    "overlay": FLAG,
}
_BITS = _integer(9, 15, "an integer from 9 to 15")
_COMPRESSION = {
    "websocket": FLAG,
    "context_takeover": FLAG,
    "client_context_takeover": FLAG,
    "window_bits": _BITS,
    "client_window_bits": _BITS,
    "threshold": _count(True),
}
_SECURITY = {
    "origins": _texts("a list of origins", _origin),
    "require_origin": FLAG,
    "forwarded_allow_ips": _texts('a list of addresses, networks or "*"', _proxy),
}
_LEVELS = {name: name for name in ("debug", "info", "warning", "error", "silent")}
_LOG = {
    # Vite says "warn", Python says "warning".
    "level": _choice({**_LEVELS, "warn": "warning"}, '"debug", "info", "warning", "error" or "silent"'),
    "access": FLAG,
}
