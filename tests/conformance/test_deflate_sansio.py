"""The tables against a codec that agreed on compression: what is not compressed fares as without it."""

from __future__ import annotations

import pytest

from longwave.core.inflate import InflatingWebSocket
from tests.conformance.deflate_frames import COMPRESSED
from tests.conformance.test_ws_sansio import LARGE, Echo, check, chopped, ids, run
from tests.conformance.ws_cases import CASES, Case, encode_step
from tests.conformance.ws_model import BINARY, TEXT, Part


def uses_rsv1(case: Case) -> bool:
    """Whether a case has the bit set where it means something now."""
    frames = [item.frame if isinstance(item, Part) else item for step in case.steps for item in step]
    return any(frame.rsv == 4 and frame.opcode in (TEXT, BINARY) for frame in frames)


class Inflating(Echo):
    """The same with a client that may compress, and take over its context."""

    def __init__(self, takeover: bool = True) -> None:
        super().__init__()
        self.websocket = InflatingWebSocket(1024 * 1024, 4096, 15, takeover)


@pytest.mark.parametrize("case", COMPRESSED, ids=ids)
def test_compressed_frames(case: Case) -> None:
    steps = [encode_step(step) for step in case.steps]
    run(case, ([step] for step in steps), Inflating())
    size = 1 if sum(map(len, steps)) <= 2000 else 997
    run(case, (chopped(step, size) for step in steps), Inflating())
    echo = Inflating()
    echo.receive(b"".join(steps))
    check(case, echo)


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
            echo = Inflating(takeover)
            for piece in chopped(data, size):
                echo.receive(piece)
            try:
                check(case, echo)
            except AssertionError as error:
                raise AssertionError(f"{case.id} in pieces of {size}") from error
        played += 1
    assert played > 250
