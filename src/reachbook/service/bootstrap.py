"""The first start on an empty data directory: creates a team, credentials and a contact."""

from __future__ import annotations

from functools import partial
from itertools import chain, repeat

from msgspec import Struct

from reachbook.domain import timestamps
from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.credential import Representation, TeamId
from reachbook.domain.user import Role
from reachbook.service import Service, TeamKeys, WriteContext
from reachbook.service.administration import Administration, CredentialOptions
from reachbook.service.users import Users
from reachbook.storage import Store
from reachbook.storage.users import UserStore

ALICE = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
ALICE_PHONE = "15105553344"
ALICE_EMAIL = "alice@example.com"
TEAM_NAME = "My team"
ACTOR = "first run"
ADMIN = "admin@localhost"

# The times at which Alice's phone and email were added, by seed 000, in microseconds.
PHONE_ADDED = 1_705_312_800_000_000
EMAIL_ADDED = 1_705_313_100_000_000


class Bootstrap(Struct):
    """The team and the credentials of the first start, with their secrets."""

    team_id: int
    secret_id: str
    secret_key: str
    key_id: str
    api_key: str
    contact: str
    user: str
    sign_in_token: str


async def bootstrap(
    store: Store, administration: Administration, master_key: bytes
) -> Bootstrap | None:
    """Create a first team; returns None, and creates nothing, if the store has a team."""
    if await administration.teams():
        return None
    team = await administration.create_team(TEAM_NAME, None)
    secret, secret_key = await administration.create_secret(
        team.team_id, CredentialOptions(Representation.INTEGER_IDS, "first"), master_key
    )
    key, api_key = await administration.create_key(
        team.team_id, CredentialOptions(Representation.STRING_IDS, "first")
    )
    await _create_alice(store, TeamId(team.team_id), TeamKeys(store, (master_key,)))
    users = Users(UserStore(store.engine), timestamps.now)
    admin = await users.create(team.team_id, ADMIN, Role.ADMIN)
    token = await users.new_link(admin)
    return Bootstrap(
        team.team_id, secret.id, secret_key, key.id, api_key, ALICE, admin.email, token
    )


async def _create_alice(store: Store, team_id: TeamId, team_keys: TeamKeys) -> None:
    """Create the contact of seed 000, with the same times, so that its examples can be repeated."""
    times = chain([PHONE_ADDED], repeat(EMAIL_ADDED))
    service = Service(store, team_keys, partial(next, times))
    context = WriteContext(team_id, ACTOR, ACTOR)
    phone = ChannelInput(addresses.parse(addresses.channel_type("phone"), ALICE_PHONE))
    email = ChannelInput(addresses.parse(addresses.channel_type("email"), ALICE_EMAIL))
    await service.contacts.create(context, ContactInput((phone,), first="Alice"), ALICE)
    await service.channels.add(context, ALICE, email)
