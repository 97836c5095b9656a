"""The team of a new sandbox: the contact of the documentation, and a few more.

Phone numbers are from ranges that are reserved for fiction, and email addresses from example.com.
"""

from __future__ import annotations

from reachbook.domain import timestamps
from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.credential import TeamId
from reachbook.server.master_key import open_master_keys
from reachbook.service import Service, TeamKeys, WriteContext
from reachbook.service.administration import Administration
from reachbook.service.bootstrap import Bootstrap, bootstrap
from reachbook.service.bulk import NewContact
from reachbook.settings import Settings
from reachbook.storage import open_store

ACTOR = "sandbox"
CONTACTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("Amara", "Okafor", {"phone": "12025550143", "email": "amara@example.com"}),
    ("Bruno", "Costa", {"phone": "14155550120"}),
    ("Chen", "Wei", {"email": "chen.wei@example.com"}),
    ("Dalia", "Haddad", {"phone": "442079460018", "whatsapp": "442079460018"}),
    ("Elif", "Demir", {"email": "elif@example.com", "facebook": "24518830021"}),
    ("Farid", "Nasser", {"phone": "12025550177"}),
    ("Noor", "Rahman", {}),
)


async def create_team(settings: Settings) -> Bootstrap:
    """Create the store, its team and its contacts; returns the credentials."""
    store = await open_store(settings.database_url)
    try:
        keys = await open_master_keys(settings, store)
        made = await bootstrap(store, Administration(store, timestamps.now), keys[0])
        assert made is not None  # noqa: S101 - the directory is new
        context = WriteContext(TeamId(made.team_id), ACTOR, ACTOR)
        service = Service(store, TeamKeys(store, keys))
        rows = [NewContact(context, _contact(*each)) for each in CONTACTS]
        await service.contacts.create_many(context.team_id, rows)
    finally:
        await store.close()
    return made


def _contact(first: str, last: str, channels: dict[str, str]) -> ContactInput:
    inputs = (
        ChannelInput(addresses.parse(addresses.channel_type(kind), address))
        for kind, address in channels.items()
    )
    return ContactInput(tuple(inputs), first=first, last=last)
