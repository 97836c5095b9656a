.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export REACHBOOK_DATA_DIR ?= .reachbook

.PHONY: help setup serve test torture check bench lock

help: ## Show these verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/tools ## Build ./.venv with the reachbook command and every tool in it

.venv/run: requirements/run.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/tools: .venv/run requirements/tools.txt
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/tools.txt
	@touch $@

serve: .venv/run ## Serve on http://127.0.0.1:8080 from a store in ./.reachbook
	@$(BIN)/reachbook serve

test: .venv/tools ## Run the test suite, on SQLite and on PostgreSQL
	$(BIN)/pytest $(ARGS)

torture: .venv/tools ## Run the drills at length: faults, kills, power losses, slow clients
	REACHBOOK_TORTURE=1 $(BIN)/pytest tests/drills tests/directory $(ARGS)

check: .venv/tools ## Lint, check types, and hold the laws of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/tools ## Measure speed beside a bare ASGI function
	$(BIN)/python bench/first_look.py $(ARGS)

lock: .venv/tools ## Pin the newest allowed versions, with hashes
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --group build --output-file requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --group build --group test --group check --output-file requirements/tools.txt
