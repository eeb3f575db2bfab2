"""The conformance tables over real sockets, against the server alone, on both event loops."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Iterable

import pytest

from longwave.contract import FullReply, Reply, Request
from longwave.errors import RequestError
from tests.conformance.run import plays, run
from tests.conformance.verdicts import Verdict, printed
from tests.conformance.wire import Address, Timing
from tests.server.fake_app import FakeApp
from tests.server.harness import loops, run_in, serve


class NotingApp(FakeApp):
    """Reads every body to its end, and notes what it saw by the client's port."""

    def __init__(self) -> None:
        super().__init__()
        self.whole: dict[int, list[list[str]]] = {}
        self.begun: dict[int, int] = {}

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        assert request.client is not None
        if request.target == b"/ws":
            return self.on_ws(request)
        if request.target.startswith(b"/seen/"):
            port = int(request.target.removeprefix(b"/seen/"))
            noted = {"begun": self.begun.pop(port, 0), "whole": self.whole.pop(port, [])}
            return FullReply(200, [], json.dumps(noted).encode())
        port = request.client[1]
        self.begun[port] = self.begun.get(port, 0) + 1
        return self._read(request, port)

    async def _read(self, request: Request, port: int) -> Reply:
        try:
            body = b"" if request.body is None else await request.body.read()
        except RequestError as error:
            return FullReply(error.status)
        target = request.target.decode("latin-1")
        self.whole.setdefault(port, []).append([request.method, target, body.decode("latin-1")])
        return FullReply(200, [], b"ok")


def check(kind: str, tables: Iterable[str], least: int, *, polite: bool = True, size: int = 0) -> None:
    """Play some tables; every verdict has to be OK."""

    async def main() -> None:
        async with serve(NotingApp()) as server:
            address = Address("127.0.0.1", server.port)
            results = await run(plays(tables, address, address, Timing(), polite=polite, size=size))
            assert all(result.verdict is Verdict.OK for result in results), printed(results)
            assert len(results) >= least

    run_in(kind, main())


@loops
@pytest.mark.parametrize("polite", [True, False])
def test_websocket_cases(kind: str, polite: bool) -> None:
    check(kind, ("autobahn", "beyond", "limits"), 350, polite=polite)


@loops
def test_handshakes(kind: str) -> None:
    check(kind, ("handshake",), 70)


@loops
@pytest.mark.parametrize("size", [0, 1, 7])
def test_http_cases(kind: str, size: int) -> None:
    check(kind, ("http",), 230, size=size)
