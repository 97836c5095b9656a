"""The libraries that an import of the client loads."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires

LOADED = "import sys, reachbook.client; print(*sys.modules)"


def test_the_client_loads_no_library_of_the_server() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], check=True, capture_output=True, text=True, timeout=60
    )
    modules = {name.partition(".")[0] for name in done.stdout.split()}
    distributions = packages_distributions()
    loaded = {each.lower() for name in modules for each in distributions.get(name, ())}

    assert loaded >= {"httpx", "msgspec", "tenacity"}
    assert loaded & required("server") == set()


def required(extra: str) -> set[str]:
    """Returns the distributions that an extra adds, apart from those that httpx itself loads.

    httpx needs idna, and loads click and rich for a command of its own if they are installed.
    """
    marker = re.compile(f"""extra == ['"]{extra}['"]""")
    marked = [each for each in requires("reachbook") or () if marker.search(each)]
    assert marked
    names = {re.split(r"[<>=;\[ ]", each)[0].lower() for each in marked}
    return names - {"idna", "click", "rich"}
