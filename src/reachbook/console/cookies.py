"""The cookies of the console: the session, and the secret of forms before there is a session."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from starlette.requests import cookie_parser
from starlette.types import Scope

from reachbook.http.headers import header

SESSION = "session"
FORM = "form"
TEAM = "team"
MAX_AGE_SECONDS = 30 * 24 * 60 * 60
"""Longer than a session: the token in the cookie of an ended session still checks its forms."""


def read(scope: Scope, base_path: str, purpose: str) -> str:
    """Returns the value of a cookie, or an empty text."""
    found = cookie_parser(header(scope, b"cookie") or "")
    return found.get(_name(scope, base_path, purpose), "")


def set_cookie(scope: Scope, base_path: str, purpose: str, value: str) -> tuple[bytes, bytes]:
    """Returns the header that sets a cookie; an empty value deletes it."""
    parts = [
        f"{_name(scope, base_path, purpose)}={value}",
        f"Path={_path(scope, base_path)}",
        f"Max-Age={MAX_AGE_SECONDS if value else 0}",
        "HttpOnly",
        "SameSite=Lax",
    ]
    if scope["scheme"] == "https":
        parts.append("Secure")
    return b"set-cookie", "; ".join(parts).encode()


def new_form_secret() -> str:
    """Returns a value for the cookie `FORM`."""
    return secrets.token_urlsafe(32)


def csrf_token(secret: str) -> str:
    """Returns the token that a form must contain, for the secret in a cookie."""
    return hmac.digest(secret.encode(), b"reachbook form", hashlib.sha256).hex()


def is_csrf_token(token: str, secret: str) -> bool:
    """Returns whether a form came from a page that was made for a secret."""
    if not secret:
        return False
    return hmac.compare_digest(token.encode(), csrf_token(secret).encode())


def _name(scope: Scope, base_path: str, purpose: str) -> str:
    # A browser accepts the prefix __Host- only with Secure and Path=/.
    if scope["scheme"] != "https":
        return f"reachbook-{purpose}"
    return f"__Secure-reachbook-{purpose}" if base_path else f"__Host-reachbook-{purpose}"


def _path(scope: Scope, base_path: str) -> str:
    is_host_cookie = scope["scheme"] == "https" and not base_path
    return "/" if is_host_cookie else f"{base_path}/console"
