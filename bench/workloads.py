"""The workloads: which requests are sent."""

from __future__ import annotations

import random
from collections.abc import Callable

from bench import rows
from bench.databases import SMALL_TEAM_CONTACTS, Database
from bench.plans import NUMBER, TOKEN, VALUE, Plan, Shape, first_number, request
from bench.tokens import Team, sign

GET, LIST, ADD = "get", "list", "add"
RESOLVE_HIT, RESOLVE_MISS = "resolve hit", "resolve miss"
REPLACE, MIX, NEW_TOKENS = "replace", "90 get / 10 add", "get, new JWT each"
CONTENDED, MOVING = "add, 1,000 equal addresses", "move, 1,000 equal addresses"
MANY_TEAMS = "add, 64 teams"

EQUAL_ADDRESSES = 1_000
WRITERS = 32
SAMPLE = 20_000
READS_PER_ADD = 9
FRESH_TOKENS = 20_000
"""More tokens than a server caches (10,000), so that none is cached when it is sent again."""


def plan(workload: str, database: Database) -> Plan:
    """Returns the plan of a workload on a database. Its tokens are valid for five minutes."""
    return _PLANS[workload](database)


def _get(database: Database) -> Plan:
    return _plan(_get_shape(database.large_team), database)


def _list(database: Database) -> Plan:
    team = database.large_team
    return _plan(request("GET", f"/v2/contact/{VALUE}/channels", _read_uuids(team)), database)


def _add(database: Database) -> Plan:
    return _plan(_add_shape(database.large_team), database)


def _replace(database: Database) -> Plan:
    body = f'{{"channel_type":"email","channel_id":"{NUMBER}@example.com"}}'
    uuids = _write_uuids(database.large_team)
    return _plan(request("PUT", f"/v2/contact/{VALUE}/channel", uuids, body), database)


def _resolve_hit(database: Database) -> Plan:
    phones = [rows.phone(number) for number in _sample(database.large_team, 1)]
    return _plan(_resolve(phones), database)


def _resolve_miss(database: Database) -> Plan:
    phones = [f"1666{number:07d}" for number in random.sample(range(10**7), SAMPLE)]
    return _plan(_resolve(phones), database)


def _resolve(phones: list[str]) -> Shape:
    body = f'{{"channel_id":"+{VALUE}"}}'
    return request("POST", "/x/resolve", phones, body)


def _mix(database: Database) -> Plan:
    team = database.large_team
    shapes = [_get_shape(team), _add_shape(team)]
    return Plan(shapes, [sign(team)], (0,) * READS_PER_ADD + (1,))


def _new_tokens(database: Database) -> Plan:
    team = database.large_team
    return Plan([_get_shape(team)], [sign(team, number) for number in range(FRESH_TOKENS)])


def _contended(database: Database) -> Plan:
    return _equal_addresses(database, "")


def _moving(database: Database) -> Plan:
    return _equal_addresses(database, "?on_conflict=move")


def _equal_addresses(database: Database, query: str) -> Plan:
    """32 contacts that all want the same 1,000 addresses, each in an order of its own."""
    team = database.large_team
    start = first_number() * EQUAL_ADDRESSES
    addresses = [str(start + number) for number in range(EQUAL_ADDRESSES)]
    body = f'{{"channel_type":"facebook","channel_id":"{VALUE}"}}'
    shapes = [
        request(
            "POST",
            f"/v2/contact/{uuid}/channel{query}",
            random.sample(addresses, EQUAL_ADDRESSES),
            body,
        )
        for uuid in _write_uuids(team)[:WRITERS]
    ]
    return Plan(shapes, [sign(team)], tuple(range(len(shapes))), may_refuse=True)


def _many_teams(database: Database) -> Plan:
    shapes = []
    for team in database.teams:
        shape = _add_shape(team)
        text = shape.text.replace(TOKEN, sign(team))
        shapes.append(Shape(text, shape.values[:SMALL_TEAM_CONTACTS]))
    return Plan(shapes, [sign(database.large_team)], tuple(range(len(shapes))))


def _get_shape(team: Team) -> Shape:
    return request("GET", f"/v2/contact/{VALUE}/channel/phone", _read_uuids(team))


def _add_shape(team: Team) -> Shape:
    body = f'{{"channel_type":"facebook","channel_id":"{NUMBER}"}}'
    return request("POST", f"/v2/contact/{VALUE}/channel", _write_uuids(team), body)


def _plan(shape: Shape, database: Database) -> Plan:
    return Plan([shape], [sign(database.large_team)])


def _read_uuids(team: Team) -> list[str]:
    """UUIDs of contacts that are only read: no add makes their lists longer."""
    return [rows.uuid(number) for number in _sample(team, 1)]


def _write_uuids(team: Team) -> list[str]:
    return [rows.uuid(number) for number in _sample(team, 0)]


def _sample(team: Team, remainder: int) -> list[int]:
    """Returns random contacts whose number modulo 2 is `remainder`, at most `SAMPLE`."""
    first = team.first_contact + (team.first_contact + remainder) % 2
    numbers = range(first, team.first_contact + team.contacts, 2)
    return random.sample(numbers, min(len(numbers), SAMPLE))


_PLANS: dict[str, Callable[[Database], Plan]] = {
    GET: _get,
    NEW_TOKENS: _new_tokens,
    RESOLVE_HIT: _resolve_hit,
    RESOLVE_MISS: _resolve_miss,
    LIST: _list,
    MIX: _mix,
    ADD: _add,
    MANY_TEAMS: _many_teams,
    REPLACE: _replace,
    CONTENDED: _contended,
    MOVING: _moving,
}
NAMES = tuple(_PLANS)
"""All workloads; those that are compared with each other are neighbours."""
