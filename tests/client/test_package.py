"""What `import reachbook.client` costs, and what it offers."""

from __future__ import annotations

import json
import subprocess
import sys

from reachbook import client

SERVER_LIBRARIES = {
    *("apsw", "argon2", "asyncpg", "click", "cryptography", "email_validator", "httptools"),
    *("jinja2", "limits", "phonenumbers", "platformdirs", "prometheus_client", "rich"),
    *("starlette", "structlog", "uvicorn", "uvloop", "valkey"),
}
IMPORT = "import json, sys, reachbook.client; print(json.dumps(sorted(sys.modules)))"


def test_the_import_loads_no_library_of_the_server() -> None:
    found = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, check=True)
    modules = {name.partition(".")[0] for name in json.loads(found.stdout)}

    # httpx loads rich and click for its command line if they are installed.
    assert modules & SERVER_LIBRARIES <= {"click", "rich"}
    assert {"httpx", "msgspec", "tenacity"} <= modules


def test_every_public_name_is_there() -> None:
    assert sorted(client.__all__, key=str.lower) == sorted(set(client.__all__), key=str.lower)
    assert all(hasattr(client, name) for name in client.__all__)
