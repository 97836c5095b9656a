"""The limits of a contact, its channels and its texts."""

from __future__ import annotations

MAX_CHANNELS = 500
MAX_TAGS = 5
MAX_CUSTOM_BYTES = 64 * 1024
MAX_CHARACTERS = 255
