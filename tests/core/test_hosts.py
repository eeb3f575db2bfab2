from __future__ import annotations

import pytest

from longwave.core.hosts import is_host


@pytest.mark.parametrize(
    "host", [b"example.com", b"localhost:3000", b"127.0.0.1", b"[::1]:80", b"a_b", b"x:"]
)
def test_hosts(host: bytes) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host", [b"", b"a b", b"u@h", b"a,b", b"a/b", b"a:b", b"[::1", b"a\r\nb", b"a:123456"]
)
def test_what_is_none(host: bytes) -> None:
    assert not is_host(host)
