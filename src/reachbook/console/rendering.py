"""Templates → HTML. Values are escaped; times, addresses and sizes are written for people."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reachbook.console import static
from reachbook.domain import timestamps

DONE = {
    "saved": "Saved.",
    "created": "The contact was created.",
    "deleted": "The contact was deleted. Its addresses can be given to other contacts.",
    "added": "The channel was added.",
    "removed": "The channel was deleted. The history below keeps its address.",
    "primary": "The channel is now the primary one of its type.",
    "held": "The channel is held. Release it when messages may be sent to it again.",
    "released": "The channel was released.",
    "consent": "The consent was recorded.",
    "same": "Nothing was changed: everything was already as you asked.",
    "moved": "The address was moved to this contact.",
    "revoked": "The credential was revoked. Requests with it are refused within a second.",
    "user-disabled": "The user was disabled, and is signed out everywhere.",
    "user-enabled": "The user can sign in again.",
    "password": "The password was set, and every other session was ended.",
    "signed-out": "You are signed out.",
}
"""The messages after a change, by the value of the parameter `done`."""


def render(template: str, values: dict[str, Any]) -> str:
    """Returns a template with values."""
    return _environment.get_template(template).render(values)


def show_time(micros: int) -> Markup:
    """Returns a time as an element that the script shows in the viewer's zone."""
    return _time_element(micros, Markup("<time"))


def show_age(micros: int) -> Markup:
    """Returns a time as an element that the script shows with how long ago it was."""
    return _time_element(micros, Markup("<time data-relative"))


def show_number(number: int) -> str:
    """Returns a number with a comma between each three digits."""
    return f"{number:,}"


def show_share(part: int, whole: int) -> str:
    """Returns a part in whole percent; 0 and 100 only for nothing and for everything."""
    if part in (0, whole):
        return "100%" if part else "0%"
    percent = round(100 * part / whole)
    return "<1%" if percent < 1 else f"{min(percent, 99)}%"


def _time_element(micros: int, start: Markup) -> Markup:
    exact = timestamps.format_seconds(micros)
    shown = exact[:16].replace("T", " ")
    return Markup('{} datetime="{}" title="{}">{} UTC</time>').format(start, exact, exact, shown)


_environment = Environment(
    loader=PackageLoader("reachbook.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["time"] = show_time
_environment.filters["age"] = show_age
_environment.filters["number"] = show_number
_environment.filters["share"] = show_share
_environment.globals["asset"] = static.asset_name
