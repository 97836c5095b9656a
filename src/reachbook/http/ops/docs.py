"""The OpenAPI document, and Swagger UI to read it; nothing is fetched from another host.

The files of Swagger UI come with the package swagger-ui-py. Their names hold a digest of their
content, so a browser may cache them for ever. The addresses in the page are relative, so that it
works under any base path.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reachbook.domain.errors import Reason, Refusal
from reachbook.http.operation import Header, Parameter, PublicRequest, Success, public
from reachbook.http.response import ApiResponse

PACKAGE = "swagger_ui"
FOR_EVER = b"public, max-age=31536000, immutable"
HTML, CSS, JAVASCRIPT = "text/html", "text/css", "text/javascript"
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# A file and not an inline script, because the policy forbids inline scripts.
START = b"""\
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
"""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reachbook</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/assets/{style}">
</head>
<body>
<div id="page"></div>
<noscript>This page needs JavaScript; <a href="openapi.json">openapi.json</a> does not.</noscript>
<script src="docs/assets/{bundle}"></script>
<script src="docs/assets/{start}"></script>
</body>
</html>
"""

SNIFF_NOT = (b"x-content-type-options", b"nosniff")
NO_SNIFFING = Header("X-Content-Type-Options", str, "`nosniff`.", always=True)
CACHING = Header("Cache-Control", str, "How long a browser may cache it.", always=True)
ALLOWED = Header(
    "Content-Security-Policy", str, "The page may load only files of this server.", always=True
)
NAME = Parameter("name", str, "A file of the page, as the page names it.", where="path")


@public(success=Success("An OpenAPI 3.1 document.", (dict[str, Any],)), headers=(CACHING,))
async def description(request: PublicRequest) -> ApiResponse:
    """Read this description."""
    body: bytes = request.scope["app"].state.description()
    return ApiResponse(200, body, [(b"cache-control", b"no-cache")])


@public(
    success=Success("The page.", (str,), content_types=(HTML,)),
    headers=(CACHING, NO_SNIFFING, ALLOWED),
)
async def page(_request: PublicRequest) -> ApiResponse:
    """Read this description in a browser."""
    style, bundle, start = _assets()
    html = PAGE.format(style=style, bundle=bundle, start=start)
    headers = [(b"cache-control", b"no-cache"), SNIFF_NOT, (b"content-security-policy", POLICY)]
    return ApiResponse(200, html.encode(), headers, _utf8(HTML))


@public(
    success=Success("The file.", (str,), content_types=(CSS, JAVASCRIPT)),
    errors=(Reason.NO_ROUTE,),
    parameters=(NAME,),
    headers=(CACHING, NO_SNIFFING),
)
async def asset(request: PublicRequest) -> ApiResponse:
    """Load a file of the page."""
    found = _assets().get(request.scope["path_params"]["name"])
    if found is None:
        raise Refusal(Reason.NO_ROUTE, "The page has no such file; load /docs again.")
    kind, body = found
    return ApiResponse(200, body, [(b"cache-control", FOR_EVER), SNIFF_NOT], _utf8(kind))


@cache
def _assets() -> dict[str, tuple[str, bytes]]:
    """Returns the files by name, in the order in which the page names them; reads them once."""
    static = _package_directory() / "static"
    style = (static / "swagger-ui.css").read_bytes()
    bundle = (static / "swagger-ui-bundle.js").read_bytes()
    named = (
        ("swagger-ui", CSS, style),
        ("swagger-ui", JAVASCRIPT, bundle),
        ("start", JAVASCRIPT, START),
    )
    return {_name(stem, kind, body): (kind, body) for stem, kind, body in named}


def _package_directory() -> Path:
    """Returns where the package is installed, without importing it: only its files are used."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(PACKAGE)
    return Path(spec.submodule_search_locations[0])


def _name(stem: str, kind: str, body: bytes) -> str:
    digest = hashlib.sha256(body).hexdigest()[:12]
    return f"{stem}.{digest}.{'css' if kind == CSS else 'js'}"


def _utf8(kind: str) -> bytes:
    return f"{kind}; charset=utf-8".encode()
