"""Signing in with a link or a password, and signing out."""

from __future__ import annotations

from reachbook.console import cookies, proxy_user, resume
from reachbook.console.request import ConsoleRequest, Values
from reachbook.domain.user import User
from reachbook.http.response import ApiResponse

FORBIDDEN = 403
TOO_MANY = 429
GONE = 410
MAX_SHOWN_EMAIL = 320
MAX_TEAM_DIGITS = 18


async def form(request: ConsoleRequest) -> ApiResponse:
    """Show the form of the email address and the password."""
    if request.session is not None:
        return request.redirect(_next(request.query("next")))
    if proxy_user.named(request.state, request.scope) is not None:
        return await choose_team(request)
    return request.page("sign_in.html", {"next": request.query("next")})


async def with_password(request: ConsoleRequest) -> ApiResponse:
    """Sign a user in, ask for the team, or say that the account or the password is wrong."""
    email = request.form.get("email", "").strip()[:MAX_SHOWN_EMAIL]
    attempts, client = request.state.attempts, request.scope.get("client") or ("", 0)
    seconds = await attempts.seconds_to_wait(email.lower(), client[0])
    if seconds:
        message = f"Too many attempts. Try again in {_minutes(seconds)}, or use a sign-in link."
        return _again(request, message, TOO_MANY)
    team = request.form.get("team", "")[:MAX_TEAM_DIGITS]
    users = await request.state.service.users.check_password(
        email, request.form.get("password", ""), int(team) if team.isdecimal() else None
    )
    if not users:
        return _again(request, "The email address or the password is wrong.", FORBIDDEN)
    await attempts.forget(email.lower())
    if len(users) > 1:
        return await _ask_for_team(request, users)
    return await _begin(request, await request.state.service.users.begin_session(users[0]))


async def link_form(request: ConsoleRequest) -> ApiResponse:
    """Show the button of a sign-in link; only the POST uses the link."""
    token = request.path("token")
    if not await request.state.service.users.has_link(token):
        return request.page("link.html", {"token": None}, GONE)
    return request.page("link.html", {"token": token})


async def with_link(request: ConsoleRequest) -> ApiResponse:
    """Use a sign-in link."""
    session = await request.state.service.users.sign_in_with_link(request.path("token"))
    if session is None:
        return request.page("link.html", {"token": None}, GONE)
    return await _begin(request, session)


async def sign_out(request: ConsoleRequest) -> ApiResponse:
    """End the session of this browser."""
    await request.state.service.users.sign_out(_session_token(request))
    return _signed_out(request)


async def sign_out_everywhere(request: ConsoleRequest) -> ApiResponse:
    """End every session of the user."""
    await request.state.service.users.sign_out_everywhere(request.user)
    return _signed_out(request)


async def choose_team(request: ConsoleRequest) -> ApiResponse:
    """Let a user whom a proxy has signed in choose the team, if several have the user."""
    email = proxy_user.named(request.state, request.scope)
    users = await request.state.service.users.who_may_sign_in(email or "")
    chosen = request.form.get("team", "")
    if any(str(user.team_id) == chosen for user in users):
        request.set_cookie(cookies.TEAM, chosen)
        return request.redirect("/console")
    return request.page("choose_team.html", {"teams": await _teams(request, users)})


def _session_token(request: ConsoleRequest) -> str:
    return cookies.read(request.scope, request.state.base_path, cookies.SESSION)


def _signed_out(request: ConsoleRequest) -> ApiResponse:
    request.set_cookie(cookies.SESSION, "")
    request.set_cookie(cookies.TEAM, "")
    return request.redirect("/console/sign-in", {"done": "signed-out"})


async def _begin(request: ConsoleRequest, token: str) -> ApiResponse:
    """Set the cookie of a new session, and go on where the user was."""
    await request.state.service.users.sign_out(_session_token(request))
    request.set_cookie(cookies.SESSION, token)
    resumed = resume.fields_of(request)
    if resumed is not None and resumed[1]:
        request.secret = token
        request.session = await request.state.service.users.session(token)
        return resume.show(request, *resumed)
    return request.redirect(_next(request.form.get("next", "")))


async def _ask_for_team(request: ConsoleRequest, users: list[User]) -> ApiResponse:
    message = "Several teams have this account. Choose one, and type the password again."
    values = {"teams": await _teams(request, users)}
    return _again(request, message, FORBIDDEN, values)


async def _teams(request: ConsoleRequest, users: list[User]) -> list[tuple[int, str]]:
    teams = [await request.state.administration.team(user.team_id) for user in users]
    return [(team.team_id, team.name) for team in teams]


def _again(
    request: ConsoleRequest, message: str, status: int, values: Values | None = None
) -> ApiResponse:
    preserved = {
        name: request.form.get(name, "") for name in ("email", "next", "resume", "resume_path")
    }
    return request.page("sign_in.html", {**preserved, "message": message, **(values or {})}, status)


def _minutes(seconds: int) -> str:
    minutes = -(-seconds // 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def _next(path: str) -> str:
    """Returns a path of the console; anything else could lead to another site."""
    is_ours = path.startswith("/console/") and path.isascii() and path.isprintable()
    return path if is_ours and "\\" not in path and "//" not in path else "/console"
