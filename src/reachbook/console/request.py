"""A request for a page, as a view sees it, and its responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct, field
from starlette.types import Scope

from reachbook.console import cookies, rendering
from reachbook.console.state import ConsoleState
from reachbook.domain.credential import TeamId
from reachbook.domain.on_conflict import OnConflict
from reachbook.domain.user import Role, User
from reachbook.http.headers import Headers, header
from reachbook.http.response import ApiResponse
from reachbook.service import Team, WriteContext
from reachbook.service.users import Session

SEE_OTHER = 303
MAX_PARAMETERS = 100
HTML = b"text/html; charset=utf-8"
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Headers = [
    (b"content-security-policy", POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]

Values = Mapping[str, Any]


class ConsoleRequest(Struct):
    """The argument of a view.

    `session` is None on the pages for everyone, if no user has signed in. `secret` is the secret of
    the tokens of forms: the token of the session, or the value of the form's cookie. `form` holds
    the fields of a POST; if a field was sent twice, its last value.
    """

    state: ConsoleState
    scope: Scope
    secret: str
    session: Session | None = None
    form: dict[str, str] = field(default_factory=dict)
    cookies: Headers = field(default_factory=list)

    @property
    def signed_in(self) -> Session:
        """The session of a page that needs one."""
        return cast("Session", self.session)

    @property
    def user(self) -> User:
        """The user who is signed in."""
        return self.signed_in.user

    @property
    def team(self) -> Team:
        """The team of the user."""
        return self.signed_in.team

    @property
    def team_id(self) -> TeamId:
        """The id of the team."""
        return TeamId(self.team.team_id)

    @property
    def is_admin(self) -> bool:
        """Whether the user may change credentials, users and settings."""
        return self.user.role is Role.ADMIN

    @property
    def origin(self) -> str:
        """The scheme, host and port under which the browser knows this server."""
        return f"{self.scope['scheme']}://{header(self.scope, b'host') or ''}"

    def path(self, name: str) -> str:
        """Returns a part of the path."""
        return cast("str", self.scope["path_params"][name])

    def query(self, name: str) -> str:
        """Returns a parameter of the query, or an empty text."""
        text: str = self.scope["query_string"].decode("latin-1")
        try:
            fields = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
        except ValueError:
            return ""
        return dict(fields).get(name, "")

    def context(
        self, if_match: int | None = None, on_conflict: OnConflict = OnConflict.REFUSE
    ) -> WriteContext:
        """Returns the context of a write by the user.

        `if_match` is the revision that the contact must have; None means any.
        """
        revisions = None if if_match is None else frozenset((if_match,))
        return WriteContext(
            self.team_id, self.user.actor, self.scope["request_id"], revisions, on_conflict
        )

    def url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Returns the address of a page of this server, from the root of its host."""
        return f"{self.state.base_path}{path}{'?' + urlencode(query) if query else ''}"

    def page(self, template: str, values: Values | None = None, status: int = 200) -> ApiResponse:
        """Returns a page: a template with the given values, and the parts of all pages."""
        shared = {
            "base": self.state.base_path,
            "csrf": cookies.csrf_token(self.secret),
            "session": self.session,
            "is_admin": self.session is not None and self.is_admin,
            "path": self.scope["path"].removeprefix(self.state.base_path),
            "done": rendering.DONE.get(self.query("done")),
        }
        html = rendering.render(template, {**shared, **(values or {})})
        headers = [*SECURITY_HEADERS, *self.cookies]
        return ApiResponse(status, html.encode(), headers, HTML, vary=b"Cookie")

    def redirect(self, path: str, query: Mapping[str, str] | None = None) -> ApiResponse:
        """Returns a redirect to a page, to be read with GET."""
        location = (b"location", self.url(path, query).encode("ascii"))
        headers = [*SECURITY_HEADERS, *self.cookies, location]
        return ApiResponse(SEE_OTHER, b"", headers, HTML, vary=b"Cookie")

    def set_cookie(self, purpose: str, value: str) -> None:
        """Let the response set a cookie; an empty value deletes it."""
        self.cookies.append(cookies.set_cookie(self.scope, self.state.base_path, purpose, value))
