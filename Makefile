# Two commands are enough: `make run` and `make test`. Both set everything up in .venv first.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
IMAGE ?= inboxd

.PHONY: run test lint bench evaluate image pictures clean

run: .venv/.run
	@$(BIN)/inboxd run

test: lint
	$(BIN)/pytest -n 2 --dist worksteal

lint: .venv/.dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

bench: .venv/.dev
	$(BIN)/python -m bench

# SETS=folder: the public research sets, which cannot ship; without it only our own labelled messages.
evaluate: .venv/.dev
	$(BIN)/python -m bench.evaluate $(SETS)

image:
	docker build --tag $(IMAGE) .

pictures: .venv/.dev
	$(BIN)/python -m aggregator.destinations.preview docs

clean:
	rm -rf .venv data

.venv/bin/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "inboxd needs Python 3.11 or newer; install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.run: .venv/bin/python pyproject.toml constraints.txt
	@echo "Setting up .venv (once; about half a minute) ..."
	@$(PIP) --editable .
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml constraints.txt
	@echo "Setting up .venv for the tests (once; about a minute) ..."
	@$(PIP) --editable '.[dev]'
	@touch $@ .venv/.run
