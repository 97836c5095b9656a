"""Routes that match a path exactly."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from starlette.routing import Route


class ExactRoute(Route):
    """A route that does not match a path with a final newline, as Starlette's `$` does."""

    path_regex: re.Pattern[str]

    def __init__(self, path: str, endpoint: Callable[..., Any]) -> None:
        super().__init__(path, endpoint)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")
