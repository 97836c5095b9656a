"""Sealed keys open only with the master key and for the id that sealed them."""

from __future__ import annotations

import pytest

from reachbook.domain import sealing
from tests.support.strategies import SECRET_ID, SECRET_KEY

MASTER_KEY = b"m" * 32


def test_a_sealed_key_comes_back() -> None:
    sealed = sealing.seal(MASTER_KEY, SECRET_ID, SECRET_KEY)

    assert sealing.unseal(MASTER_KEY, SECRET_ID, sealed) == SECRET_KEY
    assert SECRET_KEY.encode() not in sealed


def test_no_two_seals_are_the_same() -> None:
    one, other = (sealing.seal(MASTER_KEY, SECRET_ID, SECRET_KEY) for _ in range(2))

    assert one != other


def test_a_sealed_key_opens_only_with_its_master_key_and_for_its_id() -> None:
    sealed = sealing.seal(MASTER_KEY, SECRET_ID, SECRET_KEY)

    assert sealing.unseal(b"x" * 32, SECRET_ID, sealed) is None
    assert sealing.unseal(MASTER_KEY, "rbs_2_0123456789abcdef", sealed) is None


@pytest.mark.parametrize("at", [0, 11, 12, 40, -1])
def test_a_sealed_key_that_was_touched_does_not_open(at: int) -> None:
    sealed = bytearray(sealing.seal(MASTER_KEY, SECRET_ID, SECRET_KEY))
    sealed[at] ^= 1

    assert sealing.unseal(MASTER_KEY, SECRET_ID, bytes(sealed)) is None


@pytest.mark.parametrize("size", [0, 5, 12, 20, 28])
def test_a_sealed_key_that_was_cut_does_not_open(size: int) -> None:
    sealed = sealing.seal(MASTER_KEY, SECRET_ID, SECRET_KEY)

    assert sealing.unseal(MASTER_KEY, SECRET_ID, sealed[:size]) is None
