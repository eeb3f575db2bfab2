"""Requests get from us the verdict that they get from h11, but for the documented differences.

The differences stand in `tests/core/test_http1_h11.py`, which judges here as well.
"""

from __future__ import annotations

from tests.core.test_http1_h11 import check_verdicts

__all__ = ["check"]


def check(data: bytes) -> None:
    """Give the input to both."""
    check_verdicts(data)
