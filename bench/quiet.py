"""`reachbook serve` without the line that it logs for each request.

There is no such setting. It shows what the line costs, and lets the ceiling, which has no log, be
compared with the rest of the program.
"""

from __future__ import annotations

from typing import Any

from reachbook.cli import main
from reachbook.http import middleware


class NoLog:
    """A logger that drops everything."""

    def info(self, _event: str, **_fields: Any) -> None:
        """Drop a line."""

    warning = error = info


middleware.log = NoLog()  # type: ignore[assignment]

if __name__ == "__main__":
    main()
