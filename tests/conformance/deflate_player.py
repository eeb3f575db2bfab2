"""Plays the cases of `deflate_cases` to any echo server, by the client of `websockets`."""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.conformance.deflate_cases import Case, messages
from tests.conformance.verdicts import Result, Verdict
from tests.conformance.wire import Address

__all__ = ["SECTIONS", "WITHIN", "play", "section"]

WITHIN = 480.0
"""Seconds for a case; the Autobahn test suite has as many."""

SECTIONS = {
    "12": "WebSocket 12: compressed data",
    "13": "WebSocket 13: parameters of compression",
    "B7": "Beyond Autobahn 7: every window, context takeover on either side",
    "B8": "Beyond Autobahn 8: compressed messages to 16 MiB",
}


def section(case: Case) -> str:
    """Return the title of the section that a case belongs to."""
    return SECTIONS[case.id.partition(".")[0]]


async def play(case: Case, address: Address) -> Result:
    """Play one case.

    The client refuses an answer that is none to its offer, and cannot inflate what refers further back than
    the agreed window, or to a message before where no context takeover was agreed.
    """
    factories = [
        ClientPerMessageDeflateFactory(
            server_no_context_takeover=offer.server_fresh,
            client_no_context_takeover=offer.client_fresh,
            server_max_window_bits=offer.server_bits or None,
            client_max_window_bits=offer.client_bits or True,
        )
        for offer in case.offers
    ]
    url = f"ws://{address.host}:{address.port}{address.path.decode()}"
    try:
        async with (
            asyncio.timeout(WITHIN),
            connect(url, extensions=factories, compression=None, ping_interval=None, max_size=None) as client,
        ):
            verdict, saw = await _round_trips(case, client)
            if verdict is Verdict.OK:
                await client.close()
                if (client.close_code, client.close_reason) != (1000, ""):
                    verdict, saw = Verdict.UNCLEAN, f"closed with {client.close_code}"
    except TimeoutError:
        verdict, saw = Verdict.FAILED, "not done in time"
    except (WebSocketException, OSError) as error:
        verdict, saw = Verdict.FAILED, f"{type(error).__name__}: {error}"
    return Result(section(case), case.id, case.description, verdict, saw, verdict)


async def _round_trips(case: Case, client: ClientConnection) -> tuple[Verdict, str]:
    if not client.protocol.extensions:
        return Verdict.FAILED, "no offer was accepted"
    for number, message in enumerate(messages(case)):
        step = case.fragment
        parts = [message[at : at + step] for at in range(0, len(message), step)] if step else message
        await client.send(parts)
        if await client.recv() != message:
            return Verdict.FAILED, f"message {number} came back as another one"
    return Verdict.OK, "closed with 1000"
