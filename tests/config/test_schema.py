"""The table of keys is the same as what people write and what the settings hold."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from msgspec.structs import fields

from longwave.config import sections
from longwave.config.proxies import KINDS, ProxyRule
from longwave.config.schema import ALIASES, describe, known_keys, known_sections, shown
from longwave.config.settings import (
    CompressionSettings,
    FeatureSettings,
    HmrSettings,
    LogSettings,
    SecuritySettings,
    ServerSettings,
    Settings,
)
from longwave.limits import Limits, Timeouts


@pytest.mark.parametrize(
    ("section", "written", "held"),
    [
        ("server", sections.ServerConfig, ServerSettings),
        ("features", sections.FeaturesConfig, FeatureSettings),
        ("compression", sections.CompressionConfig, CompressionSettings),
        ("security", sections.SecurityConfig, SecuritySettings),
        ("limits", sections.LimitsConfig, Limits),
        ("timeouts", sections.TimeoutsConfig, Timeouts),
        ("log", sections.LogConfig, LogSettings),
    ],
)
def test_one_list_of_keys(section: str, written: Any, held: Any) -> None:
    names = {field.name for field in fields(held)}
    assert set(written.__annotations__) == names
    keys = {key.split(".")[1] for key in known_keys() if key.startswith(f"{section}.")}
    assert keys == names


def test_the_keys_of_hmr() -> None:
    names = {field.name for field in fields(HmrSettings)} - {"enabled"}
    assert set(sections.HmrConfig.__annotations__) == names
    assert {k.split(".")[2] for k in known_keys() if k.startswith("server.hmr.")} == names


def test_the_keys_of_a_proxy() -> None:
    names = {field.name for field in fields(ProxyRule)} - {"context"}
    assert set(sections.ProxyConfig.__annotations__) == set(KINDS) == names


def test_every_section_can_be_written_and_is_held() -> None:
    written = set(get_type_hints(sections.Config))
    assert written == {name for name in known_sections() if "." not in name}
    assert written - {alias.split(".")[0] for alias in ALIASES} <= {field.name for field in fields(Settings)}


def test_every_default_fits_its_own_key() -> None:
    for key in known_keys().values():
        if key.default is not None:
            assert key.kind.check(key.default) == key.default, key.name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("server.port", True),
        ("server.port", "3000"),
        ("server.port", 65536),
        ("server.port", -1),
        ("server.port", 3000.0),
        ("server.host", ""),
        ("server.host", 1),
        ("server.strict_port", 1),
        ("server.open", 3),
        ("server.hmr", "yes"),
        ("server.hmr.protocol", "http"),
        ("server.hmr.timeout", 0),
        ("server.hmr.path", ""),
        ("server.hmr.path", "a?token=1"),
        ("server.hmr.path", "a b"),
        ("server.hmr.path", "//a"),
        ("server.hmr.path", "../a"),
        ("server.hmr.path", "%61"),
        ("server.hmr.path", "ws://localhost/a"),
        ("server.allowed_hosts", False),
        ("server.allowed_hosts", "example.com"),
        ("server.allowed_hosts", ["example.com:3000"]),
        ("server.allowed_hosts", ["http://example.com"]),
        ("server.allowed_hosts", ["*.example.com"]),
        ("server.allowed_hosts", [""]),
        ("server.allowed_hosts", ["."]),
        ("server.uds", 3),
        ("server.uds", "a\0b"),
        ("server.fd", -1),
        ("features.websocket", "true"),
        ("security.origins", "https://example.com"),
        ("security.origins", ["https://example.com/path"]),
        ("security.origins", [""]),
        ("security.origins", [1]),
        ("security.forwarded_allow_ips", ["localhost"]),
        ("limits.message", 0),
        ("limits.message", 1.5),
        ("timeouts.header", 0),
        ("timeouts.header", float("nan")),
        ("timeouts.header", float("inf")),
        ("timeouts.ping", -1),
        ("timeouts.ping", True),
        ("log.level", "loud"),
        ("log.access", "on"),
    ],
)
def test_what_does_not_fit(key: str, value: object) -> None:
    with pytest.raises(ValueError):
        known_keys()[key].kind.check(value)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("server.port", "3001", 3001),
        ("server.host", "true", "0.0.0.0"),
        ("server.host", "::1", "::1"),
        ("server.strict_port", "1", True),
        ("server.open", "/chat", "/chat"),
        ("server.open", "true", True),
        ("server.allowed_hosts", "App.example.com, .example.org", ("app.example.com", ".example.org")),
        ("server.allowed_hosts", "true", True),
        ("server.hmr.path", "vite-hmr", "vite-hmr"),
        ("features.websocket", "Off", False),
        ("security.origins", "https://a.example, *.b.example,", ("https://a.example", "*.b.example")),
        ("security.forwarded_allow_ips", "10.0.0.0/8,::1", ("10.0.0.0/8", "::1")),
        ("limits.connections", "0", 0),
        ("timeouts.ping", "2.5", 2.5),
        ("timeouts.heartbeat", "0", 0.0),
        ("log.level", "WARN", "warning"),
    ],
)
def test_text_by_the_type_of_the_key(key: str, text: str, value: object) -> None:
    assert known_keys()[key].kind.parse(text) == value


def test_secrets_are_never_shown() -> None:
    assert "hunter2" not in shown("server.ssl_keyfile_password", "hunter2")
    assert "hunter2" not in describe("server.ssl_keyfile_password", "hunter2")


def test_values_are_shown_as_toml() -> None:
    assert shown("x", None) == "unset"
    assert shown("x", True) == "true"
    assert shown("x", 'a"b') == '"a\\"b"'
    assert shown("x", ("a", "b")) == '["a", "b"]'
