"""One page of the console and its methods: the order of the checks.

The method (405), the form, the session or the user whom a trusted proxy names, the token of the
form (403), the role (403), and then the view.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from reachbook.console import cookies, proxy_user, resume
from reachbook.console.request import ConsoleRequest
from reachbook.console.state import state_of
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.domain.user import Role
from reachbook.http.headers import header
from reachbook.http.request import STORE_SECONDS, read_body
from reachbook.http.response import ApiResponse, timeout_error
from reachbook.wire import errors

MAX_FIELDS = 200
FORM_TYPE = "application/x-www-form-urlencoded"

View = Callable[[ConsoleRequest], Awaitable[ApiResponse]]


class Page:
    """The views of a path, as an ASGI application that a route ends in.

    `role` is the role that a user must have at least; None is a page for everyone. `seconds` is
    how long the view may take.
    """

    def __init__(
        self,
        get: View | None = None,
        post: View | None = None,
        *,
        role: Role | None = Role.MEMBER,
        seconds: float = STORE_SECONDS,
    ) -> None:
        self._views = {"GET": get, "HEAD": get, "POST": post}
        self._role = role
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        state = state_of(scope)
        request = ConsoleRequest(state, scope, cookies.read(scope, state.base_path, cookies.FORM))
        try:
            response = await self._respond(request, receive)
        except Refusal as refusal:
            response = error_page(request, refusal)
        except TimeoutError:
            response = error_page(request, timeout_error())
        await response(scope, receive, send)

    async def _respond(self, request: ConsoleRequest, receive: Receive) -> ApiResponse:
        method = request.scope["method"]
        view = self._views.get(method)
        if view is None:
            raise Refusal(Reason.WRONG_METHOD, f"This page does not take {method}.")
        if method == "POST":
            request.form = await _read_form(request.scope, receive)
        async with asyncio.timeout(self._seconds):
            await state_of(request.scope).service.require_identities()
            await _identify(request)
            if method == "POST" and not _has_csrf_token(request):
                return resume.offer(request)
            if self._role is not None and request.session is None:
                return await _ask_to_sign_in(request)
            if self._role is Role.ADMIN and not request.is_admin:
                raise Refusal(
                    Reason.READ_ONLY, "This page is for admins; ask an admin of your team."
                )
            return await view(request)


async def _identify(request: ConsoleRequest) -> None:
    """Set the session of a request, or that of the user whom a trusted proxy names."""
    state, scope = request.state, request.scope
    token = cookies.read(scope, state.base_path, cookies.SESSION)
    named = proxy_user.named(state, scope)
    if named is not None:
        request.session = await proxy_user.session(request, named)
    elif token:
        request.session = await state.service.users.session(token)
        # The token of a session that has ended still shows that a form is from this browser.
        request.secret = token
    if not request.secret:
        request.secret = cookies.new_form_secret()
        request.set_cookie(cookies.FORM, request.secret)
    if request.session is not None:
        scope["credential"] = request.user.actor


def _has_csrf_token(request: ConsoleRequest) -> bool:
    if header(request.scope, b"sec-fetch-site") == "cross-site":
        return False
    return cookies.is_csrf_token(request.form.pop("csrf", ""), request.secret)


async def _ask_to_sign_in(request: ConsoleRequest) -> ApiResponse:
    if request.scope["method"] == "POST":
        return resume.offer(request)
    path = request.scope["path"].removeprefix(request.state.base_path)
    return request.redirect("/console/sign-in", {"next": path})


async def _read_form(scope: Scope, receive: Receive) -> dict[str, str]:
    """Returns the fields of a form; raises if the body is not a form."""
    content_type = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    body = await read_body(scope, receive)
    if content_type != FORM_TYPE:
        raise Refusal(Reason.BAD_VALUE, f"The body of a POST must be {FORM_TYPE}.")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Refusal(
            Reason.BAD_VALUE, f"A form must be UTF-8 and have at most {MAX_FIELDS} fields."
        ) from None
    # A browser sends the line breaks of a text area as CR LF.
    return {name: value.replace("\r\n", "\n") for name, value in fields}


def error_page(request: ConsoleRequest, refusal: Refusal) -> ApiResponse:
    """Returns the page of an error that no view has handled."""
    scope = request.scope
    scope["refused"] = refusal.reason.code
    status = errors.status(refusal.reason)
    values = {"refusal": refusal, "status": status, "request_id": scope["request_id"]}
    if not request.secret:
        request.secret = cookies.new_form_secret()
    response = request.page("error.html", values, status)
    if refusal.retry_after is not None:
        response.headers.append((b"retry-after", str(refusal.retry_after).encode()))
    if refusal.reason.kind is Kind.TOO_LARGE:
        response.headers.append((b"connection", b"close"))
    return response


async def no_page(_request: ConsoleRequest) -> ApiResponse:
    """Raises `no_route`."""
    raise Refusal(Reason.NO_ROUTE, "The console has no such page.")
