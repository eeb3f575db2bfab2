"""From a folder to a table, from a path to a route, from source to generations of modules.

`files` reads names, `table` matches paths, `modules` loads a project's code.
"""

from __future__ import annotations

__all__: list[str] = []
