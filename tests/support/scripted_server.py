"""A server that sends prepared responses, or closes the connection, and records the requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


@dataclass(frozen=True)
class Scripted:
    """A response to send; with `status` 0 the connection is closed, with -1 nothing is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


BROKEN = Scripted(0)
HANGING = Scripted(-1)


@dataclass(frozen=True)
class Received:
    """A request as it was received; the names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """The responses that are left, the last of which is repeated, and the requests so far."""

    url: str
    responses: list[Scripted]
    requests: list[Received]
    stopping: threading.Event

    def next_response(self) -> Scripted:
        return self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]


@contextmanager
def scripted_server(*responses: Scripted) -> Iterator[ScriptedServer]:
    """Serve the responses, one for each request, until the block ends."""

    class Handler(_Handler):
        script: ClassVar[ScriptedServer]

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{listener.server_address[1]}"
    Handler.script = ScriptedServer(url, list(responses), [], threading.Event())
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Handler.script
    finally:
        Handler.script.stopping.set()
        listener.shutdown()
        thread.join()
        listener.server_close()


class _Handler(BaseHTTPRequestHandler):
    script: ClassVar[ScriptedServer]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.script.requests.append(Received(self.command, self.path, headers, body))
        response = self.script.next_response()
        self.close_connection = True
        if response.status == HANGING.status:
            self.script.stopping.wait(10)
        elif response.status != BROKEN.status:
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - its names
