"""The user whom a trusted proxy names in a header."""

from __future__ import annotations

from starlette.types import Scope

from reachbook.console import cookies
from reachbook.console.request import ConsoleRequest
from reachbook.console.state import ConsoleState
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.headers import PEER, header
from reachbook.service.users import Session


def named(state: ConsoleState, scope: Scope) -> str | None:
    """Returns the email address in the header of a trusted proxy, or None."""
    if not state.user_header:
        return None
    peer = scope.get(PEER)
    if peer is None or not state.is_trusted(peer):
        return None
    return header(scope, state.user_header.encode())


async def session(request: ConsoleRequest, email: str) -> Session | None:
    """Returns a session of the user with an email address.

    Raises `no_user` if no team has such a user who may sign in. If several teams have one, returns
    that of the team that the user chose, or None.
    """
    users = await request.state.service.users.who_may_sign_in(email)
    chosen = cookies.read(request.scope, request.state.base_path, cookies.TEAM)
    if len(users) > 1:
        users = [user for user in users if str(user.team_id) == chosen]
        if not users:
            return None
    if not users:
        raise Refusal(
            Reason.NO_USER,
            "Your organization signed you in, but no team here has you as a user; ask an admin.",
        )
    team = await request.state.administration.team(users[0].team_id)
    return Session(users[0], team, 0)
