"""A sealed key can be unsealed only with its master key and for its id."""

from __future__ import annotations

import pytest

from reachbook.domain import sealing
from tests.support.strategies import SECRET_ID, SECRET_KEY

MASTER_KEY = b"m" * 32


def test_a_sealed_key_can_be_unsealed() -> None:
    sealed = sealing.seal(MASTER_KEY, SECRET_ID, SECRET_KEY)

    assert sealing.unseal(MASTER_KEY, SECRET_ID, sealed) == SECRET_KEY
    assert SECRET_KEY.encode() not in sealed


def test_sealing_twice_has_different_results() -> None:
    first, second = (sealing.seal(MASTER_KEY, SECRET_ID, SECRET_KEY) for _ in range(2))

    assert first != second


def test_a_sealed_key_needs_its_master_key_and_its_id() -> None:
    sealed = sealing.seal(MASTER_KEY, SECRET_ID, SECRET_KEY)

    assert sealing.unseal(b"x" * 32, SECRET_ID, sealed) is None
    assert sealing.unseal(MASTER_KEY, "rbs_2_0123456789abcdef", sealed) is None


@pytest.mark.parametrize("index", [0, 11, 12, 40, -1])
def test_a_modified_sealed_key_cannot_be_unsealed(index: int) -> None:
    sealed = bytearray(sealing.seal(MASTER_KEY, SECRET_ID, SECRET_KEY))
    sealed[index] ^= 1

    assert sealing.unseal(MASTER_KEY, SECRET_ID, bytes(sealed)) is None


@pytest.mark.parametrize("size", [0, 5, 12, 20, 28])
def test_a_truncated_sealed_key_cannot_be_unsealed(size: int) -> None:
    sealed = sealing.seal(MASTER_KEY, SECRET_ID, SECRET_KEY)

    assert sealing.unseal(MASTER_KEY, SECRET_ID, sealed[:size]) is None
