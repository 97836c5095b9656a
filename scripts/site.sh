#!/usr/bin/env bash
# Build the documentation site. A warning, such as a link to a page that is not there, is an error.
# Usage: site.sh PYTHON [FOLDER]
# The site is written to FOLDER/site; the default folder is build.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${2:-build}

rm -rf "$folder/pages" "$folder/site"
mkdir -p "$folder/pages"
# All that the pages link to, in the folders that it has here: a link works in both places.
cp -R --parents ./*.md LICENSE pyproject.toml docs deploy examples bench/README.md "$folder/pages"
find "$folder/pages" \( -name __pycache__ -o -name .pytest_cache \) -prune -exec rm -rf {} +
cp mkdocs.yml "$folder"
"$1" -m scripts.reference "$folder/pages/docs"
"$1" -m zensical build --strict --clean --config-file "$folder/mkdocs.yml"
