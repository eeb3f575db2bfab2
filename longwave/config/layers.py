"""One source of settings: its values by dotted key, and every problem that it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from longwave.config.proxies import TableError
from longwave.config.schema import ALIASES, SECRETS, SWITCHES, describe, known_keys, known_sections
from longwave.errors import ConfigError

__all__ = ["Layer", "Value", "layer_from_environment", "layer_from_values", "raise_problems"]


class Value(Struct, frozen=True):
    """A checked value and the source that is shown for it."""

    value: Any
    source: str


class Layer(Struct):
    """What one source says; problems are sentences that name the source and the key."""

    values: dict[str, Value] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def layer_from_values(values: Any, source: str) -> Layer:
    """Check nested values of a file or a call; every problem is kept, none raises."""
    layer = Layer()
    if isinstance(values, Mapping):
        _walk(values, "", source, layer)
    else:
        layer.problems.append(f"{source}: expected a dict of sections, found {describe('', values)}")
    return layer


def layer_from_environment(environ: Mapping[str, str], sources: Mapping[str, str] | None = None) -> Layer:
    """Check `PORT`, `HOST` and `LONGWAVE_SECTION_KEY`; empty ones count as not set.

    `sources` names the file of each variable that is from one. A variable that begins like a section and is
    no key of it is a problem; other `LONGWAVE_` names are not ours.
    """
    layer = Layer()
    names = {_variable(name): name for name in known_keys()}
    aliases = {_variable(alias): name for alias, name in ALIASES.items()}
    # The longer name is the more exact one: LONGWAVE_SERVER_PORT is looked at last and wins over PORT.
    table = {"PORT": "server.port", "HOST": "server.host", **aliases, **names}
    for variable, key in table.items():
        text = environ.get(variable, "")
        if not text.strip():
            continue
        source = _variable_source(variable, sources or {})
        kind = known_keys()[key].kind
        try:
            value = kind.parse(text)
        except ValueError:
            layer.problems.append(f"{source}: expected {kind.expected}, found {describe(key, text)}")
        else:
            layer.values[key] = Value(value, source)
            above = key.rpartition(".")[0]
            if above in SWITCHES:
                layer.values.setdefault(above, Value(True, source))
    layer.problems += _unknown_variables(environ, table, sources or {})
    return layer


def raise_problems(problems: list[str]) -> None:
    """Raise one `ConfigError` with each problem on a line of its own, if there is any."""
    if len(problems) == 1:
        raise ConfigError(problems[0])
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"{len(problems)} problems in the configuration:\n{lines}")


def _variable(name: str) -> str:
    return "LONGWAVE_" + name.replace(".", "_").upper()


def _variable_source(variable: str, sources: Mapping[str, str]) -> str:
    return f"{sources[variable]} ({variable})" if variable in sources else f"environment variable {variable}"


def _unknown_variables(
    environ: Mapping[str, str], known: Mapping[str, str], sources: Mapping[str, str]
) -> list[str]:
    sections = tuple(_variable(section) + "_" for section in known_sections())
    problems = []
    for variable in environ:
        if variable.startswith(sections) and variable not in known:
            near = _closest(variable, {name: name for name in known})
            hint = f"; did you mean {near}?" if near else ""
            where = _variable_source(variable, sources)
            problems.append(f"{where}: expected the name of a setting, found an unknown one{hint}")
    return problems


def _walk(values: Mapping[Any, Any], prefix: str, source: str, layer: Layer) -> None:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name in known_sections():
            _take_section(name, value, source, layer)
        elif name in known_keys() or name in ALIASES:
            _take(name, value, source, layer)
        else:
            layer.problems.append(f"{source}: {_unknown(name, prefix, value)}")


def _take_section(name: str, value: Any, source: str, layer: Layer) -> None:
    """Take a table. `server.hmr` is a key and a table: a table switches it on."""
    if isinstance(value, Mapping):
        if name in known_keys():
            layer.values[name] = Value(True, source)
        _walk(value, f"{name}.", source, layer)
    elif name in known_keys():
        _take(name, value, source, layer)
    elif value is not None:
        layer.problems.append(f"{source}: {name}: expected a table (dict), found {describe(name, value)}")


def _take(name: str, value: Any, source: str, layer: Layer) -> None:
    # None is "not said", as undefined is in Vite: it hides nothing.
    if value is None:
        return
    key = known_keys()[ALIASES.get(name, name)]
    try:
        checked = key.kind.check(value)
    except TableError as error:
        layer.problems.append(f"{source}: {name}: {error}")
        return
    except ValueError:
        found = describe(key.name, value)
        layer.problems.append(f"{source}: {name}: expected {key.kind.expected}, found {found}")
        return
    other = layer.values.get(key.name)
    if other is not None and other.value != checked:
        layer.problems.append(
            f"{source}: {name} and {key.name} are the same setting: expected one value, found "
            f"{describe(key.name, other.value)} and {describe(key.name, checked)}"
        )
        return
    layer.values[key.name] = Value(checked, source)


def _unknown(name: str, prefix: str, value: Any) -> str:
    """Say that a key is unknown, what it may have been, and what there is at its place."""
    names = {*known_keys(), *known_sections(), *ALIASES}
    if not prefix:
        # The names of the original are taken, but ours are the ones to learn.
        names -= {alias.split(".")[0] for alias in ALIASES}
    below = {known.removeprefix(prefix) for known in names if known.startswith(prefix)}
    siblings = {known for known in below if "." not in known}
    key = name.removeprefix(prefix)
    near = _closest(key, {sibling: prefix + sibling for sibling in siblings})
    if near is None:
        # The first of a name wins: `port` is server.port rather than server.hmr.port.
        near = _closest(key, {known.rpartition(".")[2]: known for known in reversed(list(known_keys()))})
    # A misspelt secret is as secret as the real one.
    found = "a table" if isinstance(value, Mapping) else describe(near if near in SECRETS else name, value)
    hint = f"; did you mean {near}?" if near else ""
    return f"{name}: unknown key, expected one of {', '.join(sorted(siblings))}, found {found}{hint}"


def _closest(key: str, names: Mapping[str, str]) -> str | None:
    """Return the value of the closest name; camelCase and hyphens count as the same word."""
    import difflib

    plain = {_plain(name): whole for name, whole in names.items()}
    near = difflib.get_close_matches(_plain(key), plain, n=1, cutoff=0.7)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
