"""The `Authorization` header: tokens are reused while they are young, and keys are never shown."""

from __future__ import annotations

import pytest

from reachbook.client import ApiKey, ApiSecret
from reachbook.client.credentials import Authorization
from reachbook.domain.jwt import read_jwt, signing_key, verify
from tests.support.personas import MASTER_KEY

SECRET = ApiSecret("rbs_1_0123456789abcdef", "f" * 64)
NOW = 1_700_000_000.5


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("later", [0, 1, 239.9])
def test_a_token_is_reused_for_four_minutes(later: float) -> None:
    clock = Clock()
    authorization = Authorization(SECRET, clock)
    first = authorization.header()

    clock.now += later

    assert authorization.header() is first


@pytest.mark.parametrize("later", [240, 299, 10**6, -1, -3600])
def test_a_token_is_signed_again_when_it_is_older_or_the_clock_went_back(later: float) -> None:
    clock = Clock()
    authorization = Authorization(SECRET, clock)
    first = authorization.header()

    clock.now += later
    second = authorization.header()

    assert first != second
    scheme, _, jwt = second.partition(" ")
    token = read_jwt(jwt)
    assert (scheme, token.credential_id, token.issued) == (
        "Bearer",
        SECRET.secret_id,
        int(clock.now),
    )
    assert authorization.header() is second


def test_the_server_accepts_the_token_at_the_end_of_its_reuse() -> None:
    _, _, jwt = Authorization(SECRET, Clock()).header().partition(" ")

    verify(read_jwt(jwt), signing_key(SECRET.secret_id, SECRET.secret_key), NOW + 239.9)


def test_an_api_key_is_sent_as_it_is() -> None:
    assert Authorization(ApiKey("rbk_1_key")).header() == "Bearer rbk_1_key"


@pytest.mark.parametrize("credential", [SECRET, ApiKey("rbk_1_secretpart")])
def test_a_credential_is_not_shown_whole(credential: ApiKey | ApiSecret) -> None:
    shown = f"{credential} {credential!r}"

    assert "f" * 64 not in shown
    assert "secretpart" not in shown


SWAPPED = [
    (ApiSecret, ("f" * 64, SECRET.secret_id), "secret_id"),
    (ApiSecret, ("rbk_1_0123456789abcdef_" + "0" * 40, "f" * 64), "secret_id"),
    (ApiSecret, ("", "f" * 64), "secret_id"),
    (ApiSecret, (SECRET.secret_id, ""), "secret_key"),
    (ApiSecret, (SECRET.secret_id, SECRET.secret_id), "secret_key"),
    (ApiSecret, (SECRET.secret_id, "f" * 64 + "\n"), "secret_key"),
    (ApiKey, ("",), "api_key"),
    (ApiKey, (SECRET.secret_id,), "api_key"),
    (ApiKey, ("rbk_1_a b",), "api_key"),
    (ApiKey, ("rbk_1_\N{KELVIN SIGN}",), "api_key"),
]


@pytest.mark.parametrize(("cls", "values", "argument"), SWAPPED)
def test_a_part_in_anothers_place_is_refused_and_not_shown(
    cls: type[ApiKey | ApiSecret], values: tuple[str, ...], argument: str
) -> None:
    with pytest.raises(ValueError, match=f"^{argument} must be ") as raised:
        cls(*values)

    assert not any(value and value in str(raised.value) for value in values)
    assert MASTER_KEY.decode() not in str(raised.value)
