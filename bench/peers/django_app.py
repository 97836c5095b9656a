"""Django REST framework, as its documentation shows it, in one module.

It has models, serializers and views, an authentication class, and a persistent connection for each
of gunicorn's ten threads. An add writes the same rows as Reachbook does, in one transaction.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings

_URL = urlsplit(os.environ.get("BENCH_DATABASE", "postgresql://postgres@/none?host=none"))

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="bench",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _URL.path.lstrip("/"),
            "USER": _URL.username or "",
            "PASSWORD": _URL.password or "",
            "HOST": parse_qs(_URL.query).get("host", [_URL.hostname or ""])[0],
            "PORT": str(_URL.port or ""),
            "CONN_MAX_AGE": None,
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402 - after the settings
from django.db import IntegrityError, models, transaction  # noqa: E402
from django.http import Http404  # noqa: E402
from django.shortcuts import get_object_or_404  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.authentication import BaseAuthentication  # noqa: E402
from rest_framework.exceptions import AuthenticationFailed  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from bench.peers.tokens import team_of  # noqa: E402
from bench.statements import EVENT_AFTER  # noqa: E402


class Contact(models.Model):
    """A contact; of its columns only those that are needed here."""

    team_id = models.BigIntegerField()
    id = models.BigAutoField(primary_key=True)
    uuid = models.TextField()
    rev = models.BigIntegerField()
    updated = models.BigIntegerField()
    deleted = models.BigIntegerField(null=True)

    class Meta:
        app_label, db_table, managed = "bench", "contact", False


class Channel(models.Model):
    """A channel of a contact."""

    team_id = models.BigIntegerField()
    id = models.BigAutoField(primary_key=True)
    contact = models.ForeignKey(Contact, models.CASCADE)
    channel_type = models.TextField()
    channel_id = models.TextField()
    scope = models.TextField(default="")
    identity = models.TextField()
    channel_handle = models.TextField(default="")
    info_channel = models.TextField(default="")
    made_primary = models.BigIntegerField(null=True)
    created = models.BigIntegerField()
    updated = models.BigIntegerField()

    class Meta:
        app_label, db_table, managed = "bench", "contact_channel", False


class Event(models.Model):
    """An event of a contact."""

    team_id = models.BigIntegerField()
    id = models.BigAutoField(primary_key=True)
    contact = models.ForeignKey(Contact, models.CASCADE)
    contact_rev = models.BigIntegerField()
    kind = models.TextField()
    actor = models.TextField()
    request_id = models.TextField()
    at = models.BigIntegerField()

    class Meta:
        app_label, db_table, managed = "bench", "event", False


class EventBody(models.Model):
    """The values of an event."""

    team_id = models.BigIntegerField()
    event_id = models.BigIntegerField(primary_key=True)
    before = models.TextField(null=True)
    after = models.TextField()

    class Meta:
        app_label, db_table, managed = "bench", "event_body", False


class SecondsField(serializers.Field):
    """A time in microseconds, shown in seconds."""

    def to_representation(self, value: int) -> str:
        """Returns the time as RFC 3339."""
        return datetime.fromtimestamp(value // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ChannelSerializer(serializers.ModelSerializer):
    """A channel in a response."""

    contact_id = serializers.IntegerField()
    created = SecondsField()
    updated = SecondsField()

    class Meta:
        model = Channel
        fields = (
            *("id", "team_id", "contact_id", "channel_type", "channel_id", "info_channel"),
            *("channel_handle", "created", "updated"),
        )


class NewChannelSerializer(serializers.Serializer):
    """The body of an add."""

    channel_type = serializers.CharField()
    channel_id = serializers.CharField()


class TokenAuthentication(BaseAuthentication):
    """Finds the team of the caller."""

    def authenticate(self, request: Request) -> tuple[int, None]:
        """Returns the team in place of a user."""
        team_id = team_of(request.headers.get("Authorization", ""))
        if team_id is None:
            raise AuthenticationFailed
        return team_id, None


class TeamView(APIView):
    """The base of the views."""

    authentication_classes = (TokenAuthentication,)


class ChannelView(TeamView):
    """One channel."""

    def get(self, request: Request, uuid: str, channel_type: str) -> Response:
        """The primary channel of a type."""
        channel = _channels(request.user, uuid).filter(channel_type=channel_type)
        primary = models.F("made_primary").desc(nulls_last=True)
        first = channel.order_by(primary, "created", "id").first()
        if first is None:
            raise Http404
        return Response(ChannelSerializer(first).data)


class ListView(TeamView):
    """All channels of a contact."""

    def get(self, request: Request, uuid: str) -> Response:
        """The list, oldest first."""
        channels = _channels(request.user, uuid).order_by("created", "id")
        return Response(ChannelSerializer(channels, many=True).data)


class AddView(TeamView):
    """Adds a channel."""

    def post(self, request: Request, uuid: str) -> Response:
        """Add a channel and its event; all channels of the contact."""
        new = NewChannelSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        try:
            channels = _add(request.user, uuid, **new.validated_data)
        except IntegrityError:
            return Response(status=409)
        return Response(ChannelSerializer(channels, many=True).data)


def _channels(team_id: int, uuid: str) -> Any:
    contact = {"contact__uuid": uuid, "contact__team_id": team_id}
    return Channel.objects.filter(team_id=team_id, contact__deleted=None, **contact)


@transaction.atomic
def _add(team_id: int, uuid: str, channel_type: str, channel_id: str) -> list[Any]:
    found = Contact.objects.select_for_update().filter(deleted=None)
    contact = get_object_or_404(found, team_id=team_id, uuid=uuid)
    now = time.time_ns() // 1_000
    contact.rev, contact.updated = contact.rev + 1, now
    contact.save(update_fields=["rev", "updated"])
    both = {"team_id": team_id, "contact": contact}
    sent = {"channel_type": channel_type, "channel_id": channel_id, "identity": channel_id}
    Channel.objects.create(**both, **sent, created=now, updated=now)
    event = Event.objects.create(
        **both,
        contact_rev=contact.rev,
        kind="channel_added",
        actor="bench",
        request_id="bench",
        at=now,
    )
    after = EVENT_AFTER % (channel_type, channel_id)
    EventBody.objects.create(
        team_id=team_id, event_id=event.id, before='{"channels":[]}', after=after
    )
    channels = Channel.objects.filter(team_id=team_id, contact_id=contact.id)
    return list(channels.order_by("created", "id"))


urlpatterns = [
    path("v2/contact/<str:uuid>/channel/<str:channel_type>", ChannelView.as_view()),
    path("v2/contact/<str:uuid>/channels", ListView.as_view()),
    path("v2/contact/<str:uuid>/channel", AddView.as_view()),
]
application = WSGIHandler()
