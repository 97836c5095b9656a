"""A form that came without a session: its text is shown again after the user has signed in."""

from __future__ import annotations

import msgspec

from reachbook.console.request import ConsoleRequest
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.headers import header
from reachbook.http.response import ApiResponse

FORBIDDEN = 403
_NOT_SHOWN = ("csrf", "password", "new_password", "again", "resume", "resume_path")


def offer(request: ConsoleRequest) -> ApiResponse:
    """Returns the sign-in page with the text of the form, or the form if the user is signed in.

    Raises if the form came from another site.
    """
    site = header(request.scope, b"sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        raise Refusal(Reason.READ_ONLY, "This form came from another site, so nothing was changed.")
    path = request.scope["path"].removeprefix(request.state.base_path)
    fields = {name: text for name, text in request.form.items() if name not in _NOT_SHOWN}
    if path.startswith(("/console/sign-in", "/console/link")):
        path, fields = "/console", {}
    if request.session is not None:
        return show(request, path, fields)
    values = {"resume_path": path, "resume": msgspec.json.encode(fields).decode()}
    return request.page("sign_in.html", {**values, "expired": True}, FORBIDDEN)


def fields_of(request: ConsoleRequest) -> tuple[str, dict[str, str]] | None:
    """Returns the path and the fields that a sign-in form carries, or None."""
    path, text = request.form.get("resume_path", ""), request.form.get("resume", "")
    if not path.startswith("/console/") or "\\" in path or "//" in path:
        return None
    try:
        return path, msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError:
        return None


def show(request: ConsoleRequest, path: str, fields: dict[str, str]) -> ApiResponse:
    """Returns a page with the text of a form that was not sent, to be sent again."""
    return request.page("resume.html", {"resume_path": path, "fields": fields})
