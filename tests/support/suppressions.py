"""A contact whose phone is opted out, and requests that tests of suppressions share."""

from __future__ import annotations

from typing import Any

from tests.support.http import ok
from tests.support.personas import Api

__all__ = ["PHONE", "channel", "ok", "opted_out", "patch"]

PHONE = "15105553344"


async def channel(api: Api, uuid: str, address: str = PHONE) -> dict[str, Any]:
    listed = await ok(api, "GET", f"/x/contact/{uuid}/channels")
    [found] = [item for item in listed if item["channel_id"] == address]
    return dict(found)


async def patch(api: Api, uuid: str, body: object, address: str = PHONE) -> dict[str, Any]:
    shown = await channel(api, uuid, address)
    return dict(await ok(api, "PATCH", f"/x/contact/{uuid}/channel/{shown['id']}", body))


async def opted_out(api: Api) -> tuple[str, str]:
    """Create a contact whose phone is opted out; return its UUID and the time of the opt-out."""
    uuid = await api.contact(("phone", PHONE))
    api.clock.forward(100)
    shown = await patch(api, uuid, {"consent": "opted_out", "consent_source": "STOP"})
    api.clock.forward(100)
    return uuid, str(shown["consent_at"])
