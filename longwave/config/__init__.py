"""One place where settings meet, with a stated order."""

from __future__ import annotations

from longwave.config.define import ConfigEnv, ConfigSource, define_config
from longwave.config.load import load_settings, settings_from_values
from longwave.config.sections import (
    Config,
    FeaturesConfig,
    HmrConfig,
    LimitsConfig,
    LogConfig,
    SecurityConfig,
    ServerConfig,
    TimeoutsConfig,
)
from longwave.config.settings import Origin, Settings

__all__ = [
    "Config",
    "ConfigEnv",
    "ConfigSource",
    "FeaturesConfig",
    "HmrConfig",
    "LimitsConfig",
    "LogConfig",
    "Origin",
    "SecurityConfig",
    "ServerConfig",
    "Settings",
    "TimeoutsConfig",
    "define_config",
    "load_settings",
    "settings_from_values",
]
