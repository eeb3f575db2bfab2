"""`python -m longwave.cli` is the command `longwave`."""

from __future__ import annotations

from longwave.cli.main import main

raise SystemExit(main())
