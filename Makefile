# `make demo` and `make test` do all the set-up themselves, in .venv; they need only Python >= 3.11 and make.
# The lock files decide what is installed, with hashes; uv installs it if it is there, else pip.

VENV := .venv
BIN := $(VENV)/bin
SOURCES := balancebot tests

PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
UV := $(shell command -v uv 2>/dev/null || true)

ifeq ($(UV),)
MAKE_VENV = $(PYTHON) -m venv --clear $(VENV)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
else
MAKE_VENV = $(UV) venv --quiet --clear --python $(PYTHON) $(VENV)
INSTALL = $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python
endif

.DEFAULT_GOAL := help
.PHONY: help demo docs test lowest test-long coverage check static fix messages lock audit sbom bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## the whole bot against a simulator, in under 20 seconds: nothing to configure
	@$(BIN)/balancebot demo --once

test: $(VENV)/.installed-dev ## all tests except the long ones
	@$(BIN)/python -m pytest -q -n 4 --dist worksteal -m "not timing and not long" # they wait as much as they compute
	@$(BIN)/python -m pytest -q -n 0 -m timing # tests that assert seconds run alone

test-long: $(VENV)/.installed-dev ## the tests that take minutes: three months of forty wallets; the wheel on each Python (needs uv and the network)
	@$(BIN)/python -m pytest -q -n 0 -m long

lowest: ## all tests with the oldest versions that pyproject.toml allows (needs uv and the network)
	@$(if $(UV),,$(error make lowest needs uv))
	@$(UV) venv --quiet --clear --python $(PYTHON) $(VENV)-lowest
	@$(UV) pip install --quiet --python $(VENV)-lowest/bin/python --resolution lowest-direct -e '.[postgres]' --group dev --group build
	@$(VENV)-lowest/bin/python -m pytest -q -n 4 --dist worksteal -m "not timing and not long"

coverage: $(VENV)/.installed-dev ## all tests, with the lines and branches that they cover
	@$(BIN)/python -m pytest -q -n 4 --dist worksteal -m "not timing" --cov --cov-report=term:skip-covered

check: static docs test ## everything that CI checks: format, lint, types, imports, translations, tests

static: $(VENV)/.installed-dev ## format, lint, types, imports and translations, without the tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/messages.py --check

docs: $(VENV)/.installed-docs ## the documentation as a site in build/site; a broken link fails
	@$(BIN)/python tools/site.py
	@$(BIN)/zensical build --strict --clean

fix: $(VENV)/.installed-dev ## format, and let the linter fix what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## every figure with its bound; make bench NAME=cycle ARGS="--wallets 1000" runs one benchmark
	@$(BIN)/python -m benchmarks $(or $(NAME),report) $(ARGS)

messages: $(VENV)/.installed-dev ## collect the sentences of code and templates into the catalogues, and compile them
	@$(BIN)/python tools/messages.py

lock: pyproject.toml ## write the lock files from pyproject.toml (needs uv)
	@$(if $(UV),,$(error make lock needs uv))
	@$(LOCK) --extra postgres --group build --output-file requirements.lock
	@$(LOCK) --extra postgres --group build --group dev --constraint requirements.lock --output-file requirements-dev.lock
	@$(UV) pip compile --group docs $(LOCK_AS) --constraint requirements-dev.lock --output-file requirements-docs.lock

LOCK_AS = --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
LOCK = $(UV) pip compile pyproject.toml $(LOCK_AS)

audit: ## look up known vulnerabilities of the locked packages (needs uv and the network)
	@$(if $(UV),,$(error make audit needs uv))
	@$(UV) tool run --quiet pip-audit --disable-pip --require-hashes --strict -r requirements.lock

sbom: ## write sbom.json: every package of an installation, with its hashes, as CycloneDX
	@$(if $(UV),,$(error make sbom needs uv))
	@$(UV) tool run --quiet --from cyclonedx-bom cyclonedx-py requirements requirements.lock --output-file sbom.json

clean: ## remove the environment and the files of tools
	rm -rf sbom.json $(VENV) $(VENV)-lowest build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(if $(PYTHON),,$(error balancebot needs Python 3.11 or newer))
	@echo "making $(VENV) with $(PYTHON)"
	@$(MAKE_VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing requirements.lock"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-docs: requirements-docs.lock | $(BIN)/python
	@echo "installing requirements-docs.lock"
	@$(INSTALL) --require-hashes -r requirements-docs.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "installing requirements-dev.lock"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@
