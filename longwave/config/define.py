"""`define_config`: values, a function of `ConfigEnv`, or an asynchronous one."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar, Unpack, overload

from msgspec import Struct

from longwave.config.sections import Config
from longwave.config.settings import Command

__all__ = ["ConfigEnv", "ConfigFunction", "ConfigSource", "define_config"]


class ConfigEnv(Struct, frozen=True):
    """What a config function may decide by.

    `command` is `dev` or `start`; `mode` is `development` in dev and `production` in start, unless `--mode`
    says otherwise.
    """

    command: Command
    mode: str


ConfigFunction: TypeAlias = Callable[[ConfigEnv], Config | Awaitable[Config]]
"""A function that returns the values, now or later."""

T = TypeVar("T")


class ConfigSource:
    """What `define_config` returns: values, or a function that will make them."""

    __slots__ = ("_source",)

    def __init__(self, source: Mapping[str, Any] | ConfigFunction) -> None:
        self._source = source

    def values(self, env: ConfigEnv) -> Any:
        """Return the values for one start, unchecked; an async function runs to its end."""
        if not callable(self._source):
            return self._source
        result = self._source(env)
        if not inspect.isawaitable(result):
            return result
        return _wait_for(result)


@overload
def define_config(source: ConfigFunction, /) -> ConfigSource: ...
@overload
def define_config(**values: Unpack[Config]) -> ConfigSource: ...
def define_config(source: ConfigFunction | None = None, /, **values: Any) -> ConfigSource:
    """Define the configuration of a project, in `longwave.config.py` as `config`.

    Give the values as keywords, `define_config(server={"port": 3000})`, or a function of `ConfigEnv` that
    returns them as a dict, sync or async, also as a decorator. Values are checked when they are loaded:
    an unknown key or a wrong type is a `ConfigError` that names the file and the key.
    """
    if source is None:
        return ConfigSource(values)
    if not callable(source):
        raise TypeError(
            "define_config wants the sections as keywords, define_config(server={...}), or one function of "
            f"ConfigEnv, not {type(source).__name__}"
        )
    if values:
        raise TypeError("define_config wants either a function or sections as keywords, not both")
    return ConfigSource(source)


def _wait_for(awaitable: Awaitable[T]) -> T:
    """Run an awaitable in a loop of its own; in a thread, since the caller may be inside a loop."""
    import asyncio
    import threading

    async def wait() -> T:
        return await awaitable

    result: list[T] = []
    error: list[BaseException] = []

    def work() -> None:
        try:
            result.append(asyncio.run(wait()))
        except BaseException as problem:
            error.append(problem)

    thread = threading.Thread(target=work, name="longwave-config")
    thread.start()
    thread.join()
    if error:
        raise error[0]
    return result[0]
