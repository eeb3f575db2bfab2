"""Checks of the reference."""
from __future__ import annotations
