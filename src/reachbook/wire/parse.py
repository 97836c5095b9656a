"""Parses the path and the body of a request to values of the domain; errors name the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import FieldInfo

from reachbook.domain import contact
from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import Address
from reachbook.domain.channel import ChannelSelector
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.errors import Reason, Refusal, shortened
from reachbook.domain.limits import MAX_CHANNELS, MAX_TAGS
from reachbook.wire.models.fields import MAX_LISTED_CHANNELS
from reachbook.wire.models.v2 import ChannelRequest, ContactRequest, Tag
from reachbook.wire.query import MAX_QUOTED_CHARACTERS, Options, unknown_name

Body = TypeVar("Body", bound=Struct)
ANY_JSON = msgspec.json.Decoder[Any]()

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WHERE = re.compile(r"`\$\.?([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_LENIENT = re.compile(r"got `(?:array|null)`")
MAX_DEPTH = 32
_NOBODY = -1
_CHECKED = (str, list, dict)  # the JSON types that can hold a NUL or nested values


def contact_uuid(text: str) -> str:
    """Returns the contact's UUID from a path, in lower case; raises `bad_uuid` if it is not one."""
    if _UUID.fullmatch(text):
        return text.lower()
    got = "an integer id" if text.isdecimal() else "another text"
    raise Refusal(
        Reason.BAD_UUID,
        f"The contact ID must be a UUID, like a1b2c3d4-e5f6-7890-abcd-ef1234567890; got {got}.",
        fields={"contactID": "not a UUID"},
    )


def channel_selector(path_type: str, given: Options, region: str | None = None) -> ChannelSelector:
    """Returns the channel that a path and `?channel_id=` name; `region` is the team's region."""
    kind = addresses.channel_type(path_type)
    if given.channel_id is None:
        return ChannelSelector(kind)
    return ChannelSelector(kind, addresses.parse(kind, given.channel_id, region), given.channel_id)


def channel_input(body: bytes, region: str | None) -> ChannelInput:
    """Returns the channel that a body describes; `region` is the team's default region."""
    return _channel_input(decode(body, ChannelRequest), region)


def contact_input(body: bytes, region: str | None) -> ContactInput:
    """Returns the contact that a body describes."""
    return contact_from(decode(body, ContactRequest), region)


def contact_from(request: ContactRequest, region: str | None) -> ContactInput:
    """Returns the contact that a request describes, with addresses parsed and texts checked."""
    return ContactInput(
        channels=tuple(_channel_inputs(request, region)),
        phone=_view("phone", request.phone, region),
        email=_view("email", request.email, region),
        first=_text("first", request.first),
        last=_text("last", request.last),
        display_name=_text("display_name", request.display_name),
        avatar=_text("avatar", request.avatar),
        assigned_user_id=_assigned_user_id(request),
        external_id=UNSET if request.external_id is UNSET else _external_id(request.external_id),
        is_opted_out=False if request.is_opted_out is None else request.is_opted_out,
        custom=_custom(request.custom),
        tags=_tags(request.tags),
    )


def reject_unexpected_body(body: bytes, *, lenient: bool) -> None:
    """Check the body of an operation that has none; some clients send `[]` or `{}`.

    Raises a refusal if it is not JSON, and, unless `lenient`, if it is not empty.
    """
    # Decoded even if it is ignored, because invalid JSON is a mistake of the client.
    value = _read(body, ANY_JSON) if body else None
    if not value or lenient:
        return
    if isinstance(value, dict):
        raise unknown_name("key", next(iter(value)), ())
    raise Refusal(
        Reason.WRONG_TYPE, "This request must have no body.", fields={"body": "not accepted"}
    )


def decode(body: bytes, shape: type[Body]) -> Body:
    """Returns a JSON body as one typed value; a refusal names the field.

    An empty array is accepted in place of an object that needs no key, and null in place of an
    optional field that has no null.
    """
    return cast("Body", _read(body, _decoder(shape)))


def _read(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    # Decoded to text first: msgspec does not check the bytes of unknown fields, and a body that is
    # not UTF-8 must be refused.
    try:
        return decoder.decode(body.decode())
    except msgspec.ValidationError as error:
        if _LENIENT.search(str(error)):
            return _read_leniently(body, decoder.type, str(error))
        raise _invalid(str(error), decoder.type) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(
            Reason.MALFORMED_JSON,
            "The body is not UTF-8 JSON; /openapi.json has an example for each operation.",
        ) from None


def _read_leniently(body: bytes, shape: type[Any], complaint: str) -> Any:
    """Decode a body again, with the values that PHP and other clients send.

    PHP decodes {} to an empty array and encodes that as []. Clients that encode every field of a
    model send null for those that are not set. This second pass runs only if decoding has failed,
    so that other clients do not pay for it.
    """
    try:
        sent = ANY_JSON.decode(body)
        adapted = _lenient_value(sent, shape)
        if adapted != sent:
            return msgspec.convert(adapted, shape)
    except msgspec.ValidationError as error:
        complaint = str(error)
    except (msgspec.DecodeError, RecursionError):
        pass
    raise _invalid(complaint, shape)


def _lenient_value(value: Any, kind: Any) -> Any:
    """Returns a decoded JSON value, adapted to the type `kind`.

    Replaces each [] by {} if `kind` accepts an empty object and no array, and omits each null whose
    field is optional and accepts no null.
    """
    kinds = list(_union_members(kind))
    lists = [each for each in kinds if get_origin(each) is list]
    # An empty list stays one where a list is accepted: only there can it mean itself.
    if isinstance(value, list) and lists:
        [items] = get_args(lists[0])
        return [_lenient_value(each, items) for each in value]
    if value == []:
        return {} if any(map(_takes_empty_object, kinds)) else value
    if isinstance(value, dict):
        fields = {
            field.encode_name: field
            for each in kinds
            if _is_struct(each)
            for field in msgspec.structs.fields(each)
        }
        return {
            name: _lenient_value(each, fields[name].type) if name in fields else each
            for name, each in value.items()
            if each is not None or name not in fields or not _null_is_absent(fields[name])
        }
    return value


def _null_is_absent(field: FieldInfo) -> bool:
    return not field.required and NoneType not in _union_members(field.type)


def _takes_empty_object(kind: Any) -> bool:
    if _is_struct(kind):
        return not any(field.required for field in msgspec.structs.fields(kind))
    return get_origin(kind) is dict


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _union_members(kind: Any) -> Iterator[Any]:
    """Yields the members of a union without their annotations; any other type by itself."""
    if get_origin(kind) is Annotated:
        yield from _union_members(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from _union_members(each)
    else:
        yield kind


@cache
def _decoder(shape: type[Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def _invalid(complaint: str, shape: type[Any]) -> Refusal:
    missing = _MISSING.search(complaint)
    unknown = _UNKNOWN.search(complaint)
    where = _WHERE.findall(complaint)
    path = where[-1] if where else ""
    if unknown:
        return unknown_name("key", unknown[1], _struct_at(shape, path).__struct_fields__, path)
    if missing:
        field = f"{path}.{missing[1]}" if path else missing[1]
        return Refusal(
            Reason.MISSING_FIELD,
            f"The body lacks {field}, which is required.",
            fields={field: "required"},
        )
    # msgspec has no structured errors, so its message is parsed. It is shortened, because it quotes
    # the whole value if that is not a member of an enumeration.
    problem = complaint.rsplit(" - at ", maxsplit=1)[0].replace("`", "")
    problem = shortened(problem, MAX_QUOTED_CHARACTERS)
    field = path or "body"
    sentence = f"{field}: {problem[0].lower()}{problem[1:]}."
    return Refusal(Reason.WRONG_TYPE, sentence, fields={field: problem})


def _struct_at(shape: type[Struct], path: str) -> type[Struct]:
    """Returns the struct at a path like create.tags[...]."""
    for name in path.split("."):
        kinds = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
        shape = next(_structs(kinds.get(name.partition("[")[0])), shape)
    return shape


def _structs(kind: Any) -> Iterator[type[Struct]]:
    """Yields the structs in the type of a field."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        yield kind
    for inner in get_args(kind):
        yield from _structs(inner)


def _channel_input(request: ChannelRequest, region: str | None) -> ChannelInput:
    kind = addresses.channel_type(request.channel_type)
    return ChannelInput(
        addresses.parse(kind, request.channel_id, region),
        _text("channel_handle", request.channel_handle),
        _text("info_channel", request.info_channel),
    )


def _channel_inputs(request: ContactRequest, region: str | None) -> Iterator[ChannelInput]:
    count = len(request.contact_channels or ())
    if count > MAX_LISTED_CHANNELS:
        raise Refusal(
            Reason.TOO_MANY,
            f"contact_channels: a contact has at most {MAX_CHANNELS} channels, and a request lists "
            f"at most {MAX_LISTED_CHANNELS}; this one lists {count}.",
            fields={"contact_channels": f"more than {MAX_LISTED_CHANNELS} entries"},
        )
    # A generator, because only the first bad channel is reported.
    for index, item in enumerate(request.contact_channels or ()):
        fields = ChannelRequest.__struct_fields__
        with renaming_fields({field: f"contact_channels[{index}].{field}" for field in fields}):
            yield _channel_input(item, region)


def _view(
    kind: str, value: str | UnsetType | None, region: str | None
) -> Address | UnsetType | None:
    """Returns the primary phone or email of a request; None for "" and null, which remove it."""
    if value is UNSET:
        return UNSET
    if not value:
        return None
    with renaming_fields({"channel_id": kind}):
        return addresses.parse(addresses.channel_type(kind), value, region)


def _custom(value: dict[str, object] | UnsetType | None) -> dict[str, object] | UnsetType | None:
    _check_custom_depth(value, MAX_DEPTH)
    return value


def _check_custom_depth(value: object, left: int) -> None:
    """Raises `bad_value` if a value is nested too deep, or holds a NUL, which no engine stores."""
    if isinstance(value, str) and "\0" in value:
        raise Refusal(
            Reason.BAD_VALUE,
            "custom holds a NUL character, which cannot be stored.",
            fields={"custom": "holds a NUL"},
        )
    # An explicit limit, because Python's recursion limit depends on the depth of the caller.
    if left == 0:
        raise Refusal(
            Reason.BAD_VALUE,
            f"custom is nested more than {MAX_DEPTH} deep; keep it flatter.",
            fields={"custom": "nested too deep"},
        )
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    for item in value if isinstance(value, list) else ():
        # Numbers, booleans and null need no check.
        if isinstance(item, _CHECKED) or left == 1:
            _check_custom_depth(item, left - 1)


@contextmanager
def renaming_fields(places: Mapping[str, str]) -> Iterator[None]:
    """Name the path in the body in the `fields` of a refusal."""
    try:
        yield
    except Refusal as refusal:
        refusal.fields = {places.get(field, field): why for field, why in refusal.fields.items()}
        raise


@contextmanager
def locating_address(wanted: ContactInput) -> Iterator[None]:
    """Name the path of a taken or ambiguous address in the `fields` of a refusal."""
    try:
        yield
    except Refusal as refusal:
        is_meant = _address_test(refusal)
        if is_meant is not None:
            place = next((place for place, each in _places(wanted) if is_meant(each)), "channel_id")
            [why] = refusal.fields.values()
            refusal.fields = {place: why}
        raise


def _address_test(refusal: Refusal) -> Callable[[Address], bool] | None:
    """Returns a test for the address that a refusal names, or None if it names no address."""
    if refusal.reason is Reason.ADDRESS_TAKEN:
        return lambda address: _is_same(address, str(refusal.facts["channel_id"]))
    if refusal.reason is Reason.AMBIGUOUS:
        numbers = cast("list[str]", refusal.facts["readings"])
        return lambda address: address.is_ambiguous and f"+{address.channel_id}" in numbers
    return None


def _places(wanted: ContactInput) -> Iterator[tuple[str, Address]]:
    """Returns each address of a contact's body with its path."""
    for field, address in (("phone", wanted.phone), ("email", wanted.email)):
        if isinstance(address, Address):
            yield field, address
    for index, channel in enumerate(wanted.channels):
        yield f"contact_channels[{index}].channel_id", channel.address


def _is_same(address: Address, owned: str) -> bool:
    """Returns whether an address is the owner's address, in any spelling."""
    if address.channel_id == owned:
        return True
    try:
        return addresses.parse(address.channel_type, owned).identity == address.identity
    except Refusal:  # `owned` is an address of another type
        return False


def _assigned_user_id(request: ContactRequest) -> int | UnsetType | None:
    """Returns the user to assign, or None to assign nobody.

    Requests have assignee_id; a Contact that is sent back whole has assigned_user_id. If both are
    sent, the client has set the first and returned the second.
    """
    wanted = request.assigned_user_id if request.assignee_id is UNSET else request.assignee_id
    return None if wanted == _NOBODY else wanted


def _external_id(value: str | None) -> str | None:
    return addresses.validate_text("external_id", value) if value else None


def _text(field: str, value: str | UnsetType | None) -> str | UnsetType:
    if value is UNSET:
        return UNSET
    return addresses.validate_text(field, value or "")


def _tags(tags: list[Tag] | UnsetType | None) -> tuple[int, ...] | UnsetType:
    if tags is UNSET:
        return UNSET
    numbers = tuple(tag.tag_id for tag in tags or ())
    if len(numbers) > MAX_TAGS:
        raise contact.too_many_tags(len(numbers))
    return numbers
