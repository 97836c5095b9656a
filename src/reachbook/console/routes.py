"""The paths of the console, and the view of each. Start reading here."""

from __future__ import annotations

from reachbook.console import sign_in, static
from reachbook.console.page import Page, no_page
from reachbook.console.request import ConsoleRequest
from reachbook.http.response import ApiResponse
from reachbook.http.routing import ExactRoute


async def home(request: ConsoleRequest) -> ApiResponse:
    """Go to the list of contacts."""
    return request.redirect("/console/contacts")


ROUTES = [
    ExactRoute("/console", Page(home)),
    ExactRoute("/console/", Page(home)),
    ExactRoute("/console/sign-in", Page(sign_in.form, sign_in.with_password, role=None)),
    ExactRoute("/console/choose-team", Page(sign_in.choose_team, sign_in.choose_team, role=None)),
    ExactRoute("/console/link/{token}", Page(sign_in.link_form, sign_in.with_link, role=None)),
    ExactRoute("/console/sign-out", Page(post=sign_in.sign_out, role=None)),
    ExactRoute("/console/sign-out-everywhere", Page(post=sign_in.sign_out_everywhere)),
    ExactRoute("/console/static/{name}", static.Asset()),
    ExactRoute("/console/{rest:path}", Page(no_page, no_page, role=None)),
]
