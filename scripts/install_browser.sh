#!/usr/bin/env bash
# Install Chromium for the tests of the web console, unless there is one. Debian and Ubuntu only.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then
        echo "The tests will use $(command -v "$name")."
        exit 0
    fi
done
if ! command -v apt-get >/dev/null; then
    echo "Install Chromium with the package manager of this system." >&2
    exit 1
fi
run=()
[ "$(id -u)" = 0 ] || run=(sudo)
"${run[@]}" apt-get update -q || echo "The package lists are not updated; trying those that are here." >&2
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium
