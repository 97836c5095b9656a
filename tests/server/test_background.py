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
from reachbook.server import workers as workers_module
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


def error_counts(metrics: Metrics) -> dict[str, float]:
    """Return the number of counted errors by task, without zeros."""
    found = samples(metrics.text().decode())
    start, end = 'reachbook_background_errors_total{task="', '"}'
    errors = {name: value for name, value in found.items() if name.startswith(start) and value}
    return {name.removeprefix(start).removesuffix(end): value for name, value in errors.items()}


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return the task and the type of the exception of each logged line."""
    return [
        (getattr(record, "task", ""), type(record.exc_info[1]).__name__ if record.exc_info else "")
        for record in caplog.records
        if record.name == "reachbook.background"
    ]


class Failing:
    """A callable that raises one of the given errors in each call, and then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = [*errors]
        self.calls = 0

    async def __call__(self, *_arguments: object, **_options: object) -> None:
        self.calls += 1
        if len(self.errors) >= self.calls:
            raise self.errors[self.calls - 1]


async def test_a_background_loop_continues_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """A CancelledError raised by the work, for example by a connection, does not end the loop."""
    metrics = Metrics()
    unavailable = Refusal(Reason.STORE_UNAVAILABLE, SECRET)
    work = Failing(ValueError(SECRET), asyncio.CancelledError(), unavailable, RecursionError())

    loop = background.start(
        metrics, "expired_responses", background.repeat(metrics, "expired_responses", 0, work)
    )
    await wait_until_async(lambda: work.calls > 6, 5, "the loop continues")
    loop.cancel()
    await asyncio.wait({loop})

    assert loop.cancelled()
    assert error_counts(metrics) == {"expired_responses": 3}
    assert [kind for _, kind in logged(caplog)] == [
        *("ValueError", "CancelledError", "", "RecursionError")
    ]
    assert SECRET not in " ".join(record.getMessage() for record in caplog.records)


async def test_purging_of_expired_responses_continues_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    work = Failing(RuntimeError())
    monkeypatch.setattr(run, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(Service, "purge_expired", work)
    metrics = Metrics()

    async with run.open_state(settings(tmp_path), metrics):
        await wait_until_async(lambda: work.calls > 2, 5, "the loop continues")

    assert error_counts(metrics) == {"expired_responses": 1}
    assert logged(caplog) == [("expired_responses", "RuntimeError")]


def settings(tmp_path: Path) -> Settings:
    return Settings(database=f"sqlite:///{tmp_path}/reachbook.db", data_dir=str(tmp_path))


async def test_a_failed_write_of_last_used_is_logged(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    work = Failing(TypeError())
    monkeypatch.setattr(api.store, "record_use", work)
    authenticator = worker(api)

    await authenticator.caller(by_key(api.bob))
    await authenticator.close()
    api.clock.forward(61)
    await authenticator.caller(by_key(api.bob))
    await authenticator.close()

    assert work.calls == 2
    assert error_counts(authenticator._metrics) == {"credential_use": 1}
    assert logged(caplog) == [("credential_use", "TypeError")]


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("error", [ValueError(), SystemExit()])
async def test_the_sqlite_writer_thread_continues_after_an_error(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    """Waiting writes are refused. Without the thread no later write would get a response."""

    def fail() -> None:
        raise error

    metrics = api.app.state.state.metrics
    monkeypatch.setattr(metrics.transactions, "inc", fail)
    failed = await api.request("POST", "/v2/contact", {})
    monkeypatch.undo()
    written = await asyncio.wait_for(api.request("POST", "/v2/contact", {}), 5)

    assert (failed.status_code, failed.json()["error_code"]) == (503, "store_unavailable")
    assert written.status_code == 200
    assert error_counts(metrics) == {"sqlite_writer": 1}
    assert logged(caplog) == [("sqlite_writer", type(error).__name__)]


# ── uncaught exceptions ──────────────────────────────────────────────────────────────────────────


def fail(*_arguments: object) -> None:
    raise ValueError(SECRET)


class Unraisable:
    def __del__(self) -> None:
        fail()


def fail_in_a_thread() -> None:
    thread = threading.Thread(target=fail, args=(SECRET,))
    thread.start()
    thread.join(5)


UNCAUGHT: list[tuple[str, Callable[[], object]]] = [
    ("event_loop", lambda: asyncio.get_running_loop().call_soon(fail, SECRET)),
    ("event_loop", lambda: asyncio.get_running_loop().call_later(0.001, fail, SECRET)),
    ("thread", fail_in_a_thread),
    ("unraisable", Unraisable),
]


@pytest.mark.parametrize(("task", "cause"), UNCAUGHT)
async def test_an_uncaught_exception_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    task: str,
    cause: Callable[[], object],
) -> None:
    """Python itself would write a traceback, which may contain personal data, to standard error."""
    metrics = Metrics()
    hooks = threading.excepthook, sys.unraisablehook

    with background.watching(metrics):
        cause()
        await asyncio.sleep(0.02)

    assert error_counts(metrics) == {task: 1}
    assert logged(caplog) == [(task, "ValueError")]
    assert SECRET not in caplog.records[0].getMessage()
    assert capfd.readouterr().err == ""
    assert hooks == (threading.excepthook, sys.unraisablehook)


async def test_the_timeout_of_an_aborted_connection_is_not_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics()
    loop = asyncio.get_running_loop()
    with background.watching(metrics):
        loop.call_exception_handler({"message": "cut off", "exception": TimeoutError()})
        loop.call_exception_handler({"message": "Task was destroyed but it is pending!"})

    assert error_counts(metrics) == {"event_loop": 1}
    assert "destroyed" in caplog.records[-1].getMessage()


# ── closing ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("part", [Authenticator, RateLimiter])
@pytest.mark.parametrize("error", [RuntimeError, None])
async def test_the_store_is_closed_even_if_another_part_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type, error: type[Exception] | None
) -> None:
    """The other part raises an error, or does not return."""

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
    assert error_counts(metrics) == ({"closing": 1} if error else {})


# ── /metrics on an address of its own ────────────────────────────────────────────────────────────


class Unreadable(CollectorRegistry):
    """A registry that cannot be read the first time."""

    collected = 0

    def collect(self) -> Iterator[object]:  # type: ignore[override]
        self.collected += 1
        if self.collected == 1:
            fail()
        yield from super().collect()


async def send(port: int) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{port}/metrics")


async def test_an_error_in_collecting_metrics_is_logged_and_gives_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics, registry, port = Metrics(), Unreadable(), free_port()
    Gauge("something", "Something.", registry=registry)

    with metrics_server.serving(("127.0.0.1", port), registry, metrics):
        responses = [await send(port), await send(port)]

    assert [response.status_code for response in responses] == [500, 200]
    assert SECRET not in responses[0].text
    assert "something 0.0" in responses[1].text
    assert error_counts(metrics) == {"metrics_server": 1}
    assert logged(caplog) == [("metrics_server", "ValueError")]


async def test_the_metrics_server_continues_after_an_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised in its thread, between two connections."""
    failing = iter([True])
    monkeypatch.setattr(metrics_server, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(
        ThreadingWSGIServer, "service_actions", lambda _: fail() if next(failing, False) else None
    )
    metrics, port = Metrics(), free_port()

    with metrics_server.serving(("127.0.0.1", port), CollectorRegistry(), metrics):
        responses = [await send(port) for _ in range(3)]

    assert [response.status_code for response in responses] == [200] * 3
    assert logged(caplog) == [("metrics_server", "ValueError")]


# ── the parent of workers ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def workers() -> Iterator[workers_module.Workers]:
    """A parent with one worker whose process was never started."""
    before = {number: signal.getsignal(number) for number in signal.Signals}
    config = uvicorn.Config("nothing:here", log_config=None, workers=1)
    parent = workers_module.Workers(config, [], lambda: None)
    parent.processes = [Process(config, [])]
    yield parent
    for number, handler in before.items():
        if number not in (signal.SIGKILL, signal.SIGSTOP) and handler is not None:
            signal.signal(number, handler)


@pytest.mark.parametrize("action", ["keep_subprocess_alive", "handle_signals"])
async def test_the_parent_of_workers_continues_after_an_error(
    workers: workers_module.Workers,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
) -> None:
    """A worker that cannot be replaced now is replaced later; the parent must not exit."""
    monkeypatch.setattr(workers, "restart_all", fail)
    workers.signal_queue.append(signal.SIGHUP)

    getattr(workers, action)()

    assert [task for task, _ in logged(caplog)] == ["workers"]
