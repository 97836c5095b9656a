"""A request's path, query and body → words, decoded once, or a refusal that names the field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from reachbook import address as addresses
from reachbook import contact
from reachbook.contact import WantedContact
from reachbook.contact_channel import Named, Wanted
from reachbook.credential import Representation
from reachbook.errors import Reason, Refusal
from reachbook.wire.answer import Tag

UserId = Annotated[int, Meta(ge=-1, le=2**53 - 1)]
Body = TypeVar("Body", bound=Struct)

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WHERE = re.compile(r"`\$\.?([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")
_MAX_QUERY_FIELDS = 100
_NO_ONE = -1


class Options(Struct, frozen=True):
    """The query options that are ours under /v2."""

    representation: Representation | None = None
    channel_id: str | None = None


class ChannelRequest(Struct):
    """The body of a POST or PUT of a channel; other keys are let through unread."""

    channel_type: str
    channel_id: str
    channel_handle: str | UnsetType | None = UNSET
    info_channel: str | UnsetType | None = UNSET


class ContactRequest(Struct):
    """The body of POST /v2/contact."""

    contact_channels: list[ChannelRequest] | None = None
    phone: str | None = None
    email: str | None = None
    first: str | UnsetType | None = UNSET
    last: str | UnsetType | None = UNSET
    display_name: str | UnsetType | None = UNSET
    avatar: str | UnsetType | None = UNSET
    assignee_id: UserId | UnsetType | None = UNSET
    external_id: str | UnsetType | None = UNSET
    is_opted_out: bool | UnsetType = UNSET
    custom: dict[str, object] | UnsetType | None = UNSET
    tags: list[Tag] | UnsetType | None = UNSET


def contact_uuid(text: str) -> str:
    """The contact's UUID from a path, in lower case."""
    if _UUID.fullmatch(text):
        return text.lower()
    hint = "the path takes the UUID, not the integer id" if text.isdecimal() else "it is not one"
    raise Refusal(
        Reason.BAD_UUID,
        f"A contact is named by its UUID, and {hint}; "
        "one looks like a1b2c3d4-e5f6-7890-abcd-ef1234567890.",
        fields={"contactID": "not a UUID"},
    )


def options(query: bytes) -> Options:
    """The options of a query string; what is not ours is ignored."""
    try:
        pairs = dict(
            parse_qsl(
                query.decode(),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_QUERY_FIELDS,
            )
        )
    except ValueError:
        raise Refusal(
            Reason.BAD_VALUE,
            "The query string cannot be read: it is percent-encoded UTF-8 "
            f"with at most {_MAX_QUERY_FIELDS} fields.",
        ) from None
    if pairs.get("on_conflict", "refuse") != "refuse":
        raise _bad_parameter("on_conflict", "refuse")
    return Options(_representation(pairs.get("representation")), pairs.get("channel_id"))


def named(path_type: str, given: Options) -> Named:
    """Which channel a path and `?channel_id=` mean."""
    kind = addresses.channel_type(path_type)
    if given.channel_id is None:
        return Named(kind)
    return Named(kind, addresses.parse(kind, given.channel_id))


def wanted_channel(body: bytes, region: str | None) -> Wanted:
    """What the body of a POST or PUT asks for; `region` is the team's default region."""
    return _wanted(decode(body, ChannelRequest), region)


def wanted_contact(body: bytes, region: str | None) -> WantedContact:
    """What the body of POST /v2/contact asks for."""
    request = decode(body, ContactRequest)
    return WantedContact(
        channels=tuple(_wanted_channels(request, region)),
        first=_text("first", request.first),
        last=_text("last", request.last),
        display_name=_text("display_name", request.display_name),
        avatar=_text("avatar", request.avatar),
        assigned_user_id=None if request.assignee_id == _NO_ONE else request.assignee_id,
        external_id=UNSET if request.external_id is UNSET else _external_id(request.external_id),
        is_opted_out=request.is_opted_out,
        custom={} if request.custom is None else request.custom,
        tags=_tags(request.tags),
    )


def decode(body: bytes, shape: type[Body]) -> Body:
    """A JSON body as one typed value; a refusal names the field."""
    try:
        return cast("Body", _decoder(shape).decode(body.decode()))
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(
            Reason.MALFORMED_JSON,
            'The body is not UTF-8 JSON; send one like {"channel_type": "phone", '
            '"channel_id": "15105553344"}.',
        ) from None


@cache
def _decoder(shape: type[Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def _invalid(complaint: str) -> Refusal:
    missing = _MISSING.search(complaint)
    where = _WHERE.search(complaint)
    path = where[1] if where else ""
    if missing:
        field = f"{path}.{missing[1]}" if path else missing[1]
        return Refusal(
            Reason.MISSING_FIELD,
            f"The body lacks {field}, which is required.",
            fields={field: "required"},
        )
    said = complaint.split(" - at ", maxsplit=1)[0].replace("`", "")
    field = path or "body"
    sentence = f"{field}: {said[0].lower()}{said[1:]}."
    return Refusal(Reason.WRONG_TYPE, sentence, fields={field: said})


def _wanted(request: ChannelRequest, region: str | None) -> Wanted:
    kind = addresses.channel_type(request.channel_type)
    return Wanted(
        addresses.parse(kind, request.channel_id, region),
        _text("channel_handle", request.channel_handle),
        _text("info_channel", request.info_channel),
    )


def _wanted_channels(request: ContactRequest, region: str | None) -> Iterator[Wanted]:
    """`phone` and `email` first, so that they are the primary ones; then the list."""
    for kind, value in (("phone", request.phone), ("email", request.email)):
        if value:
            with _blaming("channel_id", kind):
                yield _wanted(ChannelRequest(kind, value), region)
    for index, one in enumerate(request.contact_channels or ()):
        with _blaming("", f"contact_channels[{index}]."):
            yield _wanted(one, region)


@contextmanager
def _blaming(said: str, meant: str) -> Iterator[None]:
    """Blame the field that was sent: `said` at its beginning is written as `meant`."""
    try:
        yield
    except Refusal as no:
        no.fields = {meant + field.removeprefix(said): why for field, why in no.fields.items()}
        raise


def _external_id(value: str | None) -> str | None:
    return addresses.storable("external_id", value) if value else None


def _text(field: str, value: str | UnsetType | None) -> str | UnsetType:
    if value is UNSET:
        return UNSET
    return addresses.storable(field, value or "")


def _tags(tags: list[Tag] | UnsetType | None) -> tuple[int, ...] | UnsetType:
    if tags is UNSET:
        return UNSET
    numbers = tuple(tag.tag_id for tag in tags or ())
    if len(numbers) > contact.MAX_TAGS:
        raise contact.too_many_tags(len(numbers))
    return numbers


def _representation(name: str | None) -> Representation | None:
    if name is None:
        return None
    try:
        return Representation(name)
    except ValueError:
        raise _bad_parameter("representation", *Representation) from None


def _bad_parameter(name: str, *known: str) -> Refusal:
    return Refusal(
        Reason.BAD_VALUE,
        f"{name} takes {' or '.join(known)}.",
        fields={name: "not one of the known values"},
    )
