"""The command `sandbox` as a process: its store, its clock, its faults and its journal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from reachbook.domain.jwt import sign
from reachbook.sandbox.faults import has_form
from reachbook.sandbox.journal import redact
from tests.sandbox.conftest import TOKEN, SandboxProcess, running
from tests.support.commands import PROGRAM
from tests.support.server_process import free_port, serving
from tests.support.waiting import wait_until

ROUTES = [
    ("POST", "reset"),
    ("GET", "snapshots"),
    ("PUT", "snapshots/a"),
    ("DELETE", "snapshots/a"),
    ("POST", "snapshots/a/restore"),
    ("GET", "clock"),
    ("POST", "clock"),
    ("DELETE", "clock"),
    ("GET", "faults"),
    ("POST", "faults"),
    ("DELETE", "faults"),
    ("GET", "journal"),
    ("DELETE", "journal"),
]


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error_code"]


def names(sandbox: SandboxProcess) -> set[str]:
    listed = sandbox.request("POST", "/v2/contacts/list", json={"limit": 500})
    return {each["first"] for each in listed.json()}


@contextmanager
def stalled_upload(sandbox: SandboxProcess) -> Iterator[socket.socket]:
    """A request whose body does not arrive; `"Zoe"}` completes it."""
    address = urlsplit(sandbox.facts["url"])
    assert address.hostname
    with socket.create_connection((address.hostname, address.port or 0), 20) as upload:
        upload.sendall(
            f"POST /v2/contact HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 16\r\n"
            f"Authorization: Bearer {sandbox.facts['api_key']}\r\n\r\n"
            '{"first": '.encode()
        )
        while not sandbox.control("GET", "journal").json()["entries"]:
            time.sleep(0.01)
        yield upload


def jwt(sandbox: SandboxProcess, issued: float) -> dict[str, str]:
    token = sign(sandbox.facts["secret_id"], sandbox.facts["secret_key"], issued)
    return {"authorization": f"Bearer {token}"}


# ── access ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"authorization": ""}, (401, "missing_credential")),
        ({"authorization": "Bearer another-token-of-tests"}, (401, "bad_credential")),
        ({"authorization": f"Basic {TOKEN}"}, (401, "bad_credential")),
        ({"origin": "http://127.0.0.1"}, (403, "not_local")),
        ({"host": "reachbook.example"}, (403, "not_local")),
        ({"host": "127.0.0.1.example"}, (403, "not_local")),
    ],
)
def test_a_request_that_is_not_from_a_local_program_is_refused(
    sandbox: SandboxProcess,
    method: str,
    path: str,
    headers: dict[str, str],
    expected: tuple[int, str],
) -> None:
    assert code(sandbox.control(method, path, headers=headers)) == expected


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.2:80", "[::1]:80"])
def test_every_loopback_host_is_accepted(sandbox: SandboxProcess, host: str) -> None:
    assert sandbox.control("GET", "clock", headers={"host": host}).status_code == 200


def test_an_api_key_is_no_control_token(sandbox: SandboxProcess) -> None:
    headers = {"authorization": f"Bearer {sandbox.facts['api_key']}"}
    assert code(sandbox.control("POST", "reset", headers=headers)) == (401, "bad_credential")


def test_other_methods_and_paths_are_refused(sandbox: SandboxProcess) -> None:
    assert code(sandbox.control("GET", "reset")) == (405, "method_not_allowed")
    assert code(sandbox.control("GET", "other")) == (404, "no_route")
    assert code(sandbox.control("GET", "clock/")) == (404, "no_route")
    assert code(sandbox.control("POST", "reset%0A")) == (404, "no_route")
    assert code(sandbox.request("POST", "/sandbox")) == (404, "no_route")


@pytest.mark.parametrize(
    ("path", "allow"),
    [("reset", "OPTIONS, POST"), ("journal", "DELETE, GET, HEAD, OPTIONS")],
)
def test_a_path_names_its_methods(sandbox: SandboxProcess, path: str, allow: str) -> None:
    refused = sandbox.control("PATCH", path)
    assert (refused.status_code, refused.headers["allow"]) == (405, allow)
    listed = sandbox.control("OPTIONS", path)
    assert (listed.status_code, listed.headers["allow"]) == (204, allow)
    assert code(sandbox.control("PATCH", path, headers={"authorization": ""}))[0] == 401


def test_head_is_get_without_a_body(sandbox: SandboxProcess) -> None:
    response = sandbox.control("HEAD", "snapshots")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len('{"snapshots":[]}'))


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "clock"), ("PUT", "clock"), ("GET", "other"), ("GET", "journal?a")]
)
def test_a_response_has_the_id_of_its_request(
    sandbox: SandboxProcess, method: str, path: str
) -> None:
    response = sandbox.control(method, path, headers={"x-request-id": "id-of-a-test"})
    assert response.headers["x-request-id"] == "id-of-a-test"
    assert sandbox.control(method, path).headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "journal?aftr=1"), ("POST", "reset?hard=1"), ("GET", "clock?at=")]
)
def test_an_unknown_parameter_is_refused(sandbox: SandboxProcess, method: str, path: str) -> None:
    assert code(sandbox.control(method, path)) == (400, "unknown_name")


def test_serve_has_no_such_routes(tmp_path: Path) -> None:
    with serving(tmp_path, f"sqlite:///{tmp_path}/reachbook.db") as server:
        for method, path in ROUTES:
            response = server.request(f"/sandbox/{path}", method)
            assert code(response) == (404, "no_route")


# ── the store ────────────────────────────────────────────────────────────────────────────────────


def test_it_has_a_believable_team(sandbox: SandboxProcess) -> None:
    assert {"Alice", "Amara", "Noor"} <= names(sandbox)
    channels = sandbox.request("GET", f"{sandbox.contact}/channels").json()
    assert [each["channel_id"] for each in channels] == ["15105553344", "alice@example.com"]


def test_a_reset_forgets_everything(sandbox: SandboxProcess) -> None:
    before = names(sandbox)
    key = {
        "authorization": f"Bearer {sandbox.facts['api_key']}",
        "idempotency-key": "one-key",
    }
    for _ in range(2):
        made = sandbox.request("POST", "/v2/contact", json={"first": "Zoe"}, headers=key)
        assert made.status_code == 200
        assert "idempotent-replayed" not in made.headers
        assert names(sandbox) == before | {"Zoe"}
        sandbox.control("POST", "reset")
        assert names(sandbox) == before


def test_a_snapshot_can_be_restored(sandbox: SandboxProcess) -> None:
    sandbox.request("POST", "/v2/contact", json={"first": "Zoe"})
    assert sandbox.control("PUT", "snapshots/with-zoe").json() == {"ok": True}
    sandbox.control("POST", "reset")
    assert "Zoe" not in names(sandbox)

    assert sandbox.control("POST", "snapshots/with-zoe/restore").json() == {"ok": True}
    assert "Zoe" in names(sandbox)
    assert "with-zoe" in sandbox.control("GET", "snapshots").json()["snapshots"]

    assert sandbox.control("DELETE", "snapshots/with-zoe").json() == {"ok": True}
    assert code(sandbox.control("POST", "snapshots/with-zoe/restore")) == (404, "no_snapshot")
    assert code(sandbox.control("DELETE", "snapshots/with-zoe")) == (404, "no_snapshot")


@pytest.mark.parametrize("name", ["A", "a_b", "a" * 65, ".seed", "%2e%2e", "a%0A", "%C3%A9"])
def test_a_snapshot_has_a_plain_name(sandbox: SandboxProcess, name: str) -> None:
    assert code(sandbox.control("PUT", f"snapshots/{name}")) == (400, "bad_value")


def test_snapshots_are_bounded(sandbox: SandboxProcess) -> None:
    taken = [sandbox.control("PUT", f"snapshots/s-{n}").status_code for n in range(33)]
    assert taken == [200] * 32 + [400]
    for n in range(32):
        sandbox.control("DELETE", f"snapshots/s-{n}")


def test_a_follower_of_the_feed_notices_a_reset(sandbox: SandboxProcess) -> None:
    page = sandbox.request("GET", "/x/events?after=0").json()
    path = f"/x/events?after=1&incarnation={page['incarnation']}"
    assert sandbox.request("GET", path).status_code == 200

    sandbox.control("POST", "reset")

    assert code(sandbox.request("GET", path)) == (410, "feed_restarted")


def test_a_reset_between_requests_loses_none(sandbox: SandboxProcess) -> None:
    with ThreadPoolExecutor(8) as threads:
        reads = [
            threads.submit(sandbox.request, "GET", f"{sandbox.contact}/channels")
            for _ in range(100)
        ]
        for _ in range(10):
            assert sandbox.control("POST", "reset").status_code == 200
        assert {read.result().status_code for read in reads} == {200}


# ── the clock ────────────────────────────────────────────────────────────────────────────────────


def test_a_token_expires_when_the_clock_moves(sandbox: SandboxProcess) -> None:
    now = time.time()
    path = f"{sandbox.contact}/channels"
    assert sandbox.request("GET", path, headers=jwt(sandbox, now)).status_code == 200

    moved = sandbox.control("POST", "clock", json={"advance_seconds": 400}).json()

    assert moved["offset_seconds"] == 400
    assert code(sandbox.request("GET", path, headers=jwt(sandbox, now))) == (401, "expired")
    later = jwt(sandbox, now + 400)
    assert sandbox.request("GET", path, headers=later).status_code == 200
    made = sandbox.request("POST", "/v2/contact", json={"first": "Zoe"}).json()
    assert made["updated"] > moved["now"]

    assert sandbox.control("DELETE", "clock").json()["offset_seconds"] == 0
    assert sandbox.request("GET", path, headers=jwt(sandbox, now)).status_code == 200


def test_the_clock_can_be_set(sandbox: SandboxProcess) -> None:
    now = time.time()
    path = f"{sandbox.contact}/channels"
    for at, shown in (
        ("2035-01-01T00:00:00Z", "2035-01-01T00:00:0"),
        ("2020-06-01T12:00:00.500000+02:00", "2020-06-01T10:00:0"),
    ):
        moved = sandbox.control("POST", "clock", json={"at": at}).json()
        assert moved["now"].startswith(shown)
        there = jwt(sandbox, time.time() + moved["offset_seconds"])
        assert sandbox.request("GET", path, headers=there).status_code == 200
        made = sandbox.request("POST", "/v2/contact", json={"first": "Zoe"}).json()
        assert made["created"].startswith(shown[:16])
    assert code(sandbox.request("GET", path, headers=jwt(sandbox, now))) == (401, "not_yet_valid")
    sandbox.control("POST", "reset")
    assert sandbox.control("GET", "clock").json()["offset_seconds"] == 0


def test_the_limit_of_requests_is_free_again_after_a_minute(tmp_path: Path) -> None:
    with running(tmp_path, "--rate-limit", "3") as sandbox:

        def exhaust() -> None:
            statuses = [sandbox.request("GET", sandbox.contact).status_code for _ in range(4)]
            assert statuses == [200] * 3 + [429]

        exhaust()
        sandbox.control("POST", "clock", json={"advance_seconds": 30})
        sandbox.control("PUT", "snapshots/a")  # a snapshot does not free it
        assert sandbox.request("GET", sandbox.contact).status_code == 429
        sandbox.control("POST", "clock", json={"advance_seconds": 30})
        exhaust()
        sandbox.control("DELETE", "clock")
        exhaust()
        for path in ("reset", "snapshots/a/restore"):
            sandbox.control("POST", path)
            exhaust()


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"advance_seconds": 0}, {"advance_seconds": 1e12}, {"advance": 1}, [], "x"),
        {"advance_seconds": 1, "at": "2027-01-01T00:00:00Z"},
        *({"at": at} for at in ("", "tomorrow", "2027-01-01T00:00:00", "1969-12-31T23:59:59Z")),
        *({"at": at} for at in ("9999-01-01T00:00:00Z", 1_800_000_000, None)),
    ],
)
def test_a_wrong_step_of_the_clock_is_refused(sandbox: SandboxProcess, body: Any) -> None:
    assert sandbox.control("POST", "clock", json=body).status_code == 400


# ── faults ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("401", (401, "expired")),
        ("409", (409, "in_progress")),
        ("429", (429, "too_many_requests")),
        ("500", (500, "server_error")),
        ("503", (503, "store_unavailable")),
    ],
)
def test_a_fault_is_the_response(
    sandbox: SandboxProcess, fault: str, expected: tuple[int, str]
) -> None:
    wanted = {"fault": fault, "method": "POST", "path": "/v2/contact", "times": 2}
    assert sandbox.control("POST", "faults", json=wanted).json()["times"] == 2

    assert sandbox.request("GET", sandbox.contact).status_code == 200
    for _ in range(2):
        response = sandbox.request("POST", "/v2/contact", json={"first": "Zoe"})
        assert code(response) == expected
        assert ("retry-after" in response.headers) is (fault in {"429", "503"})
        assert ("www-authenticate" in response.headers) is (fault == "401")
        assert response.headers["x-request-id"]
    assert "Zoe" not in names(sandbox)
    assert sandbox.request("POST", "/v2/contact", json={"first": "Zoe"}).status_code == 200
    assert sandbox.control("GET", "faults").json() == {"faults": []}


def test_a_connection_is_closed_without_a_response(sandbox: SandboxProcess) -> None:
    sandbox.control("POST", "faults", json={"fault": "disconnect", "path": "/v2/contact/*"})

    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        sandbox.request("GET", sandbox.contact)
    assert sandbox.request("GET", sandbox.contact).status_code == 200


@pytest.mark.parametrize(("key", "writes"), [(True, 1), (False, 2)])
def test_a_write_whose_response_is_lost_is_repeated(
    sandbox: SandboxProcess, key: bool, writes: int
) -> None:
    sandbox.control("POST", "faults", json={"fault": "disconnect_after", "path": "/v2/contact"})
    headers = {"authorization": f"Bearer {sandbox.facts['api_key']}"}
    if key:
        headers["idempotency-key"] = "a-key"
    body = {"first": "Zoe"}

    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        sandbox.request("POST", "/v2/contact", json=body, headers=headers)
    again = sandbox.request("POST", "/v2/contact", json=body, headers=headers)

    assert again.status_code == 200
    assert ("idempotent-replayed" in again.headers) is key
    listed = sandbox.request("POST", "/v2/contacts/list", json={"limit": 500}).json()
    assert [each["first"] for each in listed].count("Zoe") == writes
    entries = sandbox.control("GET", "journal").json()["entries"]
    assert [entry["status"] for entry in entries[:2]] == [200, 200]
    assert [entry["fault"] for entry in entries[:2]] == ["disconnect_after", None]


def test_a_list_whose_response_is_lost(sandbox: SandboxProcess) -> None:
    path = "/v2/contacts/list"
    sandbox.control("POST", "faults", json={"fault": "disconnect_after", "path": path})
    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        sandbox.request("POST", path, json={"limit": 500})
    assert "Alice" in names(sandbox)


def test_a_request_hangs(sandbox: SandboxProcess) -> None:
    sandbox.control("POST", "faults", json={"fault": "hang"})

    with pytest.raises(httpx.ReadTimeout):
        sandbox.request("GET", sandbox.contact, timeout=0.5)
    assert sandbox.request("GET", sandbox.contact).status_code == 200
    assert sandbox.control("POST", "reset").status_code == 200  # nothing waits for it


def test_a_request_is_slow(sandbox: SandboxProcess) -> None:
    sandbox.control("POST", "faults", json={"fault": "slow", "milliseconds": 300})
    started = time.monotonic()
    assert sandbox.request("GET", sandbox.contact).status_code == 200
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"fault": "418"},
        {"fault": 429},
        {"fault": "slow", "milliseconds": 0},
        {"fault": "slow", "milliseconds": 60_001},
        {"fault": "hang", "times": 0},
        {"fault": "hang", "times": 1001},
        {"fault": "hang", "times": "many"},
        {"fault": "hang", "method": "get"},
        {"fault": "hang", "path": ""},
        {"fault": "hang", "path": "v2"},
        {"fault": "hang", "path": "/v2/contact/{contactID}"},
        {"fault": "hang", "path": "/sandbox/reset"},
        {"fault": "hang", "path": "/v1/team?a=1"},
        {"fault": "hang", "path": "/v1/%74eam"},
        {"fault": "hang", "route": "/v2"},
        [],
        "hang",
        None,
    ],
)
def test_a_fault_that_cannot_be_understood_says_what_is_accepted(
    sandbox: SandboxProcess, body: Any
) -> None:
    response = sandbox.control("POST", "faults", json=body)

    assert response.status_code == 400
    assert "A fault is" in response.json()["message"]
    assert sandbox.control("GET", "faults").json() == {"faults": []}


def test_a_pattern_with_many_stars_takes_no_time(sandbox: SandboxProcess) -> None:
    fault = {"fault": "500", "path": "/*" + "a*" * 200 + "b"}
    assert sandbox.control("POST", "faults", json=fault).is_success

    began = time.monotonic()
    response = sandbox.request("GET", "/a" * 2000)

    assert response.status_code == 404
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("/v1/team", "/v1/team", True),
        ("/v1/team", "/v1/teams", False),
        ("/v2/*", "/v2/", True),
        ("*", "", True),
        ("*team", "/v1/team", True),
        ("/v2/contact/*/channel", "/v2/contact/1/channel", True),
        ("/v2/contact/*/channel", "/v2/contact/1/channels", False),
        ("/a*a", "/a", False),
        ("*ab*ba*", "aba", False),
        ("*ab*ba*", "xabxbax", True),
        ("/**", "/", True),
        ("/.*", "/x", False),
    ],
)
def test_a_star_is_any_text(pattern: str, text: str, expected: bool) -> None:
    assert has_form(text, pattern) is expected


def test_a_slow_request_is_executed_although_the_client_has_gone(sandbox: SandboxProcess) -> None:
    fault = {"fault": "slow", "milliseconds": 800, "path": "/v2/contact"}
    sandbox.control("POST", "faults", json=fault)

    with pytest.raises(httpx.ReadTimeout):
        sandbox.request("POST", "/v2/contact", json={"first": "Zoe"}, timeout=0.3)

    wait_until(lambda: "Zoe" in names(sandbox), 10, "the write is executed")


def test_queued_faults_are_bounded(sandbox: SandboxProcess) -> None:
    queued = [
        sandbox.control("POST", "faults", json={"fault": "500", "path": "/none"}).status_code
        for _ in range(101)
    ]
    assert queued == [200] * 100 + [400]
    sandbox.control("DELETE", "faults")
    assert sandbox.control("GET", "faults").json() == {"faults": []}


# ── the journal ──────────────────────────────────────────────────────────────────────────────────


def test_the_journal_has_requests_without_credentials(sandbox: SandboxProcess) -> None:
    sandbox.control("POST", "faults", json={"fault": "503", "path": "/v2/contact"})
    key = sandbox.facts["api_key"]
    sandbox.request("POST", "/v2/contact", json={"first": "Zoe", "last": key})
    sandbox.request("GET", f"/v2/contacts?key={sandbox.facts['secret_key']}")
    sandbox.request("GET", sandbox.contact, headers=jwt(sandbox, time.time()))

    response = sandbox.control("GET", "journal")
    first, second, third = response.json()["entries"]

    assert (first["method"], first["path"], first["fault"]) == ("POST", "/v2/contact", "503")
    assert first["status"] == 503
    assert ["authorization", "********"] in first["headers"]
    assert (second["method"], second["query"], second["status"]) == ("GET", "key=********", 405)
    assert third["status"] == 200
    for secret in (key, sandbox.facts["secret_key"], TOKEN, "eyJ"):
        assert secret not in response.text

    after = sandbox.control("GET", f"journal?after={second['number']}").json()["entries"]
    assert after == [third]
    assert sandbox.control("DELETE", "journal").json() == {"ok": True}
    assert sandbox.control("GET", "journal").json() == {"entries": []}


def test_a_delayed_request_does_not_reach_the_next_store(sandbox: SandboxProcess) -> None:
    sandbox.control("POST", "faults", json={"fault": "slow", "milliseconds": 700})
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(sandbox.request, "POST", "/v2/contact", json={"first": "Zoe"})
        while not sandbox.control("GET", "journal").json()["entries"]:
            time.sleep(0.01)
        sandbox.control("POST", "reset")
        assert late.result().status_code == 200
    assert "Zoe" not in names(sandbox)


def test_a_reset_does_not_wait_for_a_stalled_upload(sandbox: SandboxProcess) -> None:
    with stalled_upload(sandbox) as upload:
        started = time.monotonic()
        for _ in range(12):  # more than the stores that may wait for their requests
            assert sandbox.control("POST", "reset").status_code == 200
            assert "Zoe" not in names(sandbox)
        assert sandbox.control("PUT", "snapshots/stalled").status_code == 200
        assert sandbox.control("POST", "snapshots/stalled/restore").status_code == 200
        assert time.monotonic() - started < 4  # a request may stall for 5 seconds
        upload.sendall(b'"Zoe"}')
        response = upload.recv(65_536)
    assert b" 200 " in response.partition(b"\r\n")[0] or not response
    assert "Zoe" not in names(sandbox)
    sandbox.control("DELETE", "snapshots/stalled")


def test_the_store_of_a_request_that_does_not_end_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with running(tmp_path) as sandbox:
        sandbox.control("POST", "faults", json={"fault": "slow", "milliseconds": 60_000})
        with ThreadPoolExecutor(1) as threads:
            slow = threads.submit(sandbox.request, "GET", sandbox.contact)
            while not sandbox.control("GET", "journal").json()["entries"]:
                time.sleep(0.01)
            sandbox.control("POST", "reset")
            assert isinstance(slow.exception(20), httpx.TransportError)

        def files() -> list[str]:
            return sorted(path.name for path in tmp_path.glob("reachbook-sandbox-*/*.db"))

        wait_until(lambda: files() == ["generation-1.db"], 10, "the first store is deleted")
        assert sandbox.request("GET", sandbox.contact).status_code == 200


def test_a_snapshot_has_the_writes_of_its_moment(sandbox: SandboxProcess) -> None:
    with ThreadPoolExecutor(4) as threads:
        for turn in range(5):
            writes = [
                threads.submit(sandbox.request, "POST", "/v2/contact", json={"first": f"{turn}"})
                for _ in range(8)
            ]
            assert writes[0].result().status_code == 200
            assert sandbox.control("PUT", "snapshots/moment").status_code == 200
            assert {write.result().status_code for write in writes} == {200}
    sandbox.control("POST", "snapshots/moment/restore")
    assert {"0", "1", "2", "3", "4"} <= names(sandbox)
    sandbox.control("DELETE", "snapshots/moment")


def test_the_journal_redacts_by_name(sandbox: SandboxProcess) -> None:
    sandbox.request(
        "POST",
        "/v2/contact?token=s3cret&a=1&api_key=s3cret",
        json={"first": "Zoe", "password": "s3cret", "custom": {"refresh_token": "s3cret"}},
        headers={
            "authorization": f"Bearer {sandbox.facts['api_key']}",
            "x-auth-token": "s3cret",
            "api-key": "s3cret",
        },
    )
    response = sandbox.control("GET", "journal")
    assert response.json()["entries"][0]["query"] == "token=********&a=1&api_key=********"
    assert "s3cret" not in response.text
    assert "Zoe" in response.text


@pytest.mark.parametrize(
    "text",
    [
        r'{"password": "a\"hunter2"}',
        '{"apiKey": "hunter2"}',
        '{"private-key" : "hunter2"}',
        '{"Cookie":"hunter2"}',
        '{"authorization": "hunter2"}',
    ],
)
def test_a_secret_in_json_is_redacted_whole(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert "********" in redact(text)


def test_redaction_takes_time_in_proportion_to_the_text() -> None:
    began = time.monotonic()
    redact('\\"' * 32_000)
    redact('"token' * 11_000)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "query",
    [
        "cookie=hunter2",
        "%74oken=hunter2",
        "a=1&api%5Fkey=hunter2",
        "a=" + "rbk_1_0123456789abcdef_".replace("_", "%5f") + b"hunter2".hex() + "0" * 26,
    ],
)
def test_a_secret_in_a_query_is_redacted(sandbox: SandboxProcess, query: str) -> None:
    sandbox.request("GET", f"/v1/team?{query}")

    [entry] = sandbox.control("GET", "journal").json()["entries"]
    assert "hunter2" not in entry["query"]
    assert b"hunter2".hex() not in entry["query"]
    assert entry["query"].endswith("=********")


def test_the_journal_has_the_body_that_was_read(sandbox: SandboxProcess) -> None:
    sandbox.request("POST", "/v2/contact", json={"first": "Zoe", "last": "x" * 20_000})
    sandbox.request("POST", "/v2/contact", content='{"first": "Zoe"}')

    long, short = sandbox.control("GET", "journal").json()["entries"]

    assert len(long["body"]) == 16_384
    assert short["body"] == '{"first": "Zoe"}'


@pytest.mark.parametrize("fault", ["wrong credential", "429", "503", "disconnect", "hang"])
def test_the_journal_has_a_body_that_the_api_did_not_read(
    sandbox: SandboxProcess, fault: str
) -> None:
    headers = {"authorization": f"Bearer {sandbox.facts['api_key']}"}
    if fault == "wrong credential":
        headers["authorization"] = "Bearer wrong"
    else:
        sandbox.control("POST", "faults", json={"fault": fault})
    with suppress(httpx.TransportError):
        sandbox.request("POST", "/v2/contact", json={"first": "Zoe"}, headers=headers, timeout=1)

    [entry] = sandbox.control("GET", "journal").json()["entries"]
    assert json.loads(entry["body"]) == {"first": "Zoe"}


def test_a_body_that_is_read_ahead_is_bounded(sandbox: SandboxProcess) -> None:
    sandbox.control("POST", "faults", json={"fault": "503"})
    response = sandbox.request("POST", "/v2/contact", content=b"\xc3\xa4" * 400_000)
    assert response.status_code == 503
    [entry] = sandbox.control("GET", "journal").json()["entries"]
    assert entry["body"] == "ä" * 16_384


def test_a_body_that_does_not_arrive_delays_a_refusal_shortly(sandbox: SandboxProcess) -> None:
    sandbox.control("POST", "faults", json={"fault": "503"})
    started = time.monotonic()
    with stalled_upload(sandbox) as upload:
        assert upload.recv(65_536).startswith(b"HTTP/1.1 503 ")
    assert time.monotonic() - started < 4
    assert sandbox.control("GET", "journal").json()["entries"][0]["body"] == '{"first": '


def test_a_body_that_waits_to_be_asked_for_is_not_asked_for(sandbox: SandboxProcess) -> None:
    head = (
        "POST /v2/contact HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"
        "Authorization: Bearer wrong\r\nExpect: 100-continue\r\n\r\n"
    )
    address = urlsplit(sandbox.facts["url"])
    assert address.hostname
    with socket.create_connection((address.hostname, address.port or 0), 20) as upload:
        upload.sendall(head.encode())
        assert upload.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_a_wrong_place_in_the_journal_is_refused(sandbox: SandboxProcess) -> None:
    assert code(sandbox.control("GET", "journal?after=x")) == (400, "bad_value")


# ── the process ──────────────────────────────────────────────────────────────────────────────────


def test_the_rate_limit_of_the_vendor_is_on(sandbox: SandboxProcess) -> None:
    headers = {"authorization": f"Bearer {sandbox.facts['api_key']}"}
    with httpx.Client(base_url=sandbox.facts["url"], headers=headers) as client:
        assert {client.get(sandbox.contact).status_code for _ in range(500)} == {200}
        # A minute may begin meanwhile, and two cannot.
        assert any(client.get(sandbox.contact).status_code == 429 for _ in range(501))


def test_the_rate_limit_can_be_turned_off(tmp_path: Path) -> None:
    with running(tmp_path, "--rate-limit", "0") as sandbox:
        headers = {"authorization": f"Bearer {sandbox.facts['api_key']}"}
        with httpx.Client(base_url=sandbox.facts["url"], headers=headers) as client:
            assert {client.get(sandbox.contact).status_code for _ in range(520)} == {200}


def test_the_facts_are_one_line(sandbox: SandboxProcess) -> None:
    assert sandbox.output.read_text().count("\n") == 1
    assert {"url", "control_token", "api_key", "secret_id", "secret_key"} < sandbox.facts.keys()


def test_its_store_is_deleted_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with running(tmp_path) as sandbox:
        assert sandbox.request("GET", sandbox.contact).status_code == 200
        assert list(tmp_path.glob("reachbook-sandbox-*"))
        sandbox.process.send_signal(signal.SIGTERM)
        assert sandbox.process.wait(15) == 0
        assert not list(tmp_path.glob("reachbook-sandbox-*"))
        assert "Traceback" not in (tmp_path / "sandbox.log").read_text()


def test_a_request_that_hangs_does_not_delay_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as sandbox, ThreadPoolExecutor(1) as threads:
        sandbox.control("POST", "faults", json={"fault": "hang"})
        threads.submit(sandbox.request, "GET", sandbox.contact)
        while not sandbox.control("GET", "journal").json()["entries"]:
            time.sleep(0.01)
        sandbox.process.send_signal(signal.SIGTERM)
        assert sandbox.process.wait(5) == 0


def test_the_end_of_a_hanging_request_is_no_error(tmp_path: Path) -> None:
    with running(tmp_path) as sandbox, ThreadPoolExecutor() as pool:
        sandbox.control("POST", "faults", json={"fault": "hang"})
        hanging = pool.submit(sandbox.request, "GET", "/v1/team")
        wait_until(lambda: sandbox.control("GET", "journal").json()["entries"], 10, "it hangs")
        sandbox.process.send_signal(signal.SIGTERM)
        with pytest.raises(httpx.TransportError):
            hanging.result(20)

    assert "Exception in ASGI application" not in (tmp_path / "sandbox.log").read_text()


def test_its_store_is_deleted_when_its_terminal_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # The tests may run under nohup, which ignores the signal for all processes.
    program = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "from reachbook.__main__ import main; main()"
    )
    with running(tmp_path, program=(sys.executable, "-c", program)) as sandbox:
        assert sandbox.facts
        sandbox.process.send_signal(signal.SIGHUP)
        assert sandbox.process.wait(15) is not None

    assert list(tmp_path.glob("reachbook-sandbox-*")) == []


def test_a_sandbox_goes_on_if_its_output_is_closed(tmp_path: Path) -> None:
    """Its first output fails, and it must not end with a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    log = tmp_path / "log"
    port = free_port()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [PROGRAM, "sandbox", "--port", str(port)], stdout=writing, stderr=errors
        )
    os.close(writing)
    try:
        wait_until(lambda: is_listening(port), 20, "the sandbox responds")
    finally:
        process.terminate()
        assert process.wait(15) == 0
    assert "Traceback" not in log.read_text()


def is_listening(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz").is_success
    return False


def test_a_short_control_token_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "--control-token", "short") as sandbox:
        assert sandbox.process.wait(15) == 2
