"""A trusted proxy names the user in a header; only the address of the socket's peer counts."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.support.home import Home

HEADER = "X-Forwarded-User"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "data").in_process()
    home.run("team", "create", "Bob's team").succeeded()
    home.json("user", "create", "dana@example.com", "--role", "admin")
    return home


def location(url: str, **headers: str) -> str:
    """Return the status and the Location header of the console's start page."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx.get(f"{url}/console", headers=sent)
    return f"{response.status_code} {response.headers.get('location', '')}"


def test_the_user_header_of_a_trusted_proxy_signs_the_user_in(home: Home) -> None:
    settings = {"trusted_proxies": "127.0.0.1", "trusted_user_header": HEADER}
    with home.having(**settings).serve("--port", "0") as server:
        signed_in = location(server.url, X_Forwarded_User="Dana@example.com")
        through = location(
            server.url, X_Forwarded_User="dana@example.com", X_Forwarded_For="203.0.113.9"
        )
        nobody = location(server.url, X_Forwarded_User="nobody@example.com")
        without = location(server.url)
        home.json("user", "create", "erin@example.com", "--role", "admin")
        home.json("user", "disable", "dana@example.com")
        disabled = location(server.url, X_Forwarded_User="dana@example.com")
        forged = httpx.post(
            f"{server.url}/console/sign-out-everywhere",
            headers={HEADER: "erin@example.com"},
            data={"csrf": "0" * 64},
        )

    assert signed_in == through == "303 /console/contacts"
    assert nobody == disabled == "404 "
    assert without == "303 /console/sign-in?next=%2Fconsole"
    assert "Your text is still here" in forged.text  # nothing was done


@pytest.mark.parametrize(
    "settings",
    [
        {"trusted_proxies": "127.0.0.1"},
        {"trusted_proxies": "203.0.113.9", "trusted_user_header": HEADER},
    ],
)
def test_the_user_header_of_an_untrusted_peer_is_ignored(
    home: Home, settings: dict[str, str]
) -> None:
    """Even if X-Forwarded-For has the address of the trusted proxy."""
    with home.having(**settings).serve("--port", "0") as server:
        plain = location(server.url, X_Forwarded_User="dana@example.com")
        forged = location(
            server.url, X_Forwarded_User="dana@example.com", X_Forwarded_For="203.0.113.9"
        )

    assert plain == forged == "303 /console/sign-in?next=%2Fconsole"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trusted_user_header": HEADER}, "needs the addresses of the proxies"),
        ({"trusted_user_header": HEADER, "trusted_proxies": "*"}, "needs the addresses"),
        ({"trusted_user_header": "bad header", "trusted_proxies": "127.0.0.1"}, "name of a header"),
    ],
)
def test_unsafe_settings_are_refused(home: Home, settings: dict[str, str], message: str) -> None:
    assert message in home.having(**settings).run("settings").refusal()


def test_the_console_can_be_turned_off(home: Home) -> None:
    with home.serve("--port", "0", "--no-console") as server:
        assert server.request("/console").status_code == 404
        assert server.request("/console/sign-in").status_code == 404
        assert server.request("/healthz").status_code == 200


def test_tokens_are_not_logged(home: Home) -> None:
    with home.serve("--port", "0") as server:
        url = home.json("user", "link", "dana@example.com", "--url", server.url)["url"]
        token = url.rpartition("/")[2]
        with httpx.Client() as client:
            page = client.get(url).text
            csrf = page.partition('name="csrf" value="')[2][:64]
            client.post(url, data={"csrf": csrf})
            client.get(f"{server.url}/console/link/{token}?again={token}")
            session = client.cookies["reachbook-session"]
            client.get(f"{server.url}/console")
        server.stop()
        log = server.errors.read_text()
        lines = server.log_lines()

    assert token not in log
    assert session not in log
    assert [line["credential"] for line in lines if line.get("route") == "/console"] == ["user:1"]
