"""`longwave dev`: the supervisor's decisions and what it shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from longwave.cli.front import FrontEnd
from longwave.cli.hmr import HmrListener
from longwave.cli.listen import bind_socket, close_socket, local_urls, network_urls
from longwave.cli.shortcuts import Shortcuts
from longwave.cli.terminal import RouteLine, Terminal, count, few, open_browser
from longwave.config import Settings, load_settings
from longwave.config.files import CONFIG_FILE
from longwave.dev.failures import Failure
from longwave.dev.feed import Page, Swapped
from longwave.dev.supervisor import Start, Supervisor
from longwave.dev.vite import find_vite
from longwave.dev.watch import is_watched
from longwave.errors import ConfigError

__all__ = ["run_dev"]

# The worker finds its modules where the supervisor found them, whatever the interpreter would add.
BOOT = (
    "import json, sys; task = json.loads(sys.argv[1]); sys.path[:] = task.pop('path'); "
    "from longwave.cli.worker import main; raise SystemExit(main(task, int(sys.argv[2])))"
)


def run_dev(root: Path, config: Path | None, mode: str | None, overrides: Mapping[str, Any]) -> int:
    """Serve a project until Ctrl-C; a taken port or no folder is an error at once.

    A configuration that is broken is not: the next change may mend it.
    """
    root = root.absolute()
    dev = DevServer(root, config, mode, overrides)
    with contextlib.suppress(ConfigError):
        dev.load()
    if not root.is_dir():
        raise ConfigError(
            f"{root}: expected the folder of a project, found {'a file' if root.exists() else 'nothing'}"
        )
    try:
        if dev.settings is not None:
            if dev.settings.frontend.vite.enabled:
                # No change of a file that we look at would mend this.
                find_vite(dev.settings.frontend.vite)
            dev.listen(dev.settings)
        files = [config.absolute()] if config is not None else []
        supervisor = Supervisor(root, dev.prepare, dev, files, dev.is_setting)
        return asyncio.run(dev.front.beside(dev.run(supervisor)))
    finally:
        dev.close()


HINT = ("  press ", ("h", "bold"), " + enter for help")
HELP = (
    ("r", "restart: a new process, with all state gone"),
    ("u", "show the addresses"),
    ("o", "open the browser"),
    ("c", "clear the screen"),
    ("q", "quit"),
)


class DevServer:
    """Loads the settings before each start, keeps the socket, shows what happened."""

    def __init__(
        self, root: Path, config: Path | None, mode: str | None, overrides: Mapping[str, Any]
    ) -> None:
        self.settings: Settings | None = None
        self._options: dict[str, Any] = {
            "mode": mode,
            "config_file": str(config.absolute()) if config is not None else None,
            "overrides": overrides,
        }
        self._root = str(root)
        self._socket: socket.socket | None = None
        self._bound: Settings | None = None
        self._terminal = Terminal()
        self.front = FrontEnd(self._terminal)
        self._hmr = HmrListener(self._terminal.notice)
        self._shown = False
        self._shortcuts: Shortcuts | None = None
        self._imported: dict[str, Path] = {}
        self._problems: list[Failure] = []

    async def run(self, supervisor: Supervisor) -> int:
        """Let a supervisor serve, and do what is typed; returns the exit code."""
        shortcuts = Shortcuts(self.actions(supervisor), self._terminal.interrupted)
        if self._terminal.is_watched:
            shortcuts.begin()
        self._shortcuts = shortcuts
        try:
            return await supervisor.run()
        finally:
            shortcuts.end()

    def load(self) -> Settings:
        """Load the settings as they are now.

        What the config file imports of the project is imported anew.
        """
        for name in self._imported:
            sys.modules.pop(name, None)
        before = set(sys.modules)
        try:
            self.settings = load_settings(self._root, command="dev", **self._options)
        finally:
            # What it wants is that of before, too, when it could not be imported this time.
            self._imported |= _modules_below(Path(self._root).resolve(), set(sys.modules) - before)
        self._terminal.level = self.settings.log.level
        return self.settings

    def is_setting(self, path: Path) -> bool:
        """Whether a file is one that the settings are read from."""
        if path == Path(self._root).resolve() / CONFIG_FILE or path in self._imported.values():
            return True
        return path.suffix == ".toml" or path.name.startswith(".env")

    def listen(self, settings: Settings) -> None:
        """Listen where the settings say; the socket stays while that stays the same."""
        if self._bound is None or _address(settings) != _address(self._bound):
            sock = bind_socket(settings)
            self.close()
            self._socket, self._bound = sock, settings
            self._shown = False
        self._hmr.listen(settings)

    def close(self) -> None:
        """Give the socket up."""
        if self._socket is not None and self._bound is not None:
            close_socket(self._bound, self._socket)
        self._socket = self._bound = None
        self._hmr.close()

    def prepare(self) -> Start:
        """Return what the next worker is started with."""
        settings = self.load()
        self.listen(settings)
        assert self._socket is not None
        task = {
            "path": sys.path,
            "root": self._root,
            "options": self._options,
            "fd": self._socket.fileno(),
            "vite": self.front.port(settings),
            "hmr": self._hmr.task(),
        }
        return Start([sys.executable, "-c", BOOT, json.dumps(task)], [self._socket, *self._hmr.sockets])

    # What the supervisor tells.

    def ready(self, message: Mapping[str, Any], seconds: float, changed: Sequence[str], why: str) -> None:
        """Show the banner, or what changed; then the routes that do not work."""
        assert self.settings is not None
        if not self._shown:
            self._show_banner(message, seconds, self.settings)
        else:
            self._terminal.restarted(changed, seconds, why)
        self._show_problems([Failure(**problem) for problem in message["problems"]])

    def swapped(self, news: Swapped) -> None:
        """Show what was swapped, and what became of the connections."""
        self._terminal.swapped(news.files, news.seconds, outcome_of(news), mended=news.mended)
        self._show_problems(news.problems)

    def page(self, news: Page) -> None:
        """Show which files of pages changed."""
        self._terminal.page(news.files, "reload" if news.does_reload else "new style")

    def failed(self, failure: Failure, changed: Sequence[str], serving: bool) -> None:
        """Show what is wrong, and what is served now."""
        others = [name for name in changed if name != failure.file]
        if others:
            self._terminal.notice(f"changed: {few(others)}")
        what = "The code from before goes on" if serving else "Nothing is served"
        self._terminal.failure(str(failure), f"{what} until a file changes.")

    def died(self, code: int) -> None:
        """Show that the worker is gone."""
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        self._terminal.failure(f"the worker ended {how}.", "Nothing is served until a file changes.")

    def notice(self, text: str) -> None:
        """Show a line."""
        self._terminal.notice(text)

    def interrupted(self) -> None:
        """Take note that the worker wrote to the terminal."""
        self._terminal.interrupted()

    def _show_problems(self, problems: Sequence[Failure]) -> None:
        """Show what is wrong with single routes, each once as long as it is."""
        for problem in problems:
            if problem not in self._problems:
                self._terminal.failure(str(problem))
        self._problems = list(problems)

    def _show_banner(self, message: Mapping[str, Any], seconds: float, settings: Settings) -> None:
        self._shown = True
        local, network, inspector = self._addresses()
        are_read = self._shortcuts is not None and self._shortcuts.are_read
        self._terminal.banner(
            seconds,
            local=local,
            network=network,
            inspector=inspector,
            routes=[RouteLine(**route) for route in message["routes"]],
            hidden=settings.hidden(),
            hint=HINT if are_read else (),
        )
        if settings.server.open:
            self._open()

    def _addresses(self) -> tuple[list[str], list[str], list[str]]:
        """Return the addresses for this machine, those for others, and the inspector's."""
        assert self._socket is not None and self._bound is not None
        address = self._socket.getsockname()
        if not isinstance(address, tuple):
            return [f"unix:{address}"], [], []
        local = local_urls(self._bound, address[1])
        has_inspector = (self.settings or self._bound).inspector.enabled
        inspector = [f"{local[0]}_longwave/"] if has_inspector else []
        return local, network_urls(self._bound, address[1]), inspector

    # What is typed.

    def actions(self, supervisor: Supervisor) -> dict[str, Callable[[], object]]:
        """Return what each letter does."""
        return {
            "r": supervisor.restart,
            "u": self._show_addresses,
            "o": self._open,
            "c": self._terminal.clear,
            "q": supervisor.stop,
            "h": self._show_help,
        }

    def _show_addresses(self) -> None:
        if self._socket is not None:
            self._terminal.addresses(*self._addresses())

    def _open(self) -> None:
        if self.settings is not None and self._socket is not None:
            address = self._addresses()[0][0]
            if not address.startswith("unix:"):
                open_browser(address, self.settings.server.open or True)

    def _show_help(self) -> None:
        for letter, what in HELP:
            self._terminal.line("  ", (letter, "bold"), (" + enter", "dim"), f"  {what}")


def outcome_of(news: Swapped) -> list[str]:
    """Return in a few words what an exchange did."""
    said = [
        count(len(news.routes), "route"),
        "middleware" if news.is_middleware else "",
        *(f"{pattern} added" for pattern in news.added),
        *(f"{pattern} removed" for pattern in news.removed),
    ]
    if not any(said):
        said = [count(news.modules, "module")]
    said += [
        count(news.kept, "socket") and f"{count(news.kept, 'socket')} kept",
        count(news.closed, "socket") and f"{count(news.closed, 'socket')} closed",
        count(news.ended, "stream") and f"{count(news.ended, 'stream')} ended",
    ]
    return [word for word in said if word]


def _modules_below(root: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return those modules whose files are the project's own."""
    found = {}
    for name in names:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and is_watched(Path(file), root):
            found[name] = Path(file)
    return found


def _address(settings: Settings) -> tuple[Any, ...]:
    server = settings.server
    return (server.host, server.port, server.strict_port, server.uds, server.fd)
