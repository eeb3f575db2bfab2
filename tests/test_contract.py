"""What the contract itself knows."""

from __future__ import annotations

from longwave.contract import is_loopback


def test_only_this_machine() -> None:
    for host in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"):
        assert is_loopback((host, 1)), host
    for host in ("192.168.1.7", "10.0.0.1", "fe80::1", "fe80::1%eth0", "::ffff:10.0.0.1", "0.0.0.0"):
        assert not is_loopback((host, 1)), host
    assert not is_loopback(None)
    assert not is_loopback(("testclient", 1))
