"""Copies the contacts of the vendor to a team of Reachbook; it can be run again and again."""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import httpx

from reachbook.client import (
    AddressRequest,
    ApiKey,
    ApiSecret,
    BadDataError,
    ChannelRequest,
    Client,
    ConflictError,
    ContactRequest,
    NoContactError,
    OnConflict,
    OwnershipConflictError,
    ReachbookError,
    ResolvedBody,
    Retries,
    StringIdsChannel,
    StringIdsContact,
)

PATIENT = Retries(attempts=10, seconds=90)  # a rate limit of a minute asks for up to 60 seconds
PAGE = 500
CREDENTIALS = ("SOURCE_SECRET_ID", "SOURCE_SECRET_KEY", "TARGET_API_KEY")


class CopyMap:
    """A file of JSON lines that maps the UUID of each original to the UUID of its copy.

    `key` is a random text in its first line, so that the writes of a new map have other
    idempotency keys than those of an old one, whose copies may have been deleted.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_text() if path.exists() else ""
        # A run that was killed may have left a part of a line at the end.
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        self.key: str = lines[0]["key"] if lines else secrets.token_hex(8)
        copies = {line["original"]: line["copy"] for line in lines[1:]}
        self.copies: dict[str, str] = {each: copy for each, copy in copies.items() if copy}
        new = path.with_name(f"{path.name}.new")
        with new.open("w") as file:
            file.write(json.dumps({"key": self.key}) + "\n")
            file.writelines(_line(*each) for each in self.copies.items())
        new.replace(path)
        self._file = path.open("a", buffering=1)  # writes each line at once

    def record(self, original: str, copy: str) -> None:
        """Store the UUID of a copy."""
        self.copies[original] = copy
        self._file.write(_line(original, copy))

    def remove(self, original: str) -> None:
        """Store that a contact has no copy any more."""
        del self.copies[original]
        self._file.write(_line(original, None))

    def close(self) -> None:
        self._file.close()


def _line(original: str, copy: str | None) -> str:
    return json.dumps({"original": original, "copy": copy}) + "\n"


@dataclass
class Move:
    """A run. `problems` has the UUID of an original and a message for each thing not copied."""

    source: Client
    target: Client
    map: CopyMap
    created: int = 0
    deleted: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    written: set[str] = field(default_factory=set)  # the copies that have only their own addresses

    def run(self) -> int:
        """Copy all contacts and delete the copies of deleted ones; returns how many there are."""
        contacts = read_contacts(self.source)
        missing = self.map.copies.keys() - contacts.keys()
        if missing and len(missing) == len(self.map.copies):
            raise SystemExit("The source has no contact of the map: is it another team's?")
        for contact in contacts.values():
            self.copy(contact)
        for uuid in sorted(missing):
            self.check_missing(uuid)
        return len(contacts)

    def copy(self, contact: StringIdsContact) -> None:
        """Create or update the copy of a contact."""
        try:
            copy = self._write(contact, self._find_or_create(contact.uuid))
        except (BadDataError, ConflictError, NoContactError, ValueError) as error:
            self.problems.append((contact.uuid, str(error)))
            return
        self.written.add(copy.uuid)
        if copy.is_opted_out and not contact.is_opted_out:
            self.problems.append((contact.uuid, f"the copy {copy.uuid} remains opted out"))

    def check_missing(self, uuid: str) -> None:
        """Delete the copy of a contact that was not listed, if the source confirms that it is gone.

        A list by time cannot be trusted with that: a contact may have been changed meanwhile.
        """
        try:
            contact = self.source.get_contact(uuid)
        except ReachbookError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
        else:
            self.copy(contact)
            return
        # A run that was killed may have deleted it, and not recorded that.
        with suppress(NoContactError):
            self.target.delete_contact(self.map.copies[uuid])
        self.map.remove(uuid)
        self.deleted += 1

    def _find_or_create(self, uuid: str) -> str:
        if uuid not in self.map.copies:
            # Empty, so that the request is always the same: if a run was killed before it recorded
            # the copy, the key returns that copy, even if the original has changed since then.
            keyed = self.target.with_options(idempotency_key=f"{self.map.key}-{uuid}")
            self.map.record(uuid, keyed.create_contact(ContactRequest()).uuid)
            self.created += 1
        return self.map.copies[uuid]

    def _write(self, contact: StringIdsContact, copy_id: str) -> StringIdsContact:
        channels = list(self._available(contact, copy_id))
        copy = self._update(contact, copy_id, channels)
        self._remove_others(copy, channels)
        if (contact.external_id or None) != copy.external_id:
            self._set_external_id(copy_id, contact)
        return copy

    def _available(self, contact: StringIdsContact, copy_id: str) -> Iterator[ChannelRequest]:
        """Yields the channels of a contact, without those that another contact has to keep."""
        channels = channels_of(contact)
        for channel, found in zip(channels, self._look_up(channels), strict=True):
            owner = owner_of(channel, found)
            if owner is None or owner == copy_id or self._may_take_from(owner):
                yield channel
            else:
                message = f"{channel.channel_type} {channel.channel_id} belongs to contact {owner}"
                self.problems.append((contact.uuid, message))

    def _look_up(self, channels: list[ChannelRequest]) -> list[object]:
        wanted = [
            AddressRequest(each.channel_id, each.channel_type, each.info_channel or None)
            for each in channels
        ]
        return list(self.target.resolve_many(wanted)) if wanted else []

    def _may_take_from(self, owner: str) -> bool:
        """Returns whether a contact is a copy that this run will write later.

        A copy that was written wants what it has: two originals then have the same value. Any other
        contact was not made by this program.
        """
        return owner not in self.written and owner in self.map.copies.values()

    def _update(
        self, contact: StringIdsContact, copy_id: str, channels: list[ChannelRequest]
    ) -> StringIdsContact:
        """Write everything but the external id; removes unreadable addresses from `channels`."""
        while True:
            request = request_for(contact, channels)
            try:
                return self.target.update_contact(
                    copy_id, request, on_conflict=OnConflict.MOVE, overwrite=True
                )
            except BadDataError as error:
                bad = refused_channel(error, request, channels)
                if bad is None:
                    raise
                message = f"{bad.channel_type} {bad.channel_id}: {error}"
                self.problems.append((contact.uuid, message))
                channels.remove(bad)

    def _remove_others(self, copy: StringIdsContact, channels: list[ChannelRequest]) -> None:
        """Remove the channels of a copy that its original does not have."""
        sent = set(map(address_of, channels))
        others = {each.id for each in copy.contact_channels if address_of(each) not in sent}
        if others:  # or only written in another way
            for channel, found in zip(channels, self._look_up(channels), strict=True):
                if isinstance(found, ResolvedBody) and found.channel and owner_of(channel, found):
                    others.discard(found.channel.id)
        for channel_id in sorted(others):
            self.target.remove_channel_by_id(copy.uuid, channel_id)

    def _set_external_id(self, copy_id: str, contact: StringIdsContact) -> None:
        request = ContactRequest(external_id=contact.external_id)
        try:
            self.target.update_contact(copy_id, request)
        except OwnershipConflictError as error:
            owner = error.conflicting_contact_id
            if not self._may_take_from(owner):
                raise
            self.target.update_contact(owner, ContactRequest(external_id=None))
            self.target.update_contact(copy_id, request)


def read_contacts(source: Client, limit: int = PAGE) -> dict[str, StringIdsContact]:
    """Returns all contacts by UUID, those that were changed last at the end.

    The last contacts of a page may share their time with the first of the next page. So the next
    page begins after the time before, or is counted with `page` if the whole page has one time.
    """
    contacts: dict[str, StringIdsContact] = {}
    date, page = None, 0
    while found := source.list_contacts(limit=limit, date=date, page=page, ascending=True):
        if page and all(contacts.get(each.uuid) == each for each in found):
            # The server ignores `page`, and would return these contacts for ever.
            if date == found[-1].updated:
                break
            date, page = found[-1].updated, 0
            continue
        for contact in found:
            contacts.pop(contact.uuid, None)
            contacts[contact.uuid] = contact
        earlier = [each.updated for each in found if each.updated != found[-1].updated]
        if earlier and earlier[-1] != date:
            date, page = earlier[-1], 0
        else:
            page += 1
    if "" in contacts:
        raise SystemExit("The source lists a contact without its UUID.")
    return contacts


def channels_of(contact: StringIdsContact) -> list[ChannelRequest]:
    """Returns the channels of a contact, and its phone and email if the source lists none."""
    channels = [
        ChannelRequest(
            each.channel_type, each.channel_id, each.channel_handle or "", each.info_channel or ""
        )
        for each in contact.contact_channels
    ]
    listed = {address_of(each)[:2] for each in channels}
    views = [("phone", contact.phone), ("email", contact.email)]
    return channels + [ChannelRequest(*view) for view in views if view[1] and view not in listed]


def address_of(channel: ChannelRequest | StringIdsChannel) -> tuple[str, str, str]:
    """Returns the type, the id and the info channel."""
    return channel.channel_type, channel.channel_id, channel.info_channel or ""


def request_for(contact: StringIdsContact, channels: list[ChannelRequest]) -> ContactRequest:
    """Returns the update that gives a copy the values of its original and these channels."""
    request = ContactRequest(
        contact_channels=channels,
        first=contact.first,
        last=contact.last,
        display_name=contact.display_name,
        avatar=contact.avatar,
        assigned_user_id=contact.assigned_user_id,
        custom=contact.custom,
        tags=contact.tags,
    )
    # `phone` and `email` say which channel is the primary one.
    listed = {address_of(each)[:2] for each in channels}
    if ("phone", contact.phone) in listed:
        request.phone = contact.phone
    if ("email", contact.email) in listed:
        request.email = contact.email
    if contact.is_opted_out:  # false would not end the opt-out of an address
        request.is_opted_out = True
    return request


def owner_of(channel: ChannelRequest, found: object) -> str | None:
    """Returns the owner of exactly this address: a look-up of whatsapp also finds the phone."""
    if not isinstance(found, ResolvedBody) or found.channel is None:
        return None
    return found.channel.contact_id if found.channel.channel_type == channel.channel_type else None


def refused_channel(
    error: BadDataError, request: ContactRequest, channels: list[ChannelRequest]
) -> ChannelRequest | None:
    """Returns the channel whose address was refused, or None if another field was."""
    name = next(iter(error.fields), "")
    index = re.match(r"contact_channels\[(\d+)\]", name)
    if index:
        return channels[int(index[1])]
    view = (name, {"phone": request.phone, "email": request.email}.get(name))
    return next((each for each in channels if address_of(each)[:2] == view), None)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="the base URL of the vendor")
    parser.add_argument("--target", required=True, help="the base URL of Reachbook")
    parser.add_argument("--map", required=True, type=Path, help="the file of UUIDs")
    options = parser.parse_args(arguments)
    if unset := [name for name in CREDENTIALS if name not in os.environ]:
        parser.error(f"these environment variables are not set: {', '.join(unset)}")
    return options


def main() -> int:
    options = parse_arguments()
    secret_id, secret_key, api_key = (os.environ[name] for name in CREDENTIALS)
    secret, key = ApiSecret(secret_id, secret_key), ApiKey(api_key)
    with (
        Client(options.source, secret, retries=PATIENT, honours_idempotency_keys=False) as source,
        Client(options.target, key, retries=PATIENT) as target,
    ):
        move = Move(source, target, CopyMap(options.map))
        try:
            count = move.run()
        except (ReachbookError, httpx.TransportError) as error:
            sys.exit(f"Stopped: {error}")
        finally:
            move.map.close()
            for uuid, message in move.problems:
                print(f"{uuid}: {message}", file=sys.stderr)
    print(
        f"contacts: {count}, created: {move.created}, deleted: {move.deleted}, "
        f"problems: {len(move.problems)}"
    )
    return 1 if move.problems else 0


if __name__ == "__main__":
    sys.exit(main())
