"""The email address of a user, and the tokens of sessions."""

from __future__ import annotations

import pytest

from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.user import digest_of_token, new_token, parse_email, team_of_token


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("Dana@Example.COM", "dana@example.com"),
        ("  admin@localhost\n", "admin@localhost"),
        ("mailto:dana@example.com", "dana@example.com"),
        ("ÄNNE@müller.example", "änne@müller.example"),
    ],
)
def test_an_address_is_stored_in_lower_case(text: str, email: str) -> None:
    assert parse_email(text) == email


@pytest.mark.parametrize("text", ["", "dana", "dana@", "@localhost", "a b@localhost", "x" * 2000])
def test_a_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_email(text)

    assert caught.value.reason is Reason.BAD_EMAIL
    assert "channel_id" not in caught.value.message
    assert caught.value.fields == {"email": "not an email address"}


def test_a_token_contains_its_team_and_is_unique() -> None:
    tokens = {new_token(7) for _ in range(100)}

    assert {team_of_token(token) for token in tokens} == {7}
    assert len({digest_of_token(token) for token in tokens}) == 100
