"""What was measured, as it is kept in `results.json`: every sample of every round."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.kit import Kit
from bench.measure import Sample

__all__ = ["Outcome", "Results", "facts"]

BUILD = (
    "import platform, sysconfig; "
    "built = sysconfig.get_config_var('CONFIG_ARGS') or ''; "
    "print(platform.python_implementation(), platform.python_version(), "
    "'built with', ' and '.join(name for name in ('--enable-optimizations', '--with-lto') if name in built) "
    "or 'neither --enable-optimizations nor --with-lto')"
)


@dataclass
class Outcome:
    """What one server did in one row: samples by round, or why there are none."""

    samples: dict[int, Sample] = field(default_factory=dict)
    error: str = ""

    def values(self, name: str) -> list[float]:
        """Return one figure of all rounds."""
        return [sample[name] for sample in self.samples.values() if name in sample]


@dataclass
class Results:
    """Rows by name, in each the servers by name."""

    facts: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, dict[str, Outcome]] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        """Write it down."""
        rows = {
            row: {name: {"samples": o.samples, "error": o.error} for name, o in servers.items()}
            for row, servers in self.rows.items()
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"facts": self.facts, "rows": rows}, indent=1) + "\n")

    @classmethod
    def load(cls, file: Path) -> Results:
        """Read it back; nothing where there is no file."""
        if not file.exists():
            return cls()
        document: dict[str, Any] = json.loads(file.read_text())
        rows = {
            row: {name: _outcome(o) for name, o in servers.items()}
            for row, servers in document["rows"].items()
        }
        return cls(document["facts"], rows)


def facts(kit: Kit) -> dict[str, Any]:
    """Return what the figures depend on."""
    asked = subprocess.run([kit.python(), "-c", BUILD], capture_output=True, text=True, check=False)
    kernel = ".".join(platform.release().split(".")[:2])
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{_processor()}, {os.cpu_count()} processors, {platform.system()} {kernel}",
        "interpreter": asked.stdout.strip() or sys.version,
        "versions": kit.versions(),
    }


def _outcome(value: Mapping[str, Any]) -> Outcome:
    return Outcome({int(number): sample for number, sample in value["samples"].items()}, value["error"])


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    for line in file.read_text().splitlines() if file.exists() else []:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
