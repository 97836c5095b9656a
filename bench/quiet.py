"""`reachbook serve` without the line that it logs for each request.

There is no such setting. It shows what the line costs, and lets the ceiling, which has no log, be
compared with the rest of the program. The benchmark checks that no line is logged.
"""

from __future__ import annotations

from typing import Any

from reachbook import logs
from reachbook.cli import main


class NoLine:
    """A log line of a request that is not written."""

    def __init__(self, **_fields: Any) -> None: ...

    def write(self) -> None:
        """Do nothing."""


logs.RequestLine = NoLine  # type: ignore[assignment,misc]

if __name__ == "__main__":
    main()
