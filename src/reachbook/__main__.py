"""The command `reachbook`, also as `python -m reachbook`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; exits with an error if only the client is installed."""
    try:
        from reachbook.cli import main as command_line
    except ModuleNotFoundError as missing:
        # A module of the package itself is a fault of the package, and not of the installation.
        if missing.name is None or missing.name.partition(".")[0] == "reachbook":
            raise
        sys.exit(
            "reachbook: this installation has the client only. The command needs the server; "
            "run: pip install 'reachbook[server]'"
        )
    command_line()


if __name__ == "__main__":
    main()
