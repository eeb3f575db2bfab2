"""`longwave build`: makes what `longwave start` serves besides the routes."""

from __future__ import annotations

import subprocess

from longwave.cli.terminal import Terminal
from longwave.config import Settings
from longwave.errors import ConfigError

__all__ = ["check_built", "run_build"]


def run_build(settings: Settings) -> int:
    """Build the front end of a project; returns the exit code of its tool.

    Raises `ConfigError` where there is nothing to build, and where the result is not where it is looked for.
    """
    vite = settings.frontend.vite
    if not vite.enabled:
        raise ConfigError(
            'there is nothing to build: set frontend = {"vite": {"root": ...}} where there is a front end; '
            "routes are served as they are"
        )
    # `longwave start` looks here whether there is a build, and wants nothing of the development server.
    from longwave.dev.vite import build_command

    command = build_command(vite, settings.mode, settings.log.level)
    # Ctrl-C reaches it too, as it is of our process group.
    code = subprocess.run(command, cwd=vite.root, check=False).returncode
    if code:
        Terminal(settings.log.level).error(f"Vite could not build {vite.root} (exit code {code})")
        return 1
    check_built(settings)
    return 0


def check_built(settings: Settings) -> None:
    """Raise `ConfigError` where there should be a built front end, and is none."""
    vite = settings.frontend.vite
    page = vite.root / vite.dist / "index.html"
    if vite.enabled and not page.is_file():
        raise ConfigError(
            f"frontend.vite: expected the built front end, found no {page}: run `longwave build`, or say "
            "where it is by frontend.vite.dist"
        )
