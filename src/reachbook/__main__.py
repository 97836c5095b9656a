"""`python -m reachbook` is `reachbook`."""

from reachbook.cli import main

if __name__ == "__main__":
    main()
