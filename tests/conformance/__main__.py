"""`python -m tests.conformance`: the tables against our own server."""

from __future__ import annotations

import sys

from tests.conformance.own import main

if __name__ == "__main__":
    sys.exit(main())
