from __future__ import annotations

import httpx
import pytest
from crm_sync import Person, sync

from reachbook.client import ApiSecret, Client, ResolveRequest, Retries, ServerError
from reachbook.testing import Faults, Sandbox

ALICE = "15105553344"


def person(number: int, **fields: str) -> Person:
    return Person(f"First{number}", f"Last{number}", f"1303555{100 + number:04d}", **fields)


@pytest.mark.parametrize("number", range(50))
def test_a_new_person_is_created(reachbook_client: Client, number: int) -> None:
    wanted = person(number)
    report = sync(reachbook_client, [wanted])

    assert list(report.created) == [wanted.phone]
    contact = reachbook_client.get_contact(report.created[wanted.phone])
    assert (contact.first, contact.last) == (wanted.first, wanted.last)
    assert [channel.channel_id for channel in contact.contact_channels] == [wanted.phone]


@pytest.mark.parametrize("number", range(40))
def test_a_second_run_creates_nobody(reachbook_client: Client, number: int) -> None:
    first = sync(reachbook_client, [person(number)])
    second = sync(reachbook_client, [person(number, email=f"p{number}@example.com")])

    assert second.created == {}
    assert second.updated == first.created


@pytest.mark.parametrize("written", ["+1 (510) 555-3344", "1-510-555-3344", "tel:+15105553344"])
@pytest.mark.parametrize("number", range(10))
def test_a_known_number_is_found_however_it_is_written(
    reachbook_sandbox: Sandbox, reachbook_client: Client, written: str, number: int
) -> None:
    report = sync(reachbook_client, [Person(f"Alice{number}", "", written)])
    assert report.updated == {written: reachbook_sandbox.contact_id}


@pytest.mark.parametrize("phone", ["12", "not a number", "1202555", "+999123456789"])
@pytest.mark.parametrize("number", range(5))
def test_an_unreadable_number_is_reported(
    reachbook_client: Client, phone: str, number: int
) -> None:
    report = sync(reachbook_client, [Person("A", "B", phone), person(number)])
    assert report.unreadable == [phone]
    assert len(report.created) == 1


@pytest.mark.parametrize("number", range(20))
def test_an_email_of_another_person_is_reported(
    reachbook_sandbox: Sandbox, reachbook_client: Client, number: int
) -> None:
    wanted = person(number, email="alice@example.com")
    assert sync(reachbook_client, [wanted]).taken == {wanted.phone: reachbook_sandbox.contact_id}


@pytest.mark.parametrize("number", range(15))
def test_a_broken_connection_is_retried_and_creates_one_contact(
    reachbook_sandbox: Sandbox, reachbook_client: Client, reachbook_faults: Faults, number: int
) -> None:
    reachbook_faults.add("disconnect", path="/x/resolve")

    assert len(sync(reachbook_client, [person(number)]).created) == 1

    first, again = reachbook_sandbox.journal()[:2]
    assert (first["path"], first["fault"]) == ("/x/resolve", "disconnect")
    assert (again["path"], again["fault"]) == ("/x/resolve", None)
    keys = [dict(request["headers"])["idempotency-key"] for request in (first, again)]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("number", range(10))
def test_a_server_error_is_not_hidden(
    reachbook_client: Client, reachbook_faults: Faults, number: int
) -> None:
    reachbook_faults.add("500", method="PUT")
    with pytest.raises(ServerError):
        sync(reachbook_client, [person(number)])


@pytest.mark.parametrize("number", range(10))
def test_a_number_is_looked_up_with_a_signed_token(reachbook_sandbox: Sandbox, number: int) -> None:
    secret: ApiSecret = reachbook_sandbox.api_secret
    with Client(reachbook_sandbox.url, secret) as client:
        assert client.resolve(ResolveRequest(ALICE)).contact is not None
        assert len(sync(client, [person(number)]).created) == 1


@pytest.mark.parametrize("number", range(5))
def test_a_timeout_is_the_callers(
    reachbook_sandbox: Sandbox, reachbook_faults: Faults, number: int
) -> None:
    reachbook_faults.add("slow", milliseconds=1500)
    retries = Retries(attempts=1)
    credential = reachbook_sandbox.credential
    with (
        Client(reachbook_sandbox.url, credential, retries=retries, timeout=0.2) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        sync(client, [person(number)])
