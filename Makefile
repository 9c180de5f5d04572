# The only entry point: every target works on a fresh clone and installs what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROWS ?= 10000
MINUTES ?= 10
SEED ?= 0

.PHONY: help run serve test test-fast lint services bench soak clean

help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "setting up the Python environment"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed.")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: $(VENV)/.ready ## Start everything, import a sample file, show what became of it (ROWS=10000)
	@$(BIN)/python -m stack up -- $(BIN)/python -m stack.demo --rows $(ROWS)

serve: $(VENV)/.ready ## Start the services and one worker, until Ctrl-C
	@$(BIN)/python -m stack up -- $(BIN)/faust -A app worker -l info

services: $(VENV)/.ready ## Start the services only, until Ctrl-C
	@$(BIN)/python -m stack up

lint: $(VENV)/.ready ## Style, types and the import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict app agents tables web stack
	@$(BIN)/lint-imports

test-fast: $(VENV)/.ready ## The tests that need no service
	@$(BIN)/python -m pytest tests/unit

test: lint ## All checks and all tests, on real services of their own
	@$(BIN)/python -m stack fetch
	@$(BIN)/python -m pytest

bench: $(VENV)/.ready ## End to end beside a bare PyMongo loop and a script, in one run (ROWS=10000)
	@$(BIN)/python -m benchmarks.end_to_end --rows $(ROWS)

soak: $(VENV)/.ready ## Faults at random while files are uploaded (MINUTES=10 SEED=0 draws one)
	@$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --seed $(SEED)

clean: ## Remove the Python environment, the services' data and the uploads (downloads stay)
	rm -rf $(VENV) data .stack/data .stack/demo build *.egg-info
