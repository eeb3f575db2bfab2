"""A folder of route files into routes: the names are those of Nitro.

`index.py` is the folder itself, `[id].py` a parameter, `[...slug].py` and `[...].py` take the rest of a path,
`(group)/` leaves no trace in it. `users.get.py` answers one method, `debug.dev.py` and `users.post.prod.py`
are there in one mode only; other dots stay: `rss.xml.py` is `/rss.xml`. Left out are `_private.py`,
`__init__.py`, `_folders`, dot-files, `test_*.py`, `*_test.py`, `conftest.py` and what is not Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from longwave.errors import RouteError
from longwave.routing.table import METHODS, format_pattern, parse_pattern, shape_of

__all__ = ["RouteFile", "scan", "scan_ordered"]

_METHODS = {method.lower(): method for method in METHODS}
_MODES = ("dev", "prod")
_RESERVED = re.compile(r"con|prn|aux|nul|com[1-9]|lpt[1-9]", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\\]')
_NUMBER_OR_TEXT = re.compile(r"[0-9]+|[^0-9]+")


class RouteFile(Struct, frozen=True):
    """A route file: where it is and what it answers.

    `method` is None for any; `name` is the path inside the folder, with slashes, for messages and lists.
    """

    path: Path
    pattern: str
    method: str | None
    name: str


def scan(folder: Path, *, mode: Literal["dev", "prod"], root: Path | None = None) -> list[RouteFile]:
    """Return the route files of a folder for a mode, in the order of their names.

    A folder that does not exist has none. Links are followed inside `root`, the project (default: the
    folder). `RouteError`, naming the file or files: a name that cannot be read, one that Windows
    reserves, two files for one route and method, a link that leads out of the root.
    """
    found: list[RouteFile] = []
    taken: dict[tuple[str, str | None], RouteFile] = {}
    for path in _python_files(folder, root or folder):
        name = path.relative_to(folder).as_posix()
        try:
            pattern, method, env = _parse_name(name)
            segments = parse_pattern(pattern)
        except RouteError as error:
            raise RouteError(f"{path}: {error}") from None
        if env not in (None, mode):
            continue
        route = RouteFile(path, format_pattern(segments), method, name)
        first = taken.setdefault((shape_of(segments), method), route)
        if first is not route:
            raise RouteError(
                f"{first.path} and {path} both answer {method or 'any method of'} {route.pattern}; "
                "keep one, or give them different methods"
            )
        found.append(route)
    return found


def scan_ordered(folder: Path, *, root: Path | None = None) -> list[tuple[str, Path]]:
    """Return names and paths of middleware or plugins in the order they run in.

    Names compare with their numbers as numbers: `2.log.py` runs before `10.auth.py`. The name is the path
    inside the folder without `.py`; method and mode are not read from it. What is left out, and how links
    are followed, is as for routes.
    """
    paths = _python_files(folder, root or folder)
    files = [(path.relative_to(folder).as_posix().removesuffix(".py"), path) for path in paths]
    return sorted(files, key=lambda item: (_natural(item[0]), item[0]))


def _python_files(folder: Path, root: Path) -> Iterator[Path]:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RouteError(f"{folder} is a file; a folder was expected there")
    yield from _walk(folder, root.resolve(), (folder.resolve(),))


def _walk(folder: Path, root: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if _is_ignored(path.name):
            continue
        real = path
        if path.is_symlink():
            real = path.resolve()
            if not real.is_relative_to(root):
                raise RouteError(f"{path} links to {real}, which is outside of {root}; move the file into it")
        if path.is_dir():
            real = path.resolve()
            if real in above:
                raise RouteError(f"{path} links to {real}, a folder that it is in itself")
            _check_name(path)
            yield from _walk(path, root, (*above, real))
        elif path.suffix == ".py":
            if not path.is_file():
                raise RouteError(f"{path} is not a file that can be read")
            _check_name(path)
            yield path


def _is_ignored(name: str) -> bool:
    if name.startswith(("_", ".")):
        return True
    return name.endswith(".py") and (
        name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
    )


def _check_name(path: Path) -> None:
    stem = path.name.partition(".")[0].strip()
    if _RESERVED.fullmatch(stem):
        raise RouteError(f"{path}: {stem!r} is a reserved name on Windows; call it something else")
    bad = _FORBIDDEN.search(path.name)
    if bad:
        raise RouteError(f"{path}: a file name cannot have {bad[0]!r} on Windows; call it something else")


def _parse_name(name: str) -> tuple[str, str | None, str | None]:
    *folders, last = name.removesuffix(".py").split("/")
    kept = [folder for folder in folders if not _is_group(folder)]
    stem, method, env = _parse_suffixes(last)
    if _is_group(stem):
        raise RouteError(f"{stem!r} is a group, which is a folder, not a file")
    if stem != "index":
        kept.append(stem)
    return "/" + "/".join(kept), method, env


def _parse_suffixes(stem: str) -> tuple[str, str | None, str | None]:
    """Split `users.post.prod` into its route, method and mode."""
    parts = stem.split(".")
    env = method = None
    if len(parts) > 1 and parts[-1] in _MODES:
        env = parts.pop()
    if len(parts) > 1 and parts[-1] in _METHODS:
        method = _METHODS[parts.pop()]
        if len(parts) > 1 and parts[-1] in _MODES:
            raise RouteError(f"the method comes before the mode: '{method.lower()}.{parts[-1]}'")
        if len(parts) > 1 and parts[-1] in _METHODS:
            raise RouteError(f"two methods, {parts[-1]!r} and {method.lower()!r}; a file has one, or none")
    last = parts[-1]
    if len(parts) > 1 and last in _MODES:
        raise RouteError(f"two modes, {last!r} and {env!r}; a file has one, or none")
    if len(parts) > 1 and last.lower() in (*_METHODS, *_MODES):
        raise RouteError(f"{last!r} is read as a method or mode only in lower case: {last.lower()!r}")
    return ".".join(parts), method, env


def _is_group(name: str) -> bool:
    if "(" not in name and ")" not in name:
        return False
    if re.fullmatch(r"\([^()]+\)", name):
        return True
    raise RouteError(f"{name!r} has parentheses; they are for groups: a folder called '(name)'")


def _natural(name: str) -> list[list[tuple[int, int, str]]]:
    """Return a sort key in which numbers count as numbers, and come before text."""
    return [
        [
            (0, int(piece), "") if piece.isascii() and piece.isdigit() else (1, 0, piece)
            for piece in _NUMBER_OR_TEXT.findall(part)
        ]
        for part in name.split("/")
    ]
