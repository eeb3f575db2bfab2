"""How many messages and events a piece is; what sessions and links count is in `test_observed.py`."""

from __future__ import annotations

from typing import Any

import pytest

from longwave.asgi.wire import ASGI_WS
from longwave.core.deflate import takeover_wire
from longwave.core.frames import WS
from longwave.core.sse import sse_wire
from longwave.inspector.counted import count_events, count_messages
from longwave.testing.link import MEMORY


@pytest.mark.parametrize(
    "wire", [WS, ASGI_WS, MEMORY, takeover_wire(1)], ids=lambda wire: type(wire).__name__
)
@pytest.mark.parametrize("sizes", [(5,), (125, 126, 65535, 65536), (0, 0)])
def test_messages_of_a_piece_whatever_the_server(wire: Any, sizes: tuple[int, ...]) -> None:
    pieces = [wire.frame(b"x" * size, True) for size in sizes]
    assert count_messages(wire.join(pieces)) == len(sizes)
    assert count_messages(pieces[0]) == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_events_of_a_piece(chunked: bool) -> None:
    wire = sse_wire(chunked)
    one, two = wire.frame(b"a\nb", True), wire.frame(b"", True)
    assert [count_events(piece) for piece in (one, two, wire.join([one, two, one]))] == [1, 1, 3]
    assert count_events(wire.raw(b": \n\n")) == 0
    assert count_events(b"data: x\r\n\r\n") == 1
