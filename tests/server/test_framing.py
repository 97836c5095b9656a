"""Received bytes are split into pieces that never extend past the end of a request."""

from __future__ import annotations

from dataclasses import dataclass, field

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reachbook.server.framing import Framing, MalformedRequestError, head_end

HEAD = b"POST /a HTTP/1.1\r\nhost: reachbook\r\n"
NO_LIMIT = 1 << 30

# Bytes that a search could mistake for the end of a request.
DATA = st.lists(
    st.sampled_from(
        [b"\r\n", b"\r\n\r\n", b"\n0", b"\n", b"\r", b"0", b"0\r\n\r\n", b"a", b"GET / HTTP/1.1"]
    ),
    max_size=8,
).map(b"".join)
FIELDS = st.lists(
    st.sampled_from([b"a: b\r\n", b"0: 0\r\n", b"host: x\r\n", b"upgrade: h2c\r\n"]), max_size=3
).map(b"".join)
EXTENSIONS = st.sampled_from([b"", b";a=0", b';a="0"', b";0"])


@dataclass(frozen=True)
class Message:
    """The bytes of a request, and its body."""

    content: bytes
    body: bytes
    is_chunked: bool = False


def with_length(body: bytes) -> Message:
    return Message(HEAD + b"content-length: %d\r\n\r\n%b" % (len(body), body), body)


def in_chunks(chunks: list[bytes], extension: bytes, zeros: int, fields: bytes) -> Message:
    chunks = [chunk for chunk in chunks if chunk]
    lines = [b"%0*x%b\r\n%b\r\n" % (zeros, len(chunk), extension, chunk) for chunk in chunks]
    last = b"0" * zeros + extension + b"\r\n" + fields + b"\r\n"
    head = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    return Message(head + b"".join(lines) + last, b"".join(chunks), is_chunked=True)


MESSAGES = st.one_of(
    st.just(Message(HEAD + b"\r\n", b"")),
    st.builds(with_length, DATA),
    st.builds(in_chunks, st.lists(DATA, max_size=3), EXTENSIONS, st.integers(1, 3), FIELDS),
)
EMPTY_LINES = st.sampled_from([b"", b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n"])


@dataclass
class Reader:
    """Feeds httptools with pieces of `Framing`, as the protocol does, and records the result."""

    bodies: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    pieces: int = 0
    fed: int = 0

    def __post_init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.framing = Framing()

    def on_message_begin(self) -> None:
        self.body = b""
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if name in {b"content-length", b"transfer-encoding"}:
            self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.framing.begin_body(self.fields)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.bodies.append(self.body)
        self.ends.append(self.fed)
        self.framing = Framing()

    def read(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            end = self.framing.piece_end(data, start, len(data))
            assert start < end <= len(data)
            self.pieces += 1
            self.fed += end - start
            self.parser.feed_data(data[start:end])
            start = end


@settings(max_examples=60)
@example(messages=[(b"", in_chunks([b"\n0\r\n"], b"", 1, b"")), (b"", with_length(b"a"))])
@given(messages=st.lists(st.tuples(EMPTY_LINES, MESSAGES), max_size=3))
def test_a_piece_never_extends_past_the_end_of_a_request(
    messages: list[tuple[bytes, Message]],
) -> None:
    """For each split into two reads, and for reads of one byte."""
    content, ends = b"", []
    for empty_lines, message in messages:
        content += empty_lines + message.content
        ends.append(len(content))
    split_reads = [[content[:cut], content[cut:]] for cut in range(len(content))]
    for reads in [*split_reads, [bytes([byte]) for byte in content]]:
        reader = Reader()
        for data in reads:
            reader.read(data)

        assert reader.bodies == [message.body for _, message in messages]
        assert reader.ends == ends


@pytest.mark.parametrize("head", [HEAD + b"\r\n", b"GET / HTTP/1.0\r\n\r\n"])
@pytest.mark.parametrize("rest", [b"", b"{}", b"\r\n\r\n", HEAD])
def test_head_end_returns_the_length_of_a_complete_head(head: bytes, rest: bytes) -> None:
    assert head_end(head + rest, NO_LIMIT) == len(head)
    assert head_end(head + rest, len(head) - 1) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        HEAD,
        b"\r\n" + HEAD + b"\r\n",
        b"GET /\r\n\r\n",
        b"GET /\na: HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
    ],
)
def test_head_end_returns_0_for_an_incomplete_or_unusual_head(data: bytes) -> None:
    assert head_end(data, NO_LIMIT) == 0


def split(data: bytes, size: int) -> None:
    framing = Framing()
    for start in range(0, len(data), size):
        framing.piece_end(data, start, min(start + size, len(data)))


@pytest.mark.parametrize(
    "line",
    [
        *(b"GET /", b"GET / HTTP/0.9", b"GET / HTTP/2.0", b"GET / RTSP/1.0", b"SOURCE / ICE/1.0"),
        *(b"CONNECT / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET /\na: HTTP/1.1"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"\r\n"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_invalid_request_line_is_refused_in_any_split(
    before: bytes, line: bytes, size: int
) -> None:
    data = before + line + b"\r\nhost: a\r\n\r\n"

    with pytest.raises(MalformedRequestError):
        split(data, size)


@pytest.mark.parametrize("text", [b"\r\n", b"a", b"\r\n0\r\n", b"0\r\n\r\n"])
def test_a_body_with_content_length_is_one_piece(text: bytes) -> None:
    body = text * (1024 * 1024 // len(text))
    reader = Reader()
    reader.read(with_length(body).content)

    assert reader.bodies == [body]
    assert reader.pieces == 2


@pytest.mark.parametrize("text", [b"\r\n", b"a", b"\r\n\r\n"])
@pytest.mark.parametrize("size", [0x1000, 0x10000])
def test_blank_lines_in_chunks_are_not_split(text: bytes, size: int) -> None:
    chunk = text * (size // len(text))
    reader = Reader()
    message = in_chunks([chunk] * (1024 * 1024 // size), b"", 1, b"")
    for start in range(0, len(message.content), 65536):
        reader.read(message.content[start : start + 65536])

    assert reader.bodies == [message.body]
    assert reader.pieces < 100
