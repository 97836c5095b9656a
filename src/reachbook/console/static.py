"""The stylesheet and the script. Their names contain a digest, so a browser may cache them."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.types import Receive, Scope, Send

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.response import ApiResponse, error_response

TYPES = {
    "console.css": b"text/css; charset=utf-8",
    "console.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}
FOR_EVER = b"public, max-age=31536000, immutable"


def asset_name(name: str) -> str:
    """Returns the name under which a file is served."""
    digest = hashlib.sha256(_content(name)).hexdigest()[:12]
    stem, _, suffix = name.partition(".")
    return f"{stem}.{digest}.{suffix}"


class Asset:
    """The files of the pages, as an ASGI application that a route ends in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a file."""
        await _response(scope)(scope, receive, send)


def _response(scope: Scope) -> ApiResponse:
    found = _by_name().get(scope["path_params"]["name"])
    if found is None or scope["method"] not in ("GET", "HEAD"):
        refusal = Refusal(Reason.NO_ROUTE, "The console has no such file; load the page again.")
        return error_response(refusal, scope, Representation.STRING_IDS)
    headers = [(b"cache-control", FOR_EVER), (b"x-content-type-options", b"nosniff")]
    return ApiResponse(200, _content(found), headers, TYPES[found], vary=b"Accept-Encoding")


@cache
def _by_name() -> dict[str, str]:
    return {asset_name(name): name for name in TYPES}


@cache
def _content(name: str) -> bytes:
    return files(__package__).joinpath("static", name).read_bytes()
