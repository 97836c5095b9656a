"""Every bad token costs the same work, so the time of a refusal tells nothing.

The expensive calls are counted. A clock would tell the same only on an idle machine.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reachbook.domain import credential, jwt, sealing
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.metrics import Metrics
from reachbook.server import master_key
from reachbook.service.administration import CredentialOptions
from reachbook.service.authentication import Authenticator
from reachbook.settings import Settings
from tests.support.authentication import by_jwt, by_key, signed
from tests.support.personas import MASTER_KEY, Api

pytestmark = pytest.mark.anyio

NEW_KEY, LOST_KEY = b"n" * 32, b"l" * 32
TERMS = CredentialOptions(Representation.INTEGER_IDS)
# How many master keys a worker has, and which of them sealed Bob's secret.
TURNS = {
    "the only key": (MASTER_KEY,),
    "the current of two": (MASTER_KEY, LOST_KEY),
    "the previous of two": (NEW_KEY, MASTER_KEY),
    "none of them": (NEW_KEY, LOST_KEY),
}


@pytest.fixture
def work(api: Api, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the calls that cost time."""
    done: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def counted(*asked: Any, **options: Any) -> Any:
            done[name] += 1
            return call(*asked, **options)

        monkeypatch.setattr(owner, name, counted)

    count(api.store, "credential")
    count(sealing, "unseal")
    count(credential, "hash_api_key")
    count(master_key, "_mark")
    count(hmac, "digest")
    count(hmac, "compare_digest")
    return done


async def bad_tokens(api: Api) -> dict[str, str]:
    """A header for each way in which a JWT can be wrong that an attacker must not tell apart."""
    bob, team = api.bob, api.bob.team.team_id
    old, old_key = await api.administration.create_secret(team, TERMS, MASTER_KEY)
    await api.administration.revoke("api_secret", old.id)
    lost, lost_key = await api.administration.create_secret(team, TERMS, b"?" * 32)
    return {
        "a wrong signature": signed(api, bob.secret.id, "0" * 64),
        "an unknown id": signed(api, f"rbs_{team}_{'0' * 16}", bob.secret_key),
        "an unknown id of no team": signed(api, f"rbs_{'9' * 18}_{'0' * 16}", bob.secret_key),
        "a revoked secret": signed(api, old.id, old_key),
        "a revoked secret and a wrong signature": signed(api, old.id, "0" * 64),
        "a secret that no master key opens": signed(api, lost.id, lost_key),
    }


async def bad_keys(api: Api) -> dict[str, str]:
    team, api_key = api.bob.team.team_id, api.bob.api_key
    old, old_key = await api.administration.create_key(team, TERMS)
    await api.administration.revoke("api_key", old.id)
    other = "1" if api_key[-1] == "0" else "0"
    return {
        "a wrong key": f"Bearer {api_key[:-1]}{other}",
        "an unknown id": f"Bearer {credential.new_api_key(f'rbk_{team}_' + '0' * 16)}",
        "a revoked key": f"Bearer {old_key}",
        "a revoked id and a wrong key": f"Bearer {old.id}_{'0' * 40}",
    }


async def costs(
    access: Authenticator, headers: dict[str, str], done: Counter[str]
) -> dict[str, dict[str, int]]:
    """The calls that each header causes before it is refused."""
    found = {}
    for name, header in headers.items():
        done.clear()
        with pytest.raises(Refusal) as caught:
            await access.caller(header)
        assert caught.value.reason is Reason.BAD_CREDENTIAL
        found[name] = dict(done)
    return found


def same(found: dict[str, dict[str, int]]) -> dict[str, int]:
    [first, *others] = found.values()
    assert all(one == first for one in others), found
    return first


@pytest.mark.parametrize("turn", TURNS)
async def test_every_bad_jwt_costs_the_same(
    api: Api, work: Counter[str], tmp_path: Path, turn: str
) -> None:
    """The first time and later, when the worker has seen the id, and Bob's in particular."""
    settings = Settings(data_dir=str(tmp_path))
    access = Authenticator(
        api.store, TURNS[turn], api.clock, Metrics(), master_key.ChangedKeys(settings)
    )
    headers = await bad_tokens(api)
    first = same(await costs(access, headers, work))
    if turn != "none of them":
        await access.caller(by_jwt(api.bob))

    again = same(await costs(access, headers, work))

    assert first == again
    assert first["credential"] == 1
    assert first["unseal"] == len(TURNS[turn])
    await access.close()


async def test_every_bad_api_key_costs_the_same(api: Api, work: Counter[str]) -> None:
    access = Authenticator(api.store, (MASTER_KEY,), api.clock, Metrics())
    headers = await bad_keys(api)
    first = same(await costs(access, headers, work))
    await access.caller(by_key(api.bob))

    assert same(await costs(access, headers, work)) == first
    assert first == {"credential": 1, "hash_api_key": 1, "compare_digest": 2}
    await access.close()


async def test_a_token_that_was_good_costs_the_same_once_its_secret_is_revoked(
    api: Api, work: Counter[str]
) -> None:
    access, header = (
        Authenticator(api.store, (MASTER_KEY,), api.clock, Metrics()),
        by_jwt(api.bob),
    )
    unknown = {"an unknown id": signed(api, "rbs_1_0000000000000000", "key")}
    expected = same(await costs(access, unknown, work))
    await access.caller(header)
    await access.close()
    await api.administration.revoke("api_secret", api.bob.secret.id)
    access._known.clear()  # as after the 0.9 s that a credential is trusted
    await costs(access, {"revoked": header}, work)

    assert same(await costs(access, {"revoked": header}, work)) == expected


def test_an_unknown_secret_is_hashed_and_compared_as_a_real_one() -> None:
    """HMAC hashes a key that is longer than its block first; a comparison ends at other lengths."""
    secret_id = credential.new_secret_id(1)
    real = jwt.signing_key(secret_id, credential.new_secret_key())
    block = 64

    assert len(jwt._UNKNOWN_SIGNING_KEY) > block < len(real)
    assert len(credential.UNKNOWN_HASH) == len(credential.hash_api_key("any"))
    decoy_id, sealed = sealing.new_decoy(MASTER_KEY)
    assert len(decoy_id) == len(secret_id)
    assert sealing.unseal(MASTER_KEY, decoy_id, sealed) is not None
    assert len(sealed) == len(sealing.seal(MASTER_KEY, secret_id, credential.new_secret_key()))


# ── the files of the master keys ─────────────────────────────────────────────────────────────


def test_keys_that_have_not_changed_are_not_read_again(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path))
    path = tmp_path / master_key.FILE_NAME
    changed = master_key.ChangedKeys(settings)
    assert changed() == ()
    master_key._create(path)
    [first] = changed()
    assert changed() == ()

    master_key.rotate_key_file(settings)

    assert changed() == master_key.known_keys(settings)
    assert master_key.known_keys(settings)[1] == first
    path.chmod(0o644)
    assert changed() == ()
    path.chmod(0o600)
    assert changed() == master_key.known_keys(settings)


def test_keys_of_the_environment_do_not_change(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), master_key="bm5u" * 10 + "bm4=")

    assert master_key.ChangedKeys(settings)() == ()
