"""The commands of `longwave`. Errors are sentences: exit code 1, and 2 for a wrong command line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from longwave import __version__
from longwave.cli.terminal import RouteLine, Terminal
from longwave.config import Settings, load_settings

__all__ = ["cli", "main"]

F = TypeVar("F", bound=Callable[..., Any])

LEVELS = ["debug", "info", "warning", "warn", "error", "silent"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; the entry point of the program."""
    try:
        result = cli.main(arguments, prog_name="longwave", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # `longwave routes | head`: nobody reads any more, and the interpreter must not say so at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0


def project_options(function: F) -> F:
    """Add what commands of a project take: folder, `-c`, `--mode`, `--log-level`."""
    options = [
        click.argument("root", default=".", type=click.Path(path_type=Path)),
        click.option("-c", "--config", type=click.Path(path_type=Path), help="Another longwave.config.py."),
        click.option("--mode", help="Which .env files are read, and what a config function is told."),
        click.option("--log-level", type=click.Choice(LEVELS), help="The least grave message that is shown."),
        click.option("--no-color", is_flag=True, help="Write without colours, as NO_COLOR does."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def server_options(function: F) -> F:
    """Add what `dev` and `start` take; `--host` and `--open` may stand alone."""
    options = [
        click.option("--host", is_flag=False, flag_value="true", help="Address; alone: every interface."),
        click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 is any free one."),
        click.option("--strict-port/--no-strict-port", default=None, help="Fail when the port is taken."),
        click.option("--open", is_flag=False, flag_value="true", help="Open the browser, maybe at a path."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


command_option = click.option(
    "--command", type=click.Choice(["dev", "start"]), default="dev", help="As which command sees it."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="longwave %(version)s")
def cli() -> None:
    """Serve the WebSocket and Server-Sent Events endpoints of a project."""


@cli.command()
@project_options
@server_options
def dev(root: Path, config: Path | None, mode: str | None, **flags: Any) -> int:
    """Serve ROOT for development, and again at each change."""
    from longwave.cli.dev import run_dev

    with sentences(root, flags):
        return run_dev(root, config, mode, overrides_of(flags))


@cli.command()
@project_options
@server_options
@click.option("--workers", type=click.IntRange(0), help="Processes that serve; 0 is one per processor.")
@click.option("--uds", type=click.Path(path_type=Path), help="Listen at a Unix socket.")
@click.option("--fd", type=click.IntRange(0), help="Listen at an inherited socket.")
@click.option("--ssl-certfile", type=click.Path(path_type=Path), help="Certificate chain, PEM.")
@click.option("--ssl-keyfile", type=click.Path(path_type=Path), help="Private key, PEM.")
def start(root: Path, config: Path | None, mode: str | None, **flags: Any) -> int:
    """Serve ROOT in production."""
    from longwave.cli.build import check_built
    from longwave.cli.serve import run_start

    with sentences(root, flags):
        settings = _load(root, config, mode, "start", flags)
        check_built(settings)
        if (count := settings.server.worker_count()) > 1:
            from longwave.cli.workers import run_workers

            return run_workers(settings, count, config, mode, overrides_of(flags))
        return run_start(settings)


@cli.command()
@project_options
def build(root: Path, config: Path | None, mode: str | None, **flags: Any) -> int:
    """Build the front end of ROOT, for start."""
    from longwave.cli.build import run_build

    with sentences(root, flags):
        return run_build(_load(root, config, mode, "start", flags))


@cli.command()
@project_options
@command_option
def routes(root: Path, config: Path | None, mode: str | None, command: Any, **flags: Any) -> int:
    """List the routes of ROOT and their files."""
    from longwave.cli.serve import load_app

    with sentences(root, flags):
        settings = _load(root, config, mode, command, flags)
        app = load_app(settings)
        terminal = Terminal(settings.log.level)
        terminal.routes([RouteLine.of(r.method, r.pattern, r.kind, r.source) for r in app.routes()])
        for problem in app.problems:
            terminal.error(str(problem.error))
        return 1 if app.problems else 0


@cli.command("config")
@project_options
@command_option
@server_options
@click.option("--explain", is_flag=True, help="Show where each value came from.")
def show_config(
    root: Path, config: Path | None, mode: str | None, command: Any, explain: bool, **flags: Any
) -> int:
    """Show every setting of ROOT."""
    from longwave.cli.explain import explain_settings, list_settings

    with sentences(root, flags):
        settings = _load(root, config, mode, command, flags)
        for line in explain_settings(settings) if explain else list_settings(settings):
            click.echo(line)
    return 0


@cli.command()
@click.argument("name", type=click.Path(path_type=Path))
def new(name: Path) -> int:
    """Make a project in the folder NAME: a chat and a clock."""
    from longwave.cli.new import create_project

    with sentences(name, {}):
        for path in create_project(name):
            click.echo(f"  {name / path}")
        click.echo(f"\nNow run:\n\n  longwave dev {name}\n")
    return 0


@contextlib.contextmanager
def sentences(root: Path, flags: dict[str, Any]) -> Iterator[None]:
    """Turn what goes wrong inside into a sentence and exit code 1.

    `debug` shows the traceback as well.
    """
    if flags.pop("no_color", False):
        # For the processes that are started as well, whatever they are.
        os.environ["NO_COLOR"] = "1"
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
        raise
    except Exception as error:
        from longwave.dev.failures import describe_failure

        Terminal(flags.get("log_level") or "info").error(str(describe_failure(error, root.absolute())))
        if flags.get("log_level") == "debug":
            import traceback

            traceback.print_exception(error)
        raise click.exceptions.Exit(1) from None


def overrides_of(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the flags that were given, as the sections of a configuration."""
    server = {key: value for key, value in flags.items() if key != "log_level" and value is not None}
    for key in ("host", "open"):
        if server.get(key) == "true":
            server[key] = True
    for key in ("uds", "ssl_certfile", "ssl_keyfile"):
        # A path on the command line is one of the working directory, not of the project.
        if key in server:
            server[key] = str(server[key].absolute())
    overrides: dict[str, Any] = {"server": server}
    if flags.get("log_level"):
        overrides["log"] = {"level": flags["log_level"]}
    return overrides


def _load(root: Path, config: Path | None, mode: str | None, command: Any, flags: dict[str, Any]) -> Settings:
    return load_settings(root, command=command, mode=mode, config_file=config, overrides=overrides_of(flags))
