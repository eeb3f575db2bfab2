"""The section `inspector`: a switch, and a token that is never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields

from longwave.config import load_settings, sections, settings_from_values
from longwave.config.schema import describe, shown
from longwave.config.settings import InspectorSettings
from longwave.errors import ConfigError

TOKEN = "0123456789abcdef"


def loaded(environ: dict[str, str], root: Path, **overrides: Any) -> InspectorSettings:
    return load_settings(root, command="start", environ=environ, overrides=overrides).inspector


def test_what_is_written_is_what_is_held() -> None:
    names = {field.name for field in fields(InspectorSettings)}
    assert {*sections.InspectorConfig.__annotations__, "enabled"} == names


def test_a_switch_and_a_table(tmp_path: Path) -> None:
    assert loaded({}, tmp_path) == InspectorSettings(enabled=True, token=None)
    assert loaded({}, tmp_path, inspector=False).enabled is False
    assert loaded({}, tmp_path, inspector={"token": f" {TOKEN}\n"}) == InspectorSettings(token=TOKEN)
    assert loaded({"LONGWAVE_INSPECTOR": "false"}, tmp_path).enabled is False
    assert loaded({"LONGWAVE_INSPECTOR_TOKEN": TOKEN}, tmp_path) == InspectorSettings(token=TOKEN)
    off = loaded({"LONGWAVE_INSPECTOR_TOKEN": TOKEN}, tmp_path, inspector=False)
    assert (off.enabled, off.token) == (False, TOKEN)


@pytest.mark.parametrize("token", [TOKEN[:-1], "", " " * 20, 7, TOKEN + "\0"])
def test_a_token_that_is_none(token: Any) -> None:
    with pytest.raises(ConfigError, match="a string of at least 16 characters") as raised:
        settings_from_values({"inspector": {"token": token}})
    assert TOKEN[:-1] not in str(raised.value)


def test_the_token_is_never_shown() -> None:
    settings = settings_from_values({"inspector": {"token": TOKEN}})
    texts = [
        repr(settings),
        repr(settings.inspector),
        shown("inspector.token", TOKEN),
        describe("inspector.token", TOKEN),
    ]
    assert all(TOKEN not in text for text in texts)
    with pytest.raises(ConfigError) as raised:
        settings_from_values({"inspector": {"tokn": TOKEN}})
    assert TOKEN not in str(raised.value) and "did you mean inspector.token" in str(raised.value)
