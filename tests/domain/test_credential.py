"""API keys and ids, and the Authorization header (contract section 4)."""

from __future__ import annotations

import pytest

from reachbook.domain import credential

VECTOR_ID = "00000000-0000-4000-8000-000000000001"


def test_an_api_key_contains_its_id_and_its_team() -> None:
    key_id = credential.new_key_id(7)
    api_key = credential.new_api_key(key_id)

    assert credential.key_id(api_key) == key_id
    assert credential.team_hint(key_id) == 7
    assert api_key.startswith(key_id)


def test_new_credentials_are_unique() -> None:
    keys = {credential.new_secret_key() for _ in range(1000)}
    api_keys = {credential.new_api_key("rbk_1_" + "0" * 16) for _ in range(1000)}

    assert len(keys) == len(api_keys) == 1000


def test_the_hash_of_an_api_key_does_not_contain_the_key() -> None:
    api_key = credential.new_api_key(credential.new_key_id(1))

    assert api_key.encode() not in credential.hash_api_key(api_key)
    assert credential.hash_api_key(api_key) != credential.hash_api_key(api_key[:-1] + "x")


@pytest.mark.parametrize(
    "api_key",
    [
        *("", "rbk_1", "rbk_1_" + "0" * 16, "rbs_1_" + "0" * 16 + "_" + "0" * 40),
        *("rbk_1_" + "0" * 16 + "_" + "0" * 39, "rbk_1_" + "0" * 16 + "_" + "0" * 41),
        *("rbk_1_" + "0" * 16 + "_" + "G" * 40, "rbk_x_" + "0" * 16 + "_" + "0" * 40),
        "rbk_" + "1" * 19 + "_" + "0" * 16 + "_" + "0" * 40,
        "rbk_1_" + "0" * 16 + "_" + "0" * 40 + "\n",
    ],
)
def test_a_malformed_api_key_has_no_id(api_key: str) -> None:
    assert credential.key_id(api_key) is None


@pytest.mark.parametrize(
    "ident",
    [
        *("", "rbs_1", "rbs__0123456789abcdef", "rbs_\u0661_0123456789abcdef", VECTOR_ID),
        *("rbx_1_0123456789abcdef", "rbs_1_0123456789ABCDEF", "rbs_1_0123456789abcdef\n"),
        *("rbs_-1_0123456789abcdef", "rbs_" + "1" * 19 + "_0123456789abcdef"),
    ],
)
def test_a_malformed_id_has_no_team(ident: str) -> None:
    assert credential.team_hint(ident) is None
