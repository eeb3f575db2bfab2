"""Where settings meet: defaults, config file, project file, environment, command line; the last wins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import fields

from longwave.config.define import ConfigEnv
from longwave.config.dotenv import EnvFiles, env_file_names, read_env_files
from longwave.config.files import CONFIG_FILE, PROJECT_FILE, display_path, read_config_file, read_project_file
from longwave.config.layers import Layer, Value, layer_from_environment, layer_from_values, raise_problems
from longwave.config.schema import known_keys
from longwave.config.settings import (
    Command,
    CompressionSettings,
    FeatureSettings,
    FrontendSettings,
    HmrSettings,
    InspectorSettings,
    LogSettings,
    Origin,
    SecuritySettings,
    ServerSettings,
    Settings,
    ViteSettings,
)
from longwave.errors import ConfigError
from longwave.limits import Limits, Timeouts

__all__ = ["load_settings", "settings_from_values"]

DEFAULT = "default"
MODES: Mapping[Command, str] = {"dev": "development", "start": "production"}
PATH_KEYS = ("server.uds", "server.ssl_certfile", "server.ssl_keyfile", "frontend.vite.root")

T = TypeVar("T")


def load_settings(
    root: str | os.PathLike[str],
    *,
    command: Command,
    mode: str | None = None,
    config_file: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    overrides_source: str = "command line",
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Load the settings of a project folder.

    Highest first: `overrides` (sections as in `define_config`), the environment (in `dev` the `.env` files
    below it), `[tool.longwave]` of `pyproject.toml`, `longwave.config.py`, the defaults. `environ` is the
    process's own unless it is given. Raises `ConfigError` with every problem that was found.
    """
    folder = Path(os.path.abspath(root))
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing"
        raise ConfigError(f"{folder}: expected the folder of a project, found {what}")
    environ = dict(os.environ) if environ is None else environ
    mode = _checked_mode(mode, command)
    env_files = read_env_files(folder, mode, environ) if command == "dev" else EnvFiles({}, {})
    config_path = Path(os.path.abspath(config_file)) if config_file is not None else folder / CONFIG_FILE
    project_path = folder / PROJECT_FILE
    config_source = display_path(config_path)
    project_source = f"{display_path(project_path)} [tool.longwave]"
    layers = []
    if config_file is not None or config_path.exists():
        values = read_config_file(config_path, ConfigEnv(command, mode))
        layers.append(layer_from_values(values, config_source))
    project = read_project_file(project_path)
    if project is not None:
        layers.append(layer_from_values(project, project_source))
    layers.append(layer_from_environment(env_files.values, env_files.sources))
    layers.append(layer_from_environment(environ))
    layers.append(layer_from_values(overrides or {}, overrides_source))
    return _settings(
        layers,
        root=folder,
        command=command,
        mode=mode,
        environment=env_files.values,
        files=(config_path, project_path, *(folder / name for name in env_file_names(mode))),
        config_source=config_source,
        project_source=project_source,
    )


def settings_from_values(
    values: Mapping[str, Any], *, command: Command = "start", mode: str | None = None
) -> Settings:
    """Make settings of values alone: no folder, no environment.

    Paths are those of the working directory.
    """
    layer = layer_from_values(values, "create_app(...)")
    return _settings([layer], root=Path.cwd(), command=command, mode=_checked_mode(mode, command))


def _checked_mode(mode: str | None, command: Command) -> str:
    if mode is None:
        return MODES[command]
    if mode == "local" or not mode or "/" in mode or "\0" in mode:
        # `.env.local` is the name of the file for every mode.
        raise ConfigError(f'mode: expected a name such as "staging", found {mode!r}')
    return mode


def _settings(layers: Sequence[Layer], *, root: Path, command: Command, mode: str, **about: Any) -> Settings:
    """Check all layers, put them over the defaults, and make the tree."""
    provenance = _merge(layers, command, root)
    raise_problems([problem for layer in layers for problem in layer.problems] + _contradictions(provenance))
    values = {key: origin.value for key, origin in provenance.items()}
    vite = ViteSettings(enabled=values["frontend.vite"], **_section(ViteSettings, "frontend.vite", values))
    inspector = _section(InspectorSettings, "inspector", values)
    hmr = HmrSettings(enabled=values["server.hmr"], **_section(HmrSettings, "server.hmr", values))
    return Settings(
        root=root,
        command=command,
        mode=mode,
        server=ServerSettings(**{**_section(ServerSettings, "server", values), "hmr": hmr}),
        features=FeatureSettings(**_section(FeatureSettings, "features", values)),
        compression=CompressionSettings(**_section(CompressionSettings, "compression", values)),
        security=SecuritySettings(**_section(SecuritySettings, "security", values)),
        limits=Limits(**_section(Limits, "limits", values)),
        timeouts=Timeouts(**_section(Timeouts, "timeouts", values)),
        frontend=FrontendSettings(vite),
        inspector=InspectorSettings(enabled=values["inspector"], **inspector),
        log=LogSettings(**_section(LogSettings, "log", values)),
        provenance=provenance,
        **about,
    )


def _merge(layers: Sequence[Layer], command: Command, root: Path) -> dict[str, Origin]:
    """Return the origin of each key. Keys are flat, so dicts merge key by key.

    `hmr = true` over a table says only that it is on: the table's keys stay.
    """
    provenance = {}
    for name, key in known_keys().items():
        # A server that was started on purpose has one address; a dev server looks for a free one.
        default = command == "start" if name == "server.strict_port" else key.default
        said = [Value(default, DEFAULT)] + [layer.values[name] for layer in layers if name in layer.values]
        origin = Origin(_placed(name, said[0].value, root), said[0].source)
        for value in said[1:]:
            hides = (Origin(origin.value, origin.source), *origin.hides)
            origin = Origin(_placed(name, value.value, root), value.source, hides)
        provenance[name] = origin
    return provenance


def _placed(name: str, value: Any, root: Path) -> Any:
    """Return a path of a file of the project from its root."""
    return root / value if name in PATH_KEYS and value is not None else value


def _section(kind: type[Any], section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    names = [field.name for field in fields(kind)]
    return {name: values[f"{section}.{name}"] for name in names if f"{section}.{name}" in values}


def _contradictions(provenance: Mapping[str, Origin]) -> list[str]:
    """Return what single keys cannot show: settings that do not go together, files that are not there."""
    problems = []

    def where(key: str) -> str:
        return f"{provenance[key].source}: {key}"

    if provenance["server.uds"].value is not None and provenance["server.fd"].value is not None:
        problems.append(f"{where('server.fd')}: expected one of server.uds and server.fd, found both")
    if provenance["server.ssl_certfile"].value is None:
        for key in ("server.ssl_keyfile", "server.ssl_keyfile_password"):
            if provenance[key].value is not None:
                problems.append(f"{where(key)}: expected server.ssl_certfile beside it, found none")
    for key in ("server.ssl_certfile", "server.ssl_keyfile"):
        path = provenance[key].value
        if path is not None and not path.is_file():
            problems.append(f"{where(key)}: expected a file, found nothing at {path}")
    return problems
