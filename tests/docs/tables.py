"""Tables of the documentation that are made of data; `python -m tests.docs.tables` writes them anew."""

from __future__ import annotations

import re

from tests.docs.samples import ROOT
from tests.suites.capabilities import CAPABILITIES, LACKS, SERVERS

__all__ = ["ASGI_PAGE", "capability_table", "main"]

ASGI_PAGE = ROOT / "docs" / "reference" / "asgi.md"
MARK = "<!-- table: capabilities -->\n\n"


def capability_table() -> str:
    """Return what servers differ in, as the link suite tests it."""
    lines = [f"| | {' | '.join(SERVERS.values())} |", "|---" * (len(SERVERS) + 1) + "|"]
    for key, text in CAPABILITIES.items():
        cells = [f"no: {LACKS[server][key]}" if key in LACKS[server] else "yes" for server in SERVERS]
        lines.append(f"| {text} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the tables into their pages."""
    text = ASGI_PAGE.read_text()
    ASGI_PAGE.write_text(re.sub(rf"{re.escape(MARK)}(\|.*\n)+", lambda _: MARK + capability_table(), text))


if __name__ == "__main__":
    main()
