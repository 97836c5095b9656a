"""Uses what openapi-python-client makes of the description.

Arguments: the URL of a server, an API key, the UUID of a contact with a phone and an email.
"""

from __future__ import annotations

import json
import sys
from typing import TypeVar
from uuid import UUID

from reachbook_api import AuthenticatedClient
from reachbook_api.api.contact import contact_create, contact_team
from reachbook_api.api.contact_channel import (
    contact_channel_add,
    contact_channel_get,
    contact_channel_list_all,
    contact_channel_remove,
    contact_channel_replace,
)
from reachbook_api.api.contacts import contacts_page
from reachbook_api.api.resolve import resolve_one
from reachbook_api.models.channel_request import ChannelRequest
from reachbook_api.models.contact_request import ContactRequest
from reachbook_api.models.contact_request_custom_type_0 import ContactRequestCustomType0
from reachbook_api.models.error_body import ErrorBody
from reachbook_api.models.integer_ids_channel import IntegerIdsChannel
from reachbook_api.models.list_request import ListRequest
from reachbook_api.models.representation import Representation
from reachbook_api.models.resolve_request import ResolveRequest
from reachbook_api.models.resolved_body import ResolvedBody
from reachbook_api.models.string_ids_channel import StringIdsChannel
from reachbook_api.models.string_ids_contact import StringIdsContact
from reachbook_api.models.team_body import TeamBody
from reachbook_api.types import UNSET

Kind = TypeVar("Kind")


def a(kind: type[Kind], value: object) -> Kind:
    """Returns the value; raises if it is not of the type."""
    if not isinstance(value, kind):
        raise TypeError(value)
    return value


def channels(client: AuthenticatedClient, uuid: UUID) -> dict[str, object]:
    """Returns the results of the five operations on channels."""
    listed = contact_channel_list_all.sync(
        uuid, client=client, representation=Representation.INTEGER_IDS
    )
    phone = ChannelRequest(channel_type="phone", channel_id="14155551234")
    replaced = a(list, contact_channel_replace.sync(uuid, client=client, body=phone))
    got = a(StringIdsChannel, contact_channel_get.sync(uuid, "phone", client=client))
    removed = a(list, contact_channel_remove.sync(uuid, "email", client=client))
    refused = a(ErrorBody, contact_channel_get.sync(uuid, "email", client=client))
    email = ChannelRequest(channel_type="email", channel_id="alice.b@example.com")
    added = a(list, contact_channel_add.sync(uuid, client=client, body=email))
    names = {int: "number", str: "string"}
    handle = "absent" if got.channel_handle is UNSET else got.channel_handle
    return {
        "listed": [names[type(a(IntegerIdsChannel, each).id)] for each in a(list, listed)],
        "replaced": [a(StringIdsChannel, each).channel_id for each in replaced],
        "got": [got.channel_id, handle],
        "removed": [a(StringIdsChannel, each).channel_type for each in removed],
        "refused": refused.error_code,
        "added": [a(StringIdsChannel, each).channel_id for each in added],
    }


def contacts(client: AuthenticatedClient) -> dict[str, object]:
    """Returns the results of other operations for bodies with only the required keys."""
    custom = ContactRequestCustomType0()
    custom["1"] = "x"
    made = contact_create.sync(client=client, body=ContactRequest(custom=custom))
    listed = contacts_page.sync(client=client, body=ListRequest())
    resolved = resolve_one.sync(client=client, body=ResolveRequest(channel_id="15105553344"))
    team = a(TeamBody, contact_team.sync(client=client))
    return {
        "made": a(StringIdsContact, made).custom.to_dict(),
        "contacts": len(a(list, listed)),
        "resolved": a(ResolvedBody, resolved).created,
        "team": [member.name for member in team.members],
        "optional": True,
    }


def main(url: str, key: str, uuid: UUID) -> None:
    """Print the results as one JSON object."""
    client = AuthenticatedClient(base_url=url, token=key)
    print(json.dumps(channels(client, uuid) | contacts(client)))  # noqa: T201 - its test reads it


main(sys.argv[1], sys.argv[2], UUID(sys.argv[3]))
