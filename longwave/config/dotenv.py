"""`.env` files as Vite has them: `.env`, `.env.local`, `.env.[mode]`, `.env.[mode].local`; later wins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from longwave.errors import ConfigError

__all__ = ["EnvFiles", "Variable", "env_file_names", "parse_env", "read_env_files"]


class Variable(Struct, frozen=True):
    """One assignment: `literal` (single quotes) is not expanded."""

    value: str
    literal: bool
    source: str


class EnvFiles(Struct, frozen=True):
    """What the files add to an environment, and which file each name is from."""

    values: Mapping[str, str]
    sources: Mapping[str, str]


def env_file_names(mode: str) -> tuple[str, ...]:
    """Return the names of a mode's files, the weakest first."""
    return (".env", ".env.local", f".env.{mode}", f".env.{mode}.local")


def read_env_files(root: Path, mode: str, environ: Mapping[str, str]) -> EnvFiles:
    """Read the files of a mode; a name that the real environment has is left alone.

    Raises `ConfigError` with file and line for a line that is no assignment.
    """
    variables: dict[str, Variable] = {}
    for name in env_file_names(mode):
        try:
            text = (root / name).read_bytes().decode("utf-8-sig")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{root / name}: expected UTF-8, found a byte that is not, at {error.start}"
            ) from None
        except OSError as error:
            raise ConfigError(f"{root / name}: cannot be read: {error.strerror}") from None
        variables.update(parse_env(text, name))
    expander = _Expander(variables, environ)
    values = {name: expander.value_of(name) for name in variables if name not in environ}
    return EnvFiles(values, {name: variables[name].source for name in values})


def parse_env(text: str, source: str) -> dict[str, Variable]:
    """Parse one file's text: `NAME=value`, `export`, comments, three kinds of quotes.

    Unquoted values end at `#` and are stripped. Double quotes know \\n, \\r, \\t, \\\" and \\\\; single
    quotes and backticks are literal. Quoted values may go over several lines.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    variables: dict[str, Variable] = {}
    offset = 0
    while offset < len(text):
        if blank := BLANK.match(text, offset):
            offset = blank.end()
            continue
        line = text.count("\n", 0, offset) + 1
        name = NAME.match(text, offset)
        if name is None:
            found = text[offset:].split("\n", 1)[0].strip()
            raise ConfigError(f"{source}, line {line}: expected NAME=value, found {_shown(found)}")
        value, literal, offset = _value(text, name.end(), source, line)
        variables[name["name"]] = Variable(value, literal, source)
    return variables


DEPTH = 100
"""Variables that one may refer to through others; more is a mistake, and would be too deep for Python."""

BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
NAME = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][\w.-]*)[ \t]*=[ \t]*")
QUOTED = {
    '"': re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL),
    "'": re.compile(r"'([^']*)'"),
    "`": re.compile(r"`([^`]*)`"),
}
UNQUOTED = re.compile(r"[^#\n]*")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
REFERENCE = re.compile(
    r"\\\$|\$(?:\{(?P<braced>[A-Za-z_]\w*)(?::?-(?P<default>[^}]*))?\}|(?P<bare>[A-Za-z_]\w*))"
)


def _value(text: str, start: int, source: str, line: int) -> tuple[str, bool, int]:
    """Return value, whether it is literal, and where the next line begins."""
    quote = text[start : start + 1]
    if quote not in QUOTED:
        match = UNQUOTED.match(text, start)
        assert match is not None
        rest = BLANK.match(text, match.end())
        assert rest is not None
        return match[0].strip(), False, rest.end()
    quoted = QUOTED[quote].match(text, start)
    if quoted is None:
        raise ConfigError(f"{source}, line {line}: expected a closing {quote}, found the end of the file")
    rest = BLANK.match(text, quoted.end())
    if rest is None:
        found = text[quoted.end() :].split("\n", 1)[0].strip()
        raise ConfigError(
            f"{source}, line {line}: expected the end of the line after {quote}, found {_shown(found)}"
        )
    if quote != '"':
        return quoted[1], True, rest.end()
    return re.sub(r"\\(.)", _unescape, quoted[1], flags=re.DOTALL), False, rest.end()


def _unescape(match: re.Match[str]) -> str:
    # "\$" stays: it is the expansion that takes the backslash away.
    return ESCAPES.get(match[1], match[0])


def _shown(text: str) -> str:
    """Return the start of a line that could not be read; the rest may be a secret."""
    return repr(text if len(text) <= 12 else text[:12] + "...")


class _Expander:
    """Replaces `${NAME}`, `$NAME` and `${NAME:-default}`; the real environment is asked first."""

    def __init__(self, variables: Mapping[str, Variable], environ: Mapping[str, str]) -> None:
        self._variables = variables
        self._environ = environ
        self._done: dict[str, str] = {}
        self._open: set[str] = set()

    def value_of(self, name: str) -> str:
        if name in self._environ:
            return self._environ[name]
        if name in self._done:
            return self._done[name]
        # A name that is being expanded already refers to itself: nothing, as in a shell.
        if name in self._open or name not in self._variables:
            return ""
        variable = self._variables[name]
        if len(self._open) >= DEPTH:
            raise ConfigError(
                f"{variable.source}: expected a variable that refers to others at most {DEPTH} deep, found "
                f"{name} deeper"
            )
        self._open.add(name)
        value = variable.value if variable.literal else REFERENCE.sub(self._replacement, variable.value)
        self._open.discard(name)
        self._done[name] = value
        return value

    def _replacement(self, match: re.Match[str]) -> str:
        name = match["braced"] or match["bare"]
        if name is None:
            return "$"
        return self.value_of(name) or match["default"] or ""
