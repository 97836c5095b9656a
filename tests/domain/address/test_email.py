"""Email addresses in domains that the library refuses by default."""

from __future__ import annotations

import subprocess
import sys

import pytest

from reachbook.domain.address import email

SPECIAL_USE = ["arpa", "invalid", "local", "localhost", "onion", "test"]


@pytest.mark.parametrize("domain", SPECIAL_USE)
def test_a_special_use_domain_is_accepted(domain: str) -> None:
    """An internal mail system may use such a domain."""
    assert email.read(f"bob@mail.{domain.upper()}") == (f"bob@mail.{domain}", f"bob@mail.{domain}")


def test_the_list_of_the_library_is_not_changed() -> None:
    """A program that imports the client and validates addresses itself must not be affected."""
    program = (
        "import email_validator; before = list(email_validator.SPECIAL_USE_DOMAIN_NAMES)\n"
        "import reachbook.domain.address.email\n"
        "assert before and email_validator.SPECIAL_USE_DOMAIN_NAMES == before"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
