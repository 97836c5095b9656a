"""The paths of the console, and the view of each. Start reading here."""

from __future__ import annotations

from reachbook.console import (
    account,
    api_settings,
    contact,
    contact_channels,
    contacts,
    overview,
    sign_in,
    static,
    team,
)
from reachbook.console.page import Page, no_page
from reachbook.console.request import ConsoleRequest
from reachbook.domain.user import Role
from reachbook.http.response import ApiResponse
from reachbook.http.routing import ExactRoute


async def home(request: ConsoleRequest) -> ApiResponse:
    """Go to the list of contacts."""
    return request.redirect("/console/contacts")


API = api_settings.PATH
OVERVIEW_SECONDS = 12.0
"""More than the counting may take, which ends by itself."""

USER = f"{team.PATH}/users/{{id}}"
CONTACT = "/console/contact/{uuid}"
CHANNEL = f"{CONTACT}/channel/{{channel}}"

ROUTES = [
    ExactRoute("/console", Page(home)),
    ExactRoute("/console/", Page(home)),
    ExactRoute("/console/sign-in", Page(sign_in.form, sign_in.with_password, role=None)),
    ExactRoute("/console/choose-team", Page(sign_in.choose_team, sign_in.choose_team, role=None)),
    ExactRoute("/console/link/{token}", Page(sign_in.link_form, sign_in.with_link, role=None)),
    ExactRoute("/console/sign-out", Page(post=sign_in.sign_out, role=None)),
    ExactRoute("/console/sign-out-everywhere", Page(post=sign_in.sign_out_everywhere)),
    ExactRoute("/console/overview", Page(overview.show, seconds=OVERVIEW_SECONDS)),
    ExactRoute("/console/settings", Page(api_settings.index, role=Role.ADMIN)),
    ExactRoute(API, Page(api_settings.show, role=Role.ADMIN)),
    ExactRoute(
        f"{API}/secrets", Page(api_settings.index, api_settings.generate_secret, role=Role.ADMIN)
    ),
    ExactRoute(f"{API}/keys", Page(api_settings.index, api_settings.generate_key, role=Role.ADMIN)),
    ExactRoute(
        f"{API}/{{id}}/revoke",
        Page(api_settings.confirm_revoke, api_settings.revoke, role=Role.ADMIN),
    ),
    ExactRoute(team.PATH, Page(team.show)),
    ExactRoute(f"{team.PATH}/settings", Page(team.back, team.save, role=Role.ADMIN)),
    ExactRoute(f"{team.PATH}/users", Page(team.back, team.add_user, role=Role.ADMIN)),
    ExactRoute(f"{USER}/link", Page(team.back, team.new_link, role=Role.ADMIN)),
    ExactRoute(f"{USER}/role", Page(team.back, team.set_role, role=Role.ADMIN)),
    ExactRoute(f"{USER}/disable", Page(team.confirm_disable, team.disable, role=Role.ADMIN)),
    ExactRoute(f"{USER}/enable", Page(team.back, team.enable, role=Role.ADMIN)),
    ExactRoute("/console/account", Page(account.show)),
    ExactRoute("/console/account/password", Page(account.show, account.set_password)),
    ExactRoute("/console/contacts", Page(contacts.index)),
    ExactRoute("/console/contacts/new", Page(contacts.new, contacts.create)),
    ExactRoute(CONTACT, Page(contact.show)),
    ExactRoute(f"{CONTACT}/edit", Page(contact.back, contact.edit)),
    ExactRoute(f"{CONTACT}/delete", Page(contact.confirm_delete, contact.delete)),
    ExactRoute(f"{CONTACT}/channels", Page(contact.back, contact_channels.add)),
    ExactRoute(f"{CHANNEL}/edit", Page(contact.back, contact_channels.edit)),
    ExactRoute(f"{CHANNEL}/primary", Page(contact.back, contact_channels.make_primary)),
    ExactRoute(f"{CHANNEL}/hold", Page(contact.back, contact_channels.hold)),
    ExactRoute(f"{CHANNEL}/release", Page(contact.back, contact_channels.release)),
    ExactRoute(f"{CHANNEL}/consent", Page(contact.back, contact_channels.consent)),
    ExactRoute(f"{CHANNEL}/delete", Page(contact_channels.confirm_remove, contact_channels.remove)),
    ExactRoute("/console/static/{name}", static.Asset()),
    ExactRoute("/console/{rest:path}", Page(no_page, no_page, role=None)),
]
