"""Serves /metrics on an address of its own, in threads."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from reachbook import background
from reachbook.metrics import Metrics

CONNECTION_SECONDS = 10.0
PAUSE_SECONDS = 1.0

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@contextmanager
def serving(
    address: tuple[str, int], registry: CollectorRegistry, metrics: Metrics | None
) -> Iterator[None]:
    """Serve a registry until the block ends; raises OSError if the address cannot be bound.

    `metrics` counts the errors of the server; the parent of workers has none.
    """
    server = _server(address, _guarded(make_wsgi_app(registry), metrics), metrics)
    stopping = threading.Event()
    thread = threading.Thread(
        target=_serve, args=(server, metrics, stopping), name="reachbook-metrics", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _serve(server: ThreadingWSGIServer, metrics: Metrics | None, stopping: threading.Event) -> None:
    """Accept connections until the server is shut down; errors are reported."""
    while not stopping.is_set():
        with background.reporting(metrics, "metrics_server"):
            server.serve_forever()
        stopping.wait(PAUSE_SECONDS)


def _server(address: tuple[str, int], app: App, metrics: Metrics | None) -> ThreadingWSGIServer:
    host, port = address
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]

    class Server(ThreadingWSGIServer):
        """A server that reports errors, instead of printing a traceback."""

        address_family = family

        def handle_error(self, *_request: object) -> None:
            error = sys.exception()
            if not isinstance(error, OSError):  # a client that disconnected is not a fault
                background.report(metrics, "metrics_server", error)

    return make_server(host, port, app, Server, handler_class=_Handler)


def _guarded(app: App, metrics: Metrics | None) -> App:
    """Returns an application that responds with 500 if the registry cannot be read.

    Without it wsgiref would print the traceback.
    """

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except Exception as error:  # noqa: BLE001 - the response to any bug is a 500
            background.report(metrics, "metrics_server", error)
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"The metrics cannot be read; the log says why.\n"]

    return guarded


class _Handler(WSGIRequestHandler):
    """Serves one connection in a thread of its own, without a log line, within a time limit."""

    timeout = CONNECTION_SECONDS

    def log_message(self, *_line: object) -> None:
        """Write nothing: a line for each scrape would be most of the log."""
