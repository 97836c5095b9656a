"""What happens if another contact owns the address that a request adds."""

from __future__ import annotations

from enum import StrEnum


class OnConflict(StrEnum):
    """The action if another contact owns the address that is to be added."""

    # The values of `?on_conflict=`.
    REFUSE = "refuse"
    MOVE = "move"
