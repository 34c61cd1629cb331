# What one types here. `make` alone lists it. Works in folders whose names hold spaces: every path below is relative.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(if $(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print(1)' 2>/dev/null),$(name))))
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
PIP := --disable-pip-version-check --no-input

# The stamp holds the folder: a virtual environment that was moved or copied knows only its old place.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

.PHONY: help setup demo test chaos lint format types docs lock

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## Set up, then show the whole path at work, in under a minute   [ARGS=--json]
	@$(BIN)/notifier demo $(ARGS)

test: $(READY) ## All tests: real Redis, SQLite, and PostgreSQL where there is one   [ARGS="-k gateway"]
	@$(BIN)/pytest $(ARGS)

chaos: $(READY) ## Break everything at random for ten minutes, and look who was lost or told twice   [ARGS="--seed 7"]
	@$(BIN)/python -m tests.faults $(ARGS)

lint: $(READY) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(READY) ## Let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(READY) ## mypy, strict
	@$(BIN)/mypy

docs: $(READY) ## Write the generated parts of docs/ again
	@$(BIN)/python -m notifier.cli.config_reference
	@$(BIN)/python -m notifier.cli.signal_reference
	@$(BIN)/python -m notifier.cli.state_reference
	@$(BIN)/python -m notifier.cli.command_reference

lock: ## Pin the dependencies again, with hashes (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -c requirements.lock -o deploy/requirements.lock

setup: $(READY) ## Virtual environment in .venv with the pinned dependencies

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "notifier needs Python 3.11 or later, and none was found. Install one (Debian: apt-get install python3 python3-venv), or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "set-up 1/3: virtual environment, $$($(PYTHON) --version)"
	@if test -e $(READY) && test "$$(cat $(READY))" != "$(CURDIR)"; then rm -rf .venv; fi
	@rm -f $(READY)
	@$(PYTHON) -m venv .venv || { echo "python3 -m venv does not work here. Debian and Ubuntu keep it apart: apt-get install python3-venv" >&2; exit 1; }
	@echo "set-up 2/3: $$(grep -c '==' requirements.lock) pinned dependencies, each checked against its hash"
	@set -o pipefail; $(BIN)/python -m pip install $(PIP) --progress-bar off --require-hashes -r requirements.lock | awk '/^Collecting/ { printf "."; fflush() } END { print "" }'
	@echo "set-up 3/3: notifier itself"
	@$(BIN)/python -m pip install $(PIP) --quiet --no-deps --no-build-isolation -e .
	@printf '%s' "$(CURDIR)" > $(READY)

.PHONY: bench bench-short bench-page

bench: $(READY) ## Measure everything of docs/performance.md   [ARGS="--only limiter"]
	@$(BIN)/python -m bench.run $(ARGS)

bench-short: $(READY) ## A few seconds of each measurement: shows that the bench works, measures nothing
	@$(BIN)/python -m bench.run --short --no-verdict --results bench/.data/short.json $(ARGS)

bench-page: $(READY) ## Put the figures of bench/results.json into docs/performance.md and docs/scaling.md
	@$(BIN)/python -m bench.table
	@$(BIN)/python -m bench.sizing
