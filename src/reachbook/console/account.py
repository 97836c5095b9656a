"""The page Account: the user's own password and sessions."""

from __future__ import annotations

from reachbook.console import cookies
from reachbook.console.request import ConsoleRequest
from reachbook.domain.errors import Kind, Refusal
from reachbook.domain.passwords import MAX_CHARACTERS, MIN_CHARACTERS
from reachbook.http.response import ApiResponse

BAD_REQUEST = 400
TOO_MANY = 429


async def show(request: ConsoleRequest) -> ApiResponse:
    """Show the account of the user."""
    return _show(request)


async def set_password(request: ConsoleRequest) -> ApiResponse:
    """Give the user a password, end all sessions, and begin another one in this browser."""
    password = request.form.get("new_password", "")
    if password != request.form.get("again", ""):
        return _show(request, again="The two passwords differ. Type both again.")
    if request.user.password and (refused := await _check_current(request)):
        return refused
    users = request.state.service.users
    try:
        await users.set_password(request.user, password)
    except Refusal as refusal:
        if refusal.reason.kind is not Kind.BAD_DATA:
            raise
        return _show(request, new=refusal.message)
    request.set_cookie(cookies.SESSION, await users.begin_session(request.user))
    return request.redirect("/console/account", {"done": "password"})


async def _check_current(request: ConsoleRequest) -> ApiResponse | None:
    """Returns the page with the reason if the current password is wrong, else None."""
    email, client = request.user.email, request.scope.get("client") or ("", 0)
    if await request.state.attempts.seconds_to_wait(email, client[0]):
        return _show(request, current="Too many attempts. Try again later.", status=TOO_MANY)
    users = await request.state.service.users.check_password(
        email, request.form.get("password", ""), request.team_id
    )
    if not users:
        return _show(request, current="This is not your current password.")
    await request.state.attempts.forget(email)
    return None


def _show(
    request: ConsoleRequest,
    *,
    current: str = "",
    new: str = "",
    again: str = "",
    status: int = BAD_REQUEST,
) -> ApiResponse:
    """Returns the page, with the reason beside a field that is wrong."""
    problems = {"current": current, "new": new, "again": again}
    values = {"user": request.user, "team": request.team, "problems": problems}
    lengths = {"min_characters": MIN_CHARACTERS, "max_characters": MAX_CHARACTERS}
    shown = status if any(problems.values()) else 200
    return request.page("account.html", {**values, **lengths}, shown)
