"""Background work: tasks, threads and timers that nobody awaits.

An unexpected exception of such work is logged, counted in `reachbook_background_errors_total`, and
does not end the work. The standard library's logging is used because the storage may not import
structlog; `logs` writes its records like all others.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Literal, NoReturn

from reachbook.domain.errors import Refusal
from reachbook.metrics import BackgroundTask, Metrics

Task = BackgroundTask | Literal["workers"]  # the parent of workers only logs: it has no metrics

log: Final = logging.getLogger(__name__)


def report(metrics: Metrics | None, task: Task, error: BaseException | None) -> None:
    """Log an unexpected exception, and count it unless `metrics` is None."""
    if metrics is not None:
        metrics.background_errors.labels(task).inc()
    log.error("background work failed", exc_info=error, extra={"task": task})


@contextmanager
def reporting(metrics: Metrics | None, task: Task) -> Iterator[None]:
    """Report an exception of the block, and continue after the block.

    A `CancelledError` is raised only if this task itself is being cancelled. Any other
    `CancelledError` is of work that was awaited, and must not end a loop.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        current = asyncio.current_task()
        if current is None or current.cancelling():
            raise
        report(metrics, task, error)
    except Exception as error:  # noqa: BLE001 - the caller is a loop or a clean-up that must go on
        report(metrics, task, error)


async def repeat(
    metrics: Metrics, task: Task, seconds: float, work: Callable[[], Awaitable[object]]
) -> NoReturn:
    """Run `work` at an interval in seconds until the task is cancelled.

    A refusal is expected if the store is unavailable; the next pass tries again.
    """
    while True:
        # First, so that a start is not delayed, and a failing pass is not repeated without a pause.
        await asyncio.sleep(seconds)
        with reporting(metrics, task):
            try:
                await work()
            except Refusal as refusal:
                log.warning(
                    "background work was refused: %s", refusal.reason.code, extra={"task": task}
                )


def start(metrics: Metrics, task: Task, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task whose exception is reported if it ends with one; the caller must hold it."""
    # The event loop has only weak references to tasks: a task without another reference may be
    # collected while it runs.
    started = asyncio.create_task(work, name=task)
    started.add_done_callback(partial(_ended, metrics, task))
    return started


@contextmanager
def watching(metrics: Metrics) -> Iterator[None]:
    """Report exceptions that nothing else catches: in the event loop, threads and finalizers.

    Python would print a traceback with the exception's text to standard error. That can block the
    event loop, and the text of a driver's exception can hold rows.
    """
    loop = asyncio.get_running_loop()
    thread_hook, unraisable_hook = threading.excepthook, sys.unraisablehook
    loop_handler = loop.get_exception_handler()
    loop.set_exception_handler(partial(_of_the_loop, metrics))
    threading.excepthook = lambda failed: report(metrics, "thread", failed.exc_value)
    sys.unraisablehook = lambda failed: report(metrics, "unraisable", failed.exc_value)
    try:
        yield
    finally:
        loop.set_exception_handler(loop_handler)
        threading.excepthook, sys.unraisablehook = thread_hook, unraisable_hook


def _ended(metrics: Metrics, task: Task, ended: asyncio.Task[None]) -> None:
    if not ended.cancelled() and (error := ended.exception()) is not None:
        report(metrics, task, error)


def _of_the_loop(
    metrics: Metrics, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]
) -> None:
    """Report an error that asyncio passes to its exception handler.

    If there is an exception, asyncio's message is left out, because it quotes the arguments of the
    callback. An `OSError` is a client's connection that broke, which is no fault of the program.
    """
    error = context.get("exception")
    if isinstance(error, OSError):
        log.warning("a connection failed", exc_info=error, extra={"task": "event_loop"})
        return
    report(metrics, "event_loop", error)
    if error is None:
        log.error("asyncio: %s", context["message"], extra={"task": "event_loop"})
