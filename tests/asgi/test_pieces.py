"""Pieces of one message and of several: what the hub joined in one turn."""

from __future__ import annotations

import pytest

from longwave.asgi.wire import ASGI_WS
from tests.asgi.driver import asynchronous, turns
from tests.asgi.sockets import Socket


@pytest.mark.parametrize("counts", [(1,), (3,), (1, 3), (3, 1), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("is_corked", [False, True])
@asynchronous
async def test_every_message_of_every_piece_is_sent_in_order(
    counts: tuple[int, ...], is_corked: bool
) -> None:
    socket = await Socket().open()
    link = socket.session.link
    names = iter("abcdefgh")
    expected = []

    def write() -> None:
        for count in counts:
            texts = [next(names) for _ in range(count)]
            expected.extend(texts)
            link.write(ASGI_WS.join([ASGI_WS.frame(text.encode(), True) for text in texts]))

    if is_corked:
        # As a hook does it: the reader sends what it wrote.
        socket.session._on_message = lambda link, data: write()
        socket.host.text("go")
    else:
        write()
    await turns()
    assert socket.messages == expected
    assert link.buffered == 0
