"""Write the pages of the documentation site that follow from the code.

Usage: python -m scripts.reference FOLDER
The pages are not committed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scripts import api_reference, client_reference, command_reference


def main() -> None:
    """Write the pages to the folder that the command line names."""
    folder = Path(sys.argv[1])
    (folder / "api.md").write_text(api_reference.page(api_reference.openapi_document()))
    (folder / "client-reference.md").write_text(client_reference.page())
    (folder / "commands.md").write_text(command_reference.page())


if __name__ == "__main__":
    main()
