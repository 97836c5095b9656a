"""An address that is looked for."""

from __future__ import annotations

from msgspec import Struct

from reachbook.domain.address.parsing import Address


class AddressQuery(Struct, frozen=True):
    """An address to look for; `scope` None means in whichever scope.

    `text` is the address as it was given, and `info_channel` that of a channel to make for it.
    """

    address: Address
    scope: str | None = None
    info_channel: str = ""
    text: str = ""
