"""The examples of the vendor's documentation: its curl lines, and the list that it shows."""

from __future__ import annotations

from tests.support.personas import ALICE

_URL = f"https://api.heymarket.com/v2/contact/{ALICE}"
_ASKING = '-H "Authorization: Bearer YOUR_API_KEY"'

CURLS = [
    f"""curl -X POST {_URL}/channel \\
  {_ASKING} \\
  -H "Content-Type: application/json" \\
  -d '{{
    "channel_type": "email",
    "channel_id": "alice@example.com"
  }}'""",
    f"""curl -X PUT {_URL}/channel \\
  {_ASKING} \\
  -H "Content-Type: application/json" \\
  -d '{{
    "channel_type": "email",
    "channel_id": "newemail@example.com"
  }}'""",
    f"""curl -X GET {_URL}/channels \\
  {_ASKING}""",
    f"""curl -X GET {_URL}/channel/phone \\
  {_ASKING}""",
    f"""curl -X DELETE {_URL}/channel/email \\
  {_ASKING}""",
]

ALICE_LIST = [
    {
        "id": "ch_001",
        "team_id": 1,
        "contact_id": ALICE,
        "channel_type": "phone",
        "channel_id": "15105553344",
        "created": "2024-01-15T10:00:00Z",
        "updated": "2024-01-15T10:00:00Z",
    },
    {
        "id": "ch_002",
        "team_id": 1,
        "contact_id": ALICE,
        "channel_type": "email",
        "channel_id": "alice@example.com",
        "created": "2024-01-15T10:05:00Z",
        "updated": "2024-01-15T10:05:00Z",
    },
]
