"""The harnesses, their seeds and dictionaries, and random inputs that are made of these without atheris."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from typing import TypeAlias, cast

__all__ = ["FOLDER", "Check", "dictionary", "dictionary_file", "load", "names", "random_inputs", "seeds"]

Check: TypeAlias = Callable[[bytes], None]

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """Return the names of all harnesses."""
    return sorted(path.stem for path in (FOLDER / "harnesses").glob("*.py") if path.stem != "__init__")


def load(name: str) -> Check:
    """Return a harness: it takes one input, and raises where an invariant does not hold."""
    return cast(Check, import_module(f"fuzz.harnesses.{name}").check)


def seeds(name: str) -> list[bytes]:
    """Return the committed inputs of a harness."""
    return [path.read_bytes() for path in sorted((FOLDER / "seeds" / name).iterdir())]


def dictionary_file(name: str) -> Path | None:
    """Return the dictionary of a harness; without its own, that of the first word of its name."""
    paths = (FOLDER / "dictionaries" / f"{each}.dict" for each in (name, name.partition("_")[0]))
    return next((path for path in paths if path.exists()), None)


def dictionary(name: str) -> list[bytes]:
    """Return the words of a harness's dictionary, which is in the format of libFuzzer."""
    path = dictionary_file(name)
    words = []
    for line in path.read_text().splitlines() if path is not None else ():
        match = re.fullmatch(r'(?:\w+=)?("(?:[^"\\]|\\.)*")', line)
        if match is not None:
            words.append(cast(bytes, ast.literal_eval("b" + match[1])))
        elif line and not line.startswith("#"):
            raise ValueError(f"{path}: no line of a dictionary: {line}")
    return words


def random_inputs(name: str, count: int) -> Iterator[bytes]:
    """Yield inputs, the same each time: seeds with a few changes, and some that are nothing but random."""
    random = Random(name)
    kept = [seed[:2000] for seed in seeds(name)] or [b""]
    words = dictionary(name) or [b"\0"]
    for number in range(count):
        if number % 8 == 7:
            yield random.randbytes(random.randrange(80))
            continue
        data = random.choice(kept)
        for _ in range(random.randrange(1, 5)):
            data = _changed(data, random, kept, words)
        yield data


def _changed(data: bytes, random: Random, kept: list[bytes], words: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    to = min(len(data), at + random.randrange(1, 9))
    kind = random.randrange(6)
    if kind == 0:
        return data[:at] + data[to:]
    if kind == 1:
        return data[:at] + random.choice(words) + data[at if random.random() < 0.5 else to :]
    if kind == 2:
        other = random.choice(kept)
        return data[:at] + other[random.randrange(len(other) + 1) :]
    if kind == 3:
        return data[:to] + data[at:to] * random.randrange(1, 5) + data[to:]
    if kind == 4 and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
    return data[:at] + random.randbytes(random.randrange(1, 4)) + data[to:]
