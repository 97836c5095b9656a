"""Uses what openapi-python-client makes of the description of the vendor's guide.

Arguments: the URL of a server, an API key, the UUID of a contact with a phone and an email.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import UUID

from guide import AuthenticatedClient
from guide.api.channel import (
    add_channel,
    delete_channel,
    get_channel,
    list_channels,
    update_channel,
)
from guide.models import AddChannelBody, ContactChannel, UpdateChannelBody


def encoded(channels: list[ContactChannel] | None) -> list[dict[str, Any]]:
    """Returns channels as JSON values; the times are in the form of datetime.isoformat()."""
    if channels is None:
        raise TypeError(channels)
    return [channel.to_dict() for channel in channels]


def run(client: AuthenticatedClient, uuid: UUID) -> dict[str, object]:
    """Returns the results of the five operations."""
    results: dict[str, object] = {"listed": encoded(list_channels.sync(uuid, client=client))}
    channel = get_channel.sync(uuid, "phone", client=client)
    results["got"] = encoded([channel] if channel else None)

    new_email = UpdateChannelBody(channel_type="email", channel_id="newemail@example.com")
    updated = update_channel.sync_detailed(uuid, client=client, body=new_email)
    results["updated"] = updated.status_code
    results["after_update"] = encoded(list_channels.sync(uuid, client=client))

    results["deleted"] = delete_channel.sync_detailed(uuid, "email", client=client).status_code
    results["after_delete"] = encoded(list_channels.sync(uuid, client=client))

    email = AddChannelBody(channel_type="email", channel_id="alice@example.com")
    results["added"] = encoded(add_channel.sync(uuid, client=client, body=email))
    return results


with AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2]) as opened:
    print(json.dumps(run(opened, UUID(sys.argv[3]))))  # noqa: T201 - its test reads it
