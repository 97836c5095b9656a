"""What is counted, on both stores, and with several workers and a worker that dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import reachbook
from reachbook.domain import channel_rules, event
from reachbook.domain.address import parsing as address
from reachbook.domain.channel import ChannelList
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.suppression import KnownSuppressions
from reachbook.storage import Commit, LockSet, Saved
from tests.support.metrics import samples
from tests.support.personas import Api
from tests.support.server_process import Server, free_port, serving
from tests.support.teams import create_team
from tests.support.waiting import wait_until

CHANNELS = "/v2/contact/{contactID}/channels"
CHANNEL = "/v2/contact/{contactID}/channel"
WORKERS = f'reachbook_workers{{version="{reachbook.__version__}"}}'


def counted(api: Api) -> dict[str, float]:
    return samples(api.app.state.state.metrics.text().decode())


async def add_email(api: Api, uuid: str, email: str) -> httpx.Response:
    body = {"channel_type": "email", "channel_id": email}
    return await api.request("POST", f"/v2/contact/{uuid}/channel", body)


@pytest.mark.anyio
async def test_it_works(api: Api) -> None:
    uuid = await api.contact(("phone", "15105553344"))
    for _ in range(3):
        await api.request("GET", f"/v2/contact/{uuid}/channels")

    answer = await api.request("GET", "/metrics", by={})

    found = samples(answer.text)
    labels = f'{{method="GET",route="{CHANNELS}",status="200"}}'
    assert found[f"reachbook_requests_total{labels}"] == 3
    labels = f'{{method="GET",route="{CHANNELS}"}}'
    assert found[f"reachbook_request_seconds_count{labels}"] == 3
    assert 0 < found[f"reachbook_request_seconds_sum{labels}"] < 3
    assert found[WORKERS] == 1


@pytest.mark.anyio
async def test_each_measure_says_what_it_is(api: Api) -> None:
    await api.request("GET", "/v1/team", by=api.bob.by_jwt())
    await api.request("GET", "/v1/team", by={})

    text = (await api.request("GET", "/metrics", by={})).text

    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert {name: one.type for name, one in families.items()} == {
        "reachbook_requests": "counter",
        "reachbook_refusals": "counter",
        "reachbook_request_seconds": "histogram",
        "reachbook_idle_connections_closed": "counter",
        "reachbook_commits": "counter",
        "reachbook_transactions": "counter",
        "reachbook_stale_retries": "counter",
        "reachbook_tokens": "counter",
        "reachbook_writers_waiting": "gauge",
        "reachbook_connections_busy": "gauge",
        "reachbook_connections_waiting": "gauge",
        "reachbook_background_errors": "counter",
        "reachbook_log_lines_dropped": "counter",
        "reachbook_workers": "gauge",
    }
    assert all(one.documentation.endswith(".") for one in families.values())


@pytest.mark.anyio
async def test_a_path_is_never_a_label(api: Api) -> None:
    """Whatever clients send, the time series stay few: templates, and methods of a short list."""
    uuid = await api.contact(("phone", "15105553344"))
    for method, path in [
        ("GET", f"/v2/contact/{uuid}/channels"),
        ("GET", f"/v2/contact/{uuid}/channel/phone?channel_id=15105553344"),
        ("GET", "/nothing/4711"),
        ("BREW", "/v1/team"),
        ("PURGE", "/nothing/4712"),
    ]:
        await api.request(method, path)

    text = (await api.request("GET", "/metrics", by={})).text

    for personal in (uuid, "15105553344", "4711", "4712", "BREW", "PURGE"):
        assert personal not in text
    found = samples(text)
    assert found['reachbook_requests_total{method="GET",route="none",status="404"}'] == 1
    assert found['reachbook_requests_total{method="other",route="none",status="404"}'] == 1
    assert found['reachbook_requests_total{method="other",route="/v1/team",status="405"}'] == 1


@pytest.mark.anyio
async def test_refusals_are_counted_by_reason(api: Api) -> None:
    await api.request("GET", "/v1/team", by={})
    await api.request("GET", "/v1/team", by={})
    await api.request("GET", "/v2/contact/7/channels")
    await api.request("GET", "/v1/team")

    refusals = {name: value for name, value in counted(api).items() if "refusals" in name}

    assert refusals == {
        'reachbook_refusals_total{error_code="missing_credential"}': 2,
        'reachbook_refusals_total{error_code="bad_uuid"}': 1,
    }


@pytest.mark.anyio
async def test_tokens_tell_the_known_from_the_new(api: Api) -> None:
    headers = api.bob.by_jwt()
    for _ in range(4):
        await api.request("GET", "/v1/team", by=headers)

    found = counted(api)

    assert found['reachbook_tokens_total{known="no"}'] == 1
    assert found['reachbook_tokens_total{known="yes"}'] == 3


@pytest.mark.anyio
async def test_commits_are_the_changes_made(api: Api) -> None:
    """A repeated POST changes nothing and is not a commit; contention makes retries, not more."""
    uuid = await api.contact(("phone", "15105553344"))
    emails = [f"a{number}@example.com" for number in range(8)]
    await asyncio.gather(*(add_email(api, uuid, one) for one in emails))
    await add_email(api, uuid, emails[0])

    found = counted(api)

    assert found["reachbook_commits_total"] == 9
    assert found["reachbook_stale_retries_total"] > 0


@pytest.mark.anyio
async def test_a_commit_made_while_the_contact_is_held_counts(api: Api) -> None:
    uuid = await api.contact(("phone", "15105553344"))
    wanted = ChannelInput(address.parse(address.channel_type("email"), "alice@example.com"))

    def attempt(
        seen: ChannelList | None, _owners: list[ChannelList], _known: KnownSuppressions
    ) -> Commit:
        after = channel_rules.add_channel(seen, wanted, api.clock())
        return Commit(event.change(seen, after), "actor", "request")

    hold = LockSet(api.bob.team.team_id, ChannelList, uuid)
    saved = await api.store.commit_locked(hold, attempt)

    assert isinstance(saved, Saved)
    assert counted(api)["reachbook_commits_total"] == 2


@pytest.mark.anyio
@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_commits_that_wait_together_share_an_fsync(api: Api) -> None:
    uuids = [await api.contact() for _ in range(30)]
    before = counted(api)

    await asyncio.gather(*(add_email(api, uuid, f"{uuid}@example.com") for uuid in uuids))

    grown = {name: value - before[name] for name, value in counted(api).items() if name in before}
    assert grown["reachbook_commits_total"] == 30
    assert grown["reachbook_transactions_total"] < 30


@pytest.mark.anyio
async def test_a_transaction_without_a_commit_is_not_counted(api: Api) -> None:
    """Or commits over transactions would not be how many shared an fsync."""
    before = counted(api)["reachbook_transactions_total"]

    await api.administration.create_team("Another", None)

    assert counted(api)["reachbook_transactions_total"] == before


@pytest.mark.anyio
async def test_nothing_waits_when_nothing_is_under_way(api: Api) -> None:
    uuids = [await api.contact() for _ in range(3)]
    await asyncio.gather(*(add_email(api, uuid, f"{uuid}@example.com") for uuid in uuids))

    found = counted(api)

    assert found["reachbook_writers_waiting"] == 0
    assert found["reachbook_connections_busy"] == 0
    assert found["reachbook_connections_waiting"] == 0


# ── several workers ──────────────────────────────────────────────────────────────────────────


def total(served: Server, route: str) -> float:
    """What some worker says that all of them have answered on a route."""
    found = samples(served.request("/metrics").text)
    return sum(
        value
        for name, value in found.items()
        if name.startswith("reachbook_requests_total") and f'route="{route}"' in name
    )


def gauge(served: Server, name: str) -> float:
    return samples(served.request("/metrics").text)[name]


def worker_ids(served: Server) -> set[int]:
    return {worker.pid for worker in served.workers()}


def replaced(served: Server, before: set[int]) -> Callable[[], bool]:
    """Whether as many workers as before are there, and one of those is not."""
    return lambda: len(now := worker_ids(served)) == len(before) and now != before


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_workers_add_up_whoever_is_asked_and_whoever_dies(database: str, tmp_path: Path) -> None:
    bob = create_team(database)
    with serving(tmp_path, database, "--workers", "2") as served, ThreadPoolExecutor(8) as pool:

        def ask_many(count: int) -> None:
            answers = pool.map(
                lambda _: served.request("/v1/team", headers=bob.by_key()), range(count)
            )
            assert {answer.status_code for answer in answers} == {200}

        ask_many(150)
        # A worker counts a request after its response, so the last may be missing for a moment.
        wait_until(lambda: total(served, "/v1/team") == 150)
        assert {total(served, "/v1/team") for _ in range(10)} == {150}

        before = worker_ids(served)
        os.kill(min(before), signal.SIGKILL)
        wait_until(replaced(served, before))
        wait_until(lambda: gauge(served, WORKERS) == 2)
        ask_many(50)

        wait_until(lambda: total(served, "/v1/team") == 200)
        assert {total(served, "/v1/team") for _ in range(10)} == {200}


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_what_a_dead_worker_had_in_hand_is_forgotten(database: str, tmp_path: Path) -> None:
    """Requests wait for a row that is locked, and others for a connection; workers are killed."""
    bob = create_team(database)
    busy, waiting = "reachbook_connections_busy", "reachbook_connections_waiting"
    with serving(tmp_path, database, "--workers", "2") as served, ThreadPoolExecutor(40) as pool:
        made = served.request("/v2/contact", "POST", json={}, headers=bob.by_key()).json()
        channels = f"/v2/contact/{made['uuid']}/channels"

        async def kill_while_they_wait() -> None:
            connection = await asyncpg.connect(database)
            async with connection.transaction():
                await connection.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
                for _ in range(40):
                    pool.submit(served.request, channels, headers=bob.by_key())
                wait_until(lambda: min(gauge(served, busy), gauge(served, waiting)) >= 2, 1.5)
                for worker in served.workers():
                    worker.kill()
            await connection.close()

        before = worker_ids(served)
        asyncio.run(kill_while_they_wait())
        wait_until(lambda: not before & worker_ids(served) and len(served.workers()) == 2)

        wait_until(lambda: gauge(served, WORKERS) == 2)
        wait_until(lambda: (gauge(served, busy), gauge(served, waiting)) == (0, 0))


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_workers_that_were_restarted_are_not_counted_twice(database: str, tmp_path: Path) -> None:
    """SIGHUP replaces each worker by a new one; what the old ones counted stays."""
    with serving(tmp_path, database, "--workers", "2") as served:
        for _ in range(6):
            served.request("/healthz")
        before = worker_ids(served)

        served.process.send_signal(signal.SIGHUP)

        wait_until(lambda: not before & worker_ids(served))
        wait_until(lambda: len(served.workers()) == 2)
        wait_until(lambda: gauge(served, WORKERS) == 2)
        assert total(served, "/healthz") == 6


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_measures_on_an_address_of_their_own(database: str, tmp_path: Path, workers: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    with serving(tmp_path, database, "--workers", workers, metrics=address) as served:
        for _ in range(5):
            assert served.request("/healthz").status_code == 200

        beside = served.request("/metrics")
        alone = httpx.get(f"http://{address}/metrics")

    assert beside.status_code == 404
    assert beside.json()["error_code"] == "no_route"
    found = samples(alone.text)
    assert found['reachbook_requests_total{method="GET",route="/healthz",status="200"}'] == 5
    assert found[WORKERS] == int(workers)
