"""Plays the cases of `deflate_cases` to any echo server, by the client of `websockets`."""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.conformance.deflate_cases import Case, messages

__all__ = ["play"]


async def play(url: str, case: Case, within: float = 20.0) -> str:
    """Return what went wrong, or nothing."""
    factories = [
        ClientPerMessageDeflateFactory(
            server_no_context_takeover=offer.no_context_takeover,
            server_max_window_bits=offer.window_bits or None,
            client_max_window_bits=True,
        )
        for offer in case.offers
    ]
    async with asyncio.timeout(within):
        async with connect(url, extensions=factories, compression=None, ping_interval=None) as client:
            assert client.response is not None
            if not client.response.headers.get("Sec-WebSocket-Extensions"):
                return "no offer was accepted"
            for number, message in enumerate(messages(case)):
                step = case.fragment
                whole = (
                    message if not step else [message[at : at + step] for at in range(0, len(message), step)]
                )
                await client.send(whole)
                if await client.recv() != message:
                    return f"message {number} came back as another one"
    return ""
