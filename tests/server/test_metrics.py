"""The metrics, on SQLite and PostgreSQL, and with several workers of which some are killed."""

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


def metrics_of(api: Api) -> dict[str, float]:
    return samples(api.app.state.state.metrics.text().decode())


async def add_email(api: Api, uuid: str, email: str) -> httpx.Response:
    body = {"channel_type": "email", "channel_id": email}
    return await api.request("POST", f"/v2/contact/{uuid}/channel", body)


@pytest.mark.anyio
async def test_a_request_is_counted_with_its_method_route_and_status(api: Api) -> None:
    uuid = await api.contact(("phone", "15105553344"))
    for _ in range(3):
        await api.request("GET", f"/v2/contact/{uuid}/channels")

    response = await api.request("GET", "/metrics", by={})

    found = samples(response.text)
    labels = f'{{method="GET",route="{CHANNELS}",status="200"}}'
    assert found[f"reachbook_requests_total{labels}"] == 3
    labels = f'{{method="GET",route="{CHANNELS}"}}'
    assert found[f"reachbook_request_seconds_count{labels}"] == 3
    assert 0 < found[f"reachbook_request_seconds_sum{labels}"] < 3
    assert found[WORKERS] == 1


@pytest.mark.anyio
async def test_each_metric_has_a_type_and_a_description(api: Api) -> None:
    await api.request("GET", "/v1/team", by=api.bob.by_jwt())
    await api.request("GET", "/v1/team", by={})

    text = (await api.request("GET", "/metrics", by={})).text

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name: family.type for name, family in families.items()} == {
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
    assert all(family.documentation.endswith(".") for family in families.values())


@pytest.mark.anyio
async def test_paths_and_unknown_methods_are_not_labels(api: Api) -> None:
    """Labels are route templates and methods of a short list, so the time series are few."""
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
async def test_errors_are_counted_by_error_code(api: Api) -> None:
    await api.request("GET", "/v1/team", by={})
    await api.request("GET", "/v1/team", by={})
    await api.request("GET", "/v2/contact/7/channels")
    await api.request("GET", "/v1/team")

    refusals = {name: value for name, value in metrics_of(api).items() if "refusals" in name}

    assert refusals == {
        'reachbook_refusals_total{error_code="missing_credential"}': 2,
        'reachbook_refusals_total{error_code="bad_uuid"}': 1,
    }


@pytest.mark.anyio
async def test_tokens_are_counted_as_known_or_new(api: Api) -> None:
    headers = api.bob.by_jwt()
    for _ in range(4):
        await api.request("GET", "/v1/team", by=headers)

    found = metrics_of(api)

    assert found['reachbook_tokens_total{known="no"}'] == 1
    assert found['reachbook_tokens_total{known="yes"}'] == 3


@pytest.mark.anyio
async def test_commits_are_counted_without_retries_and_repeats(api: Api) -> None:
    """A repeated POST changes nothing and is no commit; contention causes retries, not commits."""
    uuid = await api.contact(("phone", "15105553344"))
    emails = [f"a{number}@example.com" for number in range(8)]
    await asyncio.gather(*(add_email(api, uuid, email) for email in emails))
    await add_email(api, uuid, emails[0])

    found = metrics_of(api)

    assert found["reachbook_commits_total"] == 9
    assert found["reachbook_stale_retries_total"] > 0


@pytest.mark.anyio
async def test_a_locked_commit_is_counted(api: Api) -> None:
    uuid = await api.contact(("phone", "15105553344"))
    wanted = ChannelInput(address.parse(address.channel_type("email"), "alice@example.com"))

    def attempt(
        seen: ChannelList | None, _owners: list[ChannelList], _known: KnownSuppressions
    ) -> Commit:
        after = channel_rules.add_channel(seen, wanted, api.clock())
        return Commit(event.change(seen, after), "actor", "request")

    locks = LockSet(api.bob.team.team_id, ChannelList, uuid)
    saved = await api.store.commit_locked(locks, attempt)

    assert isinstance(saved, Saved)
    assert metrics_of(api)["reachbook_commits_total"] == 2


@pytest.mark.anyio
@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_concurrent_commits_share_a_transaction(api: Api) -> None:
    uuids = [await api.contact() for _ in range(30)]
    before = metrics_of(api)

    await asyncio.gather(*(add_email(api, uuid, f"{uuid}@example.com") for uuid in uuids))

    increase = {
        name: value - before[name] for name, value in metrics_of(api).items() if name in before
    }
    assert increase["reachbook_commits_total"] == 30
    assert increase["reachbook_transactions_total"] < 30


@pytest.mark.anyio
async def test_a_transaction_without_a_commit_is_not_counted(api: Api) -> None:
    """Otherwise commits divided by transactions would not be the commits for each fsync."""
    before = metrics_of(api)["reachbook_transactions_total"]

    await api.administration.create_team("Another", None)

    assert metrics_of(api)["reachbook_transactions_total"] == before


@pytest.mark.anyio
async def test_the_gauges_are_0_after_all_writes(api: Api) -> None:
    uuids = [await api.contact() for _ in range(3)]
    await asyncio.gather(*(add_email(api, uuid, f"{uuid}@example.com") for uuid in uuids))

    found = metrics_of(api)

    assert found["reachbook_writers_waiting"] == 0
    assert found["reachbook_connections_busy"] == 0
    assert found["reachbook_connections_waiting"] == 0


# ── several workers ──────────────────────────────────────────────────────────────────────────────


def total(server: Server, route: str) -> float:
    """Return the number of requests for a route in all workers, as one worker reports it."""
    found = samples(server.request("/metrics").text)
    return sum(
        value
        for name, value in found.items()
        if name.startswith("reachbook_requests_total") and f'route="{route}"' in name
    )


def gauge(server: Server, name: str) -> float:
    return samples(server.request("/metrics").text)[name]


def worker_ids(server: Server) -> set[int]:
    return {worker.pid for worker in server.workers()}


def is_replaced(server: Server, before: set[int]) -> Callable[[], bool]:
    """Return a check that a worker of `before` is gone and the number of workers is the same."""
    return lambda: len(now := worker_ids(server)) == len(before) and now != before


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_each_worker_reports_the_sums_of_all_workers(database: str, tmp_path: Path) -> None:
    bob = create_team(database)
    with serving(tmp_path, database, "--workers", "2") as server, ThreadPoolExecutor(8) as pool:

        def send_requests(count: int) -> None:
            responses = pool.map(
                lambda _: server.request("/v1/team", headers=bob.by_key()), range(count)
            )
            assert {response.status_code for response in responses} == {200}

        send_requests(150)
        # A worker counts a request after its response, so the last may be missing for a moment.
        wait_until(lambda: total(server, "/v1/team") == 150)
        assert {total(server, "/v1/team") for _ in range(10)} == {150}

        before = worker_ids(server)
        os.kill(min(before), signal.SIGKILL)
        wait_until(is_replaced(server, before))
        wait_until(lambda: gauge(server, WORKERS) == 2)
        send_requests(50)

        wait_until(lambda: total(server, "/v1/team") == 200)
        assert {total(server, "/v1/team") for _ in range(10)} == {200}


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_gauges_of_a_killed_worker_are_dropped(database: str, tmp_path: Path) -> None:
    """They are killed while requests wait for a locked row, and others for a connection."""
    bob = create_team(database)
    busy, waiting = "reachbook_connections_busy", "reachbook_connections_waiting"
    with serving(tmp_path, database, "--workers", "2") as server, ThreadPoolExecutor(40) as pool:
        made = server.request("/v2/contact", "POST", json={}, headers=bob.by_key()).json()
        channels = f"/v2/contact/{made['uuid']}/channels"

        async def kill_while_they_wait() -> None:
            connection = await asyncpg.connect(database)
            async with connection.transaction():
                await connection.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
                for _ in range(40):
                    pool.submit(server.request, channels, headers=bob.by_key())
                wait_until(lambda: min(gauge(server, busy), gauge(server, waiting)) >= 2, 1.5)
                for worker in server.workers():
                    worker.kill()
            await connection.close()

        before = worker_ids(server)
        asyncio.run(kill_while_they_wait())
        wait_until(lambda: not before & worker_ids(server) and len(server.workers()) == 2)

        wait_until(lambda: gauge(server, WORKERS) == 2)
        wait_until(lambda: (gauge(server, busy), gauge(server, waiting)) == (0, 0))


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_counters_of_replaced_workers_are_not_counted_twice(database: str, tmp_path: Path) -> None:
    """SIGHUP replaces each worker; the counters of the old workers remain in the sums."""
    with serving(tmp_path, database, "--workers", "2") as server:
        for _ in range(6):
            server.request("/healthz")
        before = worker_ids(server)

        server.process.send_signal(signal.SIGHUP)

        wait_until(lambda: not before & worker_ids(server))
        wait_until(lambda: len(server.workers()) == 2)
        wait_until(lambda: gauge(server, WORKERS) == 2)
        assert total(server, "/healthz") == 6


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_are_served_on_a_separate_address(
    database: str, tmp_path: Path, workers: str
) -> None:
    address = f"127.0.0.1:{free_port()}"
    with serving(tmp_path, database, "--workers", workers, metrics=address) as server:
        for _ in range(5):
            assert server.request("/healthz").status_code == 200

        on_the_api = server.request("/metrics")
        on_its_own = httpx.get(f"http://{address}/metrics")

    assert on_the_api.status_code == 404
    assert on_the_api.json()["error_code"] == "no_route"
    found = samples(on_its_own.text)
    assert found['reachbook_requests_total{method="GET",route="/healthz",status="200"}'] == 5
    assert found[WORKERS] == int(workers)
