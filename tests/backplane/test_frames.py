"""Frames between workers: whole, in pieces, and what is none."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwave.backplane.frames import MOST, FrameReader, Hello, Lost, Publication, encode_frame
from longwave.errors import BackplaneError
from longwave.hub.drivers import Envelope

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
envelopes = st.builds(
    Envelope,
    texts,
    texts,
    st.binary(max_size=200),
    st.booleans(),
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
    st.none() | st.booleans(),
)
frames = envelopes | st.builds(Lost, st.integers(0, 2**40)) | st.builds(Hello, st.integers(0, 9), texts)


@given(st.lists(frames, max_size=8), st.integers(1, 40))
def test_what_goes_in_comes_out_however_it_is_cut(sent: list[Hello | Lost | Envelope], size: int) -> None:
    data = b"".join(map(encode_frame, sent))
    reader = FrameReader()
    found = [f for at in range(0, len(data), size) for f in reader.receive(data[at : at + size])]
    assert [type(f) for f in found] == [Publication if type(f) is Envelope else type(f) for f in sent]
    assert [msgspec.structs.astuple(f) for f in found] == [msgspec.structs.astuple(f) for f in sent]


@given(st.binary(min_size=5, max_size=60))
def test_hostile_bytes_are_a_value_error_or_wait_for_more(data: bytes) -> None:
    reader = FrameReader()
    body = len(data).to_bytes(4, "little") + data
    try:
        assert all(isinstance(frame, Hello | Lost | Publication) for frame in reader.receive(body))
    except ValueError:
        pass


@pytest.mark.parametrize(
    "body",
    [
        b"\x93\x01\xa1n",
        msgspec.msgpack.encode((1, "node", "topic", "text, not bytes", True)),
        msgspec.msgpack.encode((1, "node", 7, b"", True)),
        msgspec.msgpack.encode((9, 1)),
        msgspec.msgpack.encode({"node": "x"}),
        b"\x80\x04\x95",  # how a pickle begins
        b"",
    ],
)
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        list(FrameReader().receive(len(body).to_bytes(4, "little") + body))


def test_a_frame_that_claims_too_much_is_refused_before_it_comes() -> None:
    with pytest.raises(ValueError, match="bytes"):
        list(FrameReader().receive((MOST + 1).to_bytes(4, "little")))
    with pytest.raises(BackplaneError, match="other workers"):
        encode_frame(Envelope("n", "t", bytes(MOST), True))
