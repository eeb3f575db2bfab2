from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwave.core.forwarded import Forwarded, TrustedProxies

PROXY = ("10.0.0.1", 4000)


def test_nobody_is_believed_by_default() -> None:
    assert not TrustedProxies([])
    assert TrustedProxies([]).read(PROXY, [(b"x-forwarded-for", b"1.2.3.4")]) is None


def test_a_stranger_is_not_believed() -> None:
    trusted = TrustedProxies(["10.0.0.0/8"])
    assert trusted.read(("192.0.2.7", 1), [(b"x-forwarded-for", b"1.2.3.4")]) is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Forwarded(None, None, None)),
        ([(b"x-forwarded-for", b"1.2.3.4")], Forwarded(("1.2.3.4", 0), None, None)),
        ([(b"x-forwarded-for", b"6.6.6.6, 1.2.3.4, 10.0.0.9")], Forwarded(("1.2.3.4", 0), None, None)),
        (
            [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"1.2.3.4")],
            Forwarded(("1.2.3.4", 0), None, None),
        ),
        ([(b"x-forwarded-for", b"nonsense")], Forwarded(None, None, None)),
        ([(b"x-forwarded-for", b"1.2.3.4:567")], Forwarded(("1.2.3.4", 0), None, None)),
        ([(b"x-forwarded-for", b"[2001:db8::1]:5")], Forwarded(("2001:db8::1", 0), None, None)),
        (
            [(b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"example.com")],
            Forwarded(None, "https", b"example.com"),
        ),
        # A zone may be any text.
        ([(b"x-forwarded-for", b'fe80::1%eth0" 200')], Forwarded(("fe80::1", 0), None, None)),
        ([(b"x-forwarded-for", b"1.2.3.4%eth0")], Forwarded(None, None, None)),
        # What could not stand in a Host field is no host.
        ([(b"x-forwarded-host", b"a b")], Forwarded(None, None, None)),
        ([(b"x-forwarded-host", b"a.example:80/x")], Forwarded(None, None, None)),
        ([(b"x-forwarded-host", b"[2001:db8::1]:80")], Forwarded(None, None, b"[2001:db8::1]:80")),
        ([(b"x-forwarded-proto", b"gopher")], Forwarded(None, None, None)),
        (
            [(b"forwarded", b'for=6.6.6.6, for="[2001:db8::2]:9";proto=https;host=a.example')],
            Forwarded(("2001:db8::2", 0), "https", b"a.example"),
        ),
    ],
)
def test_what_a_proxy_says(headers: list[tuple[bytes, bytes]], expected: Forwarded) -> None:
    assert TrustedProxies(["10.0.0.0/8"]).read(PROXY, headers) == expected


def test_a_unix_socket_is_a_proxy_where_any_is_trusted() -> None:
    assert TrustedProxies(["127.0.0.1"]).read(None, [(b"x-forwarded-for", b"1.2.3.4")]) == (
        ("1.2.3.4", 0),
        None,
        None,
    )


def test_an_impossible_entry_is_an_error() -> None:
    with pytest.raises(ValueError, match="proxy"):
        TrustedProxies(["proxy.example.com"])


@given(
    st.lists(
        st.tuples(st.sampled_from([b"x-forwarded-for", b"forwarded", b"x-forwarded-proto"]), st.binary())
    )
)
def test_no_header_is_an_exception(headers: list[tuple[bytes, bytes]]) -> None:
    found = TrustedProxies(["*"]).read(PROXY, headers)
    assert found is not None
    assert found.scheme in (None, "http", "https")
