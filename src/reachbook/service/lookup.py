"""Whose address is this? Its own type first; for a phone number, then the whole phone family."""

from __future__ import annotations

from msgspec.structs import replace

from reachbook.address import PHONE_FAMILY, ChannelType
from reachbook.credential import TeamId
from reachbook.storage import Directory
from reachbook.storage.directory import Owned, Sought

PHONE = ChannelType("phone")


async def look_up(directory: Directory, team_id: TeamId, sought: list[Sought]) -> list[list[Owned]]:
    """The owners of each address, the most exact first; an entry for each address, in order."""
    asked = [each for one in sought for each in _readings(one)]
    answers = iter(await directory.owners(team_id, asked))
    return [_best([next(answers) for _ in _readings(one)]) for one in sought]


def _readings(one: Sought) -> list[Sought]:
    """An address as it is, and, when it is a phone number, as every type of the phone family."""
    kind = one.address.channel_type
    if kind not in PHONE_FAMILY or not one.address.identity.isdecimal():
        return [one]
    others = [PHONE, *sorted(PHONE_FAMILY - {PHONE})]
    types = [kind, *(other for other in others if other != kind)]
    return [
        replace(one, address=replace(one.address, channel_type=ChannelType(each))) for each in types
    ]


def _best(readings: list[list[Owned]]) -> list[Owned]:
    """The owners under the first reading that has any, the unscoped and the oldest first."""
    some = next((owners for owners in readings if owners), [])
    return sorted(some, key=lambda one: (one.scope, one.created, one.channel_number))
