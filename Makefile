# Needs make and a Python >= 3.11, nothing else. Everything else is fetched, by locked hashes, into .venv.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
FROM_LOCK := install --require-hashes --only-binary :all:
ARGS ?=

# Each of the many processes of a demo or a test would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test long chaos lint types bench replay audit feeds lock clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/run.stamp ## Run an exchange with simulated traffic; Ctrl-C stops it
	@exec $(BIN)/gavel demo $(ARGS)

test: .venv/dev.stamp ## Run all tests against real servers; ARGS='-k name' for some
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

long: .venv/dev.stamp ## Run the tests that take too long for `make test`
	@$(BIN)/python -m pytest -m long -o timeout=1800 $(ARGS)

chaos: .venv/dev.stamp ## Let everything die under traffic, then count it all again; ARGS='--seed N --minutes M'
	@$(BIN)/python -m tests.chaos $(ARGS)

lint: .venv/dev.stamp ## Check style, format and layers
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports

types: .venv/dev.stamp ## Check types
	@$(BIN)/mypy

bench: .venv/dev.stamp ## Measure against peers and limits
	@$(BIN)/python -m bench $(ARGS)

replay: .venv/dev.stamp ## Decide a million logged auctions again, twice; ARGS='--auctions 10000' for fewer
	@$(BIN)/python -m bench.replay_twice $(ARGS)

audit: .venv/dev.stamp ## Half a million auctions among kills, recounted from the topics; ARGS=--smoke for fewer
	@$(BIN)/python -m bench audit $(ARGS)

feeds: .venv/dev.stamp ## Five million feed records among kills, every key compared; ARGS=--smoke for fewer
	@$(BIN)/python -m bench feeds $(ARGS)

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
lock: ## Resolve the requirements anew; needs uv
	@$(COMPILE) pyproject.toml --output-file requirements/run.lock
	@$(COMPILE) pyproject.toml --group dev --output-file requirements/dev.lock
	@printf 'editables\nhatchling\n' | $(COMPILE) - --output-file requirements/build.lock

clean: ## Remove the environment and what tools have left; data stay
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/run.stamp: requirements/build.lock requirements/run.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Gavel needs Python 3.11 or newer: install one, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) comes without venv: install it (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version) and the locked packages; this takes a minute, once."
	@$(PYTHON) -m venv .venv
	@$(PIP) $(FROM_LOCK) -r requirements/build.lock -r requirements/run.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.lock
	@echo "Adding what tests and checks need."
	@$(PIP) $(FROM_LOCK) -r requirements/dev.lock
	@touch $@
