#!/bin/sh
# Print the path of a Python that can build the virtual environment.
# Usage: find_python.sh [PYTHON]. Without PYTHON, python3 is tried first, then python3.15 to
# python3.11. Exits with 1 and one sentence on standard error if there is none.
set -u

usable() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

asked=${1-}
for candidate in ${asked:-python3 python3.15 python3.14 python3.13 python3.12 python3.11}; do
    path=$(command -v "$candidate") || continue
    if usable "$path"; then
        echo "$path"
        exit 0
    fi
    found="${found-}${found:+, }$("$path" --version 2>&1 | head -n 1) ($path)"
done

echo "Reachbook needs Python 3.11 or newer with the venv module; found: ${found:-none}." \
    "Install it (on Debian and Ubuntu: apt install python3 python3-venv)," \
    "or name one: make setup PYTHON=/path/to/python3" >&2
exit 1
