# The only entry point: every target works on a fresh clone and installs what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
AUDIT := $(VENV)/audit
BIN := $(VENV)/bin
ROWS ?= 10000
MINUTES ?= 10
SEED ?= 0
N ?= 3

.PHONY: help run serve cluster test test-fast test-integration test-e2e test-browser test-faults lint format-js audit services pictures bench bench-large profile soak clean fetch-services fetch-clients

help: ## List the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "setting up the Python environment"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed.")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# The launcher, tests and benchmarks are no part of what is installed; here they are found from any directory.
	@$(BIN)/python -c 'import pathlib, sysconfig; \
		pathlib.Path(sysconfig.get_path("purelib"), "checkout.pth").write_text(f"{pathlib.Path.cwd()}\n")'
	@touch $@

run: $(VENV)/.ready ## Start everything, import a sample file, show what became of it (ROWS=10000)
	@$(BIN)/python -m stack up -- $(BIN)/python -m stack.demo --rows $(ROWS)

serve: $(VENV)/.ready ## Start the services and one worker, until Ctrl-C
	@$(BIN)/python -m stack up -- $(BIN)/faust -A app worker -l info

cluster: $(VENV)/.ready ## Start the services, N workers and a gateway in front of them, until Ctrl-C (N=3)
	@$(BIN)/python -m stack cluster --workers $(N)

services: $(VENV)/.ready ## Start the services only, until Ctrl-C
	@$(BIN)/python -m stack up

lint: $(VENV)/.ready ## Style, types and the import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict app agents bulk_client tables web stack benchmarks
	@$(BIN)/lint-imports

format-js: $(VENV)/.ready ## Format the dashboard's JavaScript and CSS in place, and mend what can be mended
	@$(BIN)/python -m tests.support.biome --write

audit: $(VENV)/.ready ## Known vulnerabilities of the pinned dependencies, where the advisory service can be reached
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && \
		$(AUDIT)/bin/pip install --quiet --disable-pip-version-check pip-audit; }
	@# A proxy in front of the package index may not have the advisories: these come from osv.dev.
	@if $(BIN)/python -c 'import httpx; httpx.get("https://api.osv.dev/v1/vulns/PYSEC-2021-1", timeout=10)' 2>/dev/null; then \
		$(AUDIT)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --vulnerability-service osv; \
	else echo "audit: the advisory service (osv.dev) cannot be reached from here, so nothing was checked"; exit 3; fi

test-fast: $(VENV)/.ready ## The tests that need no service, without the slow ones (1 min)
	@$(BIN)/python -m pytest -n 2 -m "not slow" tests/unit

test-integration: $(VENV)/.ready ## The tests of parts of the platform, on real services (5 min)
	@$(BIN)/python -m pytest -n 2 tests/integration

test-e2e: $(VENV)/.ready ## The tests of whole workers: what clients and attackers meet (8 min)
	@$(BIN)/python -m pytest -n 2 tests/e2e tests/security

test-browser: $(VENV)/.ready ## The tests of the pages, in a real browser (5 min)
	@$(BIN)/python -m stack clients
	@$(BIN)/python -m pytest -n 2 tests/browser

test-faults: $(VENV)/.ready ## The tests in which processes die and services are away (12 min)
	@$(BIN)/python -m pytest -n 3 tests/faults

test: $(VENV)/.ready ## All checks and all tests, on real services of their own (30 min)
	@# At once, because the checks take a processor, and downloads the network.
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=line lint fetch-services fetch-clients
	@# Side by side, because most tests wait most of the time (tests/support/scheduler.py says how).
	@$(BIN)/python -m pytest -n 3

fetch-services: $(VENV)/.ready ## Download what the services of the tests need
	@# The S3 server is built with Go; the gateway is nginx. Without these, and without Prometheus and Elasticsearch, their
	@# tests are skipped, but not in CI.
	@services=kafka,mongo,redis; for service in s3 gateway prometheus elasticsearch; do \
		if [ -n "$$CI" ] || $(BIN)/python -m stack doctor --services $$service >/dev/null 2>&1; then \
		services=$$services,$$service; fi; done; $(BIN)/python -m stack fetch --services $$services

fetch-clients: $(VENV)/.ready ## Install the browser and the other programs that tests use
	@$(BIN)/python -m stack clients

$(VENV)/.bench: $(VENV)/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	@touch $@

bench: $(VENV)/.bench ## Speed, cost and latency beside two loops and mongoimport: tables, JSON, plot (1.5 h)
	@$(BIN)/python -m benchmarks

bench-large: $(VENV)/.bench ## 5,000,000 rows beside 100,000
	@$(BIN)/python -m benchmarks --suite "end to end" --rows 100000 --rows 5000000 --workers 1 \
		--no-rivals --no-variants --heap 12g --out build/benchmarks/large

profile: $(VENV)/.bench ## A flame graph of a worker under load
	@$(BIN)/python -m benchmarks.profile

soak: $(VENV)/.ready ## Faults at random while files are uploaded (MINUTES=10; SEED=0 draws one; REAL_RETRIES=1)
	@$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --seed $(SEED) $(if $(REAL_RETRIES),--real-retries)

pictures: $(VENV)/.ready ## Make the pictures of docs/images anew, of real workers: pages, the terminal session
	@$(BIN)/python -m tests.support.record_session
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pillow
	@$(BIN)/python -m tests.support.screenshots

clean: ## Remove the Python environment, the services' data and the uploads (downloads stay)
	rm -rf $(VENV) data .stack/data .stack/demo build *.egg-info
