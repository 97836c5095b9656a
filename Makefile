.DEFAULT_GOAL := help
# The interpreter that builds the virtual environment; by default the first suitable one on the path.
PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
PARALLEL := --numprocesses logical --maxprocesses 4 --dist loadfile
export REACHBOOK_DATA_DIR ?= .reachbook

.PHONY: help setup serve browser screenshots test test-fast test-slow coverage check docs bench bench-quick release-check lock

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/tools ## Build ./.venv with the reachbook command and every tool in it

$(VENV)/run: requirements/run.txt pyproject.toml
	@python=$$(sh requirements/find_python.sh $(PYTHON)) && $$python -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/tools: $(VENV)/run requirements/tools.txt
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/tools.txt
	@touch $@

serve: $(VENV)/run ## Serve on http://127.0.0.1:8080 from a store in ./.reachbook
	@$(BIN)/reachbook serve

browser: ## Install Chromium for the tests of the web console (Debian, Ubuntu)
	@scripts/install_browser.sh

screenshots: $(VENV)/tools ## Write a picture of each page of the web console to docs/screenshots
	$(BIN)/python -m scripts.screenshots $(ARGS)

test: $(VENV)/tools ## Run the test suite on SQLite and PostgreSQL, without the slow tests
	$(BIN)/pytest -m "not slow" $(PARALLEL) $(ARGS)

test-fast: $(VENV)/tools ## Run the tests that need neither PostgreSQL, another process nor deadlines
	$(BIN)/pytest -m "not postgres and not process and not slow" --ignore tests/faults $(PARALLEL) $(ARGS)

test-slow: $(VENV)/tools ## Run the fault tests and the tests of the packages, at full size
	REACHBOOK_TEST_FULL_SIZE=1 $(BIN)/pytest tests/faults tests/races \
		tests/storage/test_query_plans.py tests/packages $(ARGS)

coverage: $(VENV)/tools ## Report which lines the tests of make test run, in this process
	$(BIN)/pytest -m "not slow" $(PARALLEL) --cov --cov-report term $(ARGS)

check: $(VENV)/tools ## Lint, check types, import contracts and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@# Each public name must have a type that all checkers agree on. The interpreter is taken from the
	@# path. Types that other packages leave unknown are ignored: starlette and uvicorn have some.
	@mkdir -p build
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/basedpyright --verifytypes reachbook --ignoreexternal \
		> build/types.txt || { sed -n '/^Symbols used/,$$p' build/types.txt; exit 1; }
	$(BIN)/lint-imports
	$(BIN)/codespell

docs: $(VENV)/tools ## Build the documentation site in build/site; a warning is an error
	@scripts/site.sh $(BIN)/python

$(VENV)/bench: $(VENV)/tools requirements/bench.txt
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/bench.txt \
		|| echo "The programs to compare with cannot be installed; they are reported as absent." >&2
	@touch $@

bench: $(VENV)/bench ## Measure speed beside a ceiling and other servers, in 15 minutes
	$(BIN)/python -m bench $(ARGS)

bench-quick: $(VENV)/bench ## Measure the main figures in 2 minutes
	$(BIN)/python -m bench --quick $(ARGS)

release-check: $(VENV)/run ## Check that TAG, the version and CHANGELOG.md agree
	@$(BIN)/python scripts/release_check.py "$(TAG)"

lock: $(VENV)/tools ## Pin the newest allowed versions, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --extra server --extra redis --group build --output-file requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --extra server --extra redis --group build --group test --group check --output-file requirements/tools.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --group bench --constraint requirements/tools.txt --output-file requirements/bench.txt
