"""Every harness of `fuzz/` on its seeds and some random inputs, without atheris; and on planted defects."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from fuzz.corpus import FOLDER, dictionary, load, names, random_inputs, seeds
from fuzz.source import Source, pieces
from longwave.config import dotenv
from longwave.core import (
    cookies,
    forms,
    forwarded,
    handshake,
    http1,
    http1_response,
    inflate,
    origin,
    paths,
    query,
    sse,
    ws,
)
from longwave.routing import table
from longwave.server.http import HttpConnection

SEEDS_TOGETHER = 200_000
LONGEST_DOCSTRING = 3


@pytest.mark.parametrize("name", names())
def test_a_harness_has_its_invariant_in_two_lines_and_seeds(name: str) -> None:
    load(name)
    text = sys.modules[f"fuzz.harnesses.{name}"].__doc__
    assert text is not None
    assert len(text.strip().splitlines()) == LONGEST_DOCSTRING
    assert len(seeds(name)) >= 5
    dictionary(name)


def test_the_seeds_are_small() -> None:
    sizes = {path: path.stat().st_size for path in FOLDER.glob("seeds/*/*")}
    assert sum(sizes.values()) < SEEDS_TOGETHER
    assert max(sizes.values()) <= 4096
    assert {path.parent.name for path in sizes} == set(names())


@pytest.mark.parametrize("name", names())
def test_the_invariant_holds(name: str, length: Callable[[int], int]) -> None:
    check = load(name)
    for data in chain(seeds(name), random_inputs(name, length(8000))):
        try:
            check(data)
        except Exception as error:
            error.add_note(f"data = {data!r}")
            raise


def defect(holder: Any, name: str, make: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Return what replaces a part by one that is wrong."""
    return lambda patch: patch.setattr(holder, name, make(getattr(holder, name)))


def search_too_late(check: Callable[[http1.Http1], None]) -> Callable[[http1.Http1], None]:
    """Return what looks for the end of a head only behind what was there before."""

    def check_and_skip(self: http1.Http1) -> None:
        check(self)
        self._scanned += 3

    return check_and_skip


DEFECTS = {
    "cookies": defect(cookies, "_is_path", lambda _: lambda path: True),
    "dotenv": defect(dotenv, "DEPTH", lambda _: 10_000),
    "forms": defect(forms, "_unquote", lambda _: lambda text: text.upper()),
    "forwarded": defect(forwarded.TrustedProxies, "_client", lambda _: lambda self, chain: chain[0].decode()),
    "handshake": defect(handshake, "_check_key", lambda _: lambda keys: keys[0]),
    "http1": defect(http1.Http1, "_check_unfinished_head", lambda check: search_too_late(check)),
    "http1_peers": defect(http1, "Data", lambda data: lambda piece: data(piece[:-1])),
    "http1_response": defect(
        http1_response.ResponseReader, "receive", lambda _: lambda self, data: self._held.extend(data[:40])
    ),
    "origin": defect(origin, "_is_same", lambda _: lambda parts, host, scheme: host in parts[1]),
    "paths": defect(paths, "_without_dots", lambda _: lambda path: path.replace("/..", "")),
    "query": defect(query, "PLUS", lambda _: 0x2A),
    "routes": defect(
        table.Table, "_search", lambda search: lambda self, path, method: search(self, path, None)
    ),
    "server": defect(HttpConnection, "connection_lost", lambda _: lambda self, exc: self.worker.remove(self)),
    "sse": defect(sse, "CR", lambda _: 0x0B),
    "ws": defect(
        ws.Unfinished, "begin", lambda begin: lambda self, *rest: begin(self, *rest[:2], rest[2][::-1])
    ),
    "ws_deflate": defect(inflate, "TAIL", lambda _: b""),
    "ws_peers": defect(ws, "is_close_code", lambda _: lambda code: True),
}


@pytest.mark.parametrize("name", names())
def test_a_harness_finds_a_planted_defect(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check = load(name)
    DEFECTS[name](monkeypatch)
    found = False
    for data in chain(seeds(name), random_inputs(name, 300)):
        try:
            check(data)
        except Exception:
            found = True
            break
    assert found


@pytest.mark.parametrize("how", [0, 6, 127, 128, 200, 255])
def test_pieces_are_the_whole(how: int) -> None:
    data = bytes(range(256)) * 3
    cut = list(pieces(data, how))
    assert b"".join(cut) == data
    assert all(cut)
    assert len(cut) > 1
    if how >= 128:
        assert len({len(piece) for piece in cut}) > 3


def test_a_source_ends_in_zeros() -> None:
    source = Source(b"\x05\x02ab\xff\x03")
    assert (source.byte(), source.text(), source.pick("xyz")) == (5, "ab", "x")
    assert source
    assert (source.take(), source.byte(), source.text(), source.rest()) == (b"", 0, "", b"")
    assert not source


def test_a_file_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"/a/../b")
    command = [sys.executable, "-m", "fuzz", "paths", "--replay", str(path)]
    done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{path}: nothing is wrong\n")


def test_an_unknown_harness_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "nothing"],
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no harness is called nothing; there are cookies," in done.stderr
