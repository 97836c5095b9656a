"""The types of single fields, with their descriptions and constraints in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from reachbook.domain.limits import MAX_CHANNELS, MAX_CHARACTERS

Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]


Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


Moment = Annotated[
    str, Meta(description="ISO 8601, in UTC.", extra_json_schema={"format": "date-time"})
]


# Not "format": "date-time", because it is passed back as the date of a list: a generated client
# would turn it into a date type of its language, and many of those cut it to milliseconds.
LastChange = Annotated[
    str,
    Meta(
        description="ISO 8601, in UTC, with microseconds. Pass it back unchanged as `date` for the "
        "next page of a list.",
        examples=["2024-01-15T10:00:00.123456Z"],
    ),
]


ChannelType = Annotated[
    str,
    Meta(
        description="phone, email, facebook, or the name of any other integration.",
        examples=["phone"],
        extra_json_schema={"pattern": "^[a-z][a-z0-9_-]{0,31}$", "not": {"const": "id"}},
    ),
]


Address = Annotated[
    str,
    Meta(
        description="The value: a phone number as E.164 digits without +, an email address, an id.",
        examples=["15105553344"],
        extra_json_schema={"minLength": 1},
    ),
]


Handle = Annotated[str, Meta(description="The handle associated with the channel, if any.")]


InfoChannel = Annotated[str, Meta(description="The related integration channel, if any.")]


MAX_LISTED_CHANNELS = 2 * MAX_CHANNELS
"""The most entries of `contact_channels`. It can name an address several times, and a contact that
is over `MAX_CHANNELS` must be accepted as it was sent. More entries are refused before any address
is parsed, because parsing is expensive."""


_NO_CONTROL_CHARACTERS = r"^[^\u0000-\u001f\u007f-\u009f]*$"


# White space around an address is removed, and some white space is a control character.
_NONE_WITHIN = r"^[\u0009-\u000d\u0085]*[^\u0000-\u001f\u007f-\u009f]*[\u0009-\u000d\u0085]*$"


UserId = Annotated[int, Meta(ge=-1, le=2**53 - 1, description="-1 is nobody.")]


AssignedUserId = Annotated[
    int,
    Meta(
        ge=-1,
        le=2**53 - 1,
        description="The user, as in a returned Contact; ignored if assignee_id is present.",
    ),
]


Typed = Annotated[
    str,
    Meta(
        description="The value, as people type it: a phone number with its country code and with "
        "or without + and separators, an email address, or the id that an integration gives. White "
        "space around it is taken off. In a team with a region, a phone number without + is read "
        "as a national number, too.",
        examples=["+1 (510) 555-3344"],
        extra_json_schema={"minLength": 1, "pattern": _NONE_WITHIN},
    ),
]


Text = Annotated[
    str,
    Meta(
        description='"" or null clears it.',
        extra_json_schema={
            "maxLength": MAX_CHARACTERS,
            "pattern": _NO_CONTROL_CHARACTERS,
        },
    ),
]


WrongFields = Annotated[dict[str, str], Meta(description="The wrong fields of the request.")]


Readings = Annotated[list[str], Meta(examples=[["+15105553344", "+4415105553344"]])]
