#!/usr/bin/env bash
# Run what must pass before a change lands.
# Usage: ci.sh [VERSION...]
# The first of the versions that is installed runs `make check` and `make test`, each further one
# `make test-fast`. A version that is not installed is reported as not run. Without arguments the
# versions are that of the default interpreter and then 3.11 to 3.15. Chromium is installed for the
# tests of the web console; without it they fail here, and are skipped elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

default=$(sh requirements/find_python.sh)
[ $# -gt 0 ] || set -- "$(version_of "$default")" 3.11 3.12 3.13 3.14 3.15

ran=""
for version in "$@"; do
    [[ " $ran " != *" $version "* ]] || continue
    if [ "$version" = "$(version_of "$default")" ]; then
        python=$default
    elif ! python=$(sh requirements/find_python.sh "python$version" 2>/dev/null); then
        echo "not run: Python $version is not installed"
        continue
    fi
    if [ -z "$ran" ]; then
        make browser
        make check PYTHON="$python"
        REACHBOOK_CI=1 make test PYTHON="$python"
    else
        make test-fast PYTHON="$python" VENV=".venv-$version"
    fi
    ran="$ran $version"
done
[ -n "$ran" ] || { echo "none of these versions of Python is installed: $*" >&2; exit 1; }
