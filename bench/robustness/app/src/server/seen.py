"""What the close hooks were told."""

from __future__ import annotations

from collections import Counter

seen: Counter[int] = Counter()
