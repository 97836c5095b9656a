"""The cache of credentials of a worker: expiry, limits, and recording of their use."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from msgspec.structs import replace as with_fields

from reachbook.domain import credential
from reachbook.domain.credential import Credential
from reachbook.domain.errors import Reason
from reachbook.domain.timestamps import SECOND
from reachbook.service import authentication as access_module
from reachbook.service.authentication import TRUSTED_SECONDS
from reachbook.storage.store import CredentialKind
from tests.support.authentication import by_jwt, by_key, refusal, signed, worker
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

ForwardClock = Callable[[float], None]


@pytest.fixture
def forward_clock(monkeypatch: pytest.MonkeyPatch) -> ForwardClock:
    """Returns a function that moves the clock of the cache forward, and no other clock."""
    passed = [1000.0]
    monkeypatch.setattr(access_module, "time", SimpleNamespace(monotonic=lambda: passed[0]))

    def forward(seconds: float) -> None:
        passed[0] += seconds

    return forward


async def stored_credential(api: Api, kind: CredentialKind, expected: Credential) -> Credential:
    found = await api.store.credential(kind, expected.team_id, expected.id)
    assert found is not None
    return found


async def test_a_revoked_credential_is_refused_within_a_second_by_every_worker(
    api: Api, forward_clock: ForwardClock
) -> None:
    workers, bob = [worker(api), worker(api)], api.bob
    headers = [by_jwt(bob), by_key(bob)]
    for access in workers:
        for header in headers:
            await access.caller(header)

    await api.administration.revoke("api_secret", bob.secret.id)
    await api.administration.revoke("api_key", bob.key.id)
    forward_clock(0.99)

    for access in workers:
        for header in [*headers, by_jwt(bob)]:
            assert (await refusal(access, header)).reason is Reason.BAD_CREDENTIAL
        await access.close()


async def test_using_a_credential_does_not_extend_its_cache_time(
    api: Api, forward_clock: ForwardClock
) -> None:
    access, header = worker(api), by_key(api.bob)
    await access.caller(header)
    await api.administration.revoke("api_key", api.bob.key.id)

    forward_clock(0.5)
    await access.caller(header)
    forward_clock(0.49)

    assert (await refusal(access, header)).reason is Reason.BAD_CREDENTIAL
    await access.close()


async def test_a_new_credential_is_accepted_within_a_second(
    api: Api, forward_clock: ForwardClock
) -> None:
    """This holds even if the worker has refused it before it was created."""
    access, bob = worker(api), api.bob
    key_id = credential.new_key_id(bob.team.team_id)
    api_key = credential.new_api_key(key_id)
    early = await refusal(access, f"Bearer {api_key}")

    proof = hashlib.sha256(api_key.encode()).digest()
    await api.store.insert_api_key(with_fields(bob.key, id=key_id, proof=proof))
    forward_clock(0.99)

    assert early.reason is Reason.BAD_CREDENTIAL
    assert (await access.caller(f"Bearer {api_key}")).credential_id == key_id
    await access.close()


async def test_the_caller_has_the_region_of_the_team(api: Api, forward_clock: ForwardClock) -> None:
    access = worker(api)
    assert (await access.caller(by_key(api.bob))).default_region is None

    await api.administration.set_team(api.bob.team.team_id, None, "US")
    forward_clock(TRUSTED_SECONDS + 0.01)

    assert (await access.caller(by_key(api.bob))).default_region == "US"
    await access.close()


# ── limits and recording of use ──────────────────────────────────────────────────────────────


async def test_the_size_of_the_cache_is_limited(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "MAX_CREDENTIALS", 5)
    monkeypatch.setattr(access_module, "MAX_TOKENS", 5)
    access, bob = worker(api), api.bob

    for number in range(20):
        await refusal(access, signed(api, f"stranger {number}", "key"))
        await access.caller(f"Bearer {bob.token(number=number)}")

    assert len(access._known) <= 5
    assert len(access._verified) <= 5
    await access.close()


async def test_a_refused_token_is_not_cached(api: Api) -> None:
    access, bob = worker(api), api.bob

    await refusal(access, signed(api, bob.secret.id, "0" * 64))
    await refusal(access, f"Bearer {bob.token(age=301)}")

    assert access._verified == {}


async def test_every_wrong_token_needs_one_read_of_the_store(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds if the id is known, unknown, or was requested before."""
    access, bob = worker(api), api.bob
    read_ids: list[str] = []
    read_credential = api.store.credential

    async def record_read(kind: CredentialKind, team_id: int, ident: str) -> Credential | None:
        read_ids.append(ident)
        return await read_credential(kind, team_id, ident)

    monkeypatch.setattr(api.store, "credential", record_read)
    await access.caller(by_jwt(bob))
    await access.caller(by_key(bob))
    stranger, key_id = f"rbs_{bob.team.team_id}_{'0' * 16}", f"rbk_{bob.team.team_id}_{'0' * 16}"
    wrong = [
        signed(api, bob.secret.id, "0" * 64),
        signed(api, stranger, "0" * 64),
        by_key(bob)[:-1] + ("0" if by_key(bob)[-1] != "0" else "1"),
        f"Bearer {credential.new_api_key(key_id)}",
    ]
    for header in [*wrong, *wrong]:
        read_ids.clear()
        assert (await refusal(access, header)).reason is Reason.BAD_CREDENTIAL
        assert len(read_ids) == 1, header
    await access.close()


@pytest.mark.parametrize("kind", ["api_secret", "api_key"])
async def test_use_is_recorded_at_most_once_a_minute(api: Api, kind: CredentialKind) -> None:
    bob, access, began = api.bob, worker(api), api.clock()
    stored = bob.secret if kind == "api_secret" else bob.key
    times = []
    for seconds in (0, 1, 58, 2, 59, 2):
        api.clock.forward(seconds)
        await access.caller(by_jwt(bob) if kind == "api_secret" else by_key(bob))
        await access.close()
        times.append(((await stored_credential(api, kind, stored)).last_used or 0) - began)

    assert times == [0, 0, 0, 61 * SECOND, 61 * SECOND, 122 * SECOND]


async def test_use_is_recorded_once_for_all_workers(api: Api) -> None:
    workers, bob = [worker(api) for _ in range(3)], api.bob
    began = api.clock()

    for access in workers:
        await access.caller(by_key(bob))
        await access.close()
        api.clock.forward(10)

    assert (await stored_credential(api, "api_key", bob.key)).last_used == began


async def test_simultaneous_requests_are_recorded_once(api: Api) -> None:
    access, bob = worker(api), api.bob
    await access.caller(by_key(bob))

    await asyncio.gather(*(access.caller(by_key(bob)) for _ in range(50)))

    assert len(access._tasks) <= 1
    await access.close()


async def test_a_refused_request_is_not_recorded_as_use(api: Api) -> None:
    access, bob = worker(api), api.bob

    await refusal(access, signed(api, bob.secret.id, "0" * 64))
    await access.close()

    assert (await stored_credential(api, "api_secret", bob.secret)).last_used is None
