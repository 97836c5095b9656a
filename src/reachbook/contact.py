"""A contact: whom the channels reach, and the rules by which contacts come and go."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import asdict
from msgspec.structs import replace as with_fields

from reachbook import contact_channel
from reachbook.contact_channel import Reach, Wanted
from reachbook.errors import Reason, Refusal

MAX_TAGS = 5
NOT_STORED = 0


class Contact(Reach, frozen=True):
    """A contact as the store keeps it: its page of the book, and what is known of the person.

    `created`, `updated` and `deleted` are microseconds since the epoch. `custom` is the JSON
    object of the team's own fields, `tags` the ids of at most five tags; `external_id` is unique
    in a team.
    """

    created: int
    deleted: int | None = None
    first: str = ""
    last: str = ""
    display_name: str = ""
    avatar: str = ""
    assigned_user_id: int | None = None
    external_id: str | None = None
    is_opted_out: bool = False
    custom: dict[str, object] = field(default_factory=dict)
    tags: tuple[int, ...] = ()


class WantedContact(Struct, frozen=True):
    """What a client asks a contact to be. A field left unset stays as it is."""

    channels: tuple[Wanted, ...] = ()
    first: str | UnsetType = UNSET
    last: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    avatar: str | UnsetType = UNSET
    assigned_user_id: int | UnsetType | None = UNSET
    external_id: str | UnsetType | None = UNSET
    is_opted_out: bool | UnsetType = UNSET
    custom: dict[str, object] | UnsetType = UNSET
    tags: tuple[int, ...] | UnsetType = UNSET


def create(team_id: int, uuid: str, wanted: WantedContact, now: int) -> Contact:
    """POST /v2/contact: a new contact with its channels, its first revision."""
    new = Contact(
        team_id=team_id, id=NOT_STORED, uuid=uuid, rev=0, updated=now - 1, channels=(), created=now
    )
    supplied = {name: value for name, value in asdict(wanted).items() if value is not UNSET}
    del supplied["channels"]
    for channel in wanted.channels:
        new = with_fields(new, channels=contact_channel.add(new, channel, now).channels)
    return with_fields(new, rev=1, updated=now, **supplied)


def delete(contact: Contact | None, now: int) -> Contact:
    """DELETE /v2/contact/{contactID}: what only one may have is free, the contact is hidden."""
    known = contact_channel.found(contact)
    at = contact_channel.moment(known, now)
    freed = {"channels": (), "external_id": None}
    return with_fields(known, rev=known.rev + 1, updated=at, deleted=at, **freed)


def too_many_tags(count: int) -> Refusal:
    """The refusal of a sixth tag."""
    return Refusal(
        Reason.BAD_VALUE,
        f"A contact has at most {MAX_TAGS} tags; {count} were sent.",
        fields={"tags": f"more than {MAX_TAGS}"},
    )
