"""Background work: an unexpected error is logged and counted, and does not end the work."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import ThreadingWSGIServer
from uvicorn.supervisors.multiprocess import Process

from reachbook import background
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.rate_limit import RateLimiter
from reachbook.metrics import Metrics
from reachbook.server import metrics_server, run
from reachbook.server import workers as supervising
from reachbook.service import Service
from reachbook.service.authentication import Authenticator
from reachbook.settings import Settings
from tests.support.authentication import by_key, worker
from tests.support.metrics import samples
from tests.support.personas import Api
from tests.support.server_process import free_port
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.anyio

SECRET = "15105553344"


def counted(metrics: Metrics) -> dict[str, float]:
    """How many errors of each kind of work were counted; those that are none are left out."""
    found = samples(metrics.text().decode())
    start, end = 'reachbook_background_errors_total{task="', '"}'
    errors = {name: value for name, value in found.items() if name.startswith(start) and value}
    return {name.removeprefix(start).removesuffix(end): value for name, value in errors.items()}


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The work that each line names, and the kind of error."""
    return [
        (getattr(one, "task", ""), type(one.exc_info[1]).__name__ if one.exc_info else "")
        for one in caplog.records
        if one.name == "reachbook.background"
    ]


class Failing:
    """Work that raises the given errors, one for each call, and then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = [*errors]
        self.calls = 0

    async def __call__(self, *_asked: object, **_options: object) -> None:
        self.calls += 1
        if len(self.errors) >= self.calls:
            raise self.errors[self.calls - 1]


async def test_a_loop_goes_on_after_any_error(caplog: pytest.LogCaptureFixture) -> None:
    """A cancellation that comes from within, of a connection say, is not meant for the loop."""
    metrics = Metrics()
    away = Refusal(Reason.STORE_UNAVAILABLE, SECRET)
    work = Failing(ValueError(SECRET), asyncio.CancelledError(), away, RecursionError())

    loop = background.start(
        metrics, "expired_responses", background.repeat(metrics, "expired_responses", 0, work)
    )
    await wait_until_async(lambda: work.calls > 6, 5, "it goes on")
    loop.cancel()
    await asyncio.wait({loop})

    assert loop.cancelled()
    assert counted(metrics) == {"expired_responses": 3}
    assert [kind for _, kind in logged(caplog)] == [
        *("ValueError", "CancelledError", "", "RecursionError")
    ]
    assert SECRET not in " ".join(one.getMessage() for one in caplog.records)


async def test_the_sweeper_of_a_server_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    work = Failing(RuntimeError())
    monkeypatch.setattr(run, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(Service, "purge_expired", work)
    metrics = Metrics()

    async with run.open_state(settings(tmp_path), metrics):
        await wait_until_async(lambda: work.calls > 2, 5, "it goes on")

    assert counted(metrics) == {"expired_responses": 1}
    assert logged(caplog) == [("expired_responses", "RuntimeError")]


def settings(tmp_path: Path) -> Settings:
    return Settings(database=f"sqlite:///{tmp_path}/reachbook.db", data_dir=str(tmp_path))


async def test_a_note_of_use_that_fails_is_told(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    work = Failing(TypeError())
    monkeypatch.setattr(api.store, "record_use", work)
    access = worker(api)

    await access.caller(by_key(api.bob))
    await access.close()
    api.clock.forward(61)
    await access.caller(by_key(api.bob))
    await access.close()

    assert work.calls == 2
    assert counted(access._metrics) == {"credential_use": 1}
    assert logged(caplog) == [("credential_use", "TypeError")]


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("error", [ValueError(), SystemExit()])
async def test_the_writer_of_sqlite_goes_on(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    """Waiting writes are refused; without the thread no write would be answered again."""

    def fail() -> None:
        raise error

    metrics = api.app.state.state.metrics
    monkeypatch.setattr(metrics.transactions, "inc", fail)
    failed = await api.request("POST", "/v2/contact", {})
    monkeypatch.undo()
    written = await asyncio.wait_for(api.request("POST", "/v2/contact", {}), 5)

    assert (failed.status_code, failed.json()["error_code"]) == (503, "store_unavailable")
    assert written.status_code == 200
    assert counted(metrics) == {"sqlite_writer": 1}
    assert logged(caplog) == [("sqlite_writer", type(error).__name__)]


# ── the last resort ──────────────────────────────────────────────────────────────────────────


def fail(*_quoted: object) -> None:
    raise ValueError(SECRET)


class Unraisable:
    def __del__(self) -> None:
        fail()


def in_a_thread() -> None:
    thread = threading.Thread(target=fail, args=(SECRET,))
    thread.start()
    thread.join(5)


LAST_RESORTS: list[tuple[str, Callable[[], object]]] = [
    ("event_loop", lambda: asyncio.get_running_loop().call_soon(fail, SECRET)),
    ("event_loop", lambda: asyncio.get_running_loop().call_later(0.001, fail, SECRET)),
    ("thread", in_a_thread),
    ("unraisable", Unraisable),
]


@pytest.mark.parametrize(("task", "cause"), LAST_RESORTS)
async def test_what_nobody_catches_is_told(
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    task: str,
    cause: Callable[[], object],
) -> None:
    """Timers and threads among it. Python would write a traceback to standard error itself."""
    metrics = Metrics()
    hooks = threading.excepthook, sys.unraisablehook

    with background.watching(metrics):
        cause()
        await asyncio.sleep(0.02)

    assert counted(metrics) == {task: 1}
    assert logged(caplog) == [(task, "ValueError")]
    assert SECRET not in caplog.records[0].getMessage()
    assert capfd.readouterr().err == ""
    assert hooks == (threading.excepthook, sys.unraisablehook)


async def test_a_client_that_is_cut_off_is_no_error_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics()
    loop = asyncio.get_running_loop()
    with background.watching(metrics):
        loop.call_exception_handler({"message": "cut off", "exception": TimeoutError()})
        loop.call_exception_handler({"message": "Task was destroyed but it is pending!"})

    assert counted(metrics) == {"event_loop": 1}
    assert "destroyed" in caplog.records[-1].getMessage()


# ── closing ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("part", [Authenticator, RateLimiter])
@pytest.mark.parametrize("error", [RuntimeError, None])
async def test_whatever_cannot_be_closed_the_store_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type, error: type[Exception] | None
) -> None:
    """A part fails, or never ends."""

    async def close(_part: object) -> None:
        if error:
            raise error
        await asyncio.sleep(60)

    monkeypatch.setattr(part, "close", close)
    metrics = Metrics()
    async with run.open_state(settings(tmp_path), metrics) as state:
        await state.service.ping()

    with pytest.raises(Refusal, match="being closed"):
        await state.service.ping()
    assert counted(metrics) == ({"closing": 1} if error else {})


# ── /metrics on an address of its own ────────────────────────────────────────────────────────


class Unreadable(CollectorRegistry):
    """A registry that cannot be read the first time."""

    asked = 0

    def collect(self) -> Iterator[object]:  # type: ignore[override]
        self.asked += 1
        if self.asked == 1:
            fail()
        yield from super().collect()


async def send(port: int) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{port}/metrics")


async def test_metrics_that_cannot_be_read_are_told(caplog: pytest.LogCaptureFixture) -> None:
    metrics, registry, port = Metrics(), Unreadable(), free_port()
    Gauge("something", "Something.", registry=registry)

    with metrics_server.serving(("127.0.0.1", port), registry, metrics):
        answers = [await send(port), await send(port)]

    assert [one.status_code for one in answers] == [500, 200]
    assert SECRET not in answers[0].text
    assert "something 0.0" in answers[1].text
    assert counted(metrics) == {"metrics_server": 1}
    assert logged(caplog) == [("metrics_server", "ValueError")]


async def test_the_server_of_metrics_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread fails once, between two connections."""
    failing = iter([True])
    monkeypatch.setattr(metrics_server, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(
        ThreadingWSGIServer, "service_actions", lambda _: fail() if next(failing, False) else None
    )
    metrics, port = Metrics(), free_port()

    with metrics_server.serving(("127.0.0.1", port), CollectorRegistry(), metrics):
        answers = [await send(port) for _ in range(3)]

    assert [one.status_code for one in answers] == [200] * 3
    assert logged(caplog) == [("metrics_server", "ValueError")]


# ── the parent of workers ────────────────────────────────────────────────────────────────────


@pytest.fixture
def workers() -> Iterator[supervising.Workers]:
    """The parent of one worker that the system did not start."""
    before = {one: signal.getsignal(one) for one in signal.Signals}
    config = uvicorn.Config("nothing:here", log_config=None, workers=1)
    parent = supervising.Workers(config, [], lambda: None)
    parent.processes = [Process(config, [])]
    yield parent
    for one, handler in before.items():
        if one not in (signal.SIGKILL, signal.SIGSTOP) and handler is not None:
            signal.signal(one, handler)


@pytest.mark.parametrize("action", ["keep_subprocess_alive", "handle_signals"])
async def test_the_parent_of_workers_goes_on(
    workers: supervising.Workers,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
) -> None:
    """A worker that cannot be replaced now is replaced later; the others must not end with it."""
    monkeypatch.setattr(workers, "restart_all", fail)
    workers.signal_queue.append(signal.SIGHUP)

    getattr(workers, action)()

    assert [task for task, _ in logged(caplog)] == ["workers"]
