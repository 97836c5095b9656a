"""Uses what openapi-python-client makes of the description of the vendor's reference.

Arguments: the URL of a server, a JWT, the UUID of a contact with a phone and an email.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import UUID

from reference import AuthenticatedClient
from reference.api.channel import create_contact_channel, retrieve_contact_channel
from reference.models import ContactChannel, CreateContactChannelBody


def encoded(channels: list[ContactChannel] | None) -> list[dict[str, Any]]:
    """Returns channels as JSON values."""
    if channels is None:
        raise TypeError(channels)
    return [channel.to_dict() for channel in channels]


def request(client: AuthenticatedClient, method: str, path: str, body: object = None) -> object:
    """Returns the channels of an operation that the pages of the reference do not describe.

    Their ContactChannel is expected to be that of the other operations, too.
    """
    response = client.get_httpx_client().request(method, path, json=body).raise_for_status()
    return encoded([ContactChannel.from_dict(channel) for channel in response.json()])


def run(client: AuthenticatedClient, uuid: UUID) -> dict[str, object]:
    """Returns the results of the five operations."""
    phone = CreateContactChannelBody(channel_type="phone", channel_id="14155551234")
    created = create_contact_channel.sync(uuid, client=client, body=phone)
    retrieved = retrieve_contact_channel.sync(uuid, "phone", client=client)
    path = f"/v2/contact/{uuid}/channel"
    new_email = {"channel_type": "email", "channel_id": "newemail@example.com"}
    return {
        "created": encoded(created),
        "retrieved": encoded([retrieved] if retrieved else None),
        "replaced": request(client, "PUT", path, new_email),
        "listed": request(client, "GET", f"{path}s"),
        "removed": request(client, "DELETE", f"{path}/email"),
    }


with AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2]) as opened:
    print(json.dumps(run(opened, UUID(sys.argv[3]))))  # noqa: T201 - its test reads it
