from __future__ import annotations

import asyncio
import errno
import logging
import os
from pathlib import Path

import pytest

from longwave.assemble import create_app
from longwave.backplane.siblings import Claim


def test_the_second_claim_on_a_folder_fails_until_the_first_is_released(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, second, other = Claim(tmp_path), Claim(tmp_path), Claim(tmp_path / "other")
    before = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()
    try:
        assert first.take()
        assert not second.take()
        assert other.take()
        first.release()
        assert second.take()
    finally:
        for claim in (first, second, other):
            claim.release()
    assert not before or set(os.listdir("/proc/self/fd")) == before


def test_a_claim_that_cannot_be_made_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Claim(tmp_path / "missing")
    assert missing.take() and missing.take()
    missing.release()

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert Claim(tmp_path).take()


def test_two_processes_of_one_root_are_told_that_they_do_not_share(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        first, second = create_app(tmp_path), create_app(tmp_path)
        await first.startup()
        assert not caplog.records
        await second.startup()
        await second.shutdown()
        await first.shutdown()
        third = create_app(tmp_path)
        await third.startup()
        await third.shutdown()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    (record,) = caplog.records
    assert "do not share" in record.getMessage() and str(tmp_path) in record.getMessage()
    assert list(tmp_path.iterdir()) == []
