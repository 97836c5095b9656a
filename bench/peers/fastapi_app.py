"""FastAPI with SQLAlchemy (asyncio, asyncpg), as its documentation shows it.

It has models, a session for each request from a pool of ten connections, and a response model. An
add writes the same rows as Reachbook does in one transaction: the revision, the channel, the event
and its body. The unique index decides about a conflict.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, field_validator
from sqlalchemy import BigInteger, Identity, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.peers.tokens import team_of
from bench.statements import EVENT_AFTER

CONNECTIONS = 10

_URL = os.environ.get("BENCH_DATABASE", "postgresql://localhost/none")

engine = create_async_engine(
    _URL.replace("postgresql://", "postgresql+asyncpg://", 1),
    pool_size=CONNECTIONS,
    max_overflow=0,
)
new_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Base(DeclarativeBase):
    """The base of the models."""

    type_annotation_map = {int: BigInteger}


class Contact(Base):
    """A contact; of its columns only those that are needed here."""

    __tablename__ = "contact"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    team_id: Mapped[int]
    uuid: Mapped[str]
    rev: Mapped[int]
    updated: Mapped[int]
    deleted: Mapped[int | None]


class Channel(Base):
    """A channel of a contact."""

    __tablename__ = "contact_channel"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    team_id: Mapped[int]
    contact_id: Mapped[int]
    channel_type: Mapped[str]
    channel_id: Mapped[str]
    scope: Mapped[str]
    identity: Mapped[str]
    channel_handle: Mapped[str]
    info_channel: Mapped[str]
    made_primary: Mapped[int | None]
    created: Mapped[int]
    updated: Mapped[int]


class Event(Base):
    """An event of a contact."""

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    team_id: Mapped[int]
    contact_id: Mapped[int]
    contact_rev: Mapped[int]
    kind: Mapped[str]
    actor: Mapped[str]
    request_id: Mapped[str]
    at: Mapped[int]


class EventBody(Base):
    """The values of an event."""

    __tablename__ = "event_body"

    event_id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int]
    before: Mapped[str | None]
    after: Mapped[str]


class NewChannel(BaseModel):
    """The body of an add."""

    channel_type: str
    channel_id: str


class ChannelOut(BaseModel):
    """A channel in a response."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    team_id: int
    contact_id: int
    channel_type: str
    channel_id: str
    info_channel: str
    channel_handle: str
    created: datetime
    updated: datetime

    @field_validator("created", "updated", mode="before")
    @classmethod
    def _from_micros(cls, value: Any) -> Any:
        return datetime.fromtimestamp(value // 1_000_000, UTC)


async def session() -> AsyncIterator[AsyncSession]:
    """A session for a request."""
    async with new_session() as opened:
        yield opened


async def team(authorization: Annotated[str, Header()]) -> int:
    """The team of the caller."""
    team_id = team_of(authorization)
    if team_id is None:
        raise HTTPException(401)
    return team_id


Session = Annotated[AsyncSession, Depends(session)]
TeamId = Annotated[int, Depends(team)]


@app.get("/v2/contact/{uuid}/channel/{channel_type}", response_model=ChannelOut)
async def get_channel(uuid: str, channel_type: str, team_id: TeamId, session: Session) -> Channel:
    """The primary channel of a type."""
    statement = (
        select(Channel)
        .join(Contact, (Contact.team_id == Channel.team_id) & (Contact.id == Channel.contact_id))
        .where(Contact.team_id == team_id, Contact.uuid == uuid, Contact.deleted.is_(None))
        .where(Channel.channel_type == channel_type)
        .order_by(Channel.made_primary.desc().nulls_last(), Channel.created, Channel.id)
        .limit(1)
    )
    channel = await session.scalar(statement)
    if channel is None:
        raise HTTPException(404)
    return channel


@app.get("/v2/contact/{uuid}/channels", response_model=list[ChannelOut])
async def list_channels(uuid: str, team_id: TeamId, session: Session) -> list[Channel]:
    """All channels of a contact, oldest first."""
    statement = (
        select(Channel)
        .join(Contact, (Contact.team_id == Channel.team_id) & (Contact.id == Channel.contact_id))
        .where(Contact.team_id == team_id, Contact.uuid == uuid, Contact.deleted.is_(None))
        .order_by(Channel.created, Channel.id)
    )
    return list(await session.scalars(statement))


@app.post("/v2/contact/{uuid}/channel", response_model=list[ChannelOut])
async def add_channel(
    uuid: str, new: NewChannel, team_id: TeamId, session: Session
) -> list[Channel]:
    """Add a channel and its event; all channels of the contact."""
    found = select(Contact).where(Contact.team_id == team_id, Contact.uuid == uuid)
    contact = await session.scalar(found.where(Contact.deleted.is_(None)).with_for_update())
    if contact is None:
        raise HTTPException(404)
    now = time.time_ns() // 1_000
    contact.rev, contact.updated = contact.rev + 1, now
    session.add(_new_channel(contact, new, now))
    event = _new_event(contact, now)
    session.add(event)
    try:
        await session.flush()
        after = EVENT_AFTER % (new.channel_type, new.channel_id)
        body = EventBody(event_id=event.id, team_id=team_id, before='{"channels":[]}', after=after)
        session.add(body)
        statement = select(Channel).where(
            Channel.team_id == team_id, Channel.contact_id == contact.id
        )
        channels = list(await session.scalars(statement.order_by(Channel.created, Channel.id)))
        await session.commit()
    except IntegrityError:
        raise HTTPException(409) from None
    return channels


def _new_channel(contact: Contact, new: NewChannel, now: int) -> Channel:
    return Channel(
        team_id=contact.team_id,
        contact_id=contact.id,
        channel_type=new.channel_type,
        channel_id=new.channel_id,
        scope="",
        identity=new.channel_id,
        channel_handle="",
        info_channel="",
        created=now,
        updated=now,
    )


def _new_event(contact: Contact, now: int) -> Event:
    return Event(
        team_id=contact.team_id,
        contact_id=contact.id,
        contact_rev=contact.rev,
        kind="channel_added",
        actor="bench",
        request_id="bench",
        at=now,
    )
