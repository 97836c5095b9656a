"""A small realistic team for screenshots and tests of pages, created by the API.

Phone numbers are from ranges that are reserved for fiction, and email addresses from example.com.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

CONTACTS: list[dict[str, Any]] = [
    {"first": "Amara", "last": "Okafor", "phone": "+12025550143", "email": "amara@example.com"},
    {"first": "Bruno", "last": "Costa", "phone": "+14155550120", "tags": [{"tag_id": 7}]},
    {"first": "Chen", "last": "Wei", "email": "chen.wei@example.com"},
    {"first": "Dalia", "last": "Haddad", "phone": "+442079460018"},
    {"first": "Elif", "last": "Demir", "email": "elif@example.com"},
    {"first": "Farid", "last": "Nasser", "phone": "+12025550177"},
    {"first": "Greta", "last": "Lindqvist", "phone": "+14155550164"},
    {"display_name": "Riverside Bakery", "phone": "+442079460111"},
]
DETAILED: dict[str, Any] = {
    "first": "Maya",
    "last": "Fernández",
    "external_id": "crm-20418",
    "custom": {"language": "Spanish", "plan": "family"},
    "tags": [{"tag_id": 3}, {"tag_id": 12}],
    "contact_channels": [
        {"channel_type": "phone", "channel_id": "+12025550119"},
        {"channel_type": "email", "channel_id": "maya@example.com"},
        {
            "channel_type": "facebook",
            "channel_id": "24518830021",
            "channel_handle": "maya.fernandez",
        },
        {"channel_type": "whatsapp", "channel_id": "+12025550119"},
    ],
}


@dataclass(frozen=True)
class DemoTeam:
    """The UUIDs of contacts with many details, with few details, and without channels."""

    detailed: str
    plain: str
    unreachable: str


def fill(url: str, api_key: str) -> DemoTeam:
    """Create the contacts on a server, and a history for one of them."""
    headers = {"authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=url, headers=headers) as client:
        plain = [_post(client, "/v2/contact", contact)["uuid"] for contact in CONTACTS]
        detailed = _post(client, "/v2/contact", DETAILED)["uuid"]
        _create_history(client, detailed)
        unreachable = _post(client, "/v2/contact", {"first": "Noor", "last": "Rahman"})["uuid"]
        return DemoTeam(detailed, plain[0], unreachable)


def _create_history(client: httpx.Client, uuid: str) -> None:
    """Change a contact in every way that its history shows."""
    channels = client.get(f"/x/contact/{uuid}/channels").json()
    ids = {channel["channel_type"]: channel["id"] for channel in channels}
    _send(client, "PUT", f"/v2/contact/{uuid}", {"display_name": "Maya F."})
    added = {"channel_type": "phone", "channel_id": "+14155550187"}
    _send(client, "POST", f"/v2/contact/{uuid}/channel", added)
    channels = client.get(f"/x/contact/{uuid}/channels").json()
    newest = max(channel["id"] for channel in channels)
    _send(client, "POST", f"/x/contact/{uuid}/channel/{newest}/primary", None)
    consent = {"consent": "opted_in", "consent_source": "web form"}
    _send(client, "PATCH", f"/x/contact/{uuid}/channel/{ids['phone']}", consent)
    held = {"held": True, "held_reason": "bounced", "label": "old address"}
    _send(client, "PATCH", f"/x/contact/{uuid}/channel/{ids['email']}", held)


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    created: dict[str, Any] = _send(client, "POST", path, body).json()
    return created


def _send(client: httpx.Client, method: str, path: str, body: object) -> httpx.Response:
    response = client.request(method, path, json=body) if body else client.request(method, path)
    assert response.status_code == 200, (path, response.text)
    return response
