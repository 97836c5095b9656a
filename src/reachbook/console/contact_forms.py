"""The forms of contacts: their typed texts, and their fields as values of the domain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, field

from reachbook.console.presentation import custom_text
from reachbook.console.request import ConsoleRequest
from reachbook.domain.address import parsing, pasted
from reachbook.domain.address.display import readable
from reachbook.domain.address.parsing import Address
from reachbook.domain.channel import ContactChannel
from reachbook.domain.channel_rules import ChannelEdit, ChannelInput, Patch
from reachbook.domain.consent import Consent, HeldReason
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.on_conflict import OnConflict
from reachbook.service import WriteContext
from reachbook.wire import parse
from reachbook.wire.models.v2 import ContactRequest, Tag

OTHER_TYPE = "other"
"""The choice of the list of types that says that the type is typed in the field below."""

MAX_CUSTOM_ROWS = 40
"""A contact with more custom fields has one JSON text of them: a form has at most 200 fields."""

EMPTY_ROWS = 2
NOT_TYPED = frozenset({"rev", "move"})

FIELDS = {
    "channel_id": "address",
    "channel_type": "type",
    "channel_handle": "handle",
    "contact_channels[0].channel_id": "address",
    "contact_channels[0].channel_type": "type",
}
"""The fields of forms, by the names that they have in refusals."""

_NAMES = ("first", "last", "display_name", "external_id")
_TEXTS = (*_NAMES, "handle", "label", "info_channel", "source")
_REVISION = re.compile(r"[0-9]{1,18}")
_TAG = re.compile(r"[0-9]{1,15}")  # tags are at most 2 ** 53 - 1, as other programs read them


class Holder(Struct, frozen=True):
    """The contact that has the address or external id of a form.

    `can_move` is true if it is an address.
    """

    uuid: str
    title: str
    can_move: bool


class FormState(Struct):
    """A form that was sent: which one, what was typed, and what is wrong with it.

    `kind` and `channel` say which form of a page it is. `errors` are sentences by field, and
    `problem` is one about the whole form.
    """

    kind: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    channel: int | None = None
    errors: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    holder: Holder | None = None

    def of(self, kind: str, channel: int | None = None) -> FormState:
        """Returns this form if it is the one that is named, else an empty one."""
        return self if (self.kind, self.channel) == (kind, channel) else FormState()

    def value(self, name: str, stored: str = "") -> str:
        """Returns the typed text of a field, or the stored text if the form was not sent."""
        return self.values.get(name, "") if self.kind else stored

    def typed(self) -> dict[str, str]:
        """Returns the fields that the user has typed or chosen."""
        return {name: text for name, text in self.values.items() if name not in NOT_TYPED}

    def refuse(self, refusal: Refusal, sentence: str = "") -> None:
        """Note a refusal, beside the field that it is about if it is about one."""
        sentence = sentence or in_words(refusal)
        names = [FIELDS.get(name, name) for name in refusal.fields]
        self.errors |= dict.fromkeys(names, sentence)
        self.problem = sentence


def in_words(refusal: Refusal) -> str:
    """Returns the sentence of a refusal without the API's names of fields."""
    sentence = re.sub(r"^This channel_id\b(?: for \S+)?", "This", refusal.message)
    sentence = re.sub(r"^The channel_id for (\S+)", r"The address of type \1", sentence)
    sentence = re.sub(rf"^(?:{'|'.join(_TEXTS)}) (is|holds) ", r"This \1 ", sentence)
    sentence = sentence.replace("A channel_type is", "A type is").replace(" Send ", " Type ")
    return sentence.replace("; send ", "; type ")


def context(request: ConsoleRequest) -> WriteContext:
    """Returns the context of the write of a form: its revision, and whether it moves an address."""
    rev = request.form.get("rev", "")
    # No contact has revision 0, so a form without a revision is stale.
    revision = int(rev) if _REVISION.fullmatch(rev) else 0
    conflict = OnConflict.MOVE if request.form.get("move") else OnConflict.REFUSE
    return request.context(revision, conflict)


# ── channels ─────────────────────────────────────────────────────────────────────────────────


def new_channel(request: ConsoleRequest) -> ChannelInput:
    """Returns the channel of a form with a type and an address."""
    form = request.form
    return ChannelInput(
        _address(request, _type(form), form.get("address", "")),
        parsing.validate_text("handle", form.get("handle", "")) or UNSET,
        parsing.validate_text("info_channel", form.get("info_channel", "")) or UNSET,
    )


def channel_edit(request: ConsoleRequest, channel: ContactChannel) -> ChannelEdit:
    """Returns the edit of a form with the address, label, handle and info channel of a channel."""
    form = request.form
    text = form.get("address", "")
    # An address as it was shown stays, even if it could not be added today.
    unchanged = text in (channel.channel_id, readable(channel.channel_type, channel.channel_id))
    address = None if unchanged else _address(request, channel.channel_type, text)
    return ChannelEdit(
        address,
        Patch(
            label=parsing.validate_text("label", form.get("label", "")),
            channel_handle=parsing.validate_text("handle", form.get("handle", "")),
            info_channel=parsing.validate_text("info_channel", form.get("info_channel", "")),
        ),
    )


def hold(form: Mapping[str, str]) -> Patch:
    """Returns the patch that holds a channel."""
    return Patch(held=True, held_reason=_chosen(HeldReason, "reason", form))


def consent(form: Mapping[str, str]) -> Patch:
    """Returns the patch that records a consent."""
    source = parsing.validate_text("source", form.get("source", ""))
    return Patch(consent=_chosen(Consent, "consent", form), consent_source=source)


def _type(form: Mapping[str, str]) -> str:
    kind = form.get("type", "").strip()
    if kind == OTHER_TYPE:
        kind = form.get("other_type", "").strip().lower()
        if not kind:
            raise _wrong("other_type", "Type the name of the channel type, for example webchat.")
    return kind


def _address(request: ConsoleRequest, kind: str, text: str) -> Address:
    if not text.strip():
        raise _wrong("address", "Type the address: a number, an email address or an id.")
    return pasted.find(parsing.channel_type(kind), text, request.team.default_region)


def _chosen(choices: Any, name: str, form: Mapping[str, str]) -> Any:
    try:
        return choices(form.get(name, ""))
    except ValueError:
        raise _wrong(name, f"Choose one of {', '.join(choices)}.") from None


# ── the contact ──────────────────────────────────────────────────────────────────────────────


def details(request: ConsoleRequest, contact: Contact | None = None) -> ContactInput:
    """Returns the names, tags and custom fields of a form; `contact` is the one that it edits."""
    form = request.form
    custom: Any = UNSET
    if contact is not None:
        custom = _custom(form, contact)
    wanted = ContactRequest(
        first=form.get("first", ""),
        last=form.get("last", ""),
        display_name=form.get("display_name", ""),
        external_id=form.get("external_id", ""),
        tags=[Tag(number) for number in _tags(form.get("tags", ""))],
        custom=custom,
    )
    return parse.contact_from(wanted, request.team.default_region)


def details_values(contact: Contact) -> dict[str, str]:
    """Returns the text of each field of the form of a contact."""
    return {
        "first": contact.first,
        "last": contact.last,
        "display_name": contact.display_name,
        "external_id": contact.external_id or "",
        "tags": ", ".join(map(str, contact.tags)),
    }


class CustomRow(Struct, frozen=True):
    """A custom field in a form: its key, its value as a text, and whether that text is JSON."""

    key: str
    value: str
    is_json: bool


def custom_rows(form: FormState, contact: Contact) -> list[CustomRow]:
    """Returns the custom fields of a form as they were typed, else as they are stored."""
    if form.kind:
        return list(_typed_rows(form.values))
    stored = [
        CustomRow(key, custom_text(value), not isinstance(value, str))
        for key, value in contact.custom.items()
    ]
    return [*stored, *([CustomRow("", "", is_json=False)] * EMPTY_ROWS)]


def has_custom_rows(contact: Contact) -> bool:
    """Returns whether a contact's custom fields have a row each, and not one JSON text."""
    # A row without a name is an empty one, and a field of one line cannot hold a line break.
    are_names = all(key and "\n" not in key and "\r" not in key for key in contact.custom)
    return are_names and len(contact.custom) <= MAX_CUSTOM_ROWS


def _typed_rows(form: Mapping[str, str]) -> Iterator[CustomRow]:
    for number in range(MAX_CUSTOM_ROWS + EMPTY_ROWS):
        if f"custom_key_{number}" in form:
            yield CustomRow(
                form[f"custom_key_{number}"],
                form.get(f"custom_value_{number}", ""),
                form.get(f"custom_kind_{number}") == "json",
            )


def _custom(form: Mapping[str, str], contact: Contact) -> dict[str, object]:
    if "custom_json" in form:
        custom = _json(form["custom_json"], "custom")
        if not isinstance(custom, dict):
            raise _wrong("custom", 'The custom fields are a JSON object, such as {"plan": "pro"}.')
        return custom
    custom = {}
    for number, row in enumerate(_typed_rows(form)):
        if not row.key and not row.value:
            continue
        if not row.key:
            raise _wrong(f"custom_key_{number}", "This custom field has a value, but no name.")
        if row.key in custom:
            raise _wrong(f"custom_key_{number}", "Another custom field has this name.")
        custom[row.key] = _custom_value(row, number, contact)
    return custom


def _custom_value(row: CustomRow, number: int, contact: Contact) -> object:
    stored = contact.custom.get(row.key)
    # A form changes line breaks. A value that is still as it was shown stays exactly as it is.
    if stored is not None and row.is_json is not isinstance(stored, str):
        shown = custom_text(stored).replace("\r\n", "\n").replace("\r", "\n")
        if shown == row.value:
            return stored
    return _json(row.value, f"custom_value_{number}") if row.is_json else row.value


def _json(text: str, name: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _wrong(
            name,
            f"This is not valid JSON ({error}). Choose Text if it is a text; as JSON, a text is in "
            'quotation marks, as "pro".',
        ) from None


def _tags(text: str) -> list[int]:
    words = [word for word in re.split(r"[\s,;]+", text) if word]
    if not all(map(_TAG.fullmatch, words)):
        raise _wrong(
            "tags",
            "Tags are numbers of at most 15 digits, separated by commas, for example 12, 40.",
        )
    return [int(word) for word in words]


def _wrong(name: str, sentence: str) -> Refusal:
    return Refusal(Reason.BAD_VALUE, sentence, fields={name: sentence})
