"""The page Team: its name and region, and its users."""

from __future__ import annotations

from reachbook.console.request import ConsoleRequest, Values
from reachbook.domain.address import numbering
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.domain.user import Role, User
from reachbook.http.response import ApiResponse
from reachbook.service.administration import NO_REGION
from reachbook.wire import errors

PATH = "/console/team"
ISSUES_SHOWN = (Kind.BAD_DATA, Kind.CONFLICT, Kind.NOT_FOUND)
MAX_ID_DIGITS = 18


async def show(request: ConsoleRequest) -> ApiResponse:
    """Show the team and its users."""
    return await _show(request, {})


async def save(request: ConsoleRequest) -> ApiResponse:
    """Change the name and the region of the team."""
    name, region = request.form.get("name", ""), request.form.get("region", NO_REGION)
    try:
        await request.state.administration.set_team(request.team_id, name.strip(), region)
    except Refusal as refusal:
        return await _explain(request, refusal, "team")
    return request.redirect(PATH, {"done": "saved"})


async def add_user(request: ConsoleRequest) -> ApiResponse:
    """Create a user, and show a sign-in link once."""
    try:
        user = await request.state.service.users.create(
            request.team_id, request.form.get("email", ""), _role(request)
        )
    except Refusal as refusal:
        return await _explain(request, refusal, "user")
    return await _show_link(request, user, is_new=True)


async def new_link(request: ConsoleRequest) -> ApiResponse:
    """Show a new sign-in link of a user once."""
    user = await _of_path(request)
    try:
        return await _show_link(request, user, is_new=False)
    except Refusal as refusal:
        return await _explain(request, refusal, "users")


async def set_role(request: ConsoleRequest) -> ApiResponse:
    """Give a user another role."""
    try:
        await request.state.service.users.set_role(await _of_path(request), _role(request))
    except Refusal as refusal:
        return await _explain(request, refusal, "users")
    return request.redirect(PATH, {"done": "saved"})


async def confirm_disable(request: ConsoleRequest) -> ApiResponse:
    """Ask whether a user is to be disabled."""
    return request.page("user_disable.html", {"user": await _of_path(request)})


async def disable(request: ConsoleRequest) -> ApiResponse:
    """Disable a user."""
    try:
        await request.state.service.users.disable(await _of_path(request))
    except Refusal as refusal:
        return await _explain(request, refusal, "users")
    return request.redirect(PATH, {"done": "user-disabled"})


async def enable(request: ConsoleRequest) -> ApiResponse:
    """Enable a user."""
    await request.state.service.users.enable(await _of_path(request))
    return request.redirect(PATH, {"done": "user-enabled"})


async def back(request: ConsoleRequest) -> ApiResponse:
    """Go to the page Team from the address of a form, as after loading it again."""
    return request.redirect(PATH)


async def _show(request: ConsoleRequest, values: Values, status: int = 200) -> ApiResponse:
    shared = {
        "team": request.team,
        "users": await request.state.service.users.all(request.team_id),
        "regions": numbering.regions(),
        "me": request.user.id,
        "problem_of": "",
        "message": "",
        "form": {},
    }
    return request.page("team.html", {**shared, **values}, status)


async def _explain(request: ConsoleRequest, refusal: Refusal, where: str) -> ApiResponse:
    """Returns the page with the reason beside the form, and the form as it was sent."""
    if refusal.reason.kind not in ISSUES_SHOWN:
        raise refusal
    values = {"problem_of": where, "message": refusal.message, "form": request.form}
    return await _show(request, values, errors.status(refusal.reason))


async def _show_link(request: ConsoleRequest, user: User, *, is_new: bool) -> ApiResponse:
    token = await request.state.service.users.new_link(user)
    link = f"{request.origin}{request.url(f'/console/link/{token}')}"
    return request.page("user_link.html", {"user": user, "link": link, "is_new": is_new})


def _role(request: ConsoleRequest) -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError:
        raise Refusal(Reason.BAD_VALUE, "The role must be member or admin.") from None


async def _of_path(request: ConsoleRequest) -> User:
    """Returns the user of the team whom the path names; raises `no_user` if there is none."""
    text = request.path("id")
    number = int(text) if text.isdecimal() and len(text) <= MAX_ID_DIGITS else 0
    return await request.state.service.users.get(request.team_id, number)
