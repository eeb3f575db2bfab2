"""The three forms of `define_config`."""

from __future__ import annotations

import asyncio

import pytest

from longwave.config.define import ConfigEnv, ConfigSource, define_config
from longwave.config.sections import Config

DEV = ConfigEnv("dev", "development")


def test_values_as_keywords() -> None:
    source = define_config(server={"port": 3000}, features={"websocket": True})
    assert source.values(DEV) == {"server": {"port": 3000}, "features": {"websocket": True}}


def test_nothing_is_an_empty_configuration() -> None:
    assert define_config().values(DEV) == {}


def test_a_function_of_the_environment_as_a_decorator() -> None:
    @define_config
    def config(env: ConfigEnv) -> Config:
        return {"server": {"port": 3000 if env.command == "dev" else 80}}

    assert isinstance(config, ConfigSource)
    assert config.values(DEV) == {"server": {"port": 3000}}
    assert config.values(ConfigEnv("start", "production")) == {"server": {"port": 80}}


async def _later(env: ConfigEnv) -> Config:
    await asyncio.sleep(0)
    return {"server": {"host": env.mode}}


def test_an_async_function() -> None:
    assert define_config(_later).values(DEV) == {"server": {"host": "development"}}


def test_an_async_function_while_a_loop_runs() -> None:
    async def inside() -> object:
        return define_config(_later).values(DEV)

    assert asyncio.run(inside()) == {"server": {"host": "development"}}


def test_an_error_of_an_async_function_comes_through() -> None:
    async def fails(env: ConfigEnv) -> Config:
        raise LookupError("no such vault")

    with pytest.raises(LookupError, match="no such vault"):
        define_config(fails).values(DEV)


def test_a_plain_dict_is_refused_with_the_right_spelling() -> None:
    with pytest.raises(TypeError, match=r"define_config\(server=\{...\}\).*not dict"):
        define_config({"server": {}})  # type: ignore[call-overload]


def test_a_function_and_keywords_are_refused() -> None:
    with pytest.raises(TypeError, match="not both"):
        define_config(_later, server={})  # type: ignore[call-overload]
