"""Read an address as typed; returns the canonical address and its identity.

An `Address` exists only in canonical form: `parse` returns one, or raises a refusal with an
example. Two spellings of one address have one identity, and an identity has one owner in the
database (contract section 3).
"""

from __future__ import annotations

import re
from typing import NewType

from msgspec import Struct
from msgspec.structs import replace

from reachbook.domain.address import email, handle, numbering
from reachbook.domain.address import phone as address_phone
from reachbook.domain.address.phone import PHONE_FAMILY
from reachbook.domain.address.text import stripped, unstorable
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.limits import MAX_CHARACTERS

# The version of the rules that make an identity of an address. Stored identities were computed
# under a version. Increase it with every change of these rules: a migration then computes every
# stored identity again.
IDENTITY_VERSION = 2

ChannelType = NewType("ChannelType", str)

UNSCOPED = PHONE_FAMILY | {"email"}
RESERVED_TYPE = "id"


_STAND_IN = "\x1a"  # SUBSTITUTE, which no address may contain

_CHANNEL_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class Address(Struct, frozen=True):
    """A canonical address: the stored text, and the identity by which two addresses are equal.

    `other_reading` holds E.164 digits if the text was typed without a leading + and can be read in
    two ways in the team's region. A look-up tries both readings. If `is_ambiguous`, both are valid
    numbers: such an address can be looked up, and kept where it is, but it cannot be added.
    """

    channel_type: ChannelType
    channel_id: str
    identity: str
    other_reading: str = ""
    is_ambiguous: bool = False


def channel_type(text: str) -> ChannelType:
    """Returns a text as a channel type; raises `bad_channel_type` if it is not one."""
    if _CHANNEL_TYPE.fullmatch(text) is None or text == RESERVED_TYPE:
        raise Refusal(
            Reason.BAD_CHANNEL_TYPE,
            "A channel_type is 1 to 32 of a-z, 0-9, _ and -, begins with a letter, and is not "
            f"{RESERVED_TYPE!r}, which is reserved; for example phone, email or facebook.",
            fields={"channel_type": "not a channel type"},
        )
    return ChannelType(text)


def parse(kind: ChannelType, text: str, region: str | None = None) -> Address:
    """Returns the address that `text` spells.

    `region` is the team's default region (ISO 3166-1 alpha-2). With it, a phone number that is
    typed without + or 00 is read as a national number, too. Without it nothing is guessed.

    Raises a refusal that shows an example if the text is not an address of the type. A text that
    can be read in two ways is returned as ambiguous; call `require_unambiguous` before adding it.
    """
    if kind in PHONE_FAMILY:
        phone = address_phone.read(kind, text, region)
        return Address(
            kind, phone.channel_id, phone.identity, phone.other_reading, phone.is_ambiguous
        )
    if kind == "email":
        written, identity = email.read(text)
        return Address(kind, written, identity)
    return Address(kind, *handle.read(kind, stripped(text)))


def looks_like_phone(text: str) -> bool:
    """Returns whether a text without a type is a number in a form that only phones have.

    Examples are `tel:+1...`, `https://wa.me/1...` and `1...@s.whatsapp.net`.
    """
    return address_phone.has_affixes(text)


def readings(address: Address) -> tuple[Address, ...]:
    """Returns the addresses that a look-up tries: both readings, the international one first.

    The international reading comes first because numbers are returned in this form: a value that a
    client sends back must find the channel that it came from.
    """
    if not address.other_reading:
        return (address,)
    other = Address(
        address.channel_type, address.other_reading, numbering.identity(address.other_reading)
    )
    chosen = replace(address, other_reading="", is_ambiguous=False)
    return (chosen, other) if address.is_ambiguous else (other, chosen)


def is_number(address: Address) -> bool:
    """Returns whether an address is a phone number, and so may be found under another type."""
    return address_phone.is_number(address.channel_type, address.identity)


def scope(kind: ChannelType, info_channel: str) -> str:
    """Returns the scope in which an identity is unique, or "" if it is unique in the team.

    Ids that a page or an integration issues are unique within that page or integration.
    """
    return "" if kind in UNSCOPED else info_channel


def stand_in(channel_number: int) -> str:
    """Returns an identity for a channel whose own identity an older channel has.

    No address has such an identity, because it begins with a control character.
    """
    return f"{_STAND_IN}{channel_number}"


def is_stand_in(identity: str) -> bool:
    """Returns whether an identity is a stand-in, and not that of an address."""
    return identity.startswith(_STAND_IN)


def require_unambiguous(address: Address) -> None:
    """Raises `ambiguous` if an address could be two numbers, so that it cannot be added."""
    if address.is_ambiguous:
        raise ambiguous_error(address)


def ambiguous_error(address: Address) -> Refusal:
    """Returns the refusal of a text that can be read as two numbers, with both of them."""
    numbers = [f"+{each.channel_id}" for each in readings(address)]
    first, second = numbers
    return Refusal(
        Reason.AMBIGUOUS,
        f"These digits can be read as {first} or as {second}; send the number with its country "
        f"code and a leading +, for example {second}.",
        fields={"channel_id": "ambiguous without a leading +"},
        facts={"readings": numbers},
    )


def validate_text(field: str, text: str) -> str:
    """Returns a short text unchanged; raises `bad_value` if it is too long or cannot be stored."""
    if len(text) > MAX_CHARACTERS:
        raise Refusal(
            Reason.BAD_VALUE,
            f"{field} is {len(text)} characters long; at most {MAX_CHARACTERS} are accepted.",
            fields={field: "too long"},
        )
    if unstorable(text):
        raise Refusal(
            Reason.BAD_VALUE,
            f"{field} holds a control character or half of a surrogate pair; leave it out.",
            fields={field: "holds a control character"},
        )
    return text
