"""Every page of the console by name, for checks of all pages."""

from __future__ import annotations

from tests.support.demo_team import DemoTeam

SIGNED_OUT = {"sign-in": "/console/sign-in", "used-link": "/console/link/1.gone"}


def signed_in(team: DemoTeam) -> dict[str, str]:
    """Return the paths of the pages for an admin."""
    contact = f"/console/contact/{team.detailed}"
    return {
        "contacts": "/console/contacts",
        "search-number": "/console/contacts?q=call+(202)+555-0119+please",
        "search-name": "/console/contacts?q=ma+fern",
        "search-nothing": "/console/contacts?q=zz+nobody",
        "new-contact": "/console/contacts/new",
        "contact": contact,
        "unreachable": f"/console/contact/{team.unreachable}",
        "delete-contact": f"{contact}/delete",
        "api": "/console/settings/integrations/api",
        "team": "/console/team",
        "account": "/console/account",
        "overview": "/console/overview",
        "not-found": "/console/nowhere",
    }
