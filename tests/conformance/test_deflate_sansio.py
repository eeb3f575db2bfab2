"""The WebSocket table against a codec that agreed on compression: what is not compressed fares the same."""

from __future__ import annotations

import pytest

from longwave.core.inflate import InflatingWebSocket
from tests.conformance.test_ws_sansio import LARGE, Echo, check, chopped
from tests.conformance.ws_cases import CASES, Case, encode_step
from tests.conformance.ws_model import BINARY, TEXT, Part


def uses_rsv1(case: Case) -> bool:
    """Whether a case has the bit set where it means something now."""
    frames = [item.frame if isinstance(item, Part) else item for step in case.steps for item in step]
    return any(frame.rsv == 4 and frame.opcode in (TEXT, BINARY) for frame in frames)


@pytest.mark.parametrize("takeover", [False, True])
def test_table(takeover: bool) -> None:
    played = 0
    for case in CASES:
        if uses_rsv1(case):
            continue
        data = b"".join(map(encode_step, case.steps))
        if len(data) > LARGE:
            continue
        for size in (len(data), case.chop or 7):
            echo = Echo()
            echo.websocket = InflatingWebSocket(1024 * 1024, 4096, 15, takeover)
            for piece in chopped(data, size):
                echo.receive(piece)
            try:
                check(case, echo)
            except AssertionError as error:
                raise AssertionError(f"{case.id} in pieces of {size}") from error
        played += 1
    assert played > 250
