"""Settings > Integrations > API: the API secrets and API keys of a team (seed 001)."""

from __future__ import annotations

import shlex

from reachbook.console.request import ConsoleRequest, Values
from reachbook.domain import credential as credentials
from reachbook.domain import jwt
from reachbook.domain.credential import LIVE_SECRETS, Credential, Representation
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.domain.timestamps import SECOND
from reachbook.http.response import ApiResponse
from reachbook.service.administration import CredentialKind, CredentialOptions
from reachbook.wire import errors

PATH = "/console/settings/integrations/api"
SECRETS: CredentialKind = "api_secret"
KEYS: CredentialKind = "api_key"
ISSUES_SHOWN = (Kind.BAD_DATA, Kind.CONFLICT)

RECIPE = """\
import base64
import hashlib
import hmac
import json
import time


def token(secret_id: str, secret_key: str) -> str:
    def encode(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    header = encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = encode(json.dumps({"iss": secret_id, "iat": int(time.time())}).encode())
    signing_secret = f"{secret_id}||{secret_key}".encode()
    signature = hmac.digest(signing_secret, f"{header}.{claims}".encode(), hashlib.sha256)
    return f"{header}.{claims}.{encode(signature)}"
"""
"""Signs a JWT with the standard library; docs/credentials.md shows the same."""


async def index(request: ConsoleRequest) -> ApiResponse:
    """Go to the page of the API credentials."""
    return request.redirect(PATH)


async def show(request: ConsoleRequest) -> ApiResponse:
    """Show the API secrets and API keys of the team."""
    return await _show(request, {})


async def generate_secret(request: ConsoleRequest) -> ApiResponse:
    """Make an API secret, and show its key once."""
    try:
        secret, secret_key = await request.state.administration.create_secret(
            request.team_id, _options(request), await request.state.master_key()
        )
    except Refusal as refusal:
        return await _explain(request, refusal, SECRETS)
    token = jwt.sign(secret.id, secret_key, request.state.clock() / SECOND)
    recipe = f"{RECIPE}\n\nprint(token({secret.id!r}, {secret_key!r}))\n"
    values = {"credential": secret, "secret_key": secret_key, "recipe": recipe}
    return request.page("api_created.html", {**values, "curl": _curl_line(request, token)})


async def generate_key(request: ConsoleRequest) -> ApiResponse:
    """Make an API key, and show it once."""
    try:
        key, api_key = await request.state.administration.create_key(
            request.team_id, _options(request)
        )
    except Refusal as refusal:
        return await _explain(request, refusal, KEYS)
    values = {"credential": key, "api_key": api_key, "curl": _curl_line(request, api_key)}
    return request.page("api_created.html", values)


async def confirm_revoke(request: ConsoleRequest) -> ApiResponse:
    """Ask whether a credential is to be revoked."""
    return request.page("api_revoke.html", {"credential": await _of_path(request)})


async def revoke(request: ConsoleRequest) -> ApiResponse:
    """Revoke a credential."""
    credential = await _of_path(request)
    try:
        await request.state.administration.revoke(_kind(credential.id), credential.id)
    except Refusal as refusal:
        # It was revoked meanwhile, so there is nothing left to do.
        if refusal.reason is not Reason.ALREADY_REVOKED:
            raise
    return request.redirect(PATH, {"done": "revoked"})


async def _explain(request: ConsoleRequest, refusal: Refusal, kind: CredentialKind) -> ApiResponse:
    """Returns the page with the reason beside the form, and the form as it was sent."""
    if refusal.reason.kind not in ISSUES_SHOWN:
        raise refusal
    message = refusal.message
    if refusal.reason is Reason.TWO_LIVE_SECRETS:
        message = f"The team has {LIVE_SECRETS} live API secrets already. Revoke one of them first."
    values = {"problem_of": kind, "message": message, "form": request.form}
    return await _show(request, values, errors.status(refusal.reason))


async def _show(request: ConsoleRequest, values: Values, status: int = 200) -> ApiResponse:
    administration = request.state.administration
    secrets = await administration.list(SECRETS, request.team_id)
    live = [secret for secret in secrets if secret.revoked is None]
    shared = {
        "secrets": secrets,
        "keys": await administration.list(KEYS, request.team_id),
        "may_generate": len(live) < LIVE_SECRETS,
        "oldest": live[0] if live else None,
        "most": LIVE_SECRETS,
        "problem_of": "",
        "message": "",
        "form": {},
    }
    return request.page("api.html", {**shared, **values}, status)


def _options(request: ConsoleRequest) -> CredentialOptions:
    form = request.form
    try:
        representation = Representation(form.get("representation", ""))
    except ValueError:
        raise Refusal(Reason.BAD_VALUE, "Choose one of the two forms of ids.") from None
    label = form.get("label", "").strip()
    return CredentialOptions(representation, label, read_only="read_only" in form)


async def _of_path(request: ConsoleRequest) -> Credential:
    """Returns the credential that the path names; raises if the team has none with that id."""
    ident = request.path("id")
    if credentials.team_hint(ident) == request.team_id:
        for found in await request.state.administration.list(_kind(ident), request.team_id):
            if found.id == ident:
                return found
    raise Refusal(Reason.NO_CREDENTIAL, "Your team has no API secret or API key with this id.")


def _kind(ident: str) -> CredentialKind:
    return SECRETS if ident.startswith("rbs_") else KEYS


def _curl_line(request: ConsoleRequest, token: str) -> str:
    """Returns a command that shows the team, at the address under which this page was loaded."""
    url = f"{request.origin}{request.url('/v1/team')}"
    return f"curl {shlex.quote(url)} -H {shlex.quote(f'Authorization: Bearer {token}')}"
