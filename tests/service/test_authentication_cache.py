"""What a worker remembers of who is asking, for how long, and what it writes of it."""

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
from tests.support.personas import Book

pytestmark = pytest.mark.anyio

Uptime = Callable[[float], None]


@pytest.fixture
def uptime(monkeypatch: pytest.MonkeyPatch) -> Uptime:
    """Lets seconds pass for what is trusted, and for nothing else in this process."""
    passed = [1000.0]
    monkeypatch.setattr(access_module, "time", SimpleNamespace(monotonic=lambda: passed[0]))

    def forward(seconds: float) -> None:
        passed[0] += seconds

    return forward


async def kept(book: Book, kind: CredentialKind, one: Credential) -> Credential:
    found = await book.store.credential(kind, one.team_id, one.id)
    assert found is not None
    return found


async def test_revoking_is_felt_within_a_second_in_every_worker(book: Book, uptime: Uptime) -> None:
    workers, bob = [worker(book), worker(book)], book.bob
    headers = [by_jwt(bob), by_key(bob)]
    for access in workers:
        for header in headers:
            await access.caller(header)

    await book.administration.revoke("api_secret", bob.secret.id)
    await book.administration.revoke("api_key", bob.key.id)
    uptime(0.99)

    for access in workers:
        for header in [*headers, by_jwt(bob)]:
            assert (await refusal(access, header)).reason is Reason.BAD_CREDENTIAL
        await access.close()


async def test_use_does_not_prolong_trust(book: Book, uptime: Uptime) -> None:
    access, header = worker(book), by_key(book.bob)
    await access.caller(header)
    await book.administration.revoke("api_key", book.bob.key.id)

    uptime(0.5)
    await access.caller(header)
    uptime(0.49)

    assert (await refusal(access, header)).reason is Reason.BAD_CREDENTIAL
    await access.close()


async def test_a_new_credential_is_known_within_a_second(book: Book, uptime: Uptime) -> None:
    """Not even a token that came too early can keep it out for longer."""
    access, bob = worker(book), book.bob
    key_id = credential.new_key_id(bob.team.team_id)
    api_key = credential.new_api_key(key_id)
    early = await refusal(access, f"Bearer {api_key}")

    proof = hashlib.sha256(api_key.encode()).digest()
    await book.store.insert_api_key(with_fields(bob.key, id=key_id, proof=proof))
    uptime(0.99)

    assert early.reason is Reason.BAD_CREDENTIAL
    assert (await access.caller(f"Bearer {api_key}")).credential_id == key_id
    await access.close()


async def test_the_region_of_the_team_comes_with_the_caller(book: Book, uptime: Uptime) -> None:
    access = worker(book)
    assert (await access.caller(by_key(book.bob))).default_region is None

    await book.administration.set_team(book.bob.team.team_id, None, "US")
    uptime(TRUSTED_SECONDS + 0.01)

    assert (await access.caller(by_key(book.bob))).default_region == "US"
    await access.close()


# ── what is remembered, and what is written ──────────────────────────────────────────────────


async def test_what_is_remembered_is_bounded(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "MAX_CREDENTIALS", 5)
    monkeypatch.setattr(access_module, "MAX_TOKENS", 5)
    access, bob = worker(book), book.bob

    for number in range(20):
        await refusal(access, signed(book, f"stranger {number}", "key"))
        await access.caller(f"Bearer {bob.token(number=number)}")

    assert len(access._known) <= 5
    assert len(access._verified) <= 5
    await access.close()


async def test_a_token_that_was_refused_is_not_remembered(book: Book) -> None:
    access, bob = worker(book), book.bob

    await refusal(access, signed(book, bob.secret.id, "0" * 64))
    await refusal(access, f"Bearer {bob.token(age=301)}")

    assert access._verified == {}


async def test_every_wrong_token_costs_the_same(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look into the store, whether the id is known, unknown, or asked for before."""
    access, bob = worker(book), book.bob
    looked: list[str] = []
    look = book.store.credential

    async def counted(kind: CredentialKind, team_id: int, ident: str) -> Credential | None:
        looked.append(ident)
        return await look(kind, team_id, ident)

    monkeypatch.setattr(book.store, "credential", counted)
    await access.caller(by_jwt(bob))
    await access.caller(by_key(bob))
    stranger, key_id = f"rbs_{bob.team.team_id}_{'0' * 16}", f"rbk_{bob.team.team_id}_{'0' * 16}"
    wrong = [
        signed(book, bob.secret.id, "0" * 64),
        signed(book, stranger, "0" * 64),
        by_key(bob)[:-1] + ("0" if by_key(bob)[-1] != "0" else "1"),
        f"Bearer {credential.new_api_key(key_id)}",
    ]
    for header in [*wrong, *wrong]:
        looked.clear()
        assert (await refusal(access, header)).reason is Reason.BAD_CREDENTIAL
        assert len(looked) == 1, header
    await access.close()


@pytest.mark.parametrize("kind", ["api_secret", "api_key"])
async def test_use_is_noted_at_most_once_a_minute(book: Book, kind: CredentialKind) -> None:
    bob, access, began = book.bob, worker(book), book.clock()
    one = bob.secret if kind == "api_secret" else bob.key
    noted = []
    for seconds in (0, 1, 58, 2, 59, 2):
        book.clock.forward(seconds)
        await access.caller(by_jwt(bob) if kind == "api_secret" else by_key(bob))
        await access.close()
        noted.append(((await kept(book, kind, one)).last_used or 0) - began)

    assert noted == [0, 0, 0, 61 * SECOND, 61 * SECOND, 122 * SECOND]


async def test_use_is_noted_once_for_all_workers(book: Book) -> None:
    workers, bob = [worker(book) for _ in range(3)], book.bob
    began = book.clock()

    for access in workers:
        await access.caller(by_key(bob))
        await access.close()
        book.clock.forward(10)

    assert (await kept(book, "api_key", bob.key)).last_used == began


async def test_many_requests_at_once_are_noted_once(book: Book) -> None:
    access, bob = worker(book), book.bob
    await access.caller(by_key(bob))

    await asyncio.gather(*(access.caller(by_key(bob)) for _ in range(50)))

    assert len(access._notes) <= 1
    await access.close()


async def test_a_refused_request_is_no_use(book: Book) -> None:
    access, bob = worker(book), book.bob

    await refusal(access, signed(book, bob.secret.id, "0" * 64))
    await access.close()

    assert (await kept(book, "api_secret", bob.secret)).last_used is None
