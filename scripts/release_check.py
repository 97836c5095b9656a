"""Check that a release is consistent: the tag, the package's version and the changelog agree.

Usage: release_check.py TAG. Ends with 1 and a sentence for each fault.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEADING = re.compile(
    r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE
)
VERSION = re.compile(r'^__version__ = "(?P<version>[^"]+)"$', re.MULTILINE)


def faults(tag: str, package: str, changelog: str) -> list[str]:
    """Return a sentence for each disagreement between a tag and the texts of the two files."""
    version = tag.removeprefix("v")
    found = VERSION.search(package)
    packaged = found["version"] if found else "none"
    headings = [match for match in HEADING.finditer(changelog) if match["version"] != "Unreleased"]
    newest = headings[0]["version"] if headings else "none"
    problems = []
    if not tag.startswith("v"):
        problems.append(f"The tag must be v and the version, like v1.2.0; got {tag!r}.")
    if packaged != version:
        problems.append(f"The package's version is {packaged}; the tag says {version}.")
    if newest != version:
        problems.append(f"The newest release in CHANGELOG.md is {newest}; the tag says {version}.")
    elif headings[0]["date"] is None:
        problems.append(f"The heading of {version} in CHANGELOG.md must end with its date.")
    return problems


def main() -> None:
    """Check the tag that is the only argument."""
    if len(sys.argv) != 2 or not sys.argv[1]:  # noqa: PLR2004 - the program and the tag
        sys.exit("Usage: make release-check TAG=v1.2.0")
    package = (ROOT / "src/reachbook/__init__.py").read_text()
    problems = faults(sys.argv[1], package, (ROOT / "CHANGELOG.md").read_text())
    sys.exit("\n".join(problems) or 0)


if __name__ == "__main__":
    main()
