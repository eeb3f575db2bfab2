"""WebSockets under ASGI whose sessions record what they are told."""

from __future__ import annotations

from typing import Any

from longwave.contract import Link, UpgradeReply
from longwave.limits import Limits, Timeouts
from longwave.types import SlowPolicy
from tests.asgi.driver import Application, Host, Recorder, turns, websocket_scope

__all__ = ["CONNECT", "Socket", "echo"]

CONNECT = {"type": "websocket.connect"}


class Socket:
    """A host whose application accepts every WebSocket with one recording session."""

    def __init__(
        self,
        session: Recorder | None = None,
        *,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        policy: SlowPolicy = SlowPolicy.CLOSE,
        headers: Any = (),
        protocol: str | None = None,
    ) -> None:
        self.session = session or Recorder()
        reply = UpgradeReply(self.session, list(headers), protocol, policy)
        application = Application(lambda request: reply)
        self.host = Host(application, websocket_scope(), limits=limits, timeouts=timeouts)
        self.host.put(CONNECT)

    async def open(self) -> Socket:
        """Return once it is accepted."""
        await turns()
        return self

    @property
    def events(self) -> list[Any]:
        """What the session was told."""
        return self.session.events

    @property
    def messages(self) -> list[Any]:
        """What was sent after the accept."""
        return [message.get("text") or message.get("bytes") for message in self.host.sent[1:]]

    async def disconnect(self, code: int | None = 1000, **more: Any) -> None:
        """Let the client go, and wait for the end."""
        message = {"type": "websocket.disconnect", "code": code, **more}
        self.host.put({key: value for key, value in message.items() if value is not None})
        await self.host.finish()


def echo(link: Link, data: str | bytes) -> None:
    """Send it back."""
    payload = data.encode() if isinstance(data, str) else data
    link.write(link.wire.frame(payload, isinstance(data, str)))
