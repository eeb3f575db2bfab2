from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from longwave.assemble import create_app
from longwave.backplane.siblings import Claim


def test_the_second_claim_on_a_folder_fails_until_the_first_is_released(tmp_path: Path) -> None:
    first, second, other = Claim(tmp_path), Claim(tmp_path), Claim(tmp_path / "other")
    try:
        assert first.take()
        assert not second.take()
        assert other.take()
        first.release()
        assert second.take()
    finally:
        for claim in (first, second, other):
            claim.release()
    assert not first.path.exists() and not other.path.exists()


def test_a_file_that_is_taken_away_meanwhile_is_made_again(tmp_path: Path) -> None:
    first, second = Claim(tmp_path), Claim(tmp_path)
    assert first.take()
    first.path.unlink()
    assert second.take()
    first.release()
    assert second.path.exists()
    second.release()
    assert not second.path.exists()


def test_a_claim_that_cannot_be_made_says_nothing(tmp_path: Path) -> None:
    claim = Claim(tmp_path)
    claim.path = tmp_path / "missing" / "lock"
    assert claim.take()


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
    assert not Claim(tmp_path).path.exists()
