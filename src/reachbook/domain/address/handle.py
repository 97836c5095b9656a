"""Read an id that an integration gives, such as a page-scoped id or a user name."""

from __future__ import annotations

from reachbook.domain.address.text import unstorable
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.limits import MAX_CHARACTERS

# Of these the id is a name that people type, with or without an @ and in any case.
USERNAMES = frozenset({"telegram", "instagram", "twitter", "x", "tiktok"})


def read(kind: str, text: str) -> tuple[str, str]:
    """Returns the id, unchanged, and its identity, or raises `bad_channel_id`."""
    forbidden = unstorable(text)
    if text in ("", "@"):
        problem = "is blank"
    elif len(text) > MAX_CHARACTERS:
        problem = f"is {len(text)} characters long"
    elif forbidden:
        problem = f"holds {forbidden}"
    elif kind in USERNAMES:
        return text, text.removeprefix("@").lower()
    else:
        return text, text
    raise Refusal(
        Reason.BAD_CHANNEL_ID,
        f"The channel_id for {kind} {problem}; send 1 to {MAX_CHARACTERS} characters without "
        "control characters, for example 1789004512.",
        fields={"channel_id": problem},
    )
