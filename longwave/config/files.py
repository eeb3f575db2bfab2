"""The two files of a project: `longwave.config.py` and `[tool.longwave]` of `pyproject.toml`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from longwave.config.define import ConfigEnv, ConfigSource
from longwave.errors import ConfigError

__all__ = ["CONFIG_FILE", "PROJECT_FILE", "display_path", "read_config_file", "read_project_file"]

CONFIG_FILE = "longwave.config.py"
PROJECT_FILE = "pyproject.toml"


def display_path(path: Path) -> str:
    """Return a path as people read it: relative to the working directory if inside."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def read_config_file(path: Path, env: ConfigEnv) -> Any:
    """Run a config file and return the values of its `config`, unchecked.

    Anything that it raises becomes a `ConfigError` with file and line, whose `__cause__` is the original.
    """
    import tokenize

    shown = display_path(path)
    try:
        with tokenize.open(path) as file:
            source = file.read()
        code = compile(source, str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror or error}") from error
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ConfigError(f"{shown}{line}: {type(error).__name__}: {text}") from error
    module = ModuleType(f"longwave_config_{abs(hash(str(path))):x}")
    module.__file__ = str(path)
    # Dataclasses look their module up by name while they are made.
    sys.modules[module.__name__] = module
    # Python takes bytecode for that of a source with the same size and second: what a config file imports
    # may be edited faster.
    writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        exec(code, module.__dict__)
        config = module.__dict__.get("config")
        if not isinstance(config, ConfigSource):
            found = "none" if "config" not in module.__dict__ else f"config of type {type(config).__name__}"
            raise ConfigError(f"{shown}: expected `config = define_config(...)`, found {found}")
        return config.values(env)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{shown}{_line_in(path, error)}: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = writes_none
        sys.modules.pop(module.__name__, None)


def read_project_file(path: Path) -> Any:
    """Return `[tool.longwave]` of a `pyproject.toml`, unchecked; None without one."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{display_path(path)}: cannot be read: {error.strerror or error}") from error
    import tomllib  # a few milliseconds, for projects that have the file

    try:
        document = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{display_path(path)}: expected TOML, found an error: {error}") from error
    tool = document.get("tool")
    return tool.get("longwave") if isinstance(tool, dict) else None


def _line_in(path: Path, error: BaseException) -> str:
    """Return the last line of the file that the error came through."""
    import traceback

    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if os.path.abspath(frame.filename) == str(path)
    ]
    return f", line {lines[-1]}" if lines else ""
