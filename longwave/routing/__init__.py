"""From files to routes: `files` reads names, `table` matches paths.

`modules` loads a project's code, in generations.
"""

from __future__ import annotations

__all__: list[str] = []
