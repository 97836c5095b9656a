"""Every wrong token causes the same work, so the time of an error reveals nothing.

The expensive calls are counted, because measured times depend on the load of the machine.
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
OPTIONS = CredentialOptions(Representation.INTEGER_IDS)
# The master keys of a worker; `MASTER_KEY` sealed Bob's secret.
MASTER_KEYS = {
    "the only key": (MASTER_KEY,),
    "the current of two": (MASTER_KEY, LOST_KEY),
    "the previous of two": (NEW_KEY, MASTER_KEY),
    "none of them": (NEW_KEY, LOST_KEY),
}


@pytest.fixture
def calls(api: Api, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the expensive calls."""
    counts: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def record_call(*arguments: Any, **keywords: Any) -> Any:
            counts[name] += 1
            return call(*arguments, **keywords)

        monkeypatch.setattr(owner, name, record_call)

    count(api.store, "credential")
    count(sealing, "unseal")
    count(credential, "hash_api_key")
    count(master_key, "_mark")
    count(hmac, "digest")
    count(hmac, "compare_digest")
    return counts


async def bad_tokens(api: Api) -> dict[str, str]:
    """Returns a header for each kind of wrong JWT that an attacker must not distinguish."""
    bob, team = api.bob, api.bob.team.team_id
    old, old_key = await api.administration.create_secret(team, OPTIONS, MASTER_KEY)
    await api.administration.revoke("api_secret", old.id)
    lost, lost_key = await api.administration.create_secret(team, OPTIONS, b"?" * 32)
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
    old, old_key = await api.administration.create_key(team, OPTIONS)
    await api.administration.revoke("api_key", old.id)
    other = "1" if api_key[-1] == "0" else "0"
    return {
        "a wrong key": f"Bearer {api_key[:-1]}{other}",
        "an unknown id": f"Bearer {credential.new_api_key(f'rbk_{team}_' + '0' * 16)}",
        "a revoked key": f"Bearer {old_key}",
        "a revoked id and a wrong key": f"Bearer {old.id}_{'0' * 40}",
    }


async def count_calls(
    access: Authenticator, headers: dict[str, str], counts: Counter[str]
) -> dict[str, dict[str, int]]:
    """Returns the number of calls until each header is refused."""
    found = {}
    for name, header in headers.items():
        counts.clear()
        with pytest.raises(Refusal) as caught:
            await access.caller(header)
        assert caught.value.reason is Reason.BAD_CREDENTIAL
        found[name] = dict(counts)
    return found


def require_equal(found: dict[str, dict[str, int]]) -> dict[str, int]:
    [first, *others] = found.values()
    assert all(each == first for each in others), found
    return first


@pytest.mark.parametrize("keys", MASTER_KEYS)
async def test_every_wrong_jwt_causes_the_same_calls(
    api: Api, calls: Counter[str], tmp_path: Path, keys: str
) -> None:
    """This holds for the first request and for later ones, when the worker has cached the id."""
    settings = Settings(data_dir=str(tmp_path))
    access = Authenticator(
        api.store, MASTER_KEYS[keys], api.clock, Metrics(), master_key.ChangedKeys(settings)
    )
    headers = await bad_tokens(api)
    first = require_equal(await count_calls(access, headers, calls))
    if keys != "none of them":
        await access.caller(by_jwt(api.bob))

    again = require_equal(await count_calls(access, headers, calls))

    assert first == again
    assert first["credential"] == 1
    assert first["unseal"] == len(MASTER_KEYS[keys])
    await access.close()


async def test_every_wrong_api_key_causes_the_same_calls(api: Api, calls: Counter[str]) -> None:
    access = Authenticator(api.store, (MASTER_KEY,), api.clock, Metrics())
    headers = await bad_keys(api)
    first = require_equal(await count_calls(access, headers, calls))
    await access.caller(by_key(api.bob))

    assert require_equal(await count_calls(access, headers, calls)) == first
    assert first == {"credential": 1, "hash_api_key": 1, "compare_digest": 2}
    await access.close()


async def test_a_token_of_a_revoked_secret_causes_the_same_calls(
    api: Api, calls: Counter[str]
) -> None:
    access, header = (
        Authenticator(api.store, (MASTER_KEY,), api.clock, Metrics()),
        by_jwt(api.bob),
    )
    unknown = {"an unknown id": signed(api, "rbs_1_0000000000000000", "key")}
    expected = require_equal(await count_calls(access, unknown, calls))
    await access.caller(header)
    await access.close()
    await api.administration.revoke("api_secret", api.bob.secret.id)
    access._known.clear()  # as after the 0.9 s that a credential is cached
    await count_calls(access, {"revoked": header}, calls)

    assert require_equal(await count_calls(access, {"revoked": header}, calls)) == expected


def test_the_placeholders_for_unknown_secrets_have_real_lengths() -> None:
    """HMAC hashes a key longer than its block first; comparing different lengths is faster."""
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


def test_unchanged_key_files_are_not_read_again(tmp_path: Path) -> None:
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


def test_keys_of_the_environment_are_never_reread(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), master_key="bm5u" * 10 + "bm4=")

    assert master_key.ChangedKeys(settings)() == ()
